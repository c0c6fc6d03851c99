//! The wire between the programs of a task grid, and the contract of their state machines.
//!
//! Everything here is pure: no socket, no disk, no clock, no randomness of its own. One datagram is one
//! JSON message or a JSON array of them ([`codec`]); the programs are state machines of the trait
//! [`Node`]; whoever waits for an answer re-sends through an [`Outbox`]. Headings such as R5 in comments
//! are those of `docs/PROTOCOL.md`.

pub mod body;
pub mod codec;
mod envelope;
pub mod error;
mod file_id;
pub mod ids;
pub mod json;
pub mod limits;
mod malformed;
mod near;
pub mod node;
pub mod outbox;
pub mod packer;
mod refusals;
pub mod reply;
pub mod resolver;
pub mod time;
pub mod timers;

pub use body::{Beside, Body, Message};
pub use error::{ErrorCode, ErrorReply};
pub use file_id::FileId;
pub use ids::{Instance, Key, Lease, RequestId, TaskId, TaskType};
pub use json::Json;
pub use near::is_near;
pub use node::{Node, Transmit};
pub use outbox::Outbox;
pub use refusals::Refusals;
pub use reply::ReplyTo;
pub use resolver::{Resolved, Resolver};
pub use time::{Timestamp, WallTime};
pub use timers::Timers;
