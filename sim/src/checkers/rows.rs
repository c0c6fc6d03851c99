//! The course of each row through the table.

use std::collections::BTreeSet;

use taskgrid_client::Status;
use taskgrid_protocol::body::StatusCounts;

use super::{Course, Verdict};
use crate::record::{Row, What};
use crate::world::Ending;

/// I7: an ended task stays as it is, unless somebody retries one that failed or was cancelled.
pub(super) fn states_follow_the_path(course: &Course<'_>) -> Verdict {
    for (id, rows) in &course.record.rows {
        let retried_at =
            course.record.history.iter().find(|told| matches!(told.what, What::Retrying(task) if task == *id));
        for pair in rows.windows(2) {
            let [before, after] = pair else { unreachable!("a window of two") };
            if !before.task.status.is_ended() || end_of(before) == end_of(after) {
                continue;
            }
            let may_begin_anew = before.task.status != Status::Done
                && retried_at.is_some_and(|told| told.at <= after.at)
                && after.task.status != Status::Done;
            if !may_begin_anew {
                return Err(format!("task {} went from {:?} to {:?}", id.0, end_of(before), end_of(after)));
            }
        }
    }
    Ok(())
}

fn end_of(row: &Row) -> (Status, Option<&str>, Option<&str>) {
    let error = row.task.error.as_ref().map(|error| error.message.as_str());
    (row.task.status, row.task.result.as_ref().map(|result| result.get()), error)
}

/// I10: the number of charged attempts never passes the limit.
pub(super) fn attempts_are_bounded(course: &Course<'_>) -> Verdict {
    for (id, rows) in &course.record.rows {
        if let Some(row) = rows.iter().find(|row| row.task.attempt > row.task.max_attempts) {
            return Err(format!("task {} is at attempt {} of {}", id.0, row.task.attempt, row.task.max_attempts));
        }
    }
    Ok(())
}

/// I15: created, dispatched, completed; and created in the order of the numbers.
pub(super) fn times_are_in_order(course: &Course<'_>) -> Verdict {
    let mut latest = None;
    for (id, row) in &course.table.rows {
        let task = &row.task;
        let (created, completed) = (Some(task.timestamp_created), task.timestamp_completed);
        let later_than = |one, other| matches!((one, other), (Some(one), Some(other)) if one > other);
        if later_than(created, task.timestamp_dispatched)
            || later_than(created, completed)
            || later_than(task.timestamp_dispatched, completed)
            || later_than(latest, created)
        {
            return Err(format!("the times of task {} are not in order", id.0));
        }
        if row.attempts.iter().any(|attempt| attempt.timestamp_dispatched > attempt.timestamp_ended) {
            return Err(format!("an attempt of task {} ended before it began", id.0));
        }
        latest = created;
    }
    Ok(())
}

/// I16: a new row has a higher number than any before, and none disappears.
pub(super) fn numbers_rise(course: &Course<'_>) -> Verdict {
    let mut firsts: Vec<_> = course.record.rows.iter().filter_map(|(id, rows)| Some((rows.first()?.at, *id))).collect();
    firsts.sort();
    if !firsts.is_sorted_by_key(|(_, id)| *id) {
        return Err(format!("rows appeared in this order: {firsts:?}"));
    }
    let seen: BTreeSet<_> = course.record.rows.keys().collect();
    let at_rest: BTreeSet<_> = course.table.rows.keys().collect();
    if seen != at_rest {
        return Err(format!(
            "these rows were not seen both before and at rest: {:?}",
            seen.symmetric_difference(&at_rest)
        ));
    }
    Ok(())
}

/// I17: what GET_STATS says is what the rows say.
pub(super) fn counts_are_right(course: &Course<'_>) -> Verdict {
    let count = |status| course.table.rows.values().filter(|row| row.task.status == status).count() as u64;
    let counted = StatusCounts {
        pending: count(Status::Pending),
        running: count(Status::Running),
        done: count(Status::Done),
        failed: count(Status::Failed),
        cancelled: count(Status::Cancelled),
    };
    if counted != course.table.counts {
        return Err(format!("the rows say {counted:?}, the counters {:?}", course.table.counts));
    }
    if matches!(course.ending, Ending::Rest(_)) && counted.pending + counted.running > 0 {
        return Err(format!("at rest there are unended tasks: {counted:?}"));
    }
    Ok(())
}
