//! Hands over due tasks in the order of work.

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;

use super::{Clock, MemoryStore, running_row};
use crate::store::rules::Places;
use crate::store::{Claim, Claimed, Rest};

impl MemoryStore {
    pub(super) fn claim(&mut self, clock: Clock, claim: &Claim) -> Claimed {
        let mut places = Places::new(&claim.slots);
        let in_order = self.pending.get(&claim.task_type).into_iter().flatten().map(|(_, _, id)| *id);
        let due = in_order.filter(|id| self.tasks[id].is_due(clock));
        let chosen: Vec<TaskId> = due.take(claim.slots.len()).collect();
        let tasks = chosen.into_iter().map(|id| {
            let (index, slot) = places.take(self.tasks[&id].worker.as_deref());
            self.change(id, |task| {
                task.status = Status::Running;
                task.attempt += 1;
                task.worker = Some(slot.worker.clone());
                task.lease = slot.lease.clone();
                task.dispatched = Some(clock.stamp);
            });
            (index, running_row(id, &self.tasks[&id]))
        });
        Claimed { tasks: tasks.collect(), rest: self.rest(clock, claim) }
    }

    fn rest(&self, clock: Clock, claim: &Claim) -> Rest {
        let left = || self.pending.get(&claim.task_type).into_iter().flatten().map(|(_, _, id)| &self.tasks[id]);
        if left().any(|task| task.is_due(clock)) {
            return Rest::Ready;
        }
        left().map(|task| task.scheduled).min().map_or(Rest::Empty, |first| Rest::DueIn(first.since(clock.now)))
    }
}
