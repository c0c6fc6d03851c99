//! Tasks on their way to the dispatcher.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use taskgrid_protocol::body::{PostReply, PostTask, Priority, Span, Status, TaskRef};
use taskgrid_protocol::limits::{MAX_ATTEMPTS_MAX, PRIORITY_MAX, SPAN_MAX, VALUE_MAX};
use taskgrid_protocol::{ErrorCode, FileId, Json, Key, TaskId, TaskType, WallTime};

use super::driver::Ongoing;
use super::{CallError, Client, WaitError, ended};
use crate::machine::{Answer, Outcome, Progress, Rejected, Request};

/// Submissions that [`Client::submit_many`] has under way at a time: two of the dispatcher's largest
/// batches, so that one fills while the other is written.
const MANY_AT_A_TIME: usize = 8_192;

/// A task to be submitted, with its options.
///
/// Await it to store the task, [`wait`](Submission::wait) for its result, or [`follow`](Submission::follow)
/// it to learn of both. A mistake in an option is reported then, as [`Rejected`].
///
/// ```no_run
/// # async fn example(client: taskgrid_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let receipt = client.submit("report", 2024).key("report-2024").delay(Duration::from_secs(60)).await?;
/// println!("task {} is {}", receipt.task, receipt.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a submission does nothing until it is awaited"]
pub struct Submission {
    client: Client,
    task: Result<PostTask, Rejected>,
}

impl Submission {
    pub(super) fn new(client: Client, task_type: &str, payload: impl Serialize) -> Self {
        Self { client, task: new_task(task_type, payload) }
    }

    /// Names the task for ever: submitting it again with the same key finds it instead of making another.
    /// Any string of 1 to 64 bytes. Without one, the submission gets a key of its own.
    pub fn key(self, key: &str) -> Self {
        self.with(|task| {
            task.key = Some(Key::new(key).map_err(bad_request)?);
            Ok(())
        })
    }

    /// Tasks with a higher priority go first: -100 to 100, 0 unless said.
    pub fn priority(self, priority: i32) -> Self {
        self.with(|task| {
            let refusal = || bad_request(format!("a priority is between -{PRIORITY_MAX} and {PRIORITY_MAX}"));
            task.priority = Some(Priority::new(priority).ok_or_else(refusal)?);
            Ok(())
        })
    }

    /// Does not start the task earlier than this long after it is stored.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|task| {
            task.delay_s = Some(span(delay)?);
            Ok(())
        })
    }

    /// Does not start the task earlier than this.
    pub fn not_before(self, time: WallTime) -> Self {
        self.with(|task| {
            task.not_before = Some(time);
            Ok(())
        })
    }

    /// How many attempts the task may have before it fails: 1 to 1000, 5 unless said.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.with(|task| {
            if !(1..=MAX_ATTEMPTS_MAX).contains(&attempts) {
                return Err(bad_request(format!("a task has between 1 and {MAX_ATTEMPTS_MAX} attempts")));
            }
            task.max_attempts = Some(attempts);
            Ok(())
        })
    }

    /// The time limit of one attempt, in whole seconds; an hour unless said.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|task| {
            if timeout < Duration::from_secs(1) || timeout.subsec_nanos() != 0 {
                return Err(bad_request("a time limit is a whole number of seconds, at least 1"));
            }
            task.timeout_s = Some(span(timeout)?);
            Ok(())
        })
    }

    /// Fails the task unless it is done this long after it is stored.
    pub fn expires(self, after: Duration) -> Self {
        self.with(|task| {
            task.expires_s = Some(span(after)?);
            Ok(())
        })
    }

    fn with(mut self, change: impl FnOnce(&mut PostTask) -> Result<(), Rejected>) -> Self {
        self.task = self.task.and_then(|mut task| change(&mut task).map(|()| task));
        self
    }

    /// Submits the task and waits for its result, for as long as the dispatcher answers.
    pub async fn wait(self) -> Result<Json, WaitError> {
        self.begin(true).await?.end().await
    }

    /// Submits the task and returns once it is stored, with its end still to be awaited.
    pub async fn follow(self) -> Result<Followed, CallError> {
        let mut sent = self.begin(true).await?;
        match sent.ongoing.stored().await {
            Ok(reply) => {
                let receipt = Receipt::new(reply, sent.key.clone());
                Ok(Followed { receipt: Some(receipt), state: State::Waiting(sent) })
            }
            Err(outcome) => match sent.progress(outcome)? {
                Progress::Ended(end) => Ok(Followed { receipt: None, state: State::Ended(ended(end)) }),
                Progress::NotReady(_) => unreachable!("a wait without a limit ends with the task"),
            },
        }
    }

    async fn begin(self, wait: bool) -> Result<Sent, CallError> {
        let Self { client, task } = self;
        let mut task = task?;
        let key = task.key.take().unwrap_or_else(|| client.driver.new_key());
        let request = Request::Submit { task: Box::new(PostTask { key: Some(key.clone()), ..task }), wait };
        let ongoing = client.begin(request).await;
        Ok(Sent { client, key, ongoing })
    }
}

