//! Who gets the next task.

use std::collections::BTreeMap;

use taskgrid_protocol::{Lease, TaskType, Timestamp};

use super::Machine;
use super::limits::{CLAIM_SLOTS_MAX, RUNNING_MAX};
use super::roster::{Kind, WorkerKey};
use crate::store::{Claim, Slot};

impl Machine {
    /// A slot for a new task of a type that has nothing pending, if a worker has one free. It is taken.
    pub(super) fn slot_for_new(&mut self, now: Timestamp, task_type: &TaskType) -> Option<(WorkerKey, Slot)> {
        if self.draining || self.attempts.len() >= RUNNING_MAX || self.roster.free().is_empty() {
            return None;
        }
        let state = self.types.get_mut(task_type)?;
        if !state.is_empty() {
            return None;
        }
        let worker = state.workers_in_turn().find(|worker| self.roster.available(now, *worker) > 0)?;
        state.turn_to_after(worker);
        Some((worker, self.take_slot(now, worker)))
    }

    /// Claims for as many waiting types and free slots as there are, one claim a type. The slots are taken
    /// until the claims are committed.
    pub(super) fn claims(&mut self, now: Timestamp) -> Vec<(Claim, Vec<WorkerKey>)> {
        if self.draining || self.attempts.len() >= RUNNING_MAX {
            return Vec::new();
        }
        let mut offers: BTreeMap<TaskType, Vec<(WorkerKey, u32)>> = BTreeMap::new();
        for worker in self.roster.free() {
            let Some(served) = self.roster.get(*worker).map(|worker| &worker.types) else { continue };
            // All of a worker's slots go to the type whose turn it is; the next one has its turn next.
            if let Some(task_type) = self.types.claimable(served).next() {
                let available = self.roster.available(now, *worker);
                offers.entry(task_type.clone()).or_default().push((*worker, available));
            }
        }
        offers.into_iter().map(|(task_type, offer)| self.claim(now, task_type, offer)).collect()
    }

    fn claim(
        &mut self,
        now: Timestamp,
        task_type: TaskType,
        mut offer: Vec<(WorkerKey, u32)>,
    ) -> (Claim, Vec<WorkerKey>) {
        self.types.claim_begins(&task_type);
        let mut workers = Vec::new();
        // One slot of each worker in turn, so that few tasks are spread over many workers.
        while workers.len() < CLAIM_SLOTS_MAX && !offer.is_empty() {
            offer.retain_mut(|(worker, available)| {
                if *available > 0 && workers.len() < CLAIM_SLOTS_MAX {
                    workers.push(*worker);
                    *available -= 1;
                }
                *available > 0
            });
        }
        let slots = workers.iter().map(|worker| self.take_slot(now, *worker)).collect();
        (Claim { task_type, slots }, workers)
    }

    fn take_slot(&mut self, now: Timestamp, worker: WorkerKey) -> Slot {
        self.roster.take_slot(now, worker);
        let found = self.roster.get(worker).expect("only workers of the roster are offered tasks");
        let process = found.kind.instance();
        let lease = (found.kind != Kind::Plain).then(|| Lease::generate(&mut self.rng, process));
        Slot { worker: found.address.clone(), lease }
    }
}
