//! Tasks that ended long ago are deleted, a few at a time (R4).
//!
//! A walk through the table goes on from where the one before has stopped, since tasks that were created later
//! mostly end later too. Those that took longer are found by a walk from the beginning, now and then.

use taskgrid_protocol::{TaskId, Timestamp};

use super::limits::{PRUNE_ALL_EVERY, PRUNE_EVERY, PRUNE_PAUSE};
use super::{Alarm, Machine};
use crate::store::{Prune, Pruned};

/// All tasks lie behind it.
const NONE: TaskId = TaskId(0);

/// How far the deleting is.
#[derive(Debug)]
pub(super) struct Pruning {
    /// An entry is to ride in the next batch.
    wanted: bool,
    /// All tasks up to this one were looked at.
    reached: TaskId,
    /// When to begin again with the first task.
    again_at: Timestamp,
    /// A walk is under way.
    walking: bool,
}

impl Default for Pruning {
    fn default() -> Self {
        Self { wanted: false, reached: NONE, again_at: Timestamp::ZERO, walking: false }
    }
}

impl Pruning {
    pub(super) fn is_due(&mut self, now: Timestamp) {
        self.wanted = true;
        if !self.walking && now >= self.again_at {
            self.reached = NONE;
            self.again_at = now + PRUNE_ALL_EVERY;
        }
        self.walking = true;
    }
}

impl Machine {
    pub(super) fn begin_pruning(&mut self, now: Timestamp) {
        if self.config.retention.shortest().is_some() {
            self.timers.set(Alarm::Prune, now);
        }
    }

    /// The entry for the batch that is being closed, if it is time for one. A dispatcher that stops deletes nothing
    /// more.
    pub(super) fn next_prune(&mut self) -> Option<Prune> {
        let is_wanted = std::mem::take(&mut self.pruning.wanted) && !self.draining;
        is_wanted.then_some(Prune { after: self.pruning.reached, retention: self.config.retention })
    }

    pub(super) fn handle_pruned(&mut self, now: Timestamp, pruned: Pruned) {
        self.pruning.reached = pruned.reached;
        self.pruning.walking = pruned.more;
        self.timers.set(Alarm::Prune, now + if pruned.more { PRUNE_PAUSE } else { PRUNE_EVERY });
    }

    /// The batch did not fit on the disk. Deleting needs room too at first, so what must be stored goes before.
    pub(super) fn put_off_pruning(&mut self, now: Timestamp) {
        self.timers.set(Alarm::Prune, now + PRUNE_EVERY);
    }
}
