//! `reverse`: a string from its end to its beginning.

use taskgrid_protocol::Json;

use super::payload;
use crate::machine::Outcome;

/// By Unicode scalar values, as Python's `payload[::-1]`: what looks like one character may be several.
pub(super) fn reverse(payload: &Json) -> Outcome {
    let text = payload::string(payload, "reverse")?;
    Ok(Json::string(&text.chars().rev().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use crate::handlers::tests::{quick, refused};

    use super::reverse;

    #[test]
    fn turns_scalar_values_around() {
        assert_eq!(quick(reverse, r#""OpenAI""#), r#""IAnepO""#);
        assert_eq!(quick(reverse, r#""äß\n€😀""#), r#""😀€\nßä""#);
        assert_eq!(quick(reverse, r#""""#), r#""""#);
    }

    #[test]
    fn takes_strings_only() {
        for payload in ["1", "null", "[]", r#"{"text":"x"}"#] {
            assert!(refused(reverse, payload).contains("takes a string"));
        }
    }
}
