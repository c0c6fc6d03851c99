//! Mistakes of a store.

use std::collections::BTreeMap;
use std::time::Duration;

use taskgrid_client::Status;
use taskgrid_dispatcher::store::{
    Answer, Batch, End, Inserted, MemoryStore, Opened, Outcome, Outcomes, Query, Release, Store, StoreError,
};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{FileId, Json, Key, TaskId, WallTime};

use crate::disk::Disk;

/// Commits between two syncs of a store that does not sync every one.
const SYNC_EVERY: u32 = 20;

/// The last commits are in memory only, or in the operating system's (`power_only`).
pub(super) struct Forgetful {
    now: MemoryStore,
    synced: MemoryStore,
    power_only: bool,
    since_sync: u32,
}

impl Forgetful {
    pub(super) fn new(power_only: bool) -> Self {
        Self { now: MemoryStore::default(), synced: MemoryStore::default(), power_only, since_sync: 0 }
    }
}

impl Store for Forgetful {
    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
        self.now.open(now, fresh)
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        self.since_sync += 1;
        if !self.power_only || self.since_sync >= SYNC_EVERY {
            self.synced = self.now.clone();
            self.since_sync = 0;
        }
        self.now.apply(now, batch)
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        self.now.read(query)
    }
}

impl Disk for Forgetful {
    fn crash(&mut self, power: bool) {
        if power || !self.power_only {
            self.now = self.synced.clone();
        }
    }

    fn fault(&self) -> Option<String> {
        None
    }
}

/// Implements what a wrapper around a disk does not do otherwise.
macro_rules! passes_on {
    (open) => {
        fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
            self.disk.open(now, fresh)
        }
    };
    (read) => {
        fn read(&self, query: &Query) -> Result<Answer, StoreError> {
            self.disk.read(query)
        }
    };
    (crash of $wrapper:ident) => {
        impl Disk for $wrapper {
            fn crash(&mut self, power: bool) {
                self.disk.crash(power);
            }

            fn fault(&self) -> Option<String> {
                self.disk.fault()
            }
        }
    };
}

/// No UNIQUE: each copy of a submission is a task.
pub(super) struct Keyless {
    pub(super) disk: Box<dyn Disk>,
}

passes_on!(crash of Keyless);

impl Store for Keyless {
    passes_on!(open);
    passes_on!(read);

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        let mut batch = batch.clone();
        for insert in &mut batch.inserts {
            insert.key = None;
        }
        self.disk.apply(now, &batch)
    }
}

/// A success that comes after the end takes the place of the one that is there.
pub(super) struct Overwriting {
    disk: Box<dyn Disk>,
    results: BTreeMap<TaskId, Json>,
}

passes_on!(crash of Overwriting);

impl Overwriting {
    pub(super) fn new(disk: Box<dyn Disk>) -> Self {
        Self { disk, results: BTreeMap::new() }
    }
}

impl Store for Overwriting {
    passes_on!(open);

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        for finish in &batch.finishes {
            if matches!(finish.end, End::Success(_)) && has_ended(&*self.disk, finish.task) {
                // Handlers of this world always return the same; elsewhere two runs differ.
                self.results.insert(finish.task, Json::string("what the late one returned"));
            }
        }
        self.disk.apply(now, batch)
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        let mut answer = self.disk.read(query)?;
        match (query, &mut answer) {
            (Query::Result(id), Answer::Result(Some(ended))) if ended.status == Status::Done => {
                ended.result = self.results.get(id).cloned().or_else(|| ended.result.take());
            }
            (Query::Task(id), Answer::Task(Some(found))) if found.0.status == Status::Done => {
                found.0.result = self.results.get(id).cloned().or_else(|| found.0.result.take());
            }
            _ => {}
        }
        Ok(answer)
    }
}

/// At the start, what was running is pending.
pub(super) struct Hasty {
    pub(super) disk: Box<dyn Disk>,
}

passes_on!(crash of Hasty);

impl Store for Hasty {
    passes_on!(read);

    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
        let opened = self.disk.open(now, fresh)?;
        let releases = opened.running.into_iter().map(|running| Release {
            task: running.id,
            lease: running.lease,
            attempt: running.attempt,
            outcome: Outcome::LeaseLost,
            error: TaskError { code: "LEASE_LOST".to_owned(), message: "the dispatcher was restarted".to_owned() },
            charged: false,
            retry: Some(Duration::ZERO),
        });
        let batch = Batch { releases: releases.collect(), ..Batch::default() };
        self.disk.apply(now, &batch)?;
        self.disk.open(now, fresh)
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        self.disk.apply(now, batch)
    }
}

/// The key of an ended task is free again.
pub(super) struct Purging {
    disk: Box<dyn Disk>,
    keys: BTreeMap<Key, TaskId>,
    purged: u32,
}

passes_on!(crash of Purging);

impl Purging {
    pub(super) fn new(disk: Box<dyn Disk>) -> Self {
        Self { disk, keys: BTreeMap::new(), purged: 0 }
    }
}

impl Store for Purging {
    passes_on!(open);
    passes_on!(read);

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        let mut batch = batch.clone();
        for insert in &mut batch.inserts {
            let Some(key) = &insert.key else { continue };
            if self.keys.get(key).is_some_and(|id| has_ended(&*self.disk, *id)) {
                self.purged += 1;
                let anew = Key::new(&format!("{}-{}", key.as_str(), self.purged)).expect("the key stays short");
                insert.key = Some(anew);
            }
        }
        let outcomes = self.disk.apply(now, &batch)?;
        for (insert, inserted) in batch.inserts.iter().zip(&outcomes.inserts) {
            if let (Some(key), Inserted::New { id, .. }) = (&insert.key, inserted) {
                self.keys.insert(key.clone(), *id);
            }
        }
        Ok(outcomes)
    }
}

fn has_ended(disk: &dyn Disk, id: TaskId) -> bool {
    matches!(disk.read(&Query::Result(id)), Ok(Answer::Result(Some(ended))) if ended.status.is_ended())
}
