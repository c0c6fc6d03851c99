//! Attempts that are running: handing them over and keeping them.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{Progress, Status, TaskObject};
use taskgrid_protocol::error::{TaskError, task_code};
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Instance, Lease, Message, Resolved, TaskId, TaskType, Timestamp};

use super::limits::{LOOK_AGAIN_AFTER, PLAIN_SLOT_FREE_AFTER, SILENT_AFTER, TASK_RESEND_MAX, TIMEOUT_MARGIN};
use super::roster::{Kind, WorkerKey};
use super::{Alarm, Machine, Sending};
use crate::store::{Outcome, Running};

/// How far the hand-over of an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its worker's name is being looked up.
    Unsent,
    /// TASK has left at this moment.
    Sent(Timestamp),
    /// The worker has it, and has not said that its handler has started.
    Held,
    /// The worker has said that its handler has started, first at this moment.
    Started(Timestamp),
}

/// The current attempt of a running task.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) task_type: TaskType,
    pub(super) number: u32,
    /// `None`: at a plain worker.
    pub(super) lease: Option<Lease>,
    /// The lease of an older attempt under which the same worker still runs the task (R22). What it says of
    /// that one, it says of this one.
    pub(super) also_known_as: Option<Lease>,
    pub(super) worker: WorkerKey,
    /// The process that it was given to, where that is known. Until a restarted dispatcher knows: nobody.
    pub(super) instance: Option<Instance>,
    /// It was running when the dispatcher started.
    pub(super) recovered: bool,
    /// Another process has taken its worker's address (R18).
    pub(super) replaced: bool,
    pub(super) address: Arc<str>,
    pub(super) stage: Stage,
    /// Needed for TASK until the worker has it.
    task: Option<Box<Running>>,
    pub(super) timeout: Duration,
    pub(super) lease_until: Timestamp,
    /// Whether it counts among its worker's used slots.
    pub(super) holds_slot: bool,
    /// Its end is in a batch.
    pub(super) ending: bool,
    /// What its handler has told last. Not in the table: it is old after a second, and a heartbeat must need no disk.
    pub(super) progress: Option<Progress>,
}

impl Attempt {
    pub(super) fn is_under(&self, lease: &Lease) -> bool {
        self.lease.as_ref() == Some(lease) || self.also_known_as.as_ref() == Some(lease)
    }

    /// The leases under which its worker may be running the task.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> + use<> {
        [self.lease.clone(), self.also_known_as.clone()].into_iter().flatten()
    }

    /// Whether this is the process that its lease was issued to, if that can be told.
    pub(super) fn was_given_to(&self, process: &Instance) -> Option<bool> {
        self.lease.as_ref()?.is_for(process)
    }

    /// When the dispatcher ends it, whatever the worker says (R24).
    fn timeout_at(&self) -> Option<Timestamp> {
        match (self.stage, &self.lease) {
            (Stage::Started(at), Some(_)) | (Stage::Sent(at), None) => Some(at + self.timeout + TIMEOUT_MARGIN),
            _ => None,
        }
    }

    /// Whether its worker has said that it has it.
    pub(super) fn is_acknowledged(&self) -> bool {
        matches!(self.stage, Stage::Held | Stage::Started(_))
    }

    /// When a worker that has not answered its TASK counts as silent (R13).
    pub(super) fn silent_at(&self) -> Option<Timestamp> {
        match (self.stage, &self.lease) {
            (Stage::Sent(at), Some(_)) => Some(at + SILENT_AFTER),
            _ => None,
        }
    }

    /// When a plain worker's silence frees its slot.
    fn slot_until(&self) -> Option<Timestamp> {
        match (self.stage, &self.lease) {
            (Stage::Sent(at), None) if self.holds_slot => Some(at + PLAIN_SLOT_FREE_AFTER),
            _ => None,
        }
    }
}

/// The current attempts of all running tasks.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Boxed, since a map moves its entries about as others come and go.
    by_task: BTreeMap<TaskId, Box<Attempt>>,
    by_worker: BTreeMap<(WorkerKey, TaskId), ()>,
}

