//! What came from others, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use taskgrid_protocol::{Json, WallTime};

use crate::TaskProgress;

/// Whether a terminal might do something else with `c` than to show it: control characters, escape
/// sequences, and marks that turn the direction of what follows.
fn is_mischievous(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || turns || breaks
}

fn escape(text: &str, keep: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.chars().any(|c| is_mischievous(c) && !keep(c)) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_mischievous(c) && !keep(c) {
            write(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// A text in several lines.
pub(super) fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'), |into, c| into.extend(c.escape_default()))
}

/// A text in one line.
pub(super) fn escape_line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false, |into, c| into.extend(c.escape_default()))
}

/// JSON text, which stays JSON. Outside of strings it has no such character but line breaks and tabs.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    let write = |into: &mut String, c: char| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(into, "\\u{unit:04x}").expect("a String takes everything");
        }
    };
    escape(json, |c| matches!(c, '\n' | '\r' | '\t'), write)
}

/// JSON text in one line, at most `max` characters of it.
pub(super) fn shorten_json(json: &Json, max: usize) -> String {
    let text = escape_json(json.get());
    let line = escape_line(&text);
    let length = line.chars().count();
    if length <= max {
        return line.into_owned();
    }
    let start: String = line.chars().take(max).collect();
    format!("{start}… ({length} characters; --output json prints all)")
}

/// UTC, to the second, sortable as text.
pub(super) fn time(at: WallTime) -> String {
    DateTime::from_timestamp_millis(at.as_millis())
        .map_or_else(|| "?".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A length of time with two digits that matter: `0.42 ms`, `3.1 s`, `2 h 5 min`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span < Duration::from_millis(1_000) => format!("{:.2} ms", span.as_secs_f64() * 1_000.0),
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `40 %  resizing`, in one line. Rounded down: what is not done is not at 100 %.
pub(super) fn progress(progress: &TaskProgress) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let percent = (progress.fraction() * 100.0 + ROUNDING).floor() as u32;
    let note = progress.note().map(|note| format!("  {}", escape_line(note)));
    format!("{percent} %{}", note.unwrap_or_default())
}

/// A fraction has six decimals, so this lifts none over the next percent but those that are it: 0.29 is a little less.
const ROUNDING: f64 = 1e-6;

/// `1 task`, `2 tasks`.
pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "a\u{1b}[2Jb\u{9b}31mc\rd\u{202e}e\u{7}f\nü";

    #[test]
    fn nothing_from_others_moves_the_cursor_or_turns_the_text() {
        assert_eq!(escape_line(NASTY), r"a\u{1b}[2Jb\u{9b}31mc\rd\u{202e}e\u{7}f\nü");
        assert_eq!(escape_text("two\nlines\u{1b}"), "two\nlines\\u{1b}");
        assert_eq!(escape_line("plain äöü 漢字 🙂"), "plain äöü 漢字 🙂");
    }

    #[test]
    fn escaped_json_still_says_the_same() {
        let json = "{\"a\u{7f}\": \"b\u{9b}31m\u{202e}\u{2028}\",\n \"c\": 1}";
        let escaped = escape_json(json);
        assert!(escaped.chars().all(|c| !is_mischievous(c) || c == '\n'), "{escaped}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&escaped), read(json));
    }

    #[test]
    fn a_progress_is_a_percentage_and_a_note_that_does_no_mischief() {
        let line = |fraction, note: &str| progress(&TaskProgress::new(fraction, Some(note.to_owned())).unwrap());
        assert_eq!(line(0.4, "resizing"), "40 %  resizing");
        assert_eq!(line(0.999_999, ""), "99 %");
        assert_eq!(line(0.5, "a\u{1b}[2Jb\nc"), r"50 %  a\u{1b}[2Jb\nc");
        for percent in 0..=100 {
            assert_eq!(line(f64::from(percent) / 100.0, ""), format!("{percent} %"));
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let json = Json::string(&"ü".repeat(100));
        assert!(shorten_json(&json, 10).starts_with("\"üüüüüüüüü… (102 characters"));
        assert_eq!(shorten_json(&Json::string("short"), 10), "\"short\"");
    }

    #[test]
    fn times_sort_as_text_and_spans_are_short() {
        assert_eq!(time(WallTime::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20Z");
        assert_eq!(time(WallTime::from_millis(i64::MAX)), "?");
        assert_eq!(span(Duration::from_micros(420)), "0.42 ms");
        assert_eq!(span(Duration::from_secs(7_500)), "2 h 5 min");
    }
}
