//! The dispatcher: keeps the tasks, finds workers for them, and hands out results.

mod daemon;
pub mod machine;
pub mod store;

pub use daemon::{Dispatcher, DispatcherArgs, Kept, RetentionArgs};
