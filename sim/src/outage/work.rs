//! A seeded stream of batches and checkpoints, as busy clients, workers and people would cause them.

use std::collections::VecDeque;
use std::time::Duration;

use taskgrid_dispatcher::store::{
    Batch, Claim, End, Finish, Insert, Opened, Outcome, Outcomes, Proof, Prune, Release, Retention, Running, Slot,
};
use taskgrid_protocol::body::Priority;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Json, Key, Lease, TaskId, TaskType, WallTime};

use super::rig::newest;
use crate::dice::Dice;

const TYPES: [&str; 2] = ["a", "b"];

/// Few, so that many are known already.
const KEYS: u64 = 40;

/// Attempts that may still bring something; more would mostly be of tasks that have ended.
const ATTEMPTS_MAX: usize = 12;

/// What the store is asked next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Apply(WallTime, Box<Batch>),
    Checkpoint {
        truncate: bool,
    },
    /// Another program begins to read, or ends: meanwhile a checkpoint copies only a part.
    Reader,
}

pub(super) struct Work {
    pub(super) now: WallTime,
    /// No task has a higher number.
    pub(super) newest: i64,
    dice: Dice,
    attempts: VecDeque<Running>,
    leases: u64,
}

impl Work {
    pub(super) fn new(seed: u64) -> Self {
        let now = WallTime::from_millis(1_767_225_600_000);
        Self { now, newest: 0, dice: Dice::new(seed), attempts: VecDeque::new(), leases: 0 }
    }

    pub(super) fn next(&mut self) -> Step {
        match self.dice.range(0, 100) {
            0..10 => Step::Checkpoint { truncate: false },
            10..15 => Step::Checkpoint { truncate: true },
            15..25 => Step::Reader,
            _ => Step::Apply(self.tick(), Box::new(self.batch())),
        }
    }

    fn tick(&mut self) -> WallTime {
        self.now = self.now + Duration::from_millis(self.dice.range(0, 500));
        self.now
    }

    /// What came of a batch.
    pub(super) fn learn(&mut self, outcomes: &Outcomes) {
        self.newest = self.newest.max(newest(outcomes));
        let claimed = outcomes.claims.iter().flat_map(|claimed| &claimed.tasks);
        self.remember(claimed.map(|(_, running)| running.clone()).collect());
    }

    /// What was running when the store was opened. A batch whose outcome was unknown may have stored it.
    pub(super) fn reopen(&mut self, opened: &Opened) {
        self.remember(opened.running.clone());
    }

    fn remember(&mut self, running: Vec<Running>) {
        self.attempts.extend(running);
        while self.attempts.len() > ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch { expire: self.dice.chance(0.1), ..Batch::default() };
        batch.prune = self.dice.chance(0.1).then(|| self.prune());
        for _ in 0..self.dice.range(1, 6) {
            match self.dice.range(0, 20) {
                0..7 => batch.inserts.push(self.insert()),
                7..11 => batch.claims.push(self.claim()),
                11..15 => batch.finishes.extend(self.finish()),
                15..17 => batch.releases.extend(self.release()),
                17..18 => batch.cancels.push(self.any_task()),
                _ => batch.retries.push(self.any_task()),
            }
        }
        batch
    }

    fn insert(&mut self) -> Insert {
        let key = self.dice.chance(0.6).then(|| format!("key-{}", self.dice.range(0, KEYS)));
        let (at_once, delayed, expires) = (self.dice.chance(0.3), self.dice.chance(0.2), self.dice.chance(0.2));
        Insert {
            task_type: self.task_type(),
            payload: self.json(),
            key: key.map(|key| Key::new(&key).expect("it is short and plain")),
            priority: Priority::new(*self.dice.pick(&[-1, 0, 0, 1])).expect("it is small"),
            max_attempts: 3,
            timeout_s: 60,
            not_before: None,
            delay: delayed.then(|| Duration::from_millis(self.dice.range(0, 2_000))),
            expires: expires.then(|| Duration::from_millis(self.dice.range(100, 10_000))),
            slot: at_once.then(|| self.slot()),
        }
    }

    /// Much sooner than any operator may ask for.
    fn prune(&mut self) -> Prune {
        let mut kept = || self.dice.chance(0.7).then(|| Duration::from_millis(self.dice.range(0, 20_000)));
        let retention = Retention { done: kept(), failed: kept() };
        let after = if self.dice.chance(0.8) { TaskId(0) } else { self.any_task() };
        Prune { after, retention }
    }

    fn claim(&mut self) -> Claim {
        let slots = (0..self.dice.range(1, 4)).map(|_| self.slot()).collect();
        Claim { task_type: self.task_type(), slots }
    }

    fn finish(&mut self) -> Option<Finish> {
        let attempt = self.attempt()?;
        let proof = match attempt.lease {
            Some(lease) => Proof::Lease(lease),
            None => Proof::Sender([attempt.worker].into()),
        };
        let retry = self.dice.chance(0.7).then(|| Duration::from_millis(self.dice.range(0, 1_000)));
        let end = match self.dice.chance(0.7) {
            true => End::Success(self.json()),
            false => End::Failure { error: error("FAILED"), retry },
        };
        Some(Finish { task: attempt.id, proof, end })
    }

    fn release(&mut self) -> Option<Release> {
        const OUTCOMES: [Outcome; 4] = [Outcome::Timeout, Outcome::LeaseLost, Outcome::WorkerLost, Outcome::Rejected];
        let Running { id: task, lease, attempt, .. } = self.attempt()?;
        let outcome = *self.dice.pick(&OUTCOMES);
        let retry = Some(Duration::from_millis(self.dice.range(0, 1_000)));
        let charged = outcome != Outcome::Rejected;
        Some(Release { task, lease, attempt, outcome, error: error(outcome.as_str()), charged, retry })
    }

    fn attempt(&mut self) -> Option<Running> {
        if self.attempts.is_empty() {
            return None;
        }
        let index = self.dice.index(self.attempts.len());
        self.attempts.get(index).cloned()
    }

    fn any_task(&mut self) -> TaskId {
        let newest = self.newest.unsigned_abs();
        let id = self.dice.range(newest.saturating_sub(30), newest + 2);
        TaskId(i64::try_from(id).expect("it was an i64"))
    }

    fn task_type(&mut self) -> TaskType {
        TaskType::new(self.dice.pick::<&str>(&TYPES)).expect("it is plain")
    }

    fn slot(&mut self) -> Slot {
        self.leases += 1;
        let lease = self.dice.chance(0.9).then(|| format!("lease{}", self.leases));
        let lease = lease.map(|lease| Lease::new(&lease).expect("it is short and plain"));
        Slot { worker: (*self.dice.pick(&["v", "w"])).into(), lease }
    }

    /// Mostly small; some need pages of their own.
    fn json(&mut self) -> Json {
        let length = match self.dice.range(0, 20) {
            0 => self.dice.range(4_000, 20_000),
            1..4 => self.dice.range(500, 3_000),
            _ => self.dice.range(0, 60),
        };
        let letter = *self.dice.pick(&["x", "y", "z"]);
        Json::string(&letter.repeat(usize::try_from(length).expect("it is small")))
    }
}

fn error(code: &str) -> TaskError {
    TaskError { code: code.to_owned(), message: "it did not work".to_owned() }
}
