//! How tasks have ended, in words and as exit codes.

use serde::Serialize;
use taskgrid_protocol::body::TaskRef;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{FileId, Json, TaskId};

use super::session::Session;
use super::text::escape_line;
use super::{Done, Exit};
use crate::machine::End;
use crate::{CallError, Failed, Status, TaskProgress, WaitError};

/// What `--output json` prints of a task's end.
#[derive(Serialize)]
pub(super) struct EndDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_id: Option<FileId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a TaskError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<&'a TaskProgress>,
}

impl EndDocument<'_> {
    pub(super) fn new(task: Option<TaskRef>, status: Option<Status>) -> Self {
        let (task_id, file_id) = (task.map(|task| task.task_id), task.and_then(|task| task.file_id));
        Self { task_id, file_id, status, result: None, error: None, attempts: None, progress: None }
    }
}

/// Prints how a task ended: its result, or why there is none.
pub(super) fn print_end(session: &mut Session<'_>, task: Option<TaskRef>, end: End) -> Done {
    let name = task.map_or_else(|| "The task".to_owned(), |task| format!("Task {}", task.task_id));
    match end {
        End::Done(result) => {
            print_result(session, task, &result);
            Ok(())
        }
        End::Failed(failed) => {
            if session.wants_json() {
                let document = EndDocument::new(task, Some(Status::Failed));
                let (error, attempts) = (Some(&failed.error), Some(failed.attempts));
                session.console.print_json(&EndDocument { error, attempts, ..document });
            }
            session.console.tell(&failure_line(&name, &failed));
            Err(Exit::TaskFailed)
        }
        End::Cancelled => {
            if session.wants_json() {
                session.console.print_json(&EndDocument::new(task, Some(Status::Cancelled)));
            }
            session.console.tell(&format!("{name} was cancelled."));
            Err(Exit::TaskFailed)
        }
    }
}

/// A string bare, any other value as JSON.
fn print_result(session: &mut Session<'_>, task: Option<TaskRef>, result: &Json) {
    if session.wants_json() {
        let document = EndDocument::new(task, Some(Status::Done));
        session.console.print_json(&EndDocument { result: Some(result), ..document });
    } else if let Ok(text) = result.read::<String>() {
        session.console.print_foreign_text(&text);
    } else {
        session.console.print_foreign_json(result.get());
    }
}

fn failure_line(name: &str, failed: &Failed) -> String {
    let Failed { error, attempts } = failed;
    let (message, code) = (escape_line(&error.message), escape_line(&error.code));
    let reason = if message.is_empty() { code.clone() } else { message };
    let attempts = if *attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
    let code = if code == reason { String::new() } else { format!(" ({code})") };
    format!("{name} failed{attempts}: {reason}{code}")
}

/// Splits what a wait brings into the end of the task and failures of the call.
pub(super) fn end_of(waited: Result<Json, WaitError>) -> Result<End, CallError> {
    match waited {
        Ok(result) => Ok(End::Done(result)),
        Err(WaitError::Failed(failed)) => Ok(End::Failed(failed)),
        Err(WaitError::Cancelled) => Ok(End::Cancelled),
        Err(WaitError::Call(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_words_is_told_by_its_code() {
        let failed = |code: &str, message: &str, attempts| Failed {
            error: TaskError { code: code.to_owned(), message: message.to_owned() },
            attempts,
        };
        assert_eq!(failure_line("Task 1", &failed("TIMEOUT", "", 1)), "Task 1 failed: TIMEOUT");
        let line = failure_line("Task 1", &failed("E", "no\u{1b}[2J", 3));
        assert_eq!(line, r"Task 1 failed after 3 attempts: no\u{1b}[2J (E)");
    }
}
