//! What a process that has ended means for its task.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Deserialize;
use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;

use super::output::{Head, Tail};
use super::{OUTPUT_MAX, Program};
use crate::machine::Outcome;

/// A handler that exits with this code cannot use its payload, and no other attempt will (`EX_DATAERR` of
/// sysexits.h).
const EXIT_BAD_PAYLOAD: i32 = 65;

/// What the bootstrap of Python handlers writes.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Result(Json),
    Error(String),
}

pub(super) fn of(program: &Program, status: ExitStatus, stdout: &Head, stderr: &Tail) -> Outcome {
    if !status.success() {
        return Err(failure_of(status, &stderr.text()));
    }
    let Some(output) = stdout.whole() else {
        let message = format!("the handler wrote more than {OUTPUT_MAX} bytes");
        return Err(Failure::permanent(task_code::RESULT_TOO_LARGE, message));
    };
    match program {
        Program::Python { .. } => answer_of_python(output),
        Program::Executable(_) => result_of_executable(output),
    }
}

fn failure_of(status: ExitStatus, errors: &str) -> Failure {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended without an exit code".to_owned(),
    };
    let message = if errors.is_empty() { how } else { format!("{how}: {errors}") };
    if status.code() == Some(EXIT_BAD_PAYLOAD) {
        return Failure::permanent(task_code::BAD_PAYLOAD, message);
    }
    Failure::passing(task_code::FAILED, message)
}

fn answer_of_python(output: &[u8]) -> Outcome {
    match serde_json::from_slice(output) {
        Ok(Answer::Result(result)) => Ok(result),
        Ok(Answer::Error(message)) => Err(Failure::passing(task_code::FAILED, message)),
        Err(_) if output.is_empty() => {
            Err(Failure::passing(task_code::FAILED, "the process ended before handle returned"))
        }
        Err(error) => {
            let message = format!("what handle returned is no JSON that a task may have: {error}");
            Err(Failure::passing(task_code::FAILED, message))
        }
    }
}

/// JSON, if it is that, else the text, less the line break at its end.
fn result_of_executable(output: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(output) else {
        return Err(Failure::passing(task_code::FAILED, "the handler wrote something that is not UTF-8 text"));
    };
    let trimmed = text.strip_suffix('\n').unwrap_or(text);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    Ok(Json::parse(trimmed).unwrap_or_else(|_| Json::string(trimmed)))
}
