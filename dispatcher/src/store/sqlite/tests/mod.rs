//! What the conformance suite cannot ask of every store: the file, other programs, and disks that misbehave.

mod backup;
mod documentation;
mod faults;
mod identity;
mod look;
mod neighbours;
mod plans;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use taskgrid_protocol::body::{Priority, Status};
use taskgrid_protocol::{FileId, Json, Lease, TaskId, TaskType, WallTime};
use tempfile::TempDir;

use crate::store::{
    Answer, Batch, Claim, Claimed, End, Finish, Insert, Inserted, Proof, Query, Slot, SqliteStore, Store, StoreError,
};

/// 2026-11-24T03:25:15Z.
const NOW: WallTime = WallTime::from_millis(1_795_490_715_000);

/// A directory with a database in it, and the store that has it open.
struct File {
    directory: TempDir,
    store: SqliteStore,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("taskgrid.db"));
        Self { directory, store }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("taskgrid.db")
    }

    /// A connection as another program has it.
    fn shell(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Stops the store, which empties the log into the file.
    fn close(self) -> (TempDir, PathBuf) {
        let path = self.path();
        drop(self.store);
        (self.directory, path)
    }

    fn restart(self) -> Self {
        let (directory, path) = self.close();
        Self { directory, store: open(&path) }
    }

    fn apply(&mut self, batch: &Batch) -> crate::store::Outcomes {
        self.store.apply(NOW, batch).unwrap()
    }

    fn try_post(&mut self) -> Result<Inserted, StoreError> {
        let outcomes = self.store.apply(NOW, &Batch { inserts: vec![task("a")], ..Batch::default() })?;
        Ok(outcomes.inserts.into_iter().next().unwrap())
    }

    fn post(&mut self) -> TaskId {
        let Inserted::New { id, .. } = self.try_post().unwrap() else { panic!("it is new") };
        id
    }

    fn claim(&mut self, slots: u32) -> Claimed {
        let slot = |number| Slot { worker: "w".into(), lease: Some(Lease::new(&format!("lease{number}")).unwrap()) };
        let claim = Claim { task_type: name("a"), slots: (0..slots).map(slot).collect() };
        self.apply(&Batch { claims: vec![claim], ..Batch::default() }).claims.into_iter().next().unwrap()
    }

    fn status(&self, id: TaskId) -> Option<Status> {
        let Answer::Result(ended) = self.store.read(&Query::Result(id)).unwrap() else {
            panic!("a result is answered")
        };
        ended.map(|ended| ended.status)
    }

    fn counts(&self) -> [u64; 5] {
        let Answer::Stats(counts) = self.store.read(&Query::Stats).unwrap() else { panic!("counts are answered") };
        [counts.pending, counts.running, counts.done, counts.failed, counts.cancelled]
    }
}

fn open(path: &Path) -> SqliteStore {
    let mut store = SqliteStore::connect(path).unwrap();
    store.open(NOW, fresh()).unwrap();
    store
}

/// An id that no other file of these tests has.
fn fresh() -> FileId {
    static MADE: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}", MADE.fetch_add(1, Ordering::Relaxed)).parse().unwrap()
}

fn name(text: &str) -> TaskType {
    TaskType::new(text).unwrap()
}

fn task(task_type: &str) -> Insert {
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

fn success(task: TaskId, lease: &Lease) -> Finish {
    Finish { task, proof: Proof::Lease(lease.clone()), end: End::Success(Json::string("IAnepO")) }
}
