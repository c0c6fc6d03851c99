//! The worker: registers, takes tasks, runs their handlers and returns results until they are stored.

mod daemon;
mod handlers;
pub mod machine;

pub use daemon::{Worker, WorkerArgs};
