//! What must hold of every world, one function each. They know the onlooker's notes and the table at rest, and
//! nothing of how the grid does its work. The names are those of docs/RELIABILITY.md.

mod acknowledged;
mod leases;
mod rest;
mod results;
mod rows;
mod runs;
mod tally;

use std::fmt;

use crate::options::{Options, Profile};
use crate::record::{Record, Table};
use crate::world::Ending;

pub use tally::Tally;

/// All that is known of a world that has ended.
#[derive(Debug)]
pub struct Course<'a> {
    /// Its knobs.
    pub options: &'a Options,
    /// What the onlooker wrote down.
    pub record: &'a Record,
    /// The table at rest.
    pub table: &'a Table,
    /// How it ended.
    pub ending: Ending,
    /// What a look at the file found wrong.
    pub fault: Option<String>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What one checker says: `Err` with what was seen.
type Verdict = Result<(), String>;

type Checker = fn(&Course<'_>) -> Verdict;

/// What must hold wherever datagrams arrive as they were sent.
const CHECKERS: &[(&str, Checker)] = &[
    ("I1 no acknowledged task is lost", acknowledged::nothing_is_lost),
    ("I2 a key names one task", acknowledged::keys_are_unique),
    ("I3 there is no task that nobody submitted", acknowledged::nothing_is_made_up),
    ("I23 a plain client gets a task for each datagram", acknowledged::plain_tasks_are_as_many_as_datagrams),
    ("I4 what was refused is not stored", acknowledged::refused_is_not_stored),
    ("I19 what was stored can be read", acknowledged::stored_can_be_read),
    ("I7 a task ends once", rows::states_follow_the_path),
    ("I8 a result never changes", results::results_never_change),
    ("I9 no result is made up", results::results_are_of_handlers),
    ("I14 a result that is said to be stored is stored", results::stored_results_are_stored),
    ("I10 a lease is new, and committed before its TASK leaves", leases::leases_are_committed_first),
    ("I10 no more attempts are charged than allowed", rows::attempts_are_bounded),
    ("I11 a process starts a lease once", leases::a_process_starts_a_lease_once),
    ("I12 only the current lease is renewed", leases::only_the_current_lease_is_renewed),
    ("I13 no handler runs twice", runs::nothing_runs_twice),
    ("I13 no task fails without a cause", runs::nothing_fails_without_a_cause),
    ("I13 no attempt times out before it starts", runs::nothing_times_out_unstarted),
    ("I15 times are in order", rows::times_are_in_order),
    ("I16 numbers rise", rows::numbers_rise),
    ("I6 everything comes to rest", rest::everything_ends),
    ("I6 at rest nothing goes on", rest::nothing_goes_on),
    ("I17 the counts are right", rows::counts_are_right),
    ("I18 the file is sound", rest::the_file_is_sound),
    ("I21 who waits hears of the end at once", rest::waiters_hear_at_once),
    ("I21 a healed grid answers soon", rest::answers_come_soon),
];

/// What must hold even where datagrams are damaged: nobody can tell a damaged number from a right one.
const SOUNDNESS: &[(&str, Checker)] = &[
    ("I7 a task ends once", rows::states_follow_the_path),
    ("I10 no more attempts are charged than allowed", rows::attempts_are_bounded),
    ("I15 times are in order", rows::times_are_in_order),
    ("I16 numbers rise", rows::numbers_rise),
    ("I18 the file is sound", rest::the_file_is_sound),
    ("I20 nothing talks without end", rest::nothing_talks_without_end),
];

/// The first thing that is wrong with a world, if anything is.
pub fn check(course: &Course<'_>) -> Option<Violation> {
    let checkers = if course.options.profile == Profile::Corruption { SOUNDNESS } else { CHECKERS };
    checkers.iter().find_map(|(invariant, checker)| {
        let what = checker(course).err()?;
        Some(Violation { invariant, what })
    })
}
