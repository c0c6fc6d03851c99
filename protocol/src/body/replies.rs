//! What clients are told.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{Priority, Progress, Status};
use crate::error::TaskError;
use crate::json::present;
use crate::limits::TOKEN_SHOWN_MAX;
use crate::{ErrorCode, FileId, Instance, Json, Key, Lease, TaskId, TaskType, WallTime};

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
    /// The database that stores it: its number names a task only there. Only for who sent an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
}

impl PostReply {
    /// The reply for a stored task.
    pub fn new(task_id: TaskId, status: Status) -> Self {
        let message = format!("Task received, ID = {task_id}");
        Self { message, task_id, status, workers: None, duplicate: false, waiting: None, file_id: None }
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
    /// The database that stores it. Only for who sent an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
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
    /// The lease of its current or last attempt; its first characters on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "abbreviated")]
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
    /// The database that stores it. Only for who sent an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
}

/// Whoever knows a lease may finish the attempt, and whoever knows an instance may speak for the worker. So clients see
/// only enough to tell one from another (R11).
fn abbreviated<T: fmt::Display, S: Serializer>(token: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = token.as_ref().map(|token| token.to_string().chars().take(TOKEN_SHOWN_MAX).collect::<String>());
    shown.serialize(serializer)
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
    /// Its process, of which the first characters go on the wire; a plain worker has none.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "abbreviated")]
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
    /// The database of a dispatcher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
    /// Of a worker: its process (R18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
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
            file_id: None,
            instance: None,
        }
    }
}
