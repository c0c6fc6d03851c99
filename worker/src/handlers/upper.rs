//! `upper`: a string in capitals.

use taskgrid_protocol::Json;

use super::payload;
use crate::machine::Outcome;

/// As Unicode has it, in no particular language: `ß` becomes `SS`.
pub(super) fn upper(payload: &Json) -> Outcome {
    let text = payload::string(payload, "upper")?;
    Ok(Json::string(&text.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use crate::handlers::tests::{quick, refused};

    use super::upper;

    #[test]
    fn makes_capitals() {
        assert_eq!(quick(upper, r#""Straße 1, élan""#), r#""STRASSE 1, ÉLAN""#);
        assert!(refused(upper, "7").contains("takes a string"));
    }
}