impl Attempts {
    pub(super) fn len(&self) -> usize {
        self.by_task.len()
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&Attempt> {
        self.by_task.get(&task).map(|attempt| &**attempt)
    }

    pub(super) fn get_mut(&mut self, task: TaskId) -> Option<&mut Attempt> {
        self.by_task.get_mut(&task).map(|attempt| &mut **attempt)
    }

    /// The attempts at one worker.
    pub(super) fn at(&self, worker: WorkerKey) -> impl Iterator<Item = TaskId> {
        let range: Range<'_, (WorkerKey, TaskId), ()> =
            self.by_worker.range((worker, TaskId(i64::MIN))..=(worker, TaskId(i64::MAX)));
        range.map(|((_, task), ())| *task)
    }

    fn insert(&mut self, task: TaskId, attempt: Attempt) {
        self.by_worker.insert((attempt.worker, task), ());
        let before = self.by_task.insert(task, Box::new(attempt));
        assert!(before.is_none(), "task {task} was handed over while it was running");
    }

    /// The address of its worker is served by another process now.
    pub(super) fn move_to(&mut self, task: TaskId, worker: WorkerKey) {
        if let Some(attempt) = self.by_task.get_mut(&task) {
            self.by_worker.remove(&(attempt.worker, task));
            attempt.worker = worker;
            self.by_worker.insert((worker, task), ());
        }
    }

    pub(super) fn remove(&mut self, task: TaskId) -> Option<Box<Attempt>> {
        let attempt = self.by_task.remove(&task)?;
        self.by_worker.remove(&(attempt.worker, task));
        Some(attempt)
    }
}

impl Machine {
    /// Takes up a row that was running when the last dispatcher stopped. For one lease it is left to its
    /// worker, which is asked again at once if it understands leases (R26).
    pub(super) fn recover(&mut self, now: Timestamp, running: Running) {
        let worker = self.roster.recover(&running.worker, running.lease.is_none());
        self.admit_type(now, &running.task_type);
        self.roster.take_slot(now, worker);
        let stage = if running.lease.is_some() { Stage::Unsent } else { Stage::Sent(now) };
        // Also for a plain worker: its results are known by the host that they come from.
        self.resolver.resolve(now, &running.worker);
        self.begin(now, worker, running, stage, true);
    }

    /// The claim of an attempt is committed: it is handed over.
    pub(super) fn hand_over(&mut self, now: Timestamp, worker: WorkerKey, running: Running) {
        self.begin(now, worker, running, Stage::Unsent, false);
    }

    fn begin(&mut self, now: Timestamp, worker: WorkerKey, running: Running, stage: Stage, recovered: bool) {
        let task = running.id;
        // Whether the process that had it is still there, the name service has yet to tell; until then TASK
        // goes to whoever holds it already.
        let nobody = Some(Instance::nobody());
        let instance = match &running.lease {
            Some(lease) if recovered => nobody.filter(|nobody| lease.is_for(nobody).is_some()),
            _ => self.roster.get(worker).and_then(|worker| worker.kind.instance().cloned()),
        };
        let lease_span = if running.lease.is_some() { self.config.lease } else { self.config.plain_lease };
        let attempt = Attempt {
            task_type: running.task_type.clone(),
            number: running.attempt,
            lease: running.lease.clone(),
            also_known_as: None,
            worker,
            instance,
            recovered,
            replaced: false,
            address: running.worker.clone(),
            stage,
            timeout: Duration::from_secs(running.timeout_s),
            task: Some(Box::new(running)),
            lease_until: now + lease_span,
            holds_slot: true,
            ending: false,
            progress: None,
        };
        self.attempts.insert(task, attempt);
        if stage == Stage::Unsent {
            self.send_task(now, task);
        }
        self.set_attempt_alarm(now, task);
    }

    /// Sends TASK for the first time, if the worker's address is known and not old: containers get new
    /// ones, and a plain worker is sent to once only.
    pub(super) fn send_task(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get_mut(task) else { return };
        let (Stage::Unsent, Some(running)) = (attempt.stage, &attempt.task) else { return };
        // An attempt whose end is on its way to the table does not begin any more.
        if attempt.ending || attempt.replaced && attempt.recovered {
            return;
        }
        let is_former = attempt.instance.as_ref().is_some_and(|it| self.roster.is_former(now, &attempt.address, it));
        let took_place = attempt.replaced || self.roster.at(&attempt.address) != Some(attempt.worker);
        if took_place || is_former && !attempt.recovered {
            // Another process took the address before TASK could leave (R18).
            return self.release(task);
        }
        let Resolved::Fresh(addr) = self.resolver.resolve(now, &attempt.address) else { return };
        self.roster.set_host(attempt.worker, addr.ip());
        let Some(worker) = self.roster.get(attempt.worker) else { return };
        let transmit = task_message(running, attempt.instance.clone()).transmit(addr, worker.batch);
        if transmit.bytes.len() > worker.max_datagram {
            let error = TaskError {
                code: task_code::TOO_LARGE_FOR_WORKER.to_owned(),
                message: format!(
                    "TASK has {} bytes and worker {} takes {}",
                    transmit.bytes.len(),
                    attempt.address,
                    worker.max_datagram
                ),
            };
            return self.end_attempt(task, Outcome::Rejected, error, true, None);
        }
        attempt.stage = Stage::Sent(now);
        if attempt.lease.is_some() {
            let first = self.outbox.put(now, Sending::Task(task), transmit, Patience::forever(TASK_RESEND_MAX));
            self.transmits.push_back(first);
        } else {
            attempt.task = None;
            self.transmits.push_back(transmit);
        }
    }

