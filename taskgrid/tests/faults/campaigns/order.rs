//! No POST_TASK is answered before a sync that began after it came: seen from outside, in the system calls.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use serde_json::{Value, json};

use super::syscalls::{can_trace, strace};
use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::history::{self, Shared};
use crate::process::{ANY_PORT, PATIENCE};
use crate::scene::Scene;

const CLIENTS: usize = 8;

/// Begins the name of each post, and occurs nowhere else: not in a payload, so not in a TASK.
const MARK: &str = "order-";

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    if let Err(why) = can_trace() {
        return Outcome::Skipped(why);
    }
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    let trace = dir.join("order.strace");
    scene.grid.kill(Program::Dispatcher);
    let calls = "trace=recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,fsync,fdatasync";
    scene.grid.setup.around = strace(&trace, &[calls]);
    scene.grid.setup.around.extend(["-s", "65536"].map(str::to_owned));
    scene.grid.start_one(Program::Dispatcher);
    let server = scene.grid.dispatcher();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let history = scene.history.clone();
            scope.spawn(move || {
                (client..order.count).step_by(CLIENTS).for_each(|number| post(server, number, &history))
            });
        }
    });
    let mut report = scene.judge(0);
    scene.grid.stop_all();
    let calls = calls_of(&std::fs::read_to_string(&trace).unwrap());
    let syncs = calls.iter().filter(|call| call.is_sync()).count();
    let early = answered_too_early(&calls, order.count);
    assert!(early.is_empty(), "answered before a sync that began after they came: {early:?}");
    report.more = format!("{} answers, each after one of {syncs} syncs that began after the post came", order.count);
    Outcome::Held(report)
}

/// Posts once, from a socket of its own, and waits for the answer.
fn post(server: SocketAddr, number: usize, history: &Shared) {
    let (key, payload) = (format!("{MARK}{number}"), "x");
    let place = history.lock().invoke(&key, &key, "reverse", "\"x\"");
    let message = json!({"type": "POST_TASK", "id": key, "data": {"type": "reverse", "payload": payload, "key": key}});
    let socket = UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(message.to_string().as_bytes(), server).unwrap();
    let mut buffer = [0; 2_048];
    let length = socket.recv(&mut buffer).unwrap();
    let reply: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    let task = reply["data"]["task_id"].as_i64().unwrap_or_else(|| panic!("{key} was answered {reply}"));
    history.lock().posts[place].outcome = history::Outcome::Stored { task, duplicate: false };
}

/// A system call, with the lines of the trace at which it began and ended. One tracer writes them all, so
/// their order is that of the events.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    began: usize,
    ended: usize,
    text: String,
}

impl Call {
    fn is_sync(&self) -> bool {
        let succeeded = self.text.trim_end().ends_with("= 0");
        (self.text.starts_with("fsync(") || self.text.starts_with("fdatasync("))
            && self.text.contains("tasks.db")
            && succeeded
    }

    /// The numbers of the posts that are named in it.
    fn posts(&self) -> impl Iterator<Item = usize> {
        self.text.split(MARK).skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
    }
}

fn calls_of(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(begin) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (number, begin.to_owned()));
        } else if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>")) {
            let Some((began, begin)) = unfinished.remove(thread) else { continue };
            calls.push(Call { began, ended: number, text: begin + rest });
        } else {
            calls.push(Call { began: number, ended: number, text: text.to_owned() });
        }
    }
    calls
}

/// Of posts with the numbers below `count`, those without a sync between arrival and answer.
fn answered_too_early(calls: &[Call], count: usize) -> Vec<usize> {
    let (mut came, mut left) = (BTreeMap::new(), BTreeMap::new());
    for call in calls {
        for post in call.posts() {
            if call.text.starts_with("recv") {
                came.entry(post).or_insert(call.ended);
            } else if call.text.starts_with("send") {
                left.entry(post).or_insert(call.began);
            }
        }
    }
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is_sync()).collect();
    let is_synced = |post: &usize| {
        let (Some(came), Some(left)) = (came.get(post), left.get(post)) else {
            panic!("the trace does not show how post {post} came and was answered");
        };
        syncs.iter().any(|sync| sync.began > *came && sync.ended < *left)
    };
    (0..count).filter(|post| !is_synced(post)).collect()
}

/// Panics unless a made-up trace is read as it should be.
pub(crate) fn check_the_reading_of_traces() {
    let trace = "1 recvfrom(9, \"{\\\"id\\\":\\\"order-0\\\"}\", 99) = 18\n\
                 2 fsync(5</x/tasks.db-wal> <unfinished ...>\n\
                 1 recvfrom(9, \"{\\\"id\\\":\\\"order-1\\\"}\", 99) = 18\n\
                 2 <... fsync resumed>) = 0\n\
                 1 sendto(9, \"{\\\"id\\\":\\\"order-0\\\"}\", 18) = 18\n\
                 1 sendto(9, \"{\\\"id\\\":\\\"order-1\\\"}\", 18) = 18\n";
    assert_eq!(answered_too_early(&calls_of(trace), 2), [1], "the sync had begun before the second post came");
}
