//! A store that forgets everything with its process: the reference semantics, in plain maps.
//!
//! Tests compare the other stores with it, and a simulator can keep a clone of it as "what is on the disk".

mod changes;
mod claims;
mod prune;
mod reads;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{Priority, Status};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{FileId, Json, Key, Lease, TaskId, TaskType, WallTime};

use super::identity::LEAP;
use super::rules::{self, Past, Standing};
use super::{Answer, Batch, Identity, Opened, Outcomes, Query, Running, Store, StoreError};

/// A table of tasks in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    /// `None` until it is opened.
    identity: Option<Identity>,
    /// Not opened since it was copied.
    is_copy: bool,
    tasks: BTreeMap<TaskId, Task>,
    attempts: BTreeMap<TaskId, Vec<Attempt>>,
    keys: BTreeMap<Key, TaskId>,
    pending: BTreeMap<TaskType, BTreeSet<Place>>,
    expiring: BTreeSet<(WallTime, TaskId)>,
    newest: i64,
    /// The latest time that was stored; no later one is earlier.
    latest: WallTime,
}

/// A pending task's place in the order of work.
type Place = (Reverse<Priority>, WallTime, TaskId);

#[derive(Clone, Debug)]
struct Task {
    task_type: TaskType,
    payload: Json,
    status: Status,
    priority: Priority,
    attempt: u32,
    max_attempts: u32,
    round: u32,
    timeout_s: u64,
    key: Option<Key>,
    worker: Option<Arc<str>>,
    lease: Option<Lease>,
    result: Option<Json>,
    error: Option<TaskError>,
    created: WallTime,
    scheduled: WallTime,
    dispatched: Option<WallTime>,
    completed: Option<WallTime>,
    not_before: Option<WallTime>,
    expires: Option<WallTime>,
}

#[derive(Clone, Debug)]
struct Attempt {
    past: Past,
    charged: bool,
    ended: WallTime,
}

/// The times of one batch.
#[derive(Clone, Copy)]
struct Clock {
    /// For what is due.
    now: WallTime,
    /// For what is stored: never before an earlier one.
    stamp: WallTime,
}

impl Task {
    fn standing(&self) -> Standing<'_> {
        Standing {
            status: self.status,
            round: self.round,
            worker: self.worker.as_deref(),
            lease: self.lease.as_ref().map(Lease::as_str),
        }
    }

    fn place(&self, id: TaskId) -> Place {
        (Reverse(self.priority), self.scheduled, id)
    }
}

impl Store for MemoryStore {
    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
        self.latest = self.latest_time();
        let identity = self.settle_identity(fresh);
        let running = self.tasks.iter().filter(|(_, task)| task.status == Status::Running);
        Ok(Opened {
            identity,
            running: running.map(|(id, task)| running_row(*id, task)).collect(),
            pending_types: self.pending.keys().cloned().collect(),
            next_expiry: self.next_expiry(now),
            pending: self.pending_count(),
        })
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        self.latest = self.latest.max(rules::storable(now));
        let clock = Clock { now, stamp: self.latest };
        Ok(Outcomes {
            finishes: batch.finishes.iter().map(|finish| self.finish(clock, finish)).collect(),
            releases: batch.releases.iter().map(|release| self.release(clock, release)).collect(),
            cancels: batch.cancels.iter().map(|id| self.cancel(clock, *id)).collect(),
            retries: batch.retries.iter().map(|id| self.retry(clock, *id)).collect(),
            expired: if batch.expire { self.expire(clock) } else { Vec::new() },
            pruned: batch.prune.map(|prune| self.prune(now, prune)),
            inserts: batch.inserts.iter().map(|insert| self.insert(clock, insert)).collect(),
            claims: batch.claims.iter().map(|claim| self.claim(clock, claim)).collect(),
            next_expiry: if batch.expire { self.next_expiry(now) } else { None },
            pending: self.pending_count(),
        })
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        Ok(self.answer(query))
    }
}

impl MemoryStore {
    /// A copy, as `taskgrid backup` makes it: who opens it first leaves numbers out, and gives it an id of its own.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { is_copy: true, ..self.clone() }
    }

    fn settle_identity(&mut self, fresh: FileId) -> Identity {
        let identity = self.identity.get_or_insert_with(|| Identity { id: fresh, ..Identity::default() });
        if std::mem::take(&mut self.is_copy) {
            identity.former.push((identity.id, TaskId(self.newest)));
            identity.former.sort();
            identity.id = fresh;
            self.newest += LEAP;
        }
        identity.clone()
    }

    /// The latest of the times that a later one may have to follow: the newest task's creation, the
    /// hand-over of a running one, and the end of the newest past attempt.
    fn latest_time(&self) -> WallTime {
        let created = self.tasks.values().next_back().map(|task| task.created);
        let running = self.tasks.values().filter(|task| task.status == Status::Running);
        let dispatched = running.filter_map(|task| task.dispatched).max();
        let ended = self.attempts.values().flatten().map(|attempt| attempt.ended).max();
        [created, dispatched, ended].into_iter().flatten().max().unwrap_or_default()
    }

    fn pending_count(&self) -> u64 {
        self.pending.values().map(|places| places.len() as u64).sum()
    }

    fn is_due(&self, id: TaskId, now: WallTime) -> bool {
        let task = &self.tasks[&id];
        let ended = self.attempts.get(&id).into_iter().flatten().map(|attempt| attempt.ended);
        rules::is_due(task.scheduled, task.created, ended.chain(task.dispatched).max(), now)
    }

    fn next_expiry(&self, now: WallTime) -> Option<Duration> {
        self.expiring.first().map(|(expires, _)| expires.since(now))
    }

    /// Changes a task. All changes go this way, so that the sets follow.
    fn change<R>(&mut self, id: TaskId, change: impl FnOnce(&mut Task) -> R) -> R {
        self.leave_sets(id);
        let outcome = change(self.tasks.get_mut(&id).expect("only a task that was found is changed"));
        self.enter_sets(id);
        outcome
    }

    fn enter_sets(&mut self, id: TaskId) {
        let task = &self.tasks[&id];
        if task.status == Status::Pending {
            self.pending.entry(task.task_type.clone()).or_default().insert(task.place(id));
        }
        if let Some(expires) = task.expires
            && !task.status.is_ended()
        {
            self.expiring.insert((expires, id));
        }
    }

    fn leave_sets(&mut self, id: TaskId) {
        let task = &self.tasks[&id];
        if let Some(places) = self.pending.get_mut(&task.task_type) {
            places.remove(&task.place(id));
            if places.is_empty() {
                self.pending.remove(&task.task_type);
            }
        }
        if let Some(expires) = task.expires {
            self.expiring.remove(&(expires, id));
        }
    }
}

fn running_row(id: TaskId, task: &Task) -> Running {
    Running {
        id,
        task_type: task.task_type.clone(),
        payload: task.payload.clone(),
        attempt: task.attempt,
        timeout_s: task.timeout_s,
        created: task.created,
        worker: task.worker.clone().expect("a running task has a worker"),
        lease: task.lease.clone(),
    }
}
