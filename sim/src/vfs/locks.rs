//! The locks of a database file, and the index of its log that its connections share.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi;

use super::Code;

/// Which connection holds which of SQLite's five locks.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<u64, c_int>);

impl Locks {
    pub(super) fn lock(&mut self, holder: u64, level: c_int) -> Result<(), Code> {
        let held = self.0.get(&holder).copied().unwrap_or(ffi::SQLITE_LOCK_NONE);
        if held >= level {
            return Ok(());
        }
        let others = self.0.iter().filter(|(other, _)| **other != holder).map(|(_, level)| *level).max();
        let others = others.unwrap_or(ffi::SQLITE_LOCK_NONE);
        let may = match level {
            ffi::SQLITE_LOCK_SHARED => others < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_EXCLUSIVE => others == ffi::SQLITE_LOCK_NONE,
            _ => others < ffi::SQLITE_LOCK_RESERVED,
        };
        if !may {
            if level == ffi::SQLITE_LOCK_EXCLUSIVE && others == ffi::SQLITE_LOCK_SHARED {
                // Nobody new comes in meanwhile.
                self.0.insert(holder, ffi::SQLITE_LOCK_PENDING);
            }
            return Err(ffi::SQLITE_BUSY);
        }
        self.0.insert(holder, level);
        Ok(())
    }

    pub(super) fn unlock(&mut self, holder: u64, level: c_int) {
        if self.0.get(&holder).is_some_and(|held| *held > level) {
            self.0.insert(holder, level);
        }
        if level == ffi::SQLITE_LOCK_NONE {
            self.0.remove(&holder);
        }
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.0.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
    }
}

/// What `-shm` is elsewhere: memory that all connections see. It lives as long as one of them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Atomics, since several threads write to it behind the compiler's back.
    regions: Mutex<Vec<Box<[AtomicU64]>>>,
    slots: Mutex<[Slot; SLOTS]>,
}

const SLOTS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// The slot that is held while the log is copied into the file.
const CHECKPOINT: usize = 1;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    shared: u32,
    exclusive: bool,
}

/// Which slots a connection holds.
#[derive(Debug, Default)]
pub(super) struct Held([Slot; SLOTS]);

impl Index {
    /// Where the region begins; null if there is none and none is wanted.
    pub(super) fn region(&self, number: usize, size: usize, extend: bool) -> *mut c_void {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if extend {
            while regions.len() <= number {
                regions.push((0..size.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
            }
        }
        // The boxes stay where they are when the list grows.
        regions.get(number).map_or(std::ptr::null_mut(), |region| region.as_ptr().cast_mut().cast())
    }

    pub(super) fn lock(&self, held: &mut Held, first: usize, count: usize, exclusive: bool) -> Result<(), Code> {
        let mut slots = self.slots();
        let range = first..first + count;
        let free = |slot: &Slot| !(slot.exclusive || exclusive && slot.shared > 0);
        if exclusive {
            if !slots[range.clone()].iter().all(free) {
                return Err(ffi::SQLITE_BUSY);
            }
            for at in range {
                slots[at].exclusive = true;
                held.0[at].exclusive = true;
            }
        } else if held.0[first].shared == 0 {
            if !free(&slots[first]) {
                return Err(ffi::SQLITE_BUSY);
            }
            slots[first].shared += 1;
            held.0[first].shared = 1;
        }
        Ok(())
    }

    pub(super) fn unlock(&self, held: &mut Held, first: usize, count: usize) {
        let mut slots = self.slots();
        for at in first..first + count {
            slots[at].shared -= std::mem::take(&mut held.0[at].shared);
            slots[at].exclusive &= !std::mem::take(&mut held.0[at].exclusive);
        }
    }

    pub(super) fn unlock_all(&self, held: &mut Held) {
        self.unlock(held, 0, SLOTS);
    }

    pub(super) fn is_checkpointed(&self) -> bool {
        self.slots()[CHECKPOINT].exclusive
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, [Slot; SLOTS]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
