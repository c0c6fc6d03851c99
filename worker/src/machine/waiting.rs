//! Tasks that were taken beyond the slots. They are started in the order in which they came, each when a handler has
//! ended: so a slot need not wait for its last result to be stored, and for the next task to come.

use std::collections::BTreeMap;
use std::time::Duration;

use taskgrid_protocol::Timestamp;
use taskgrid_protocol::body::RejectReason;

use super::limits::ACK_AFTER;
use super::memory::Name;
use super::offers::waiting_ack;
use super::{Alarm, Machine, RunKey, Task};

/// An attempt whose handler has not started.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: Name,
    pub(super) task: Task,
    pub(super) timeout: Duration,
    pub(super) came: Timestamp,
}

/// Those that wait, at most [`Config::prefetch`](super::Config). Their keys rise, so the first is the oldest.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<RunKey, Given>);

impl Waiting {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

impl Machine {
    /// Whether a handler can be started at once. Then nothing waits.
    pub(super) fn has_slot(&self) -> bool {
        self.runs.count() < self.config.concurrency
    }

    pub(super) fn wait(&mut self, now: Timestamp, key: RunKey, given: Given) {
        self.timers.set(Alarm::Run(key), now + ACK_AFTER);
        self.waiting.0.insert(key, given);
    }

    /// Slots have become free: they are for those that have waited longest.
    pub(super) fn start_waiting(&mut self, now: Timestamp) {
        while self.has_slot() {
            let Some((key, given)) = self.waiting.0.pop_first() else { return };
            self.memory.start(&given.name);
            self.begin(now, key, given);
        }
    }

    /// It has waited for so long that its dispatcher would send TASK again (R13).
    pub(super) fn acknowledge_waiting(&mut self, key: RunKey) {
        let Some(given) = self.waiting.0.get(&key) else { return };
        let name = given.name.clone();
        let Some(attempt) = self.memory.get(&name) else { return };
        let (task, route) = (attempt.task.0, attempt.route);
        self.send_ack(&name, route, waiting_ack(task));
    }

    /// It will not be started.
    pub(super) fn dismiss(&mut self, key: RunKey) {
        self.waiting.0.remove(&key);
        self.timers.cancel(&Alarm::Run(key));
    }

    /// The worker stops: what has not started goes to others.
    pub(super) fn give_back_waiting(&mut self, now: Timestamp) {
        for (key, given) in std::mem::take(&mut self.waiting.0) {
            self.timers.cancel(&Alarm::Run(key));
            self.give_back(now, given.name, RejectReason::Draining);
        }
    }

    /// The handlers of some types are gone. The name services hear of it in a moment; until then the dispatcher asks
    /// again.
    pub(super) fn give_back_unserved(&mut self, now: Timestamp) {
        let types = &self.config.types;
        let unserved = self.waiting.0.extract_if(.., |_, given| !types.contains(&given.task.task_type));
        for (key, given) in unserved.collect::<Vec<_>>() {
            self.timers.cancel(&Alarm::Run(key));
            self.give_back(now, given.name, RejectReason::Busy);
        }
    }
}
