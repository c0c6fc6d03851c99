//! What must hold after any fault. The checkers know the table, what clients were told, and what handlers wrote
//! down; of the program they know nothing.

mod attempts;
pub(crate) mod broken;
mod evidence;
mod posts;
mod results;
mod table;

use std::fmt;

pub(crate) use attempts::Duplicates;
pub(crate) use evidence::{AttemptRow, Evidence, Row};

/// Complaints that are printed; the first say enough.
const SHOWN_MAX: usize = 20;

/// What is wrong, by invariant.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, invariant: &str, what: fmt::Arguments<'_>) {
        self.0.push(format!("{invariant}: {what}"));
    }

    fn has(&self, invariant: &str) -> bool {
        self.0.iter().any(|complaint| complaint.starts_with(&format!("{invariant}:")))
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} broken invariants", self.0.len())?;
        self.0.iter().take(SHOWN_MAX).try_for_each(|complaint| writeln!(f, "  {complaint}"))
    }
}

/// Panics unless all invariants hold; says which handlers ran more than once.
pub(crate) fn all(evidence: &Evidence) -> Duplicates {
    let (complaints, duplicates) = look(evidence);
    assert!(complaints.0.is_empty(), "{complaints}");
    duplicates
}

fn look(evidence: &Evidence) -> (Complaints, Duplicates) {
    const CHECKERS: &[fn(&Evidence, &mut Complaints)] = &[
        posts::no_acknowledged_task_is_lost,
        posts::one_row_a_key_and_one_key_a_row,
        posts::no_task_that_nobody_posted,
        posts::nothing_of_what_was_refused,
        posts::every_task_has_ended,
        posts::numbers_rise_with_time,
        results::all_readers_see_the_row,
        results::results_are_those_of_the_payload,
        results::confirmed_results_are_stored,
        attempts::leases_are_unique,
        attempts::no_more_attempts_than_allowed,
        attempts::runs_have_leases_that_were_issued,
        attempts::a_worker_starts_a_lease_once,
        table::times_are_in_order,
        table::statistics_are_right,
        table::the_file_is_sound,
    ];
    let mut complaints = Complaints::default();
    CHECKERS.iter().for_each(|check| check(evidence, &mut complaints));
    (complaints, attempts::duplicates(evidence))
}
