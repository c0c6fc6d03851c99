//! Results of tasks and failures of calls, in words and as exit codes.

use serde::Serialize;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{ErrorCode, Json, Key, TaskId};

use super::session::Session;
use super::text::escape_line;
use super::{Console, Done, Exit};
use crate::machine::{End, Silence};
use crate::{CallError, Failed, Status, TaskProgress, Unknown, WaitError};

/// What `--output json` prints of a task's end.
#[derive(Serialize)]
pub(super) struct EndDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task_id: Option<TaskId>,
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
    pub(super) fn new(task_id: Option<TaskId>, status: Option<Status>) -> Self {
        Self { task_id, status, result: None, error: None, attempts: None, progress: None }
    }
}

/// Prints how a task ended: its result, or why there is none.
pub(super) fn print_end(session: &mut Session<'_>, task: Option<TaskId>, end: End) -> Done {
    let name = task.map_or_else(|| "The task".to_owned(), |task| format!("Task {task}"));
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
fn print_result(session: &mut Session<'_>, task: Option<TaskId>, result: &Json) {
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

/// Says why a call failed.
pub(super) fn report_call_error(console: &mut Console, error: &CallError) -> Exit {
    match error {
        CallError::Rejected(rejected) => {
            let code = code_word(rejected.code);
            console.tell(&format!("Refused: {} ({code}).", escape_line(rejected.message.trim_end_matches('.'))));
            Exit::Refused
        }
        CallError::Unknown(unknown) => {
            console.tell(&format!("Unknown: {}.", escape_line(&unknown.to_string())));
            Exit::Unknown
        }
    }
}

/// The same for a submission, whose key helps to find out what has become of it.
pub(super) fn report_submission_error(console: &mut Console, error: &CallError) -> Exit {
    let exit = report_call_error(console, error);
    if let CallError::Unknown(Unknown { key: Some(key), silence, .. }) = error {
        console.tell(&advice(key, silence));
    }
    exit
}

fn advice(key: &Key, silence: &Silence) -> String {
    let key = shell_word(key.as_str());
    let stands = match silence {
        Silence::NoAddress => "Nothing was sent.",
        Silence::NoAnswer | Silence::Garbled | Silence::InDoubt(_) => "The task may be stored, or not.",
    };
    format!("{stands} Submit it again with --key {key}: there will be one task, never two.")
}

/// `text` as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+' | '@' | '%');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", escape_line(text).replace('\'', r"'\''"))
}

/// The code as it stands on the wire.
pub(super) fn code_word(code: ErrorCode) -> String {
    Json::of(&code).read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printed_as_a_shell_reads_it() {
        assert_eq!(shell_word("0190b5a0-7c1e"), "0190b5a0-7c1e");
        assert_eq!(shell_word("my key's"), r"'my key'\''s'");
    }

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
