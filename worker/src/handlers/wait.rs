//! `wait`: lets time pass, to try things out with.

use std::time::Duration;

use taskgrid_protocol::Json;
use taskgrid_protocol::error::task_code::BAD_PAYLOAD;
use taskgrid_protocol::limits::SPAN_MAX;
use tokio::time::timeout;

use crate::{Failure, Task};

/// Waits for as many seconds as the payload says: a number, or a string that holds one.
pub(super) async fn wait(task: Task<Json>) -> Result<String, Failure> {
    let seconds = seconds(&task.payload)?;
    match timeout(Duration::from_secs_f64(seconds), task.cancelled()).await {
        Err(_) => Ok(said(seconds)),
        Ok(()) => Err(Failure::retry("the wait was broken off")),
    }
}

fn seconds(payload: &Json) -> Result<f64, Failure> {
    let number = payload.read::<f64>().ok();
    let written = || payload.read::<String>().ok()?.trim().parse().ok();
    let seconds = number.or_else(written).filter(|seconds| (0.0..=SPAN_MAX.as_secs_f64()).contains(seconds));
    let unusable = || Failure::permanent("'wait' takes a number of seconds from 0 to ten years, such as 2.5");
    seconds.ok_or_else(|| unusable().with_code(BAD_PAYLOAD))
}

/// With the fewest digits that say it exactly, and at least one behind the point.
fn said(seconds: f64) -> String {
    // Without the sign of a negative zero.
    let shortest = seconds.abs().to_string();
    let tail = if shortest.contains('.') { "" } else { ".0" };
    format!("Waited for {shortest}{tail} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(payload: &str) -> Result<String, Failure> {
        seconds(&Json::parse(payload).unwrap()).map(said)
    }

    #[test]
    fn says_how_long_it_waited_in_the_shortest_form_with_a_decimal() {
        for (payload, said) in [
            ("2", "2.0"),
            ("2.0", "2.0"),
            ("2.50", "2.5"),
            ("\"2\"", "2.0"),
            ("\" 0.1 \"", "0.1"),
            ("1e-7", "0.0000001"),
            ("300000000", "300000000.0"),
            ("-0.0", "0.0"),
        ] {
            assert_eq!(parsed(payload).unwrap(), format!("Waited for {said} seconds"), "{payload}");
        }
    }

    #[test]
    fn refuses_what_is_no_span() {
        for payload in ["-1", "null", "\"soon\"", "\"nan\"", "\"inf\"", "1e300", "[2]", "\"\""] {
            let failure = parsed(payload).unwrap_err().into_body();
            assert!(!failure.retry && failure.code == "BAD_PAYLOAD", "{payload}");
        }
    }
}
