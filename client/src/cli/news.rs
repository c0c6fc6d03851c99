//! What there is to tell about a task that has not ended.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use taskgrid_protocol::body::{AttemptView, ListWorkers, TaskRef, TaskReply};
use taskgrid_protocol::{TaskType, WallTime};
use taskgrid_runtime::wall_time;

use super::session::Session;
use super::text::{escape_line, progress as progress_line, span};
use crate::{Client, Receipt, Status, TaskProgress};

/// A dispatcher that has just heard of a type gets this long to find out who serves it.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often the user at a terminal is told what has become of the task.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Says so on standard error if nobody serves the type of a task that was just stored.
pub(super) async fn warn_if_unserved(session: &mut Session<'_>, task_type: &TaskType, receipt: &Receipt) {
    if receipt.status != Status::Pending || receipt.workers.is_some_and(|workers| workers > 0) {
        return;
    }
    // The news is not worth more patience than this: the task itself is safe.
    let client = session.client.clone().with_patience(LOOK_EVERY * LOOKS);
    let looks = if receipt.workers.is_none() { LOOKS } else { 1 };
    if let Some(served) = served_instead(&client, task_type, looks).await {
        session.console.tell(&unserved_line(task_type, &served));
    }
}

/// The types that are served, if `task_type` is none of them, not even at the last look.
pub(super) async fn served_instead(client: &Client, task_type: &TaskType, looks: u32) -> Option<BTreeSet<TaskType>> {
    let mut pace = tokio::time::interval(LOOK_EVERY);
    let mut served = BTreeSet::new();
    for _ in 0..looks {
        pace.tick().await;
        let reply = client.workers(ListWorkers::default()).await.ok()?;
        served = reply.workers.into_iter().flat_map(|worker| worker.types).collect();
        if served.contains(task_type) {
            return None;
        }
    }
    Some(served)
}

fn unserved_line(task_type: &TaskType, served: &BTreeSet<TaskType>) -> String {
    if served.is_empty() {
        return format!(
            "Nobody serves the type '{task_type}', nor any other; 'taskgrid worker' starts a worker. The task waits for one."
        );
    }
    let served: Vec<&str> = served.iter().map(TaskType::as_str).collect();
    format!("Nobody serves the type '{task_type}'; served are: {}. The task waits for a worker.", served.join(", "))
}

/// Tells of each attempt that fails, and shows how far the one is that runs, until it is dropped.
pub(super) async fn tell_of_task(session: &mut Session<'_>, task: TaskRef) -> Infallible {
    let mut pace = tokio::time::interval(TELL_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = None;
    let mut bar = Bar::default();
    loop {
        pace.tick().await;
        // If this fails, the wait itself will say so.
        let Ok(reply) = session.client.task(task).await else { continue };
        let ended = reply.attempts.first().map(|attempt| attempt.timestamp_ended);
        if ended != told {
            told = ended;
            if let Some(line) = attempt_line(&reply, wall_time()) {
                bar.step_aside(|| session.console.tell(&line));
            }
        }
        bar.show(reply.progress.as_ref());
    }
}

/// A line on standard error that shows a progress, while there is one. Dropped, it leaves no trace.
#[derive(Default)]
struct Bar(Option<ProgressBar>);

const BAR_LENGTH: u64 = 1_000;

impl Bar {
    fn show(&mut self, progress: Option<&TaskProgress>) {
        let Some(progress) = progress else {
            // The attempt has ended, and the next one has yet to tell.
            self.0 = None;
            return;
        };
        let bar = self.0.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{bar:30} {wide_msg}").expect("the template is well-formed");
            ProgressBar::new(BAR_LENGTH).with_style(style).with_finish(ProgressFinish::AndClear)
        });
        bar.set_message(progress_line(progress));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
        bar.set_position((progress.fraction() * BAR_LENGTH as f64) as u64);
    }

    /// Lets something else be written above it.
    fn step_aside(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// `attempt 2 of 5 failed: no such file; next in 4 s`
fn attempt_line(reply: &TaskReply, now: WallTime) -> Option<String> {
    let TaskReply { task, attempts, .. } = reply;
    let newest = attempts.first()?;
    let happened = what_happened(newest)?;
    let next = match task.status {
        Status::Pending => {
            let wait = task.timestamp_scheduled.since(now).as_millis().div_ceil(1_000);
            format!("; next in {}", span(Duration::from_secs(u64::try_from(wait).unwrap_or(u64::MAX))))
        }
        Status::Running => "; the next one is running".to_owned(),
        Status::Done | Status::Failed | Status::Cancelled => return None,
    };
    Some(format!("attempt {} of {} {happened}{next}", newest.attempt, task.max_attempts))
}

/// `None` for attempts that ended without having started: nobody needs to know.
fn what_happened(attempt: &AttemptView) -> Option<String> {
    let why = attempt.error.as_ref().map(|error| format!(": {}", escape_line(&error.message))).unwrap_or_default();
    let what = match attempt.outcome.as_str() {
        "failed" => "failed",
        "timeout" => "took too long",
        "lease_lost" | "worker_lost" => "was lost with its worker",
        _ => return None,
    };
    Some(format!("{what}{why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: &str, outcome: &str) -> TaskReply {
        serde_json::from_value(json!({
            "task": {
                "id": 1, "type": "report", "status": status, "payload_bytes": 2, "priority": 0, "attempt": 2,
                "max_attempts": 5, "timeout_s": 60, "timestamp_created": 1000, "timestamp_scheduled": 1003.5
            },
            "attempts": [
                {"attempt": 2, "worker": "w:6000", "outcome": outcome, "timestamp_dispatched": 1000,
                 "timestamp_ended": 1001, "error": {"code": "E", "message": "no such\u{1b} file"}},
                {"attempt": 1, "worker": "w:6000", "outcome": "timeout", "timestamp_dispatched": 998,
                 "timestamp_ended": 999}
            ]
        }))
        .unwrap()
    }

    #[test]
    fn a_failed_attempt_is_told_with_its_reason_and_the_time_of_the_next() {
        let line = |status, outcome| attempt_line(&reply(status, outcome), WallTime::from_millis(1_000_000));
        let failed = line("pending", "failed").unwrap();
        assert_eq!(failed, r"attempt 2 of 5 failed: no such\u{1b} file; next in 4.0 s");
        let again = line("running", "timeout").unwrap();
        assert_eq!(again, r"attempt 2 of 5 took too long: no such\u{1b} file; the next one is running");
        assert_eq!(line("pending", "released"), None);
        assert_eq!(line("failed", "failed"), None);
    }

    #[test]
    fn a_type_that_nobody_serves_is_told_with_those_that_are() {
        let wanted = TaskType::new("x").unwrap();
        let served = ["upper", "reverse"].map(|name| TaskType::new(name).unwrap());
        let line = unserved_line(&wanted, &served.into());
        assert!(line.starts_with("Nobody serves the type 'x'; served are: reverse, upper."), "{line}");
        assert!(unserved_line(&wanted, &BTreeSet::new()).contains("taskgrid worker"));
    }
}
