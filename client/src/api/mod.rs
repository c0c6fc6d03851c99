//! What other programs call.

mod driver;
mod error;
mod keys;
mod submission;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskgrid_protocol::body::{
    ListTasks, ListTasksReply, ListWorkers, ListWorkersReply, NoData, OrderReply, PingReply, StatsReply, TaskRef,
    TaskReply,
};
use taskgrid_protocol::limits::ANSWER_DEADLINE;
use taskgrid_protocol::{Body, Key};

use crate::machine::{Answer, End, Outcome, Progress, Request, Silence};
pub(crate) use driver::socket_towards;
use driver::{Driver, Ongoing};
pub use error::{CallError, ConnectError, Unknown, WaitError};
pub(crate) use keys::new_key;
pub use submission::{Followed, Receipt, Submission};

/// Talks to a dispatcher. All clones share one socket; there is no connection that could break.
///
/// All methods may be called at the same time, and each future may be dropped at any time: that ends the
/// re-sending of its request and nothing else. (What was sent already may still be stored or done.)
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use taskgrid_client::Client;
///
/// let client = Client::connect("127.0.0.1:4000").await?;
/// let other = client.clone();
/// let sum = tokio::spawn(async move { other.submit("sum", [1, 2, 3]).wait().await });
/// let (text, sum) = tokio::join!(client.submit("upper", "loud").wait(), sum);
/// println!("{} {}", text?.get(), sum??.get());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    driver: Arc<Driver>,
    patience: Duration,
    pack: bool,
}

impl Client {
    /// Opens a socket to talk to the server at `HOST:PORT`. Sends nothing, so this succeeds whether the
    /// server runs or not. Must be called inside a tokio runtime, on which one task then does the talking
    /// until the last clone is dropped.
    pub async fn connect(server: &str) -> Result<Self, ConnectError> {
        let driver = Arc::new(Driver::start(server)?);
        Ok(Self { driver, patience: ANSWER_DEADLINE, pack: false })
    }

    /// How long to ask before an outcome counts as unknown; 30 seconds unless said.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Lets the requests of this handle share datagrams where several are ready at the same time. With many
    /// calls at a time that costs everybody less work; where datagrams get lost, more is lost with each.
    pub fn packed(self) -> Self {
        Self { pack: true, ..self }
    }

    /// The server's address, as it was given to [`Client::connect`].
    pub fn server(&self) -> &str {
        self.driver.server()
    }

    /// A task to be submitted. Nothing happens before the [`Submission`] is awaited.
    pub fn submit(&self, task_type: &str, payload: impl Serialize) -> Submission {
        Submission::new(self.clone(), task_type, payload)
    }

    /// Submits many tasks, many at a time, with as many as fit in each datagram. The outcomes are in the
    /// order of the submissions; those that ended in [`Unknown`] name the key to submit them with again.
    pub async fn submit_many(
        &self,
        submissions: impl IntoIterator<Item = Submission>,
    ) -> Vec<Result<Receipt, CallError>> {
        submission::submit_many(submissions).await
    }

    /// Where a task stands, and its result if it has ended.
    pub async fn result(&self, task: impl Into<TaskRef>) -> Result<Progress, CallError> {
        self.wait_at_most(task, Duration::ZERO).await
    }

    /// Waits for the end of a task, for as long as the dispatcher answers.
    pub async fn wait(&self, task: impl Into<TaskRef>) -> Result<crate::Json, WaitError> {
        match self.watch(task, None).await? {
            Progress::Ended(end) => ended(end),
            Progress::NotReady(_) => unreachable!("a watch without a limit ends with the task"),
        }
    }

    /// Waits for the end of a task, but not longer than `limit`.
    pub async fn wait_at_most(&self, task: impl Into<TaskRef>, limit: Duration) -> Result<Progress, CallError> {
        self.watch(task, Some(limit)).await
    }

    async fn watch(&self, task: impl Into<TaskRef>, limit: Option<Duration>) -> Result<Progress, CallError> {
        let mut ongoing = self.begin(Request::Watch { task: task.into(), limit }).await;
        match self.settle(ongoing.ended().await, None)? {
            Answer::Progress(progress) => Ok(progress),
            other => unreachable!("a watch was answered by {other:?}"),
        }
    }

    /// All about a task, with its past attempts.
    pub async fn task(&self, task: impl Into<TaskRef>) -> Result<TaskReply, CallError> {
        self.ask(Body::GetTask(task.into())).await
    }

    /// Tasks, the newest first, at most 100 at a time.
    pub async fn list(&self, filter: ListTasks) -> Result<ListTasksReply, CallError> {
        self.ask(Body::ListTasks(filter)).await
    }

    /// Ends a task that is pending or running.
    pub async fn cancel(&self, task: impl Into<TaskRef>) -> Result<OrderReply, CallError> {
        self.ask(Body::CancelTask(task.into())).await
    }

    /// Makes a failed or cancelled task pending again.
    pub async fn retry(&self, task: impl Into<TaskRef>) -> Result<OrderReply, CallError> {
        self.ask(Body::RetryTask(task.into())).await
    }

    /// The workers that the server knows. A name service answers this too.
    pub async fn workers(&self, filter: ListWorkers) -> Result<ListWorkersReply, CallError> {
        self.ask(Body::ListWorkers(filter)).await
    }

    /// Counters.
    pub async fn stats(&self) -> Result<StatsReply, CallError> {
        self.ask(Body::GetStats(NoData {})).await
    }

    /// Version and limits. Every server of the grid answers this.
    pub async fn ping(&self) -> Result<PingReply, CallError> {
        self.ask(Body::Ping(NoData {})).await
    }

    async fn ask<T: DeserializeOwned>(&self, question: Body) -> Result<T, CallError> {
        let mut ongoing = self.begin(Request::Ask(question)).await;
        let data = match self.settle(ongoing.ended().await, None)? {
            Answer::Data(data) => data,
            other => unreachable!("a question was answered by {other:?}"),
        };
        serde_json::from_str(data.get()).map_err(|_| self.unknown(Silence::Garbled, None).into())
    }

    async fn begin(&self, request: Request) -> Ongoing {
        Driver::begin(&self.driver, request, self.patience, self.pack).await
    }

    /// Makes the three outcomes a result. `key` is that of the submission, if it was one.
    fn settle(&self, outcome: Outcome, key: Option<&Key>) -> Result<Answer, CallError> {
        match outcome {
            Outcome::Ok(answer) => Ok(answer),
            Outcome::Rejected(rejected) => Err(rejected.into()),
            Outcome::Unknown(silence) => Err(self.unknown(silence, key).into()),
        }
    }

    fn unknown(&self, silence: Silence, key: Option<&Key>) -> Unknown {
        Unknown { server: self.server().to_owned(), patience: self.patience, silence, key: key.cloned() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).finish_non_exhaustive()
    }
}

fn ended(end: End) -> Result<crate::Json, WaitError> {
    match end {
        End::Done(result) => Ok(result),
        End::Failed(failed) => Err(WaitError::Failed(failed)),
        End::Cancelled => Err(WaitError::Cancelled),
    }
}
