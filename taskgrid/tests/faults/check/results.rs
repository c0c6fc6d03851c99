//! One end for each task: the right one, and the same for everybody.

use std::collections::BTreeSet;

use super::{Complaints, Evidence};
use crate::history::End;
use crate::journal::{self, LONG, SHORT};

/// I8.
pub(super) fn all_readers_see_the_row(evidence: &Evidence, complaints: &mut Complaints) {
    for read in &evidence.history.reads {
        let Some(row) = evidence.rows.get(&read.task) else { continue };
        let (result, error) = (row.result.as_deref(), row.error_code.as_deref());
        let same = match &read.end {
            End::Done(seen) => row.status == "done" && result == Some(seen),
            End::Failed(seen) => row.status == "failed" && error == Some(seen),
            End::Cancelled => row.status == "cancelled",
        };
        if !same {
            let (task, seen) = (read.task, &read.end);
            complaints.add("I8", format_args!("task {task} was read as {seen:?}, and is {} {result:?}", row.status));
        }
    }
    for (task, row) in &evidence.rows {
        if (row.status == "done") != row.result.is_some() {
            complaints.add("I8", format_args!("task {task} is {} with result {:?}", row.status, row.result));
        }
    }
}

/// I9.
pub(super) fn results_are_those_of_the_payload(evidence: &Evidence, complaints: &mut Complaints) {
    let finished: BTreeSet<i64> =
        evidence.journal.iter().filter(|entry| !entry.started).map(|entry| entry.task).collect();
    for (task, row) in &evidence.rows {
        let Some(result) = &row.result else { continue };
        let expected = match row.task_type.as_str() {
            "reverse" => reversed(&row.payload),
            SHORT | LONG => journal::result_of(&row.payload),
            other => panic!("no campaign posts tasks of type '{other}'"),
        };
        if *result != expected {
            complaints.add("I9", format_args!("task {task}: the result is {result}, not {expected}"));
        }
        if row.task_type != "reverse" && !finished.contains(task) {
            complaints.add("I9", format_args!("task {task} has a result, and no handler of it has ended"));
        }
    }
}

/// Our payloads are ASCII without escapes.
fn reversed(payload: &str) -> String {
    payload.chars().rev().collect()
}

/// I14.
pub(super) fn confirmed_results_are_stored(evidence: &Evidence, complaints: &mut Complaints) {
    let attempts: BTreeSet<(i64, &str)> =
        evidence.attempts.iter().filter_map(|attempt| Some((attempt.task, attempt.lease.as_deref()?))).collect();
    for (task, lease) in &evidence.stored {
        let is_rows = evidence.rows.get(task).is_some_and(|row| row.has_ended() && row.lease.as_ref() == Some(lease));
        if !is_rows && !attempts.contains(&(*task, lease.as_str())) {
            complaints
                .add("I14", format_args!("task {task}: the result of lease {lease} was confirmed and is nowhere"));
        }
    }
}
