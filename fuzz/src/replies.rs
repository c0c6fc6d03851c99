//! The `data` of answers, as every server gives them and as none should.

use crate::input::Input;
use crate::words::{self, Overheard};

const CODES: [&str; 18] = [
    "NOT_READY",
    "OVERLOADED",
    "NOT_FOUND",
    "KEY_CONFLICT",
    "ALREADY_ENDED",
    "NOT_RETRYABLE",
    "TASK_FAILED",
    "TASK_CANCELLED",
    "SHUTTING_DOWN",
    "DISK_LOW",
    "LEASE_UNKNOWN",
    "LEASE_REQUIRED",
    "NOT_REGISTERED",
    "ADDRESS_IN_USE",
    "NO_WORKER",
    "BAD_REQUEST",
    "UNKNOWN_MESSAGE",
    "OF_TOMORROW",
];

const STATUSES: [&str; 5] = ["pending", "running", "done", "failed", "cancelled"];

pub(crate) fn data(input: &mut Input<'_>, overheard: &Overheard) -> String {
    let task = words::task(input);
    match input.below(9) {
        0 | 1 => lookup(input),
        2 => error(input),
        3 => format!(
            "{{\"message\":\"Task received, ID = {task}\",\"task_id\":{task},\"status\":\"{}\"}}",
            status(input)
        ),
        4 => result(input),
        5 => format!("{{\"message\":\"Task cancelled\",\"task_id\":{task},\"status\":\"{}\"}}", status(input)),
        6 => format!("{{\"message\":\"Successfully registered\",\"ttl_s\":{}}}", input.choose(&[15, 0, u64::MAX])),
        7 => {
            let (cancel, unknown) = (leases(input, overheard, 2), leases(input, overheard, 1));
            format!("{{\"cancel\":[{}],\"unknown\":[{}]}}", cancel.join(","), unknown.join(","))
        }
        _ => input
            .choose(&["{\"message\":\"Result stored\"}", "{}", "null", "[]", "{\"tasks\":[],\"more\":false}"])
            .to_owned(),
    }
}

/// Some leases, as JSON.
pub(crate) fn leases(input: &mut Input<'_>, overheard: &Overheard, count: usize) -> Vec<String> {
    let attempts = (0..count).map(|_| overheard.attempt(input));
    attempts.filter_map(|attempt| Some(format!("\"{}\"", attempt.lease?))).collect()
}

fn status(input: &mut Input<'_>) -> &'static str {
    input.choose(&STATUSES)
}

fn error(input: &mut Input<'_>) -> String {
    let code = input.choose(&CODES);
    let pause = input.choose(&[
        "",
        ",\"retry_after_ms\":100",
        ",\"retry_after_ms\":0",
        ",\"retry_after_ms\":18446744073709551615",
    ]);
    let status = if input.one_in(2) { format!(",\"status\":\"{}\"", status(input)) } else { String::new() };
    format!("{{\"error\":\"no\",\"code\":\"{code}\"{pause}{status}}}")
}

fn result(input: &mut Input<'_>) -> String {
    match input.below(3) {
        0 => format!("{{\"result\":{},\"status\":\"done\"}}", words::value(input)),
        1 => format!(
            "{{\"error\":\"Task failed: no\",\"code\":\"TASK_FAILED\",\"status\":\"{}\",\"attempts\":5,\
             \"task_error\":{{\"code\":\"BOOM\",\"message\":\"no\"}}}}",
            status(input)
        ),
        _ => format!("{{\"error\":\"Result not ready\",\"code\":\"NOT_READY\",\"status\":\"{}\"}}", status(input)),
    }
}

/// Who serves what, or what has changed.
fn lookup(input: &mut Input<'_>) -> String {
    let count = input.below(4);
    let workers: Vec<String> = (0..count).map(|_| worker(input)).collect();
    let (epoch, version, mask) = (input.below(3), input.byte(), input.byte());
    let reset = mask & 1 != 0;
    let more = mask & 6 == 6;
    format!(
        "{{\"workers\":[{}],\"epoch\":{epoch},\"version\":{version},\"reset\":{reset},\"more\":{more}}}",
        workers.join(",")
    )
}

fn worker(input: &mut Input<'_>) -> String {
    let mask = input.byte();
    let mut text = format!("{{\"address\":\"{}\",\"types\":[\"{}\"]", words::host(input), words::task_type(input));
    text += &format!(",\"capacity\":{}", input.choose(&[1, 2, 0, u32::MAX]));
    if mask & 1 == 0 {
        text += &format!(",\"instance\":\"{}\"", words::instance(input));
    }
    if mask & 2 != 0 {
        text += ",\"batch\":true";
    }
    if mask & 12 == 12 {
        text += &format!(",\"max_datagram\":{}", input.choose(&[0, 1_200, u32::MAX]));
    }
    if mask & 48 == 48 {
        text += ",\"gone\":true";
    }
    text + "}"
}
