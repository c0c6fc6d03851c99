//! What clients ask the dispatcher.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Status;
use crate::limits::{MAX_ATTEMPTS_MAX, PRIORITY_MAX, SPAN_MAX};
use crate::{FileId, Json, Key, TaskId, TaskType, WallTime};

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
    /// The database that the number was given by, if the asker knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
}

/// GET_TASK, CANCEL_TASK, RETRY_TASK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// Which task.
    pub task_id: TaskId,
    /// The database that the number was given by, if the asker knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
}

impl From<TaskId> for TaskRef {
    fn from(task_id: TaskId) -> Self {
        Self { task_id, file_id: None }
    }
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
