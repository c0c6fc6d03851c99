//! The history of who serves what: each pair of worker and type with its last change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use taskgrid_protocol::{TaskType, Timestamp};

use super::limits::{GONE_FOR, GONE_MAX};

/// A worker's address and a type that it serves.
pub(super) type Pair = (Arc<str>, TaskType);

/// A pair has begun, or changed, or ended.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) pair: Pair,
    /// When it ended, if it has.
    pub(super) gone: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The last change of each pair, by version.
    changes: BTreeMap<u64, Change>,
    version_of: BTreeMap<Pair, u64>,
    /// The versions of ends, the oldest first.
    gone: BTreeSet<u64>,
    version: u64,
    /// Ends up to this version are forgotten.
    forgotten: u64,
}

impl Feed {
    /// The last change of all.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether somebody who knows everything up to `version` can be told the rest.
    pub(super) fn reaches(&self, version: u64) -> bool {
        (self.forgotten..=self.version).contains(&version)
    }

    /// What has changed after `version`, the oldest first.
    pub(super) fn after(&self, version: u64) -> impl Iterator<Item = (u64, &Change)> {
        self.changes.range(version.saturating_add(1)..).map(|(version, change)| (*version, change))
    }

    pub(super) fn is_here(&mut self, pair: Pair) {
        self.record(pair, None);
    }

    pub(super) fn is_gone(&mut self, now: Timestamp, pair: Pair) {
        self.record(pair, Some(now));
        self.gone.insert(self.version);
        while let Some(oldest) = self.gone.first().copied() {
            let ended = self.changes.get(&oldest).and_then(|change| change.gone);
            let is_old = ended.is_some_and(|at| now.since(at) > GONE_FOR);
            if self.gone.len() <= GONE_MAX && !is_old {
                break;
            }
            self.gone.remove(&oldest);
            if let Some(change) = self.changes.remove(&oldest) {
                self.version_of.remove(&change.pair);
            }
            self.forgotten = oldest;
        }
    }

    fn record(&mut self, pair: Pair, gone: Option<Timestamp>) {
        self.version += 1;
        if let Some(before) = self.version_of.insert(pair.clone(), self.version) {
            self.changes.remove(&before);
            self.gone.remove(&before);
        }
        self.changes.insert(self.version, Change { pair, gone });
    }
}
