//! Payloads that a built-in handler can or cannot use. What is wrong with one is said without quoting it:
//! error texts are stored, listed and logged, and payloads may be secret.

use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;

/// The string that a payload is.
pub(super) fn string(payload: &Json, task_type: &str) -> Result<String, Failure> {
    payload.read().map_err(|_| unusable(format!("'{task_type}' takes a string, such as \"OpenAI\"")))
}

/// The failure of a task whose payload no attempt could use.
pub(super) fn unusable(why: impl Into<String>) -> Failure {
    Failure::permanent(task_code::BAD_PAYLOAD, why)
}
