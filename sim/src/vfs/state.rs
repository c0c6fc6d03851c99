//! All that is on a drive, and what is wrong with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use rusqlite::ffi;

use super::file::File;
use super::locks::{Index, Locks};
use super::{Code, Fault, Habit, Trouble};
use crate::dice::Dice;

/// What changes a drive, and so can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Truncate,
    Sync,
    Delete,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) habit: Habit,
    pub(super) fault: Option<Fault>,
    /// How many changes were asked for.
    pub(super) operations: u64,
    /// How many of them have failed.
    pub(super) struck: u64,
    pub(super) on: bool,
    /// Processes before this one are gone, and their connections with them.
    pub(super) life: u64,
    /// The directory, as programs see it and as it was synced.
    names: BTreeMap<String, u64>,
    synced: BTreeMap<String, u64>,
    files: BTreeMap<u64, File>,
    locks: BTreeMap<u64, Locks>,
    indexes: BTreeMap<u64, Weak<Index>>,
    numbers: u64,
}

impl State {
    pub(super) fn new(habit: Habit) -> Self {
        Self {
            habit,
            fault: None,
            operations: 0,
            struck: 0,
            on: true,
            life: 0,
            names: BTreeMap::new(),
            synced: BTreeMap::new(),
            files: BTreeMap::new(),
            locks: BTreeMap::new(),
            indexes: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// A change is about to be made; it may be the one that fails.
    pub(super) fn step(&mut self, operation: Operation) -> Result<(), Code> {
        self.operations += 1;
        let Some(fault) = self.fault else { return Ok(()) };
        let is_time = if fault.lasts { self.operations >= fault.at } else { self.operations == fault.at };
        let code = match (fault.trouble, operation) {
            _ if !is_time => return Ok(()),
            (Trouble::PowerLoss, _) => {
                self.on = false;
                ffi::SQLITE_IOERR
            }
            (Trouble::Full, Operation::Write) => ffi::SQLITE_FULL,
            (Trouble::Error | Trouble::LostSync, Operation::Sync) => ffi::SQLITE_IOERR_FSYNC,
            (Trouble::Error, Operation::Write) => ffi::SQLITE_IOERR_WRITE,
            (Trouble::Error, Operation::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
            (Trouble::Error, Operation::Delete) => ffi::SQLITE_IOERR_DELETE,
            (Trouble::Full | Trouble::LostSync, _) => return Ok(()),
        };
        self.struck += 1;
        Err(code)
    }

    /// Whether this sync is one that the drive is too lazy to make.
    pub(super) fn skips_sync(&self, name: Option<&str>) -> bool {
        let log = name.and_then(|name| name.strip_suffix("-wal"));
        match self.habit {
            Habit::Honest => false,
            Habit::IgnoresSync => true,
            Habit::SyncsAtCheckpoints => log.is_some_and(|database| {
                let index = self.names.get(database).and_then(|file| self.indexes.get(file)).and_then(Weak::upgrade);
                !index.is_some_and(|index| index.is_checkpointed())
            }),
        }
    }

    /// Whether what a failed sync leaves unwritten is given up.
    pub(super) fn loses_syncs(&self) -> bool {
        self.fault.is_some_and(|fault| fault.trouble == Trouble::LostSync)
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// A new file, under a name or under none.
    pub(super) fn create(&mut self, name: Option<&str>) -> u64 {
        let number = self.number();
        self.files.insert(number, File::default());
        if let Some(name) = name {
            self.names.insert(name.to_owned(), number);
        }
        number
    }

    /// The name is gone, for programs at least.
    pub(super) fn delete(&mut self, name: &str) {
        self.names.remove(name);
    }

    pub(super) fn sync_directory(&mut self) {
        self.synced = self.names.clone();
    }

    pub(super) fn file(&mut self, number: u64) -> &mut File {
        self.files.entry(number).or_default()
    }

    pub(super) fn locks(&mut self, file: u64) -> &mut Locks {
        self.locks.entry(file).or_default()
    }

    /// The index that the connections of this file share.
    pub(super) fn index(&mut self, file: u64) -> Arc<Index> {
        let index = self.indexes.get(&file).and_then(Weak::upgrade).unwrap_or_default();
        self.indexes.insert(file, Arc::downgrade(&index));
        index
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// What a directory listing shows, with contents.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.names.iter().map(|(name, number)| (name.as_str(), self.files[number].bytes()))
    }

    /// The process is gone, and what it held with it.
    pub(super) fn kill(&mut self) {
        self.life += 1;
        self.locks.clear();
        self.indexes.clear();
        let names = [&self.names, &self.synced].into_iter().flat_map(BTreeMap::values);
        let kept: Vec<u64> = names.copied().collect();
        self.files.retain(|number, _| kept.contains(number));
    }

    /// The machine is gone, and is there again.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        // Each name that came or went since the directory was synced has done so, or has not.
        let names: Vec<String> = self.names.keys().chain(self.synced.keys()).cloned().collect();
        for name in names {
            let (now, before) = (self.names.get(&name).copied(), self.synced.get(&name).copied());
            let kept = if now == before || dice.chance(0.5) { now } else { before };
            match kept {
                Some(number) => drop(self.names.insert(name, number)),
                None => drop(self.names.remove(&name)),
            }
        }
        self.synced = self.names.clone();
        self.kill();
        for file in self.files.values_mut() {
            file.lose_power(dice);
        }
        self.on = true;
        self.fault = None;
    }
}
