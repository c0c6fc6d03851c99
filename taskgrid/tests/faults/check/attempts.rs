//! Leases, and how often handlers ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Complaints, Evidence};
use crate::journal::Entry;

/// I10: a lease is issued once, for one task.
pub(super) fn leases_are_unique(evidence: &Evidence, complaints: &mut Complaints) {
    let mut tasks = BTreeMap::new();
    let of_attempts = evidence.attempts.iter().filter_map(|attempt| Some((attempt.lease.as_deref()?, attempt.task)));
    let of_rows = evidence.rows.iter().filter_map(|(task, row)| Some((row.lease.as_deref()?, *task)));
    for (lease, task) in of_attempts.chain(of_rows) {
        if let Some(other) = tasks.insert(lease, task).filter(|other| *other != task) {
            complaints.add("I10", format_args!("lease {lease} was issued for tasks {other} and {task}"));
        }
    }
    // A late result is recorded beside the end of its attempt; nothing else is recorded twice.
    let mut ended = BTreeSet::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.outcome != "late") {
        if attempt.lease.is_some() && !ended.insert(&attempt.lease) {
            complaints.add("I10", format_args!("task {}: lease {:?} ended twice", attempt.task, attempt.lease));
        }
    }
}

/// I10. Nobody retries tasks by hand here.
pub(super) fn no_more_attempts_than_allowed(evidence: &Evidence, complaints: &mut Complaints) {
    let mut charged: BTreeMap<i64, i64> = BTreeMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.charged && attempt.outcome != "late") {
        *charged.entry(attempt.task).or_default() += 1;
    }
    for (task, row) in &evidence.rows {
        let charged = charged.get(task).copied().unwrap_or_default().max(row.attempt);
        if charged > row.max_attempts {
            complaints.add("I10", format_args!("task {task} had {charged} attempts of {}", row.max_attempts));
        }
    }
}

/// I10, I12: a handler runs only under a lease that stands in the table, for its task.
pub(super) fn runs_have_leases_that_were_issued(evidence: &Evidence, complaints: &mut Complaints) {
    let outcomes = outcomes(evidence);
    for Entry { task, lease, .. } in evidence.journal.iter().filter(|entry| entry.started) {
        let is_rows = evidence.rows.get(task).is_some_and(|row| row.lease.as_ref() == Some(lease));
        if !is_rows && !outcomes.contains_key(&(*task, lease.as_str())) {
            complaints.add("I10", format_args!("task {task} ran under lease {lease}, which the table does not know"));
        }
    }
}

/// I11.
pub(super) fn a_worker_starts_a_lease_once(evidence: &Evidence, complaints: &mut Complaints) {
    let mut seen = BTreeSet::new();
    for Entry { task, lease, worker, .. } in evidence.journal.iter().filter(|entry| entry.started) {
        if !seen.insert((task, lease, worker)) {
            complaints.add("I11", format_args!("worker process {worker} started lease {lease} of task {task} twice"));
        }
    }
}

/// I24: runs beyond the first of a task, by what ended the earlier attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duplicates {
    /// Tasks whose handlers kept a journal.
    pub(crate) of: usize,
    pub(crate) by_cause: BTreeMap<String, usize>,
}

impl Duplicates {
    pub(crate) fn total(&self) -> usize {
        self.by_cause.values().sum()
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} run twice", self.total(), self.of)?;
        let causes: Vec<String> = self.by_cause.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        if causes.is_empty() { Ok(()) } else { write!(f, " (by cause: {})", causes.join(", ")) }
    }
}

pub(super) fn duplicates(evidence: &Evidence) -> Duplicates {
    let outcomes = outcomes(evidence);
    let mut runs: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for entry in evidence.journal.iter().filter(|entry| entry.started) {
        runs.entry(entry.task).or_default().push(&entry.lease);
    }
    let mut duplicates = Duplicates { of: runs.len(), ..Duplicates::default() };
    for (task, leases) in &runs {
        // The last run needs no excuse; each before it was in vain, for a reason that is on record.
        for (index, lease) in leases.iter().enumerate().take(leases.len() - 1) {
            let cause = match outcomes.get(&(*task, *lease)) {
                _ if leases[index + 1..].contains(lease) => "handed to the worker's next process",
                Some(outcome) => outcome,
                None => "an older run won",
            };
            *duplicates.by_cause.entry(cause.to_owned()).or_default() += 1;
        }
    }
    duplicates
}

/// How the attempts that are on record ended.
fn outcomes(evidence: &Evidence) -> BTreeMap<(i64, &str), &str> {
    let attempts = evidence.attempts.iter().filter(|attempt| attempt.outcome != "late");
    attempts.filter_map(|attempt| Some(((attempt.task, attempt.lease.as_deref()?), attempt.outcome.as_str()))).collect()
}