    /// A name was looked up: what waited for it is sent, and what is re-sent goes to the new address.
    pub(super) fn send_unsent(&mut self, now: Timestamp, name: &str) {
        let Some(worker) = self.roster.at(name) else { return };
        let Some(addr) = self.resolver.resolve(now, name).any() else { return };
        let moved = self.roster.set_host(worker, addr.ip());
        let waiting: Vec<TaskId> = self.attempts.at(worker).collect();
        for task in waiting {
            if moved {
                self.outbox.redirect(now, &Sending::Task(task), addr);
                self.outbox.redirect(now, &Sending::Revoke(task), addr);
            }
            self.send_task(now, task);
            self.set_attempt_alarm(now, task);
        }
    }

    /// The worker has the attempt: its lease begins anew (R16). Once its handler has started, no word that it waits counts
    /// any more: that one was long under way.
    pub(super) fn renew(&mut self, now: Timestamp, task: TaskId, has_started: bool) {
        let lease = self.config.lease;
        let Some(attempt) = self.attempts.get_mut(task) else { return };
        attempt.lease_until = now + lease;
        let is_answer = !attempt.is_acknowledged();
        let stage = match attempt.stage {
            Stage::Started(_) => return,
            _ if has_started => Stage::Started(now),
            _ => Stage::Held,
        };
        attempt.stage = stage;
        if is_answer {
            attempt.task = None;
            self.outbox.answered(now, &Sending::Task(task));
            self.outbox.answered(now, &Sending::Revoke(task));
        }
        self.set_attempt_alarm(now, task);
    }

    /// Only ever set earlier than needed: renewing a lease moves no alarm, the alarm looks at the lease.
    pub(super) fn set_attempt_alarm(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let unanswered = matches!(attempt.stage, Stage::Unsent | Stage::Sent(_)) && attempt.lease.is_some()
            || attempt.stage == Stage::Unsent;
        let is_name = || attempt.address.parse::<std::net::SocketAddr>().is_err();
        let resolve_at = (unanswered && is_name()).then_some(now + LOOK_AGAIN_AFTER);
        let ask_at = attempt.silent_at().filter(|_| !self.outbox.contains(&Sending::Revoke(task)));
        let ask_at = ask_at.map(|at| at.max(now + LOOK_AGAIN_AFTER));
        let next = [Some(attempt.lease_until), attempt.timeout_at(), attempt.slot_until(), resolve_at, ask_at];
        if let Some(at) = next.into_iter().flatten().min() {
            self.timers.set(Alarm::Attempt(task), at);
        }
    }

    pub(super) fn handle_attempt_alarm(&mut self, now: Timestamp, task: TaskId) {
        let Some(attempt) = self.attempts.get(task) else { return };
        if attempt.ending {
            return;
        }
        if attempt.slot_until().is_some_and(|at| at <= now) {
            self.release_slot(now, task);
        }
        let Some(attempt) = self.attempts.get(task) else { return };
        if attempt.timeout_at().is_some_and(|at| at <= now) {
            self.handle_timed_out(now, task);
        } else if attempt.lease_until <= now {
            self.handle_lease_lost(task);
        } else {
            let (address, is_unanswered) = (attempt.address.clone(), matches!(attempt.stage, Stage::Sent(_)));
            if is_unanswered {
                // Copies went out in vain: the worker may have moved (R28).
                self.resolver.distrust(&address);
            }
            self.resolver.resolve(now, &address);
            self.send_task(now, task);
            self.ask_if_silent(now, task);
            self.set_attempt_alarm(now, task);
        }
    }

    pub(super) fn is_plain(&self, worker: WorkerKey) -> bool {
        self.roster.get(worker).is_some_and(|worker| worker.kind == Kind::Plain)
    }
}

/// TASK: exactly the task object under `data`, and what only a leasing worker reads beside it.
fn task_message(running: &Running, instance: Option<Instance>) -> Message {
    let beside = match &running.lease {
        Some(lease) => Beside {
            lease: Some(lease.clone()),
            instance,
            attempt: Some(running.attempt),
            timeout_s: Some(running.timeout_s),
            ..Beside::default()
        },
        None => Beside::default(),
    };
    let task = TaskObject {
        id: running.id,
        task_type: running.task_type.clone(),
        payload: running.payload.clone(),
        result: None,
        status: Status::Running,
        timestamp_created: running.created,
        timestamp_completed: None,
        assigned_worker: Some(running.worker.to_string()),
    };
    Message::new(beside, Body::Task(task))
}
