//! What dispatcher and worker say to each other.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Span, Status};
use crate::error::{TaskError, task_code};
use crate::json::{object, objects, optional_object, present};
use crate::limits::{ERROR_CODE_MAX, ERROR_MESSAGE_MAX, PROGRESS_NOTE_MAX};
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
    /// With `running`: it has not started, and waits for others to end (R13).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
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
    /// The attempts that wait, run, or have ended unstored, at most [`crate::limits::HEARTBEAT_LEASES_MAX`].
    #[serde(deserialize_with = "objects")]
    pub leases: Vec<LeaseBeat>,
    /// The worker takes no further tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// One attempt in a TASK_HEARTBEAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseBeat {
    /// Which task.
    pub task_id: TaskId,
    /// Under which lease.
    pub lease: Lease,
    /// It has not started, and waits for others to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
    /// How far it is, if its handler tells.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub progress: Option<Progress>,
}

/// What a handler tells of its progress: `{"fraction":0.4,"note":"resizing"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ProgressForm", into = "ProgressForm")]
pub struct Progress {
    /// Whole numbers, since a fraction that is read and written again must stay what it was.
    millionths: u32,
    note: Option<String>,
}

const MILLION: f64 = 1_000_000.0;

impl Progress {
    /// `fraction` goes from 0 to 1, and what lies outside counts as the nearer end: a handler that adds up its parts
    /// ends a little above 1, and a heartbeat that is refused for that would cost it its lease. Six decimals are kept.
    /// `note` is for people; of a longer one than [`PROGRESS_NOTE_MAX`] bytes the end is lost, and an empty one is none.
    ///
    /// `None`: the fraction is no number, or infinite.
    pub fn new(fraction: f64, note: Option<String>) -> Option<Self> {
        if !fraction.is_finite() {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
        let millionths = (fraction.clamp(0.0, 1.0) * MILLION).round() as u32;
        let note = note.filter(|note| !note.is_empty()).map(|mut note| {
            truncate(&mut note, PROGRESS_NOTE_MAX);
            note
        });
        Some(Self { millionths, note })
    }

    /// 0 to 1.
    pub fn fraction(&self) -> f64 {
        f64::from(self.millionths) / MILLION
    }

    /// For people; whoever prints it escapes it.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The same without words.
    #[must_use]
    pub fn without_note(self) -> Self {
        Self { note: None, ..self }
    }
}

/// [`Progress`] as it stands on the wire.
#[derive(Serialize, Deserialize)]
struct ProgressForm {
    fraction: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl TryFrom<ProgressForm> for Progress {
    type Error = &'static str;

    fn try_from(form: ProgressForm) -> Result<Self, Self::Error> {
        Self::new(form.fraction, form.note).ok_or("'fraction' is a number from 0 to 1")
    }
}

impl From<Progress> for ProgressForm {
    fn from(progress: Progress) -> Self {
        Self { fraction: progress.fraction(), note: progress.note }
    }
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
    object(json.raw()).map(Some).map_err(serde::de::Error::custom)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Progress {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_fraction_outside_of_0_to_1_counts_as_the_nearer_end_and_what_is_no_number_is_none() {
        for (given, kept) in [(0.4, 0.4), (-0.1, 0.0), (1.000_000_1, 1.0), (40.0, 1.0), (1.0 / 3.0, 0.333_333)] {
            assert_eq!(Progress::new(given, None).unwrap().fraction(), kept);
            assert_eq!(read(&format!("{{\"fraction\":{given}}}")).fraction(), kept);
        }
        assert!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].iter().all(|it| Progress::new(*it, None).is_none()));
        assert!(serde_json::from_str::<Progress>(r#"{"fraction":1e999}"#).is_err());
    }

    #[test]
    fn a_note_is_cut_between_characters_and_an_empty_one_is_none() {
        let cut = Progress::new(0.5, Some("é".repeat(150) + "x")).unwrap();
        assert_eq!(cut.note().unwrap(), "é".repeat(100));
        let odd = Progress::new(0.5, Some("x".to_owned() + &"é".repeat(150))).unwrap();
        assert_eq!(odd.note().unwrap().len(), 199);
        assert_eq!(read(r#"{"fraction":0.5,"note":""}"#).note(), None);
        assert_eq!(read(r#"{"fraction":0.5,"note":null}"#).note(), None);
    }

    #[test]
    fn every_fraction_is_read_as_it_was_written() {
        for millionths in (0..=1_000_000).step_by(7) {
            let progress = Progress { millionths, note: Some("a\u{1b}b".to_owned()) };
            assert_eq!(read(&serde_json::to_string(&progress).unwrap()), progress);
        }
    }
}
