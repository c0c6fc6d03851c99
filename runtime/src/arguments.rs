//! Values that flags of several programs share.

use std::time::Duration;

/// Reads a number of seconds, such as `30` or `0.5`, for clap's `value_parser`.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds is not negative and not endless".to_owned())
}
