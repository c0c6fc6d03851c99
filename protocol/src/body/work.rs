//! What dispatcher and worker say to each other.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Span, Status};
use crate::error::{TaskError, task_code};
use crate::json::present;
use crate::limits::{ERROR_CODE_MAX, ERROR_MESSAGE_MAX};
use crate::{Json, Lease, TaskId, TaskType, WallTime};

/// The `data` of TASK: exactly these fields, since plain workers build their task from them and choke on
/// more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskObject {
    /// The task's number.
    pub id: TaskId,
    /// Which handler.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// What it is given.
    pub payload: Json,
    /// Always `null` here.
    #[serde(default, deserialize_with = "present")]
    pub result: Option<Json>,
    /// Always `running` here.
    pub status: Status,
    /// When the task was stored.
    pub timestamp_created: WallTime,
    /// Always `null` here.
    pub timestamp_completed: Option<WallTime>,
    /// The worker that this goes to.
    pub assigned_worker: Option<String>,
}

/// TASK_CANCEL. The lease stands beside `data`. Answered by TASK_REJECT{cancelled} when the attempt does
/// not run here (any more), else by TASK_ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCancel {
    /// Which task.
    pub task_id: TaskId,
    /// Only forget it if it has not started (R13).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_started: bool,
}

/// TASK_ACK. The lease stands beside `data`. Never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAck {
    /// Which task.
    pub task_id: TaskId,
    /// How far it is.
    pub state: AckState,
}

/// How far an attempt is at its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckState {
    /// The handler runs, or will.
    Running,
    /// It has ended; RESULT_RETURN is on its way.
    Done,
}

/// TASK_REJECT. The lease stands beside `data`. Never answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReject {
    /// Which task.
    pub task_id: TaskId,
    /// Why it does not run here.
    pub reason: RejectReason,
    /// With `busy`: when to offer another task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `already_running`: the lease under which the task runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Lease>,
}

/// Why a worker does not run an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// All slots are taken.
    Busy,
    /// It does not serve the type.
    UnknownType,
    /// It is stopping.
    Draining,
    /// The task is longer than it takes.
    TooLarge,
    /// It was told to forget the attempt.
    Cancelled,
    /// It runs this task under another lease (R22).
    AlreadyRunning,
    /// It is another process than the one that the attempt was given to (R18).
    Replaced,
}

/// TASK_HEARTBEAT: one for all attempts of a worker (R16).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHeartbeat {
    /// The attempts that run or have ended unstored, at most [`crate::limits::HEARTBEAT_LEASES_MAX`].
    pub leases: Vec<LeaseBeat>,
    /// The worker takes no further tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// One attempt in a TASK_HEARTBEAT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseBeat {
    /// Which task.
    pub task_id: TaskId,
    /// Under which lease.
    pub lease: Lease,
    /// How far it is, if its handler tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Eq for LeaseBeat {}

/// What a handler tells of its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 1.
    pub fraction: f64,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The answer to TASK_HEARTBEAT. Leases that it does not name are fine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Stop these: their tasks were cancelled, or ended elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancel: Vec<Lease>,
    /// The dispatcher does not hold these as current. Their results are still welcome (R19).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Lease>,
}

/// RESULT_RETURN: `result` or `error`, not both and not neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultReturn {
    /// Which task.
    pub task_id: TaskId,
    /// What the handler returned; any JSON value, `null` too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Json>,
    /// Why it returned nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "failure")]
    pub error: Option<Failure>,
}

/// How a handler failed (R25).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    #[serde(default = "failed")]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Whether another attempt may fare better.
    #[serde(default = "yes")]
    pub retry: bool,
    /// When to try again, if the handler knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<Span>,
}

impl Failure {
    /// A failure that another attempt may not have.
    pub fn passing(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retry: true, retry_after_s: None }
    }

    /// A failure that every attempt would have.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self { retry: false, ..Self::passing(code, message) }
    }

    /// The same with code and message cut to the lengths that are kept.
    #[must_use]
    pub fn cut(mut self) -> Self {
        truncate(&mut self.code, ERROR_CODE_MAX);
        truncate(&mut self.message, ERROR_MESSAGE_MAX);
        self
    }

    /// What is kept of it.
    pub fn into_task_error(self) -> TaskError {
        TaskError { code: self.code, message: self.message }
    }
}

/// Cuts a text to at most `max` bytes, between characters.
fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

fn failed() -> String {
    task_code::FAILED.to_owned()
}

fn yes() -> bool {
    true
}

/// A plain worker may say why in a bare string.
fn failure<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Failure>, D::Error> {
    let json = Json::deserialize(deserializer)?;
    if let Ok(message) = json.read::<String>() {
        return Ok(Some(Failure::passing(task_code::FAILED, message)));
    }
    json.read().map_err(serde::de::Error::custom)
}

/// The answer to RESULT_RETURN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// `Result stored`.
    pub message: String,
    /// Another attempt, or an earlier copy, had ended the task before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}
