//! `sum`: numbers added up.

use serde_json::value::RawValue;
use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;

use super::payload::unusable;
use crate::machine::Outcome;

/// Adds a list of numbers, or a string of numbers with commas between.
///
/// Integers are added exactly, up to 38 digits. As soon as one number has a fraction or an exponent, all are
/// added from left to right as double-precision numbers, and the sum is one, with its usual rounding.
pub(super) fn sum(payload: &Json) -> Outcome {
    let numbers = numbers(payload)?;
    let integers: Option<Vec<i128>> = numbers.iter().map(Number::integer).collect();
    if let Some(integers) = integers {
        let sum = integers.into_iter().try_fold(0_i128, i128::checked_add);
        let sum = sum.ok_or_else(|| unusable("the sum has more than 38 digits"))?;
        return Ok(Json::parse(&sum.to_string()).expect("an integer is JSON"));
    }
    let sum: f64 = numbers.iter().map(Number::double).sum();
    if !sum.is_finite() {
        return Err(unusable("the sum is beyond what a double-precision number can hold"));
    }
    Ok(Json::of(&sum))
}

enum Number {
    Integer(i128),
    Double(f64),
}

impl Number {
    /// Reads the text of the number at `index` of the list.
    fn read(text: &str, index: usize) -> Result<Self, Failure> {
        if let Ok(integer) = text.parse() {
            return Ok(Self::Integer(integer));
        }
        let digits = text.trim_start_matches(['+', '-']);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unusable(format!("number {} has more than 38 digits", index + 1)));
        }
        match text.parse::<f64>() {
            Ok(double) if double.is_finite() => Ok(Self::Double(double)),
            _ => Err(unusable(format!("item {} is not a number", index + 1))),
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Double(_) => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "doubles are rounded, as documented")]
    fn double(&self) -> f64 {
        match self {
            Self::Integer(integer) => *integer as f64,
            Self::Double(double) => *double,
        }
    }
}

fn numbers(payload: &Json) -> Result<Vec<Number>, Failure> {
    if let Ok(items) = payload.read::<Vec<&RawValue>>() {
        return items.iter().enumerate().map(|(index, item)| Number::read(item.get(), index)).collect();
    }
    let Ok(text) = payload.read::<String>() else {
        return Err(unusable("'sum' takes a list of numbers, such as [1, 2.5], or a string, such as \"1, 2.5\""));
    };
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').enumerate().map(|(index, item)| Number::read(item.trim(), index)).collect()
}

#[cfg(test)]
mod tests {
    use crate::handlers::tests::{quick, refused};

    use super::sum;

    #[test]
    fn adds_integers_exactly() {
        assert_eq!(quick(sum, "[1, 2, 39]"), "42");
        assert_eq!(quick(sum, "[9007199254740993, -1]"), "9007199254740992");
        assert_eq!(quick(sum, "[18446744073709551615, 1]"), "18446744073709551616");
        assert_eq!(quick(sum, "[]"), "0");
    }

    #[test]
    fn adds_what_has_a_fraction_as_doubles() {
        assert_eq!(quick(sum, "[1, 2.5, 1e2]"), "103.5");
        assert_eq!(quick(sum, "[0.1, 0.2]"), "0.30000000000000004");
        assert_eq!(quick(sum, "[1.0, 2]"), "3.0");
    }

    #[test]
    fn reads_numbers_between_commas() {
        assert_eq!(quick(sum, r#""1,2,39""#), "42");
        assert_eq!(quick(sum, r#"" -1 , 2.5 ""#), "1.5");
        assert_eq!(quick(sum, r#""""#), "0");
    }

    #[test]
    fn says_which_item_it_cannot_add() {
        assert!(refused(sum, r#"[1, "2"]"#).contains("item 2 "));
        assert!(refused(sum, r#""1,,2""#).contains("item 2 "));
        for nonsense in [r#""inf""#, r#""nan""#, r#""0x10""#, "[[1]]", "[null]"] {
            assert!(refused(sum, nonsense).contains("item 1 "), "{nonsense}");
        }
        for wrong in ["7", "null", r#"{"a":1}"#] {
            assert!(refused(sum, wrong).contains("takes a list"), "{wrong}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_add_exactly() {
        let large = "9".repeat(40);
        assert!(refused(sum, &format!("[{large}]")).contains("38 digits"));
        let most = i128::MAX;
        assert!(refused(sum, &format!("[{most}, {most}]")).contains("38 digits"));
        assert!(refused(sum, "[1.7e308, 1.7e308]").contains("beyond"));
    }
}
