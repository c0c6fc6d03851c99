//! Values that flags of several programs share.

use std::time::Duration;

/// Reads a number of seconds, such as `30` or `0.5`, for clap's `value_parser`.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds is not negative and not endless".to_owned())
}

/// Reads a number of bytes, such as `64MiB`, `1G` or `4096`, for clap's `value_parser`. K, M and G are powers
/// of 1,024, however they are written on.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, such as 64MiB or 1G".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        let read = ["0", "4096", "64MiB", "1g", "2kb"].map(parse_bytes);
        assert_eq!(read, [Ok(0), Ok(4_096), Ok(64 << 20), Ok(1 << 30), Ok(2_048)]);
        for wrong in ["", "MiB", "1.5G", "-1", "1T", "99999999999G"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
