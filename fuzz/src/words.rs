//! The few names that all messages are made of, so that tasks, leases and workers meet again and again.

use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::{Body, Lease, Message, RequestId, TaskId};

use crate::input::Input;

/// Where datagrams come from: three on this host, one on another, one with an IPv6 address.
pub(crate) fn address(input: &mut Input<'_>) -> SocketAddr {
    input.choose(&[
        ([127, 0, 0, 1], 5001).into(),
        ([127, 0, 0, 1], 4000).into(),
        ([127, 0, 0, 1], 6000).into(),
        ([10, 0, 0, 7], 6000).into(),
        ([0xfd00, 0, 0, 0, 0, 0, 0, 1], 6000).into(),
    ])
}

/// What DNS may say.
pub(crate) fn looked_up(input: &mut Input<'_>) -> Option<SocketAddr> {
    if input.one_in(4) { None } else { Some(address(input)) }
}

/// Where workers say that they are.
pub(crate) fn host(input: &mut Input<'_>) -> &'static str {
    input.choose(&["127.0.0.1:6000", "10.0.0.7:6000", "worker:6000", "other:6000", "[fd00::1]:6000", "nonsense"])
}

pub(crate) fn task_type(input: &mut Input<'_>) -> &'static str {
    input.choose(&["a", "b", "c"])
}

pub(crate) fn instance(input: &mut Input<'_>) -> &'static str {
    input.choose(&["i1", "i2", "i3"])
}

/// The number of a task: a small one, or one that no task has.
pub(crate) fn task(input: &mut Input<'_>) -> i64 {
    match input.byte() {
        255 => i64::MAX,
        254 => i64::MIN,
        byte => i64::from(byte % 8),
    }
}

/// A payload or a result.
pub(crate) fn value(input: &mut Input<'_>) -> String {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    // Long ones are rare: they take long.
    match input.below(32) {
        2 => "null".to_owned(),
        3 => "{\"a\":[1.0,true]}".to_owned(),
        4 => long(4_000),
        5 => long(40_000),
        6 => long(49_200),
        7 => input.byte().to_string(),
        _ => "\"x\"".to_owned(),
    }
}

/// A number of seconds, as it stands on the wire.
pub(crate) fn seconds(input: &mut Input<'_>) -> &'static str {
    input.choose(&["1", "5", "0", "0.001", "0.25", "30", "3600", "315360000"])
}

/// How long nothing happens.
pub(crate) fn pause(input: &mut Input<'_>) -> Duration {
    const MILLIS: [u64; 12] = [0, 1, 50, 200, 500, 1_000, 2_000, 5_000, 30_000, 300_000, 3_600_000, 86_400_000];
    Duration::from_millis(input.choose(&MILLIS))
}

/// What the machine under test has said lately, to be said back to it.
#[derive(Default)]
pub(crate) struct Overheard {
    attempts: Vec<Attempt>,
    requests: Vec<(RequestId, SocketAddr)>,
}

/// An attempt that a message is about.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) task: i64,
    pub(crate) lease: Option<Lease>,
}

/// Those before are forgotten, so that a byte of the input reaches those that count.
const REMEMBERED: usize = 8;

impl Overheard {
    pub(crate) fn hear(&mut self, message: &Message, to: SocketAddr) {
        let task = match &message.body {
            Body::Task(task) => Some(task.id),
            Body::TaskAck(ack) => Some(ack.task_id),
            Body::TaskReject(reject) => Some(reject.task_id),
            Body::ResultReturn(returned) => Some(returned.task_id),
            _ => None,
        };
        if let Some(TaskId(task)) = task {
            remember(&mut self.attempts, Attempt { task, lease: message.beside.lease.clone() });
        }
        if let Some(id) = &message.beside.id {
            remember(&mut self.requests, (id.clone(), to));
        }
    }

    /// An attempt that was overheard, the latest first, or a made-up one.
    pub(crate) fn attempt(&self, input: &mut Input<'_>) -> Attempt {
        let index = input.below(REMEMBERED + 4);
        let attempt = self.attempts.iter().rev().nth(index).cloned();
        attempt.unwrap_or_else(|| Attempt { task: task(input), lease: Lease::new(&format!("L{}", index % 4)).ok() })
    }

    /// A request of the machine and where it went, the latest first; or of somebody else.
    pub(crate) fn request(&self, input: &mut Input<'_>) -> (RequestId, SocketAddr) {
        let index = input.below(REMEMBERED);
        let request = self.requests.iter().rev().nth(index).cloned();
        request.unwrap_or_else(|| (RequestId::number(0), address(input)))
    }
}

fn remember<T: PartialEq>(list: &mut Vec<T>, item: T) {
    list.retain(|known| *known != item);
    list.push(item);
    if list.len() > REMEMBERED {
        list.remove(0);
    }
}
