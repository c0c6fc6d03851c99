//! `taskgrid show`.

use clap::Args;
use taskgrid_protocol::Json;
use taskgrid_protocol::error::TaskError;

use super::session::Session;
use super::table::{Columns, Facts};
use super::task::TaskArgs;
use super::{Console, Done, OutputArgs, ServerArgs, text};
use crate::{AttemptView, TaskProgress, TaskReply, TaskView};

/// Characters of a payload or result that are shown.
const VALUE_SHOWN: usize = 1_000;

/// Arguments of `taskgrid show`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example:
  taskgrid show 42 --output json | jq .task.payload

Exit codes:
  0  fine
  2  wrong usage
  3  there is no such task
  4  no answer")]
pub struct ShowArgs {
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl ShowArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        let reply = session.ask(client.task(self.task.named())).await?;
        if session.wants_json() {
            session.console.print_json(&reply);
        } else {
            print(session.console, &reply);
        }
        Ok(())
    }
}

fn print(console: &mut Console, reply: &TaskReply) {
    let TaskReply { task, attempts, omitted, note, progress, .. } = reply;
    facts(task, progress.as_ref()).print(console);
    if !attempts.is_empty() {
        console.print("");
        console.print("Past attempts, the newest first:");
        let mut columns = Columns::new(&["ATTEMPT", "OUTCOME", "WORKER", "STARTED", "LASTED", "ERROR"]);
        for attempt in attempts {
            columns.row(cells(attempt));
        }
        columns.right(0).print(console);
    }
    if omitted.iter().any(|what| what == "attempts") {
        console.print("Older attempts are left out.");
    }
    if let Some(note) = note {
        console.print("");
        console.print(&text::escape_line(&sentence(note)));
    }
}

fn facts(task: &TaskView, progress: Option<&TaskProgress>) -> Facts {
    let mut facts = Facts::new();
    facts.add("task", task.id.to_string());
    facts.add("type", task.task_type.as_str());
    facts.add("status", task.status.as_str());
    if let Some(progress) = progress {
        facts.add("progress", text::progress(progress));
    }
    facts.add("payload", value(task.payload.as_ref(), task.payload_bytes));
    if let Some(bytes) = task.result_bytes {
        facts.add("result", value(task.result.as_ref(), bytes));
    }
    if let Some(error) = &task.error {
        facts.add("error", error_text(error));
    }
    facts.add("attempt", format!("{} of at most {}", task.attempt, task.max_attempts));
    facts.add("time limit", format!("{} s an attempt", task.timeout_s));
    facts.add("priority", task.priority.get().to_string());
    if let Some(key) = &task.key {
        facts.add("key", key.as_str());
    }
    if let Some(worker) = &task.assigned_worker {
        facts.add("worker", worker);
    }
    let times = [
        ("created", Some(task.timestamp_created)),
        ("due", Some(task.timestamp_scheduled).filter(|at| *at != task.timestamp_created)),
        ("handed over", task.timestamp_dispatched),
        ("ended", task.timestamp_completed),
        ("expires", task.timestamp_expires),
    ];
    for (name, at) in times {
        if let Some(at) = at {
            facts.add(name, text::time(at));
        }
    }
    facts
}

fn value(json: Option<&Json>, bytes: u64) -> String {
    json.map_or_else(
        || format!("({bytes} bytes, too long to be sent along)"),
        |json| text::shorten_json(json, VALUE_SHOWN),
    )
}

fn error_text(error: &TaskError) -> String {
    format!("{} ({})", error.message, error.code)
}

fn cells(attempt: &AttemptView) -> [String; 6] {
    [
        attempt.attempt.to_string(),
        attempt.outcome.clone(),
        attempt.worker.clone(),
        text::time(attempt.timestamp_dispatched),
        text::span(attempt.timestamp_ended.since(attempt.timestamp_dispatched)),
        attempt.error.as_ref().map_or_else(String::new, error_text),
    ]
}

/// The note as a sentence of its own.
fn sentence(note: &str) -> String {
    let mut chars = note.chars();
    let Some(first) = chars.next() else { return String::new() };
    let end = if note.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}
