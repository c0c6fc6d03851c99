//! The verbs against a scripted dispatcher: what they print, and what they exit with.

mod exits;
mod parsing;
mod printing;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser;
use serde_json::{Value, json};
use taskgrid_protocol::Body;

use super::console::Console;
use super::{Command, Exit};
use crate::testing::FakeDispatcher;

#[derive(Debug, Parser)]
#[command(name = "taskgrid")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What a run of the command left behind.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Where the command runs.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    input: &'a str,
    at_terminal: bool,
}

impl Place<'_> {
    fn run(self, dispatcher: &FakeDispatcher, line: &[&str]) -> Ran {
        let address = dispatcher.address();
        let words = [&["taskgrid"], line, &["--dispatcher", &address]].concat();
        self.run_words(&words)
    }

    fn run_words(self, words: &[&str]) -> Ran {
        let command = Cli::try_parse_from(words).unwrap().command;
        let (out, err) = (Page::default(), Page::default());
        let mut console = Console::of_test(out.clone(), err.clone(), self.input);
        console.out_is_terminal = self.at_terminal;
        console.err_is_terminal = self.at_terminal;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let exit = runtime.block_on(command.execute(&mut console));
        Ran { exit, out: out.text(), err: err.text() }
    }
}

fn run(dispatcher: &FakeDispatcher, line: &[&str]) -> Ran {
    Place::default().run(dispatcher, line)
}

/// Task 1 is done, 2 failed, 3 cancelled, 4 pending, 5 running; there are no others. A new task is number 1 and is
/// served, unless its type is `unserved` or `unsearched`.
fn grid() -> FakeDispatcher {
    FakeDispatcher::start(|body| match body {
        Body::PostTask(post) => match post.task_type.as_str() {
            "unserved" => vec![stored(4, Some(0))],
            "unsearched" => vec![stored(4, None)],
            "failing" if post.wait_s.is_some() => vec![stored(2, Some(1)), state(2)],
            _ if post.wait_s.is_some() => vec![stored(1, Some(1)), state(1)],
            _ => vec![stored(1, Some(1))],
        },
        Body::GetResult(get) if get.wait_s.is_none() || get.task_id.0 != 4 => vec![state(get.task_id.0)],
        Body::GetResult(_) => Vec::new(),
        Body::GetTask(get) if get.task_id.0 == 2 => vec![shown()],
        Body::GetTask(get) if get.task_id.0 == 5 => {
            vec![json!({"task": view(5, "running"), "attempts": [], "progress": progress()})]
        }
        Body::ListWorkers(_) => vec![workers()],
        Body::ListTasks(list) => vec![listed(list.before.map_or(250, |id| id.0), list.limit.unwrap())],
        Body::CancelTask(task) if task.task_id.0 == 4 => {
            vec![json!({"message": "Task cancelled", "task_id": 4, "status": "cancelled"})]
        }
        Body::CancelTask(_) => vec![json!({"error": "it is done", "code": "ALREADY_ENDED", "status": "done"})],
        Body::RetryTask(_) => vec![json!({"message": "Task is pending again", "task_id": 2, "status": "pending"})],
        Body::GetStats(_) => vec![json!({
            "tasks": {"pending": 5, "running": 1, "done": 7, "failed": 2, "cancelled": 0},
            "workers": 3, "waiting": 4, "uptime_s": 90, "commits": 10, "entries": 99
        })],
        Body::Ping(_) => vec![serde_json::to_value(crate::PingReply::of("dispatcher")).unwrap()],
        _ => vec![json!({"error": "Task not found", "code": "NOT_FOUND"})],
    })
}

fn stored(id: i64, workers: Option<u32>) -> Value {
    let mut reply = json!({"message": format!("Task received, ID = {id}"), "task_id": id, "status": "pending"});
    if let Some(workers) = workers {
        reply["workers"] = json!(workers);
    }
    reply
}

fn state(id: i64) -> Value {
    match id {
        1 => json!({"result": "IAnepO", "status": "done"}),
        2 => json!({
            "error": "Task failed: no such file", "code": "TASK_FAILED", "status": "failed", "attempts": 3,
            "task_error": {"code": "NO_FILE", "message": "no such file"}
        }),
        3 => json!({"error": "Task was cancelled", "code": "TASK_CANCELLED", "status": "cancelled"}),
        4 => json!({"error": "Result not ready", "code": "NOT_READY", "status": "pending"}),
        5 => json!({"error": "Result not ready", "code": "NOT_READY", "status": "running", "progress": progress()}),
        _ => json!({"error": "Task not found", "code": "NOT_FOUND"}),
    }
}

fn progress() -> Value {
    json!({"fraction": 0.4, "note": "resizing\u{1b}[2J"})
}

fn view(id: i64, status: &str) -> Value {
    json!({
        "id": id, "type": "report", "status": status, "payload_bytes": 8, "priority": 0, "attempt": 3,
        "max_attempts": 5, "timeout_s": 3600, "timestamp_created": 1_700_000_000 + id,
        "timestamp_scheduled": 1_700_000_000 + id
    })
}

fn shown() -> Value {
    let mut task = view(2, "failed");
    task["payload"] = json!("evil \u{1b}[2J \u{9b}31m text");
    task["key"] = json!("k\u{1b}]0;title\u{7}");
    task["error"] = json!({"code": "NO_FILE", "message": "no such\nfile\u{202e}"});
    task["timestamp_completed"] = json!(1_700_000_100.5);
    json!({
        "task": task,
        "attempts": [{
            "attempt": 3, "worker": "worker\u{1b}[1m:6000", "outcome": "failed",
            "error": {"code": "NO_FILE", "message": "no such\nfile"},
            "timestamp_dispatched": 1_700_000_010, "timestamp_ended": 1_700_000_012.5
        }],
        "note": "it has failed\u{1b}[5m"
    })
}

fn workers() -> Value {
    json!({"workers": [
        {"address": "10.0.0.5:6000", "types": ["reverse", "upper"], "capacity": 8, "running": 2, "instance": "abc"},
        {"address": "10.0.0.6:6000", "types": ["hash"], "capacity": 1}
    ]})
}

/// Numbers below `before`, down to 1.
fn listed(before: i64, limit: u32) -> Value {
    let tasks: Vec<Value> = (1..before).rev().take(limit as usize).map(|id| view(id, "done")).collect();
    json!({"tasks": tasks, "more": before - 1 > i64::from(limit)})
}
