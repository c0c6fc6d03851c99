//! What is counted over many worlds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::Course;
use super::runs::surplus_runs;
use crate::faults::Kind;
use crate::record::{NetCount, What};

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Worlds.
    pub worlds: u64,
    /// Tasks that were acknowledged.
    pub acknowledged: u64,
    /// Submissions whose outcome stayed unknown for a while.
    pub unknown: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// Datagrams.
    pub net: NetCount,
    /// Runs of handlers that nobody asked for, by what became of the attempt before (I24).
    pub again: BTreeMap<String, u64>,
}

impl Tally {
    /// What is counted in one world.
    pub fn of(course: &Course<'_>) -> Self {
        let told =
            |wanted: fn(&What) -> bool| course.record.history.iter().filter(|told| wanted(&told.what)).count() as u64;
        let mut again = BTreeMap::new();
        for (task, times) in surplus_runs(course) {
            let attempts = course.table.rows.get(&task).map_or(&[][..], |row| &row.attempts);
            let lost = |outcome: &str| !["failed", "rejected", "released", "cancelled"].contains(&outcome);
            let cause = attempts.iter().map(|attempt| attempt.outcome.as_str()).find(|outcome| lost(outcome));
            let cause = cause.unwrap_or("its worker came back under the same lease");
            *again.entry(cause.to_owned()).or_default() += times;
        }
        Self {
            worlds: 1,
            acknowledged: course.table.rows.len() as u64,
            unknown: told(|what| matches!(what, What::Unknown(..))),
            faults: course.record.faults.clone(),
            net: course.record.net,
            again,
        }
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        for (kind, count) in &other.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        for (cause, count) in &other.again {
            *self.again.entry(cause.clone()).or_default() += count;
        }
        self.net.sent += other.net.sent;
        self.net.lost += other.net.lost;
        self.net.repeated += other.net.repeated;
        self.net.damaged += other.net.damaged;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, acknowledged, unknown, faults, net, again } = self;
        let count: u64 = faults.values().sum();
        writeln!(f, "{worlds} worlds, {count} faults, {acknowledged} tasks in the table at rest")?;
        writeln!(
            f,
            "{} datagrams: {} lost, {} repeated, {} damaged; {unknown} submissions whose outcome was unknown for a while",
            net.sent, net.lost, net.repeated, net.damaged
        )?;
        let faults: Vec<String> = faults.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        writeln!(f, "faults: {}", faults.join(", "))?;
        let causes: Vec<String> = again.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        write!(f, "run again: {} ({})", again.values().sum::<u64>(), causes.join(", "))
    }
}
