//! What an executable is told, and what its output means.

use std::borrow::Cow;

use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;

use super::Speech;
use crate::machine::Outcome;

/// The payload as the file wants it.
pub(super) fn spoken(payload: &Json, speech: Speech) -> Cow<'_, str> {
    let text = (speech == Speech::Text).then(|| payload.read::<String>().ok()).flatten();
    text.map_or_else(|| Cow::Borrowed(payload.get()), Cow::Owned)
}

/// The result: text, less the line break at its end, or JSON, if it is that and is meant to be.
pub(super) fn result(output: &[u8], speech: Speech) -> Outcome {
    let Ok(text) = std::str::from_utf8(output) else {
        return Err(Failure::passing(task_code::FAILED, "the handler wrote something that is not UTF-8 text"));
    };
    let trimmed = text.strip_suffix('\n').unwrap_or(text);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    match speech {
        Speech::Json => Ok(Json::parse(trimmed).unwrap_or_else(|_| Json::string(trimmed))),
        Speech::Text => Ok(Json::string(trimmed)),
    }
}
