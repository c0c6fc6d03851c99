//! Runs the tasks of a task grid: registers, takes them, calls their handlers and returns the results until they are
//! stored.
//!
//! ```no_run
#![doc = include_str!("../examples/mean.rs")]
//! ```
//!
//! What comes in is a [`Task`], with a payload of your own type; what goes out is anything that `serde` can write as
//! JSON, or a [`Failure`]. A program needs this package, `serde` with `derive`, and `tokio` with `macros` and `rt`.
//!
//! A task is run *at least* once: it runs again when its worker dies or falls silent, and in rare cases while the
//! first run still goes on. What a handler does outside should bear that. Each run has a [`Lease`], by which the
//! outside can tell a later run from an earlier one.
//!
//! - **A handler fails** with a [`Failure`], which says whether to try again; so does a panic, in a program that
//!   unwinds.
//! - **A handler is stopped** when its task is cancelled, at its time limit, and when the worker stops and its grace
//!   is over: it learns of it by [`Task::cancelled`], and a second later its future is dropped. What it has given
//!   to `spawn_blocking` goes on until it asks [`Task::is_cancelled`].
//! - **A handler that computes** belongs into `spawn_blocking`: the worker talks to the grid on the same runtime.
//! - **What happens is logged** through `tracing`; [`init_log`] writes it to standard error, for programs that have
//!   nothing of their own for that.
//!
//! Inside, a [`machine`] without any I/O holds the conversations; [`Worker`] drives it on a socket, as `taskgrid
//! worker` does with [`WorkerArgs`].

#![warn(missing_docs)]

mod builder;
mod daemon;
mod failure;
mod handlers;
pub mod machine;
mod task;

pub use builder::WorkerBuilder;
pub use daemon::{Worker, WorkerArgs};
pub use failure::Failure;
pub use handlers::{Reserved, guard};
pub use task::Task;
#[doc(inline)]
pub use taskgrid_protocol::{Lease, TaskId, TaskType};
#[doc(inline)]
pub use taskgrid_runtime::{Exit, StartError, init_log};
