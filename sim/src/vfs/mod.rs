//! A machine for SQLite whose power goes and whose disk fails when it is told to.
//!
//! It stands where SQLite's own layer over the operating system stands, so that the store of production uses it
//! unchanged. All files are in memory, in two layers: what was written, and what was synced. What is wrong with a
//! drive is as deterministic as who asks.

mod file;
mod glue;
mod handle;
mod locks;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use taskgrid_dispatcher::store::look_at;
use tempfile::TempDir;

use crate::dice::Dice;
use handle::lock;
use state::State;

/// One of SQLite's result codes.
type Code = std::ffi::c_int;

/// How well a drive keeps what it promises. Those that keep it badly are there to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// What was synced is there.
    Honest,
    /// It says that it has synced, and has not: as with `synchronous = OFF`.
    IgnoresSync,
    /// It syncs the log only when that is copied into the file: as with `synchronous = NORMAL`.
    SyncsAtCheckpoints,
}

/// Something that goes wrong at a certain operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub trouble: Trouble,
    /// At which operation, counted from the drive's first.
    pub at: u64,
    /// Whether all later ones fail like it.
    pub lasts: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The power is off before the operation.
    PowerLoss,
    /// The operation fails: EIO.
    Error,
    /// The sync fails, and what it did not write is forgotten: the next sync says that all is well.
    LostSync,
    /// There is no space for a write: ENOSPC.
    Full,
}

/// A drive with one directory, for one database.
#[derive(Debug)]
pub struct Drive {
    state: Arc<Mutex<State>>,
    /// Where programs that do not ask SQLite see the files, as [`Drive::look`] left them.
    directory: TempDir,
}

/// The drives that there are, by their directories.
static DRIVES: Mutex<BTreeMap<PathBuf, Arc<Mutex<State>>>> = Mutex::new(BTreeMap::new());

fn drives() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Mutex<State>>>> {
    DRIVES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drive {
    /// An empty drive. From the first one on, the SQLite of this process knows no other files.
    pub fn new(habit: Habit) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(glue::install);
        let directory = tempfile::tempdir().expect("there is room for a temporary directory");
        let state = Arc::new(Mutex::new(State::new(habit)));
        let drive = Self { state, directory };
        drives().insert(drive.place(), drive.state.clone());
        drive
    }

    fn place(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("the directory is there as long as the drive")
    }

    /// The database on it.
    pub fn database(&self) -> PathBuf {
        self.place().join("tasks.db")
    }

    /// Operations up to now: writes, truncations, syncs and removals.
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Operations that have failed up to now.
    pub fn struck(&self) -> u64 {
        lock(&self.state).struck
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        lock(&self.state).on
    }

    /// What will go wrong; `None`: nothing.
    pub fn set_fault(&self, fault: Option<Fault>) {
        lock(&self.state).fault = fault;
    }

    /// The process that has used it is killed. What it has written stays written.
    pub fn kill(&self) {
        lock(&self.state).kill();
    }

    /// The power goes and comes back: of what was not synced some is there, in parts. The process is killed too, and
    /// no fault is left.
    pub fn lose_power(&self, dice: &mut Dice) {
        lock(&self.state).lose_power(dice);
    }

    /// Looks at the database as the daemon does when it starts; an error says why it is refused.
    pub fn look(&self) -> Result<(), String> {
        self.show().expect("there is room for a copy");
        look_at(&self.database(), true).map(drop).map_err(|error| error.to_string())
    }

    /// Writes the files to where other programs see them.
    fn show(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(self.place())? {
            std::fs::remove_file(entry?.path())?;
        }
        lock(&self.state).contents().try_for_each(|(name, bytes)| std::fs::write(name, bytes))
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.kill();
        drives().remove(&self.place());
    }
}
