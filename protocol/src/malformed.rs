//! What is wrong with a message, in a sentence for whoever wrote the program that sent it.

use serde::de::IgnoredAny;

/// What every answer of ours begins with, alone and in an array. A damaged one gets no answer (R36).
const ANSWERS: [&str; 2] = [r#"{"type":"RESPONSE""#, r#"[{"type":"RESPONSE""#];

/// The longest name of an unknown option that is repeated to the sender, so that they can correct it. All of ours
/// are shorter.
const NAME_MAX: usize = 32;

/// What the parser said of a value, without the value: nobody can make a server repeat their text to somebody else
/// (R36). Only the name of an unknown option is repeated, if it looks like one.
pub(crate) fn sentence(error: &serde_json::Error) -> String {
    let error = error.to_string();
    let error = error.rsplit_once(" at line ").map_or(error.as_str(), |(what, _)| what);
    if let Some(name) = error.strip_prefix("unknown field `") {
        return unknown_option(name);
    }
    let quotes_a_value =
        ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|it| error.starts_with(it));
    match error.rsplit_once(", expected ") {
        Some((_, expected)) if quotes_a_value => format!("expected {expected}"),
        _ => error.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

fn unknown_option(error: &str) -> String {
    let name = error.split_once('`').map_or("", |(name, _)| name);
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let named = if name.len() <= NAME_MAX && is_name(name) { format!(" '{name}'") } else { String::new() };
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!("unknown option{named}, expected {expected}"),
        None => format!("unknown option{named}"),
    }
}

/// Where `text` stops being JSON, and what is the likely reason. `None`: it is JSON, or does not begin like it, or is
/// what is left of an answer.
pub(crate) fn why_not_json(text: &str) -> Option<String> {
    if !text.starts_with(['{', '[']) || ANSWERS.iter().any(|answer| text.starts_with(answer)) {
        return None;
    }
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    if error.is_eof() {
        return Some(format!("the datagram is not JSON: it ends after {} bytes, too early", text.len()));
    }
    let at = offset(text, &error);
    let hint = hint(&text.as_bytes()[at..]);
    Some(format!("the datagram is not JSON from byte {at} on{hint}"))
}

/// The parser counts lines and columns from 1, but columns from 0 where a string has a control character.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum::<usize>();
    let column = if is_control_character(error) { error.column() } else { error.column().saturating_sub(1) };
    (lines + column).min(text.len())
}

fn is_control_character(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("control character")
}

fn hint(rest: &[u8]) -> &'static str {
    match rest {
        [b'N' | b'I', ..] | [b'-', b'I', ..] => ": JSON has no NaN, Infinity or None (but null)",
        [b'T' | b'F', ..] => ": JSON writes true and false",
        [b'\'', ..] => ": JSON has double quotes",
        [b']' | b'}', ..] => ": there may be a comma too many",
        [0..=0x1f, ..] => ": in a string a control character is written as \\u and four digits",
        _ => "",
    }
}
