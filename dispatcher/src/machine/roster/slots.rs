//! Who may be given a task now: slots that are free, and pauses.

use std::collections::BTreeSet;
use std::time::Duration;

use taskgrid_protocol::Timestamp;

use super::{Kind, Roster, Worker, WorkerKey};
use crate::machine::limits::REPORT_VALID_FOR;

impl Roster {
    pub(in crate::machine) fn free(&self) -> &BTreeSet<WorkerKey> {
        &self.free
    }

    /// How many tasks a worker may be given now.
    pub(in crate::machine) fn available(&self, now: Timestamp, key: WorkerKey) -> u32 {
        self.workers.get(&key).map_or(0, |worker| worker.available(now))
    }

    /// A slot is taken by an attempt or a claim.
    pub(in crate::machine) fn take_slot(&mut self, now: Timestamp, key: WorkerKey) {
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.used += 1;
            self.refresh(now, key);
        }
    }

    /// A slot is free again.
    pub(in crate::machine) fn free_slot(&mut self, now: Timestamp, key: WorkerKey) {
        if let Some(worker) = self.workers.get_mut(&key) {
            assert!(worker.used > 0, "a slot was freed that nobody had taken");
            worker.used -= 1;
            self.refresh(now, key);
        }
    }

    /// The worker said how many more tasks it can take.
    pub(in crate::machine) fn report_free(&mut self, now: Timestamp, key: WorkerKey, free: u32) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let ours = worker.capacity.saturating_sub(worker.used);
        worker.held = ours.saturating_sub(free);
        worker.held_until = now + REPORT_VALID_FOR;
        self.refresh(now, key);
    }

    /// The worker could not take a task: it is left alone for at least so long.
    pub(in crate::machine) fn report_busy(&mut self, now: Timestamp, key: WorkerKey, pause: Duration) {
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.busy_until = worker.busy_until.max(now + pause);
            self.refresh(now, key);
        }
    }

    /// When the next pause ends.
    pub(in crate::machine) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.next()
    }

    /// Workers whose pause has ended may be given tasks again.
    pub(in crate::machine) fn handle_alarms(&mut self, now: Timestamp) {
        while let Some(key) = self.alarms.pop_due(now) {
            self.refresh(now, key);
        }
    }

    /// Brings `free` and `alarms` in line with the worker, and forgets one that is of no use any more.
    pub(super) fn refresh(&mut self, now: Timestamp, key: WorkerKey) {
        let Some(worker) = self.workers.get(&key) else { return };
        let is_free = worker.available(now) > 0;
        if is_free {
            self.free.insert(key);
        } else {
            self.free.remove(&key);
        }
        match worker.wakes_at(now).filter(|_| worker.is_registered() && !is_free) {
            Some(at) => self.alarms.set(key, at),
            None => self.alarms.cancel(&key),
        }
        if worker.used == 0 && !worker.is_registered() {
            if self.by_address.get(&worker.address) == Some(&key) {
                self.by_address.remove(&worker.address);
            }
            let gone = self.workers.remove(&key);
            if let Some(Worker { kind: Kind::Plain, address, host: Some(host), .. }) = gone {
                self.note_departed(address, host);
            }
        }
    }
}

impl Worker {
    /// How many more tasks it may be given: the smaller of its own count and ours.
    fn available(&self, now: Timestamp) -> u32 {
        if self.types.is_empty() || now < self.busy_until {
            return 0;
        }
        let held = if now < self.held_until { self.held } else { 0 };
        self.capacity.saturating_sub(self.used).saturating_sub(held)
    }

    /// When its pause, or its word on its slots, ends: with either it may become available.
    fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let held_until = (self.held > 0).then_some(self.held_until);
        [Some(self.busy_until), held_until].into_iter().flatten().filter(|at| now < *at).min()
    }
}
