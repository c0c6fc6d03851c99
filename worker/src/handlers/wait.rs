//! `wait`: lets time pass, to try things out with.

use std::time::Duration;

use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::limits::SPAN_MAX;
use tokio::time::timeout;

use super::payload::unusable;
use super::{LongHandler, Run, Running, stopped};

/// Waits for as many seconds as the payload says: a number, or a string that holds one.
#[derive(Debug)]
pub(super) struct Wait;

impl LongHandler for Wait {
    fn run(&self, mut run: Run) -> Running {
        Box::pin(async move {
            let seconds = seconds(&run.task.payload)?;
            let span = Duration::from_secs_f64(seconds);
            match timeout(span, run.stop.requested()).await {
                Err(_) => Ok(Json::string(&said(seconds))),
                Ok(()) => stopped(),
            }
        })
    }
}

fn seconds(payload: &Json) -> Result<f64, Failure> {
    let number = payload.read::<f64>().ok();
    let written = || payload.read::<String>().ok()?.trim().parse().ok();
    let seconds = number.or_else(written).filter(|seconds| (0.0..=SPAN_MAX.as_secs_f64()).contains(seconds));
    seconds.ok_or_else(|| unusable("'wait' takes a number of seconds from 0 to ten years, such as 2.5"))
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
            let failure = parsed(payload).unwrap_err();
            assert!(!failure.retry && failure.code == "BAD_PAYLOAD", "{payload}");
        }
    }
}
