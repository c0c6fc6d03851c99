//! Asking after attempts: of a worker that does not answer (R13), and of the process that has taken the place
//! of another (R18).

use taskgrid_protocol::body::TaskCancel;
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Instance, Message, TaskId, Timestamp};

use super::attempts::{Attempt, Stage};
use super::limits::{LOOK_AGAIN_AFTER, REPLACED_SILENCE, TASK_RESEND_MAX};
use super::roster::WorkerKey;
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

    /// Another process has taken the address of this one, if it is not merely gone. It is asked about the
    /// attempts, and they end soon unless the old process is heard: an ordinary lease is for those that may
    /// only be out of reach. They take up no slot of the new one.
    pub(super) fn handle_replaced_worker(&mut self, now: Timestamp, replaced: WorkerKey) {
        let Some(address) = self.roster.get(replaced).map(|worker| worker.address.clone()) else { return };
        let Some(successor) = self.roster.at(&address).filter(|key| *key != replaced) else { return };
        self.resolver.distrust(&address);
        let tasks: Vec<TaskId> = self.attempts.at(replaced).collect();
        for task in tasks {
            self.release_slot(now, task);
            self.attempts.move_to(task, successor);
            let Some(attempt) = self.attempts.get(task).filter(|attempt| !attempt.ending) else { continue };
            if attempt.stage == Stage::Unsent && !attempt.recovered {
                self.release(task);
                continue;
            }
            self.doubt(now, task);
            self.revoke(now, task);
            self.set_attempt_alarm(now, task);
        }
    }

    /// Another process is at the address of the one that has this attempt. It ends soon, unless that one is heard.
    fn doubt(&mut self, now: Timestamp, task: TaskId) {
        if let Some(attempt) = self.attempts.get_mut(task).filter(|attempt| !attempt.ending) {
            attempt.replaced = true;
            attempt.lease_until = attempt.lease_until.min(now + REPLACED_SILENCE);
            self.set_attempt_alarm(now, task);
        }
    }

    /// The name service has told which process is at an address whose attempts were found in the table (R26).
    pub(super) fn identify(&mut self, now: Timestamp, worker: WorkerKey) {
        let Some(process) = self.roster.get(worker).and_then(|worker| worker.kind.instance().cloned()) else { return };
        let tasks: Vec<TaskId> = self.attempts.at(worker).collect();
        for task in tasks {
            let Some(attempt) = self.attempts.get(task).filter(|attempt| attempt.recovered) else { continue };
            if attempt.was_given_to(&process) != Some(false) {
                self.confirm(now, task, process.clone());
            } else {
                self.doubt(now, task);
            }
        }
    }

    /// This process is the one that the attempt was given to: now it may start, if it was lost on the way.
    fn confirm(&mut self, now: Timestamp, task: TaskId, process: Instance) {
        let Some(attempt) = self.attempts.get_mut(task).filter(|attempt| !attempt.ending) else { return };
        if attempt.instance.replace(process) == attempt.instance || !matches!(attempt.stage, Stage::Sent(_)) {
            return;
        }
        attempt.stage = Stage::Unsent;
        self.outbox.forget(&Sending::Revoke(task));
        self.send_task(now, task);
        self.set_attempt_alarm(now, task);
    }

    /// A process, `process` if it says so, does not hold an attempt that was meant for another one. If that one has
    /// acknowledged it, it may live somewhere else and be heard yet. If it never has, it is not waited for:
    /// where a worker was started anew, its tasks go on at once.
    pub(super) fn handle_denied(&mut self, now: Timestamp, task: TaskId, process: Option<Instance>) {
        let Some(attempt) = self.attempts.get(task) else { return };
        if let Some(process) = process {
            if attempt.instance.as_ref() == Some(&process) {
                // The answer to a copy from before that was known.
                return;
            }
            if attempt.was_given_to(&process) == Some(true) {
                return self.confirm(now, task, process);
            }
            if self.roster.is_former(now, &attempt.address, &process) {
                return self.handle_misdirected(now, task);
            }
        }
        self.outbox.answered(now, &Sending::Revoke(task));
        let (worker, may_be_heard) = (attempt.worker, attempt.is_acknowledged());
        if !attempt.replaced {
            self.doubt(now, task);
            self.roster.deny(now, worker);
            self.look_up_again(now, worker);
        }
        if !may_be_heard {
            self.handle_lease_lost(task);
        }
    }

    /// A process has answered that is no longer the one at this address: the name still leads to where it lives. Of the
    /// one that the attempt was meant for that says nothing, and it has not been reached.
    fn handle_misdirected(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        self.resolver.distrust(&attempt.address);
        if attempt.replaced || attempt.recovered || !matches!(attempt.stage, Stage::Sent(_)) {
            return;
        }
        // Asking faster would not make the name server learn faster.
        self.roster.report_busy(now, attempt.worker, LOOK_AGAIN_AFTER);
        self.release(task);
    }

    /// From now on this is asked in the place of TASK. TASK_REJECT{cancelled}: it never starts there.
    /// TASK_ACK: it has started there, and stays.
    fn revoke(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        self.outbox.forget(&Sending::Task(task));
        // A plain worker would take it for a TASK.
        let Some(addr) = self.resolver.resolve(now, &attempt.address).any().filter(|_| !self.is_plain(attempt.worker))
        else {
            return;
        };
        let beside = Beside { lease: attempt.lease.clone(), instance: attempt.instance.clone(), ..Beside::default() };
        let body = Body::TaskCancel(TaskCancel { task_id: task, unless_started: true });
        let question = Message::new(beside, body).transmit(addr, false);
        let first = self.outbox.put(now, Sending::Revoke(task), question, Patience::forever(TASK_RESEND_MAX));
        self.transmits.push_back(first);
    }
}
