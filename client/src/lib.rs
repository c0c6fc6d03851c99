//! Gives tasks to a task grid and fetches their results.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use taskgrid_client::Client;
//!
//! let client = Client::connect("127.0.0.1:4000").await?;
//! let result = client.submit("reverse", "OpenAI").wait().await?;
//! assert_eq!(result.read::<String>()?, "IAnepO");
//! # Ok(())
//! # }
//! ```
//!
//! A call ends in one of three ways: with its answer, with [`Rejected`] (nothing was stored or changed), or
//! with [`Unknown`]: no answer came in time, so it may have happened or not. A submission carries a key, and
//! submitting the same task again with the same key finds the task of the first time instead of making a
//! second one: that is what to do after [`Unknown`].
//!
//! Inside, a [`machine`] without any I/O holds the conversations; [`Client`] drives it on a socket. The verbs
//! of the `taskgrid` command are in [`cli`].

#![warn(missing_docs)]

mod api;
pub mod cli;
pub mod machine;
#[cfg(test)]
mod testing;

pub use api::{CallError, Client, ConnectError, Followed, Receipt, Submission, Unknown, WaitError};
pub use machine::{Failed, Progress, Rejected, Silence, Standing};
pub use taskgrid_protocol::body::{
    AttemptView, ListTasks, ListTasksReply, ListWorkers, ListWorkersReply, OrderReply, PingReply,
    Progress as TaskProgress, StatsReply, Status, StatusCounts, TaskReply, TaskView, WorkerView,
};
pub use taskgrid_protocol::error::TaskError;
pub use taskgrid_protocol::{ErrorCode, Json, Key, TaskId, TaskType, WallTime};
