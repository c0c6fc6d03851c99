//! The table as such.

use std::collections::BTreeMap;

use super::{Complaints, Evidence};

/// Nobody here keeps it from being written back for long.
const WAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// I15. Times sort as text.
pub(super) fn times_are_in_order(evidence: &Evidence, complaints: &mut Complaints) {
    let mut created = "";
    for (task, row) in &evidence.rows {
        if row.created.as_str() < created {
            complaints
                .add("I15", format_args!("task {task} was created at {}, its predecessor at {created}", row.created));
        }
        created = &row.created;
        let steps: Vec<&str> = [Some(&row.created), row.dispatched.as_ref(), row.completed.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if !steps.is_sorted() {
            complaints.add("I15", format_args!("task {task}: created, dispatched, completed: {steps:?}"));
        }
    }
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.ended < attempt.dispatched) {
        let (from, to) = (&attempt.dispatched, &attempt.ended);
        complaints.add("I15", format_args!("task {}: an attempt lasted from {from} to {to}", attempt.task));
    }
}

/// I17.
pub(super) fn statistics_are_right(evidence: &Evidence, complaints: &mut Complaints) {
    let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
    for row in evidence.rows.values() {
        *counted.entry(&row.status).or_default() += 1;
    }
    for (status, said) in &evidence.counts {
        let counted = counted.get(status).copied().unwrap_or_default();
        if *said != counted {
            complaints.add("I17", format_args!("{counted} tasks are {status}, and the dispatcher counts {said}"));
        }
    }
}

/// I18.
pub(super) fn the_file_is_sound(evidence: &Evidence, complaints: &mut Complaints) {
    for line in &evidence.damage {
        complaints.add("I18", format_args!("{line}"));
    }
    if evidence.wal_bytes > WAL_BYTES_MAX {
        complaints.add("I18", format_args!("the write-ahead log has {} bytes", evidence.wal_bytes));
    }
}
