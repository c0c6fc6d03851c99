//! Datagrams that are made of the grammar of the wire, right or nearly so.

use crate::input::Input;
use crate::replies;
use crate::words::{self, Attempt, Overheard};

/// Every `type` that there is.
const KINDS: [&str; 20] = [
    "POST_TASK",
    "GET_RESULT",
    "GET_TASK",
    "LIST_TASKS",
    "CANCEL_TASK",
    "RETRY_TASK",
    "GET_STATS",
    "LIST_WORKERS",
    "PING",
    "REGISTER_WORKER",
    "HEARTBEAT",
    "DEREGISTER_WORKER",
    "LOOKUP_WORKER",
    "TASK",
    "TASK_CANCEL",
    "TASK_ACK",
    "TASK_REJECT",
    "TASK_HEARTBEAT",
    "RESULT_RETURN",
    "RESPONSE",
];

/// A datagram; `mostly` names the messages that the machine has a use for.
pub(crate) fn datagram(input: &mut Input<'_>, overheard: &Overheard, mostly: &[&'static str]) -> Vec<u8> {
    match input.below(10) {
        7 => input.bytes().to_vec(),
        8 => {
            let count = input.below(5);
            let messages: Vec<String> = (0..count).map(|_| message(input, overheard, mostly)).collect();
            format!("[{}]", messages.join(",")).into_bytes()
        }
        9 => {
            let mut datagram = message(input, overheard, mostly).into_bytes();
            let at = input.below(datagram.len().min(256));
            datagram[at] = input.byte();
            datagram
        }
        _ => message(input, overheard, mostly).into_bytes(),
    }
}

fn message(input: &mut Input<'_>, overheard: &Overheard, mostly: &[&'static str]) -> String {
    let kind = if input.one_in(8) { input.choose(&KINDS) } else { input.choose(mostly) };
    let attempt = overheard.attempt(input);
    let data = data(input, overheard, kind, &attempt);
    let beside = beside(input, kind, &attempt);
    format!("{{\"type\":\"{kind}\"{beside},\"data\":{data}}}")
}

/// What stands between `type` and `data`.
fn beside(input: &mut Input<'_>, kind: &str, attempt: &Attempt) -> String {
    let mut text = String::new();
    let mask = input.byte();
    if mask & 1 == 0 {
        text += &format!(",\"id\":{}", input.below(4));
    }
    // Those who speak of an attempt mostly name it.
    let is_of_attempt = matches!(kind, "TASK" | "TASK_CANCEL" | "TASK_ACK" | "TASK_REJECT" | "RESULT_RETURN");
    if let (Some(lease), true) = (&attempt.lease, (mask & 2 == 0) == is_of_attempt) {
        text += &format!(",\"lease\":\"{lease}\"");
    }
    if mask & 4 != 0 {
        text += &format!(",\"free_slots\":{}", input.choose(&[0, 1, 2, u32::MAX]));
    }
    if mask & 8 != 0 {
        text += &format!(",\"attempt\":{}", input.choose(&[1, 2, 0, u32::MAX]));
    }
    if mask & 16 != 0 {
        text += &format!(",\"timeout_s\":{}", input.choose(&[1, 30, 0, u64::MAX]));
    }
    text
}

fn data(input: &mut Input<'_>, overheard: &Overheard, kind: &str, attempt: &Attempt) -> String {
    let of = attempt.task;
    match kind {
        "POST_TASK" => post(input),
        "GET_RESULT" => {
            let wait = if input.one_in(2) { format!(",\"wait_s\":{}", words::seconds(input)) } else { String::new() };
            format!("{{\"task_id\":{}{wait}}}", words::task(input))
        }
        "GET_TASK" | "CANCEL_TASK" | "RETRY_TASK" => format!("{{\"task_id\":{}}}", words::task(input)),
        "LIST_TASKS" => list(input),
        "LIST_WORKERS" => input.choose(&["{}", "{\"type\":\"a\"}", "{\"type\":\"b\"}"]).to_owned(),
        "REGISTER_WORKER" | "HEARTBEAT" => registration(input),
        "DEREGISTER_WORKER" => {
            let instance = optional(input, 2, |input| format!(",\"instance\":\"{}\"", words::instance(input)));
            format!("{{\"address\":\"{}\"{instance}}}", words::host(input))
        }
        "LOOKUP_WORKER" => lookup(input),
        "TASK" => task(input, of),
        "TASK_CANCEL" => {
            format!("{{\"task_id\":{of},\"unless_started\":{}}}", input.one_in(2))
        }
        "TASK_ACK" => {
            let state = input.choose(&["running", "done"]);
            format!("{{\"task_id\":{of},\"state\":\"{state}\"}}")
        }
        "TASK_REJECT" => reject(input, overheard, of),
        "TASK_HEARTBEAT" => heartbeat(input, overheard),
        "RESULT_RETURN" => result(input, of),
        "RESPONSE" => replies::data(input, overheard),
        _ => "{}".to_owned(),
    }
}

fn optional(input: &mut Input<'_>, n: usize, text: impl FnOnce(&mut Input<'_>) -> String) -> String {
    if input.one_in(n) { text(input) } else { String::new() }
}

