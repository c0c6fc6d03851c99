//! What clients ask the dispatcher, and its answers.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Progress;
use crate::error::TaskError;
use crate::json::present;
use crate::limits::{MAX_ATTEMPTS_MAX, PRIORITY_MAX, SPAN_MAX};
use crate::{ErrorCode, Instance, Json, Key, Lease, TaskId, TaskType, WallTime};

/// A length of time, on the wire a JSON number of seconds between 0 and ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.0..=SPAN_MAX.as_secs_f64()).contains(&seconds) {
            return Err(serde::de::Error::custom(
                "a time span is a number of seconds between 0 and 315360000 (ten years)",
            ));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// The higher goes first; 0 where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Priority(i32);

impl Priority {
    /// `None` outside -100 … 100.
    pub fn new(number: i32) -> Option<Self> {
        (-PRIORITY_MAX..=PRIORITY_MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i32::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("'priority' is a whole number between -100 and 100"))
    }
}

/// POST_TASK. Unknown options are refused by name, never ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostTask {
    /// What to do; workers are found by it.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// What to do it with.
    pub payload: Json,
    /// Names this task for ever: a second POST_TASK with the key finds the first one's task (R1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The higher goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Not to be started earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallTime>,
    /// Not to be started earlier than this long after it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<Span>,
    /// How many attempts may be charged before the task is failed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "max_attempts")]
    pub max_attempts: Option<u32>,
    /// The time limit of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "timeout")]
    pub timeout_s: Option<Span>,
    /// How long the whole task may take, from when it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<Span>,
    /// Also send the end of the task, if it comes within this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<Span>,
}

impl PostTask {
    /// A task with no options.
    pub fn new(task_type: TaskType, payload: Json) -> Self {
        Self {
            task_type,
            payload,
            key: None,
            priority: None,
            not_before: None,
            delay_s: None,
            max_attempts: None,
            timeout_s: None,
            expires_s: None,
            wait_s: None,
        }
    }
}

fn max_attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<u32>::deserialize(deserializer)?;
    if number.is_some_and(|number| !(1..=MAX_ATTEMPTS_MAX).contains(&number)) {
        return Err(serde::de::Error::custom("'max_attempts' is a whole number between 1 and 1000"));
    }
    Ok(number)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let span = Option::<Span>::deserialize(deserializer)?;
    if span.is_some_and(|Span(span)| span < Duration::from_secs(1) || span.subsec_nanos() != 0) {
        return Err(serde::de::Error::custom("'timeout_s' is a whole number of seconds, at least 1"));
    }
    Ok(span)
}

/// GET_RESULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetResult {
    /// Which task.
    pub task_id: TaskId,
    /// Answer when the task ends, or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<Span>,
}

/// GET_TASK, CANCEL_TASK, RETRY_TASK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// Which task.
    pub task_id: TaskId,
}

/// LIST_TASKS: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTasks {
    /// Only tasks of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only tasks of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
    /// Only tasks older than this one: the last of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TaskId>,
    /// At most so many; more than [`crate::limits::LIST_MAX`] is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// LIST_WORKERS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListWorkers {
    /// Only workers that serve this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting for a worker, or for its time.
    Pending,
    /// Handed to a worker.
    Running,
    /// Ended with a result.
    Done,
    /// Ended without one.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl Status {
    /// The word on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Done, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// Whether the task has ended.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The answer to POST_TASK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostReply {
    /// `Task received, ID = 42`: existing clients parse it.
    pub message: String,
    /// The task's number.
    pub task_id: TaskId,
    /// What the commit contains.
    pub status: Status,
    /// How many live workers serve the type, once a lookup has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// The key was known: this is the task of an earlier POST_TASK.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// `false` when `wait_s` was asked for and too many wait already: ask with GET_RESULT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<bool>,
}

impl PostReply {
    /// The reply for a stored task.
    pub fn new(task_id: TaskId, status: Status) -> Self {
        let message = format!("Task received, ID = {task_id}");
        Self { message, task_id, status, workers: None, duplicate: false, waiting: None }
    }
}

/// The answer to CANCEL_TASK and RETRY_TASK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReply {
    /// `Task cancelled` or `Task is pending again`.
    pub message: String,
    /// The task's number.
    pub task_id: TaskId,
    /// Where it stands now.
    pub status: Status,
}

