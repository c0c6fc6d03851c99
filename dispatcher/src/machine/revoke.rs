//! Moving an attempt that its worker does not answer for, without running it twice (R13).

use taskgrid_protocol::body::TaskCancel;
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Message, TaskId, Timestamp};

use super::attempts::Attempt;
use super::limits::TASK_RESEND_MAX;
use super::{Machine, Sending};

impl Machine {
    /// Asks a worker that does not answer its TASK to forget it, if another one could run it meanwhile. Until
    /// the worker has answered, the attempt stays where it is, for as long as its lease.
    pub(super) fn ask_if_silent(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let is_silent = attempt.silent_at().is_some_and(|at| at <= now);
        if is_silent && !self.outbox.contains(&Sending::Revoke(task)) && self.another_is_free(now, attempt) {
            self.revoke(now, task);
        }
    }

    fn another_is_free(&self, now: Timestamp, attempt: &Attempt) -> bool {
        let Some(state) = self.types.get(&attempt.task_type) else { return false };
        let is_free = |worker| worker != attempt.worker && self.roster.available(now, worker) > 0;
        !self.roster.free().is_empty() && state.workers().iter().copied().any(is_free)
    }

    /// From now on this is asked in the place of TASK. TASK_REJECT{cancelled}: it never starts there.
    /// TASK_ACK: it has started there, and stays.
    fn revoke(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let Some(addr) = self.resolver.resolve(now, &attempt.address).any() else { return };
        let beside = Beside { lease: attempt.lease.clone(), ..Beside::default() };
        let body = Body::TaskCancel(TaskCancel { task_id: task, unless_started: true });
        let question = Message::new(beside, body).transmit(addr, false);
        self.outbox.forget(&Sending::Task(task));
        let first = self.outbox.put(now, Sending::Revoke(task), question, Patience::forever(TASK_RESEND_MAX));
        self.transmits.push_back(first);
    }
}
