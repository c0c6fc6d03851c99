//! Calls that have failed, in words and as exit codes.

use taskgrid_protocol::{ErrorCode, Json, Key};

use super::text::escape_line;
use super::{Console, Exit};
use crate::machine::Silence;
use crate::{CallError, Unknown};

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
fn code_word(code: ErrorCode) -> String {
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
}
