//! Where the table lies, and what a crash makes of it.

use std::path::PathBuf;

use taskgrid_dispatcher::store::{
    Batch, MemoryStore, Opened, Outcomes, Query, SqliteStore, Store, StoreError, look_at,
};
use taskgrid_protocol::WallTime;
use tempfile::TempDir;

/// A store that a process has open, and that can be there again after the process is gone.
pub trait Disk: Store {
    /// The process is gone, or (`power`) the machine: what was not written, or not synced, is forgotten.
    fn crash(&mut self, power: bool);
    /// What a look at the file finds wrong.
    fn fault(&self) -> Option<String>;
    /// A copy in memory, where there is one.
    fn model(&self) -> Option<MemoryStore> {
        None
    }
}

/// The model: what was applied is on the disk.
impl Disk for MemoryStore {
    fn crash(&mut self, _power: bool) {}

    fn fault(&self) -> Option<String> {
        None
    }

    fn model(&self) -> Option<MemoryStore> {
        Some(self.clone())
    }
}

/// The real file. A crash leaves it as it is at that moment: closing it properly would tidy up, so the
/// next process gets a copy that was made before.
pub struct SqliteDisk {
    directory: TempDir,
    lives: u32,
    store: Option<SqliteStore>,
}

impl SqliteDisk {
    /// A file that does not exist yet.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a temporary directory");
        Self { directory, lives: 0, store: None }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("life-{}.db", self.lives))
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("it is opened first")
    }
}

impl Default for SqliteDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for SqliteDisk {
    fn open(&mut self, now: WallTime) -> Result<Opened, StoreError> {
        let path = self.path();
        if let Err(error) = look_at(&path, true) {
            return Err(StoreError::Corrupt(format!("{error:?}")));
        }
        let mut store = SqliteStore::connect(&path).expect("our own file can be opened");
        let opened = store.open(now);
        self.store = Some(store);
        opened
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        self.store.as_mut().expect("it is opened first").apply(now, batch)
    }

    fn read(&self, query: &Query) -> Result<taskgrid_dispatcher::store::Answer, StoreError> {
        self.store().read(query)
    }
}

impl Disk for SqliteDisk {
    fn crash(&mut self, _power: bool) {
        let from = self.path();
        self.lives += 1;
        let to = self.path();
        for suffix in ["", "-wal"] {
            let name = |path: &PathBuf| format!("{}{suffix}", path.display());
            if PathBuf::from(name(&from)).exists() {
                std::fs::copy(name(&from), name(&to)).expect("there is room for a copy");
            }
        }
        self.store = None;
    }

    fn fault(&self) -> Option<String> {
        self.store().check().err().map(|error| error.to_string())
    }
}