impl IntoFuture for Submission {
    type Output = Result<Receipt, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.begin(false).await?.stored().await })
    }
}

pub(super) async fn submit_many(submissions: impl IntoIterator<Item = Submission>) -> Vec<Result<Receipt, CallError>> {
    let mut receipts = Vec::new();
    let mut under_way = VecDeque::new();
    for Submission { client, task } in submissions {
        if under_way.len() >= MANY_AT_A_TIME
            && let Some(oldest) = under_way.pop_front()
        {
            receipts.push(receipt(oldest).await);
        }
        let packed = Submission { client: client.packed(), task };
        under_way.push_back(packed.begin(false).await);
    }
    for sent in under_way {
        receipts.push(receipt(sent).await);
    }
    receipts
}

async fn receipt(sent: Result<Sent, CallError>) -> Result<Receipt, CallError> {
    sent?.stored().await
}

/// A submission under way.
#[derive(Debug)]
struct Sent {
    client: Client,
    key: Key,
    ongoing: Ongoing,
}

impl Sent {
    async fn stored(mut self) -> Result<Receipt, CallError> {
        let outcome = self.ongoing.ended().await;
        match self.client.settle(outcome, Some(&self.key))? {
            Answer::Stored(reply) => Ok(Receipt::new(reply, self.key)),
            other => unreachable!("a submission was answered by {other:?}"),
        }
    }

    async fn end(mut self) -> Result<Json, WaitError> {
        let outcome = self.ongoing.ended().await;
        match self.progress(outcome)? {
            Progress::Ended(end) => ended(end),
            Progress::NotReady(_) => unreachable!("a wait without a limit ends with the task"),
        }
    }

    fn progress(&self, outcome: Outcome) -> Result<Progress, CallError> {
        match self.client.settle(outcome, Some(&self.key))? {
            Answer::Progress(progress) => Ok(progress),
            other => unreachable!("a submission that waits was answered by {other:?}"),
        }
    }
}

/// The task is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Its number.
    pub task: TaskId,
    /// Where it stood when it was stored.
    pub status: Status,
    /// The key was known: this is the task of an earlier submission.
    pub duplicate: bool,
    /// How many live workers serve its type, if the dispatcher knew that yet.
    pub workers: Option<u32>,
    /// The key that it was submitted with.
    pub key: Key,
    /// The database that stores it; `None` from a dispatcher that does not say.
    pub file: Option<FileId>,
}

impl Receipt {
    fn new(reply: PostReply, key: Key) -> Self {
        let PostReply { task_id, status, workers, duplicate, file_id, .. } = reply;
        Self { task: task_id, status, duplicate, workers, key, file: file_id }
    }
}

/// The number and the database: should the dispatcher serve another database later, it says NOT_FOUND, and never tells of
/// another task under the same number.
impl From<&Receipt> for TaskRef {
    fn from(receipt: &Receipt) -> Self {
        Self { task_id: receipt.task, file_id: receipt.file }
    }
}

/// A task that is stored, and whose end is on its way to us.
#[derive(Debug)]
pub struct Followed {
    receipt: Option<Receipt>,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Sent),
    Ended(Result<Json, WaitError>),
}

impl Followed {
    /// The receipt. `None` when the end of the task arrived without it, because datagrams were lost or
    /// overtook each other.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// Waits for the result, for as long as the dispatcher answers.
    pub async fn end(self) -> Result<Json, WaitError> {
        match self.state {
            State::Waiting(sent) => sent.end().await,
            State::Ended(end) => end,
        }
    }
}

fn new_task(task_type: &str, payload: impl Serialize) -> Result<PostTask, Rejected> {
    let task_type = TaskType::new(task_type).map_err(bad_request)?;
    let raw = serde_json::value::to_raw_value(&payload).map_err(bad_request)?;
    let payload = Json::check(&raw).map_err(bad_request)?;
    if payload.len() > VALUE_MAX {
        // The dispatcher would say the same, but a datagram that is too long does not even leave.
        let message = format!(
            "the payload has {} bytes, the limit is {VALUE_MAX}; store the data elsewhere and send its address",
            payload.len()
        );
        return Err(Rejected::new(ErrorCode::TooLarge, message));
    }
    Ok(PostTask::new(task_type, payload))
}

fn span(duration: Duration) -> Result<Span, Rejected> {
    if duration > SPAN_MAX {
        return Err(bad_request("a time span is at most ten years"));
    }
    Ok(Span(duration))
}

fn bad_request(why: impl ToString) -> Rejected {
    Rejected::new(ErrorCode::BadRequest, why.to_string())
}
