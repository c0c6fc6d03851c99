//! Attempts that end: by time, by a lost worker, by order.

use std::time::Duration;

use rand_core::RngCore;
use taskgrid_protocol::body::TaskCancel;
use taskgrid_protocol::error::{TaskError, task_code};
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Lease, Message, TaskId, Timestamp};

use super::attempts::{Attempt, Stage};
use super::limits::{BACKOFF_FIRST, BACKOFF_MAX, UNANSWERED_MAX};
use super::roster::WorkerKey;
use super::{Alarm, Machine, Sending};
use crate::store::{Outcome, Release};

impl Machine {
    pub(super) fn handle_timed_out(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let error = TaskError {
            code: task_code::TIMEOUT.to_owned(),
            message: format!("the attempt at {} took longer than {} s", attempt.address, attempt.timeout.as_secs()),
        };
        let retry = self.backoff(attempt.number);
        self.cancel_at_worker(now, task);
        self.end_attempt(task, Outcome::Timeout, error, true, Some(retry));
    }

    /// Nothing was heard of an attempt for a whole lease (R14, R17, R25).
    pub(super) fn handle_lease_lost(&mut self, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let started = matches!(attempt.stage, Stage::Started(_));
        let plain = attempt.lease.is_none();
        // Silent here and at the name service, or replaced: the process is gone. Silent here alone, or with a
        // name service that cannot be asked, it may be a partition, which must not look like poison.
        let listed = self.roster.get(attempt.worker).is_some_and(|worker| worker.listed);
        let lost = !plain && (attempt.replaced || !listed && self.finder.has_told());
        // Of an older run that stands for it, and of what the dispatcher before this one has heard, it is not known whether
        // it has started.
        let unknown = attempt.also_known_as.is_some() || attempt.recovered;
        let charged = started || plain || lost || unknown;
        let (outcome, code) = if lost {
            (Outcome::WorkerLost, task_code::WORKER_LOST)
        } else {
            (Outcome::LeaseLost, task_code::LEASE_LOST)
        };
        let message = if attempt.replaced {
            format!("the process at {} that had the attempt is gone, another one is there", attempt.address)
        } else {
            format!("nothing was heard of the attempt at {} for a whole lease", attempt.address)
        };
        let retry = if charged { self.backoff(attempt.number) } else { Duration::ZERO };
        let error = TaskError { code: code.to_owned(), message };
        self.end_attempt(task, outcome, error, charged, Some(retry));
    }

    /// The registration of a plain worker has ended, and with it the only sign of life that it gives.
    pub(super) fn end_plain_attempts(&mut self, worker: WorkerKey) {
        let tasks: Vec<TaskId> = self.attempts.at(worker).collect();
        for task in tasks {
            let Some(attempt) = self.attempts.get(task) else { continue };
            if attempt.lease.is_none() && !attempt.ending {
                let message = format!("worker {} is no longer registered", attempt.address);
                let retry = self.backoff(attempt.number);
                let error = TaskError { code: task_code::LEASE_LOST.to_owned(), message };
                self.end_attempt(task, Outcome::LeaseLost, error, true, Some(retry));
            }
        }
    }

    /// The attempt has not reached the process that it was meant for: it costs nothing.
    pub(super) fn release(&mut self, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let error = TaskError { code: "REPLACED".to_owned(), message: format!("{} was replaced", attempt.address) };
        self.end_attempt(task, Outcome::Released, error, false, Some(Duration::ZERO));
    }

    /// Puts the end of an attempt into the open batch.
    pub(super) fn end_attempt(
        &mut self,
        task: TaskId,
        outcome: Outcome,
        error: TaskError,
        charged: bool,
        retry: Option<Duration>,
    ) {
        let Some(attempt) = self.attempts.get_mut(task) else { return };
        if attempt.ending {
            return;
        }
        attempt.ending = true;
        self.outbox.forget(&Sending::Task(task));
        self.outbox.forget(&Sending::Revoke(task));
        self.timers.cancel(&Alarm::Attempt(task));
        let release =
            Release { task, lease: attempt.lease.clone(), attempt: attempt.number, outcome, error, charged, retry };
        self.open.release(release);
    }

    /// The attempt is no longer current, by a commit: it is forgotten, and its slot is free.
    pub(super) fn forget_attempt(&mut self, now: Timestamp, task: TaskId) -> Option<Box<Attempt>> {
        self.release_slot(now, task);
        let attempt = self.attempts.remove(task)?;
        self.outbox.forget(&Sending::Task(task));
        self.outbox.forget(&Sending::Revoke(task));
        self.timers.cancel(&Alarm::Attempt(task));
        Some(attempt)
    }

    pub(super) fn release_slot(&mut self, now: Timestamp, task: TaskId) {
        if let Some(attempt) = self.attempts.get_mut(task)
            && attempt.holds_slot
        {
            attempt.holds_slot = false;
            let worker = attempt.worker;
            self.roster.free_slot(now, worker);
        }
    }

    /// Tells the worker of a leased attempt to stop it, until it answers; for one lease, after which a
    /// worker that lives has heard it from the answer to a heartbeat.
    pub(super) fn cancel_at_worker(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let address = attempt.address.clone();
        let leases = attempt.leases();
        self.send_cancels(now, task, &address, leases);
    }

    pub(super) fn send_cancels(
        &mut self,
        now: Timestamp,
        task: TaskId,
        address: &str,
        leases: impl Iterator<Item = Lease>,
    ) {
        let mut leases = leases.peekable();
        if leases.peek().is_none() {
            return;
        }
        let Some(addr) = self.resolver.resolve(now, address).any() else { return };
        for lease in leases {
            let beside = Beside { lease: Some(lease.clone()), ..Beside::default() };
            let body = Body::TaskCancel(TaskCancel { task_id: task, unless_started: false });
            let transmit = Message::new(beside, body).transmit(addr, false);
            if self.outbox.len() >= UNANSWERED_MAX {
                self.transmits.push_back(transmit);
                continue;
            }
            let patience = Patience::until(now + self.config.lease);
            let first = self.outbox.put(now, Sending::Cancel(task, lease), transmit, patience);
            self.transmits.push_back(first);
        }
    }

    /// How long to wait before the attempt after the `number`-th (R25).
    pub(super) fn backoff(&mut self, number: u32) -> Duration {
        let doubled = BACKOFF_FIRST.saturating_mul(1 << number.saturating_sub(1).min(20));
        doubled.min(BACKOFF_MAX).mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX))
    }
}