/// The answer to GET_RESULT, and the second one to POST_TASK with `wait_s`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultReply {
    /// The result of a done task; any JSON value, `null` too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Json>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// NOT_READY, TASK_FAILED, TASK_CANCELLED or NOT_FOUND.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// Where the task stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How many attempts a failed task has had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// What the last attempt of a failed task said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_error: Option<TaskError>,
    /// With NOT_READY: how far the attempt is that runs, if its handler tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// One task, as GET_TASK and LIST_TASKS show it. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// The task's number.
    pub id: TaskId,
    /// Its type.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// Where it stands.
    pub status: Status,
    /// What it was posted with. Not in lists, nor where it does not fit (`omitted`).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub payload: Option<Json>,
    /// Its result. Not in lists, nor where it does not fit (`omitted`).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Json>,
    /// The length of the payload.
    pub payload_bytes: u64,
    /// The length of the result, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// What its last failed attempt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The higher goes first.
    pub priority: Priority,
    /// How many attempts have been charged.
    pub attempt: u32,
    /// How many may be.
    pub max_attempts: u32,
    /// The time limit of one attempt in seconds.
    pub timeout_s: u64,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The worker of its current or last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_worker: Option<String>,
    /// The lease of its current or last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When it was stored.
    pub timestamp_created: WallTime,
    /// When it may start.
    pub timestamp_scheduled: WallTime,
    /// When its current or last attempt was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_dispatched: Option<WallTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_completed: Option<WallTime>,
    /// When it fails unless it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_expires: Option<WallTime>,
}

/// An attempt that ended without the recorded result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its number.
    pub attempt: u32,
    /// Where it ran.
    pub worker: String,
    /// How it ended: `failed`, `timeout`, `lease_lost`, `worker_lost`, `rejected`, `released`, `superseded`,
    /// `cancelled`, `expired` or `late`.
    pub outcome: String,
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// When it was handed over.
    pub timestamp_dispatched: WallTime,
    /// When it ended.
    pub timestamp_ended: WallTime,
}

/// The answer to GET_TASK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReply {
    /// The task.
    pub task: TaskView,
    /// Its past attempts, the newest first; the oldest are left out where they do not fit.
    pub attempts: Vec<AttemptView>,
    /// Fields and lists that did not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<String>,
    /// One sentence on why it is not running, if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How far the attempt is that runs, if its handler tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// The answer to LIST_TASKS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTasksReply {
    /// The tasks, the newest first.
    pub tasks: Vec<TaskView>,
    /// Whether there are older ones: ask again with `before`.
    pub more: bool,
}

/// A worker, as LIST_WORKERS shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Where it is reached.
    pub address: String,
    /// What it serves.
    pub types: Vec<TaskType>,
    /// How many tasks it runs at a time.
    pub capacity: u32,
    /// How many it runs now; only the dispatcher knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u32>,
    /// Its process; a plain worker has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

/// The answer to LIST_WORKERS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListWorkersReply {
    /// The workers, by address.
    pub workers: Vec<WorkerView>,
    /// Whether some did not fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// How many tasks stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCounts {
    /// Waiting.
    pub pending: u64,
    /// Handed to a worker.
    pub running: u64,
    /// Ended with a result.
    pub done: u64,
    /// Ended without one.
    pub failed: u64,
    /// Ended because somebody asked for it.
    pub cancelled: u64,
}

/// The answer to GET_STATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReply {
    /// Tasks by status.
    pub tasks: StatusCounts,
    /// Workers that the dispatcher knows.
    pub workers: u32,
    /// Requests that wait for the end of a task.
    pub waiting: u32,
    /// Seconds since the dispatcher started.
    pub uptime_s: u64,
    /// Batches committed since then.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// The longest checkpoint since then, in milliseconds, rounded up; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_max_ms: Option<u64>,
}

/// The answer to PING.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReply {
    /// `dispatcher`, `nameservice` or `worker`.
    pub role: String,
    /// The version of the program.
    pub version: String,
    /// The largest payload and result in bytes.
    pub value_bytes_max: u64,
    /// The most messages in one array.
    pub array_max: u64,
    /// The longest wait in seconds.
    pub wait_s_max: u64,
    /// For how many hours after a task's end its key is kept at least (R4).
    pub key_retention_h: u64,
}

impl PingReply {
    /// The answer of a server in the role `role`.
    pub fn of(role: &str) -> Self {
        Self {
            role: role.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            value_bytes_max: crate::limits::VALUE_MAX as u64,
            array_max: crate::limits::ARRAY_MAX as u64,
            wait_s_max: crate::limits::WAIT_MAX.as_secs(),
            key_retention_h: crate::limits::KEY_RETENTION.as_secs() / 3_600,
        }
    }
}
