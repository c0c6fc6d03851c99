//! Ended tasks go (R4).

use std::ops::Bound::{Excluded, Unbounded};

use taskgrid_protocol::{Json, TaskId, WallTime};

use super::MemoryStore;
use crate::store::rules::Cutoffs;
use crate::store::{PRUNE_BYTES_MAX, PRUNE_LOOKS, PRUNE_MAX, Prune, Pruned};

impl MemoryStore {
    pub(super) fn prune(&mut self, now: WallTime, prune: Prune) -> Pruned {
        let cutoffs = Cutoffs::new(now, prune.retention);
        let mut pruned = Pruned { deleted: 0, reached: prune.after, more: false };
        let Some(last) = cutoffs.last() else { return pruned };
        let mut bytes = 0;
        for _ in 0..PRUNE_LOOKS {
            let next = self.tasks.range((Excluded(pruned.reached), Unbounded)).next();
            let Some((id, task)) = next.filter(|(_, task)| task.created <= last) else { return pruned };
            let is_old = cutoffs.of(task.status).zip(task.completed).is_some_and(|(by, ended)| ended <= by);
            pruned.reached = *id;
            if is_old {
                bytes += task.payload.len() + task.result.as_ref().map_or(0, Json::len);
                self.delete(pruned.reached);
                pruned.deleted += 1;
            }
            if pruned.deleted == PRUNE_MAX || bytes >= PRUNE_BYTES_MAX {
                break;
            }
        }
        Pruned { more: true, ..pruned }
    }

    fn delete(&mut self, id: TaskId) {
        self.leave_sets(id);
        self.attempts.remove(&id);
        if let Some(key) = self.tasks.remove(&id).and_then(|task| task.key) {
            self.keys.remove(&key);
        }
    }
}
