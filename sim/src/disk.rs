//! Where the table lies, and what a crash makes of it.

use taskgrid_dispatcher::store::{Answer, Batch, MemoryStore, Opened, Outcomes, Query, SqliteStore, Store, StoreError};
use taskgrid_protocol::{FileId, WallTime};

use crate::dice::Dice;
use crate::vfs::{Drive, Habit};

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

/// The store of production, on a drive that a loss of power leaves as it would a real one.
pub struct SqliteDisk {
    drive: Drive,
    /// What the drive keeps of what was not synced, and when the log is copied into the file.
    dice: Dice,
    store: Option<SqliteStore>,
}

impl SqliteDisk {
    /// A file that does not exist yet, in the world of this seed.
    pub fn new(seed: u64) -> Self {
        Self { drive: Drive::new(Habit::Honest), dice: Dice::new(seed), store: None }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("it is opened first")
    }
}

impl Store for SqliteDisk {
    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
        self.drive.look().map_err(StoreError::Corrupt)?;
        let store = SqliteStore::connect(&self.drive.database()).expect("our own file can be opened");
        self.store.insert(store).open(now, fresh)
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        let outcomes = self.store.as_mut().expect("it is opened first").apply(now, batch)?;
        if self.dice.chance(0.1) {
            let truncate = self.dice.chance(0.3);
            self.store().checkpoint(truncate)?;
        }
        Ok(outcomes)
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        self.store().read(query)
    }
}

impl Disk for SqliteDisk {
    fn crash(&mut self, power: bool) {
        if power {
            self.drive.lose_power(&mut self.dice);
        } else {
            self.drive.kill();
        }
        self.store = None;
    }

    fn fault(&self) -> Option<String> {
        self.store().check().err().map(|error| error.to_string())
    }
}
