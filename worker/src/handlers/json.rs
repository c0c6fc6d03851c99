//! From payloads to the types of handlers, and back to results.

mod finite;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;

use super::payload::unusable;
use crate::machine::Outcome;
use finite::Finite;

/// Reads a payload. What is wrong with it is said without quoting it.
pub(crate) fn decode<P: DeserializeOwned>(payload: &Json) -> Result<P, Failure> {
    payload.read().map_err(|error| unusable(format!("the payload does not fit: {}", explained(&error))))
}

/// Writes a result.
pub(super) fn encode<R: Serialize>(result: &R) -> Outcome {
    let written = serde_json::value::to_raw_value(&Finite(result)).and_then(|raw| Json::check(&raw));
    written.map_err(|error| {
        let message = format!("what the handler returned is no JSON that a task may have: {error}");
        Failure::permanent(task_code::FAILED, message)
    })
}

fn explained(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let said = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    // Who has written the error may have quoted what was sent.
    let safe = without_values(said).unwrap_or_else(|| "a value in it is not accepted".to_owned());
    format!("{safe}, at line {line} column {column}")
}

/// How serde names what it has found in a payload, before it quotes that.
const KINDS: [&str; 9] =
    ["null", "boolean", "integer", "floating point", "string", "sequence", "map", "unit variant", "newtype variant"];

/// What serde says, less the values of the payload that it quotes. `None`: those are the words of somebody else.
fn without_values(said: &str) -> Option<String> {
    // Here only fields and types of the program are named.
    const SAFE: [&str; 3] = ["missing field `", "duplicate field `", "data did not match any variant of"];
    if SAFE.iter().any(|start| said.starts_with(start)) {
        return Some(said.to_owned());
    }
    // What is expected comes last: these words in a payload come before them.
    let expected = said.rsplit_once(", expected ").map(|(_, expected)| expected);
    for unknown in ["unknown field", "unknown variant"] {
        if said.strip_prefix(unknown).is_some_and(|rest| rest.starts_with(" `")) {
            let expected = expected.filter(|_| !said.contains("`, there are no "));
            return Some(
                expected.map_or_else(|| unknown.to_owned(), |expected| format!("{unknown}, expected {expected}")),
            );
        }
    }
    for invalid in ["invalid type", "invalid value"] {
        if let Some(found) = said.strip_prefix(invalid).and_then(|rest| rest.strip_prefix(": ")) {
            let kind = KINDS.into_iter().find(|kind| found.starts_with(kind)).unwrap_or("something else");
            return Some(format!("{invalid}: {kind}, expected {}", expected?));
        }
    }
    said.starts_with("invalid length ").then(|| format!("invalid length, expected {}", expected.unwrap_or("another")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        item: String,
        count: u32,
        size: Option<Size>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        Small,
        Large,
    }

    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Picky;

    impl TryFrom<String> for Picky {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("'{text}' is not to my taste"))
        }
    }

    fn refusal<P: DeserializeOwned + Debug>(payload: &str) -> String {
        let failure = decode::<P>(&Json::parse(payload).unwrap()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retry), ("BAD_PAYLOAD", false));
        failure.message
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        for (payload, said) in [
            (r#"{"count": 1}"#, "missing field `item`, at line 1 column 12"),
            (r#"{"item": "x", "count": "1"}"#, "invalid type: string, expected u32, at line 1 column 26"),
            (r#"{"item": "x", "count": -1}"#, "invalid value: integer, expected u32, at line 1 column 25"),
            (r#"{"item": "x", "count": 1.5}"#, "invalid type: floating point, expected u32, at line 1 column 26"),
            (r#"{"item": null, "count": 1}"#, "invalid type: null, expected a string, at line 1 column 13"),
            ("7", "invalid type: integer, expected struct Order, at line 1 column 1"),
        ] {
            assert_eq!(refusal::<Order>(payload), format!("the payload does not fit: {said}"));
        }
        let unknown = refusal::<Order>(r#"{"itme": "x"}"#);
        assert!(unknown.contains("unknown field, expected one of `item`, `count`, `size`"), "{unknown}");
        let size = refusal::<Order>(r#"{"item": "x", "count": 1, "size": "huge"}"#);
        assert!(size.contains("unknown variant, expected `small` or `large`"), "{size}");
        let short = refusal::<[u8; 3]>("[1, 2]");
        assert!(short.contains("invalid length, expected an array of length 3"), "{short}");
    }

    #[test]
    fn what_was_sent_is_never_quoted() {
        for refusal in [
            refusal::<u32>(r#""secret""#),
            refusal::<u32>(r#""x, expected secret""#),
            refusal::<String>("5331"),
            refusal::<bool>("5331.5"),
            refusal::<Order>(r#"{"secret": 1}"#),
            refusal::<Order>(r#"{"item": "", "count": 1, "size": "secret"}"#),
            refusal::<BTreeMap<u32, u32>>(r#"{"secret": 1}"#),
            refusal::<Picky>(r#""secret""#),
        ] {
            assert!(!refusal.contains("secret") && !refusal.contains("5331"), "{refusal}");
        }
    }

    #[test]
    fn results_are_what_json_can_say() {
        assert_eq!(encode(&(1, 2.5, "x", None::<u8>, ())).unwrap().get(), r#"[1,2.5,"x",null,null]"#);
        assert_eq!(encode(&Json::parse("1.00").unwrap()).unwrap().get(), "1.00", "JSON stays as it is");
        let message = |outcome: Outcome| outcome.unwrap_err().message;
        assert!(message(encode(&f64::NAN)).contains("NaN"));
        assert!(message(encode(&BTreeMap::from([((1, 2), 3)]))).contains("key must be a string"));
        let deep = (0..40).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        assert!(message(encode(&deep)).contains("nested deeper than 32 levels"));
    }
}
