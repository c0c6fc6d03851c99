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
//! There is no connection to keep. A [`Client`] is a socket and a task that talks on it: it is there at once,
//! whether the dispatcher runs or not, it outlives restarts of the dispatcher, and nobody need close it. Clone it
//! for whoever wants one; the clones share the socket, and may all call at the same time.
//!
//! Every future is cancel-safe: it may be dropped at any time, as `select!` and `timeout` do, and that leaves
//! nothing behind and disturbs no other call. What has been sent by then may still be done, so where that matters,
//! name the task by a key of its own:
//!
//! ```
//! use std::time::Duration;
//! use taskgrid_client::Client;
//! use tokio::time::timeout;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let silent = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! # let address = silent.local_addr()?.to_string();
//! // Nobody answers at this address, which is no mistake as long as nothing is asked.
//! let client = Client::connect(&address).await?;
//!
//! let order = client.submit("report", 2024).key("report-2024");
//! if timeout(Duration::from_millis(10), order.clone()).await.is_err() {
//!     // It may be stored or not. Submitted again, now or much later, it is the same one task.
//!     # async {
//!     let receipt = order.await?;
//!     # Ok::<_, taskgrid_client::CallError>(receipt) };
//! }
//! # Ok(())
//! # }
//! ```
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
    Progress as TaskProgress, StatsReply, Status, StatusCounts, TaskRef, TaskReply, TaskView, WorkerView,
};
pub use taskgrid_protocol::error::TaskError;
pub use taskgrid_protocol::{ErrorCode, FileId, Json, Key, TaskId, TaskType, WallTime};