pub(crate) fn post(input: &mut Input<'_>) -> String {
    let mut text = format!("{{\"type\":\"{}\",\"payload\":{}", words::task_type(input), words::value(input));
    let mask = input.byte();
    if mask & 1 != 0 {
        text += &format!(",\"key\":\"k{}\"", input.below(3));
    }
    if mask & 2 != 0 {
        text += &format!(",\"priority\":{}", input.choose(&[-100, 0, 100, 101]));
    }
    if mask & 4 != 0 {
        text += &format!(",\"max_attempts\":{}", input.choose(&[1, 2, 1_000, 0]));
    }
    let spans = [(8, "delay_s"), (16, "timeout_s"), (32, "expires_s"), (64, "wait_s")];
    for (_, name) in spans.into_iter().filter(|(bit, _)| mask & bit != 0) {
        text += &format!(",\"{name}\":{}", words::seconds(input));
    }
    if mask & 128 != 0 {
        text += &format!(",\"not_before\":{}", input.choose(&["0", "1764000001", "1764003600.5", "253402300799"]));
    }
    text + "}"
}

fn list(input: &mut Input<'_>) -> String {
    let mut fields = Vec::new();
    let mask = input.byte();
    if mask & 1 != 0 {
        fields.push(format!("\"status\":\"{}\"", input.choose(&["pending", "running", "done", "failed", "cancelled"])));
    }
    if mask & 2 != 0 {
        fields.push(format!("\"type\":\"{}\"", words::task_type(input)));
    }
    if mask & 4 != 0 {
        fields.push(format!("\"before\":{}", words::task(input)));
    }
    if mask & 8 != 0 {
        fields.push(format!("\"limit\":{}", input.choose(&[0, 1, 2, u32::MAX])));
    }
    format!("{{{}}}", fields.join(","))
}

fn registration(input: &mut Input<'_>) -> String {
    let mut text = format!("{{\"address\":\"{}\"", words::host(input));
    let mask = input.byte();
    match mask & 3 {
        0 => text += &format!(",\"type\":\"{}\"", words::task_type(input)),
        1 => text += &format!(",\"types\":[\"{}\",\"{}\"]", words::task_type(input), words::task_type(input)),
        2 => text += &format!(",\"types\":[\"{}\"]", words::task_type(input)),
        _ => {}
    }
    if mask & 4 == 0 {
        text += &format!(",\"instance\":\"{}\"", words::instance(input));
    }
    if mask & 8 != 0 {
        text += &format!(",\"capacity\":{}", input.choose(&[2, 0, 1_024, u32::MAX]));
    }
    if mask & 16 != 0 {
        text += &format!(",\"interval_s\":{}", words::seconds(input));
    }
    if mask & 32 != 0 {
        text += ",\"batch\":true";
    }
    if mask & 64 != 0 {
        text += &format!(",\"max_datagram\":{}", input.choose(&[0, 1_200, u32::MAX]));
    }
    text + "}"
}

fn lookup(input: &mut Input<'_>) -> String {
    if input.one_in(2) {
        let (epoch, version) = (input.choose(&["0", "1", "18446744073709551615"]), input.byte());
        return format!("{{\"since\":{{\"epoch\":{epoch},\"version\":{version},\"reset\":{}}}}}", input.one_in(2));
    }
    format!("{{\"type\":\"{}\"}}", words::task_type(input))
}

fn task(input: &mut Input<'_>, id: i64) -> String {
    let (task_type, payload) = (words::task_type(input), words::value(input));
    let created = input.choose(&[1_764_000_000, 1_764_000_001]);
    format!(
        "{{\"id\":{id},\"type\":\"{task_type}\",\"payload\":{payload},\"result\":null,\"status\":\"running\",\
         \"timestamp_created\":{created},\"timestamp_completed\":null,\"assigned_worker\":\"worker:6000\"}}"
    )
}

fn reject(input: &mut Input<'_>, overheard: &Overheard, task: i64) -> String {
    let reasons = ["busy", "unknown_type", "draining", "too_large", "cancelled", "already_running"];
    let reason = input.choose(&reasons);
    let rest = match reason {
        "busy" => optional(input, 2, |input| format!(",\"retry_after_ms\":{}", input.choose(&[0, 200, u64::MAX]))),
        "already_running" => {
            replies::leases(input, overheard, 1).first().map_or(String::new(), |lease| format!(",\"holds\":{lease}"))
        }
        _ => String::new(),
    };
    format!("{{\"task_id\":{task},\"reason\":\"{reason}\"{rest}}}")
}

fn heartbeat(input: &mut Input<'_>, overheard: &Overheard) -> String {
    let count = input.below(4);
    let attempts: Vec<Attempt> = (0..count).map(|_| overheard.attempt(input)).collect();
    // One choice for both: with another one each input of the corpus would say something else from here on.
    let kind = input.below(4);
    let progress = match kind {
        1 => r#","progress":{"fraction":0.123456789,"note":"\u001b\u00e9"}"#,
        2 => r#","progress":{"fraction":-1e300,"note":null}"#,
        _ => "",
    };
    let beats = attempts.into_iter().filter_map(|Attempt { task, lease }| {
        Some(format!("{{\"task_id\":{task},\"lease\":\"{}\"{progress}}}", lease?))
    });
    format!("{{\"leases\":[{}],\"draining\":{}}}", beats.collect::<Vec<_>>().join(","), kind == 3)
}

fn result(input: &mut Input<'_>, task: i64) -> String {
    let end = match input.below(6) {
        0..=2 => format!(",\"result\":{}", words::value(input)),
        3 => format!(",\"error\":{{\"code\":\"NO\",\"message\":\"no\",\"retry\":{}}}", input.one_in(2)),
        4 => format!(",\"error\":{{\"retry_after_s\":{}}}", words::seconds(input)),
        _ => input.choose(&["", ",\"error\":\"no\"", ",\"result\":1,\"error\":\"no\""]).to_owned(),
    };
    format!("{{\"task_id\":{task}{end}}}")
}
