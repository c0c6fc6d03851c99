//! A store with a clock, and short words for what tests ask of it.

use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{AttemptView, ListTasks, Priority, Status, StatusCounts, TaskView};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Json, Key, Lease, TaskId, TaskType, WallTime};
use tempfile::TempDir;

use crate::store::{
    Answer, Batch, Cancelled, Claim, Claimed, End, Ended, Finish, Finished, Insert, Inserted, MemoryStore, Opened,
    Outcome, Outcomes, Proof, Prune, Pruned, Query, Release, Released, Rest, Retention, Retried, Running, Slot,
    SqliteStore, Store, look_at,
};

/// 2026-11-24T03:25:15Z.
pub(super) const START: WallTime = WallTime::from_millis(1_795_490_715_000);

pub(super) struct Desk {
    kept: Kept,
    store: Box<dyn Store>,
    pub(super) now: WallTime,
    leases: u32,
    openings: u32,
}

/// What outlives a restart.
enum Kept {
    Memory,
    File(TempDir),
}

impl Desk {
    pub(super) fn memory() -> Self {
        Self::with(Kept::Memory, Box::new(MemoryStore::default()))
    }

    pub(super) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = connect(&directory);
        Self::with(Kept::File(directory), store)
    }

    fn with(kept: Kept, store: Box<dyn Store>) -> Self {
        let mut desk = Self { kept, store, now: START, leases: 0, openings: 0 };
        desk.open();
        desk
    }

    /// Stops the store, if it is one that can be, and opens it again.
    pub(super) fn restart(&mut self) -> Opened {
        if let Kept::File(directory) = &self.kept {
            // First the old connections go, then the new ones come.
            self.store = Box::new(MemoryStore::default());
            self.store = connect(directory);
        }
        self.open()
    }

    fn open(&mut self) -> Opened {
        self.openings += 1;
        let fresh = format!("{:016x}", self.openings).parse().unwrap();
        let opened = self.store.open(self.now, fresh).unwrap();
        assert_eq!(opened.pending, self.counts().pending);
        opened
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> Outcomes {
        let outcomes = self.store.apply(self.now, batch).unwrap();
        assert_eq!(outcomes.pending, self.counts().pending);
        outcomes
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    pub(super) fn set_back(&mut self, seconds: i64) {
        self.now = WallTime::from_millis(self.now.as_millis() - seconds * 1000);
    }

    pub(super) fn lease(&mut self) -> Lease {
        self.leases += 1;
        Lease::new(&format!("lease{}", self.leases)).unwrap()
    }

    pub(super) fn slot(&mut self, worker: &str) -> Slot {
        Slot { worker: worker.into(), lease: Some(self.lease()) }
    }

    pub(super) fn insert(&mut self, insert: Insert) -> Inserted {
        let outcomes = self.apply(&Batch { inserts: vec![insert], ..Batch::default() });
        outcomes.inserts.into_iter().next().unwrap()
    }

    pub(super) fn post(&mut self, insert: Insert) -> TaskId {
        new_id(&self.insert(insert))
    }

    /// A task that runs at worker `w` already.
    pub(super) fn post_running(&mut self, insert: Insert) -> (TaskId, Lease) {
        let slot = self.slot("w");
        let lease = slot.lease.clone().unwrap();
        (self.post(Insert { slot: Some(slot), ..insert }), lease)
    }

    pub(super) fn claim_slots(&mut self, task_type: &str, slots: Vec<Slot>) -> Claimed {
        let claim = Claim { task_type: name(task_type), slots };
        self.apply(&Batch { claims: vec![claim], ..Batch::default() }).claims.into_iter().next().unwrap()
    }

    /// Claims with new leases.
    pub(super) fn claim(&mut self, task_type: &str, workers: &[&str]) -> Claimed {
        let slots = workers.iter().map(|worker| self.slot(worker)).collect();
        self.claim_slots(task_type, slots)
    }

    /// Claims one task that must be there.
    pub(super) fn claim_one(&mut self, task_type: &str, worker: &str) -> Running {
        let claimed = self.claim(task_type, &[worker]);
        claimed.tasks.into_iter().next().expect("a task is due").1
    }

    /// What is left of a type.
    pub(super) fn rest(&mut self, task_type: &str) -> Rest {
        self.claim_slots(task_type, Vec::new()).rest
    }

    pub(super) fn finish(&mut self, task: TaskId, proof: Proof, end: End) -> Finished {
        let finish = Finish { task, proof, end };
        self.apply(&Batch { finishes: vec![finish], ..Batch::default() }).finishes.into_iter().next().unwrap()
    }

    pub(super) fn succeed(&mut self, task: TaskId, lease: &Lease, result: &str) -> Finished {
        self.finish(task, Proof::Lease(lease.clone()), success(result))
    }

    pub(super) fn fail(&mut self, task: TaskId, lease: &Lease, retry: Option<Duration>) -> Finished {
        self.finish(task, Proof::Lease(lease.clone()), failure("FAILED", retry))
    }

    pub(super) fn release(&mut self, release: Release) -> Released {
        self.apply(&Batch { releases: vec![release], ..Batch::default() }).releases.into_iter().next().unwrap()
    }

    pub(super) fn cancel(&mut self, task: TaskId) -> Cancelled {
        self.apply(&Batch { cancels: vec![task], ..Batch::default() }).cancels.into_iter().next().unwrap()
    }

    pub(super) fn retry(&mut self, task: TaskId) -> Retried {
        self.apply(&Batch { retries: vec![task], ..Batch::default() }).retries.into_iter().next().unwrap()
    }

    pub(super) fn expire(&mut self) -> Outcomes {
        self.apply(&Batch { expire: true, ..Batch::default() })
    }

    /// Deletes from the first task on.
    pub(super) fn prune(&mut self, retention: Retention) -> Pruned {
        self.prune_after(TaskId(0), retention)
    }

    pub(super) fn prune_after(&mut self, after: TaskId, retention: Retention) -> Pruned {
        let prune = Some(Prune { after, retention });
        self.apply(&Batch { prune, ..Batch::default() }).pruned.expect("it was asked for")
    }

    pub(super) fn exists(&self, task: TaskId) -> bool {
        self.read(&Query::Result(task)) != Answer::Result(None)
    }

    pub(super) fn read(&self, query: &Query) -> Answer {
        self.store.read(query).unwrap()
    }

    pub(super) fn ended(&self, task: TaskId) -> Ended {
        let Answer::Result(Some(ended)) = self.read(&Query::Result(task)) else { panic!("{task} exists") };
        ended
    }

    fn task(&self, task: TaskId) -> (TaskView, Vec<AttemptView>) {
        let Answer::Task(Some(found)) = self.read(&Query::Task(task)) else { panic!("{task} exists") };
        *found
    }

    pub(super) fn view(&self, task: TaskId) -> TaskView {
        self.task(task).0
    }

    pub(super) fn status(&self, task: TaskId) -> Status {
        self.view(task).status
    }

    pub(super) fn attempts(&self, task: TaskId) -> Vec<AttemptView> {
        self.task(task).1
    }

    /// How the past attempts of a task ended, the newest first.
    pub(super) fn outcomes(&self, task: TaskId) -> Vec<String> {
        self.attempts(task).into_iter().map(|attempt| attempt.outcome).collect()
    }

    pub(super) fn list(&self, filter: ListTasks) -> (Vec<TaskId>, bool) {
        let Answer::List(tasks, more) = self.read(&Query::List(filter)) else { panic!("a list is answered") };
        (tasks.into_iter().map(|task| task.id).collect(), more)
    }

    pub(super) fn counts(&self) -> StatusCounts {
        let Answer::Stats(counts) = self.read(&Query::Stats) else { panic!("counts are answered") };
        counts
    }
}

fn connect(directory: &TempDir) -> Box<dyn Store> {
    let path = directory.path().join("taskgrid.db");
    look_at(&path, true).unwrap();
    Box::new(SqliteStore::connect(&path).unwrap())
}

pub(super) fn new_id(inserted: &Inserted) -> TaskId {
    let Inserted::New { id, .. } = inserted else { panic!("{inserted:?} is not new") };
    *id
}

pub(super) fn ids(claimed: &Claimed) -> Vec<TaskId> {
    claimed.tasks.iter().map(|(_, running)| running.id).collect()
}

pub(super) fn name(text: &str) -> TaskType {
    TaskType::new(text).unwrap()
}

/// A task of type `task_type` with all defaults.
pub(super) fn task(task_type: &str) -> Insert {
    Insert {
        task_type: name(task_type),
        payload: Json::string("OpenAI"),
        key: None,
        priority: Priority::default(),
        max_attempts: 5,
        timeout_s: 3600,
        not_before: None,
        delay: None,
        expires: None,
        slot: None,
    }
}

pub(super) fn keyed(task_type: &str, key: &str) -> Insert {
    Insert { key: Some(Key::new(key).unwrap()), ..task(task_type) }
}

pub(super) fn priority(task_type: &str, number: i32) -> Insert {
    Insert { priority: Priority::new(number).unwrap(), ..task(task_type) }
}

pub(super) fn success(result: &str) -> End {
    End::Success(Json::string(result))
}

pub(super) fn error(code: &str) -> TaskError {
    TaskError { code: code.to_owned(), message: format!("it said {code}") }
}

pub(super) fn failure(code: &str, retry: Option<Duration>) -> End {
    End::Failure { error: error(code), retry }
}

/// The sender of a result without a lease: workers `workers` live there.
pub(super) fn sender(workers: &[&str]) -> Proof {
    Proof::Sender(workers.iter().map(|worker| Arc::from(*worker)).collect())
}

/// Ends the attempt `running`, charged, and due again at once.
pub(super) fn released(running: &Running, outcome: Outcome) -> Release {
    Release {
        task: running.id,
        lease: running.lease.clone(),
        attempt: running.attempt,
        outcome,
        error: error(outcome.as_str()),
        charged: true,
        retry: Some(Duration::ZERO),
    }
}

pub(super) const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}
