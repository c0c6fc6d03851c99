//! How often handlers run, and why tasks fail.

use std::collections::BTreeMap;

use taskgrid_client::Status;
use taskgrid_protocol::TaskId;
use taskgrid_protocol::error::task_code;

use super::{Course, Verdict};
use crate::record::{Step, What};

/// Starts of each task's handler that nobody asked for: beyond the first, and those after a failure or a stop.
pub(super) fn surplus_runs(course: &Course<'_>) -> BTreeMap<TaskId, u64> {
    let mut balance: BTreeMap<TaskId, i64> = BTreeMap::new();
    for ran in &course.record.journal {
        *balance.entry(ran.task).or_default() += match &ran.what {
            Step::Start => 1,
            Step::End(Err(_)) | Step::Stopped => -1,
            Step::End(Ok(_)) => 0,
        };
    }
    for told in &course.record.history {
        if let What::Retrying(task) = told.what {
            balance.remove(&task);
        }
    }
    let surplus = |(task, balance): (TaskId, i64)| (balance > 1).then(|| (task, balance.unsigned_abs() - 1));
    balance.into_iter().filter_map(surplus).collect()
}

/// I13: where datagrams are only lost, repeated, delayed or reordered, where only the dispatcher is restarted, or
/// only the clock jumps, a handler runs once.
pub(super) fn nothing_runs_twice(course: &Course<'_>) -> Verdict {
    if !course.options.runs_once() {
        return Ok(());
    }
    match surplus_runs(course).first_key_value() {
        Some((task, times)) => Err(format!("the handler of task {} ran {times} times too often", task.0)),
        None => Ok(()),
    }
}

/// In the same worlds a task fails because its handler fails, or hangs, or because it expires.
pub(super) fn nothing_fails_without_a_cause(course: &Course<'_>) -> Verdict {
    if !course.options.runs_once() {
        return Ok(());
    }
    const GRID: [&str; 4] =
        [task_code::LEASE_LOST, task_code::WORKER_LOST, task_code::UNKNOWN_TYPE, task_code::TOO_LARGE_FOR_WORKER];
    for (id, row) in &course.table.rows {
        let lost = |outcome: &str| outcome == "lease_lost" || outcome == "worker_lost";
        if let Some(attempt) = row.attempts.iter().find(|attempt| lost(&attempt.outcome)) {
            return Err(format!("an attempt of task {} ended as {}", id.0, attempt.outcome));
        }
        let Some(error) = row.task.error.as_ref().filter(|_| row.task.status == Status::Failed) else { continue };
        if GRID.contains(&error.code.as_str()) {
            return Err(format!("task {} failed with {}", id.0, error.code));
        }
    }
    Ok(())
}

/// The time limit of an attempt counts from its start: one that only waits, at its worker or on the way to it, has none.
/// (At a plain worker it counts from the hand-over.)
pub(super) fn nothing_times_out_unstarted(course: &Course<'_>) -> Verdict {
    if course.options.plain_workers > 0 {
        return Ok(());
    }
    let mut starts: BTreeMap<TaskId, usize> = BTreeMap::new();
    for ran in course.record.journal.iter().filter(|ran| ran.what == Step::Start) {
        *starts.entry(ran.task).or_default() += 1;
    }
    for (id, row) in &course.table.rows {
        let timeouts = row.attempts.iter().filter(|attempt| attempt.outcome == "timeout").count();
        let starts = starts.get(id).copied().unwrap_or_default();
        if timeouts > starts {
            return Err(format!("{timeouts} attempts of task {} timed out, and {starts} have started", id.0));
        }
    }
    Ok(())
}
