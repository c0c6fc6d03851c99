//! An open file: what SQLite asks of one, in safe terms.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use super::Code;
use super::locks::{Held, Index};
use super::state::{Operation, State};

#[derive(Debug)]
pub(super) struct Handle {
    state: Arc<Mutex<State>>,
    number: u64,
    file: u64,
    name: Option<String>,
    life: u64,
    /// The name of the file is not known to be synced.
    is_new: bool,
    index: Option<Arc<Index>>,
    held: Held,
}

impl Handle {
    /// `None` stands for a temporary file.
    pub(super) fn open(state: Arc<Mutex<State>>, name: Option<&str>, flags: c_int) -> Result<Self, Code> {
        let mut guard = lock(&state);
        if !guard.on {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let found = name.and_then(|name| guard.find(name));
        let file = match found {
            Some(file) => file,
            None if name.is_none() || flags & ffi::SQLITE_OPEN_CREATE != 0 => guard.create(name),
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        // As on Unix, where SQLite leaves it to the journal to sync the directory for the database too.
        let is_new = flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL) != 0;
        let (number, life, name) = (guard.number(), guard.life, name.map(str::to_owned));
        drop(guard);
        Ok(Self { state, number, file, name, life, is_new, index: None, held: Held::default() })
    }

    /// Fills the buffer; what is not there is zero.
    pub(super) fn read(&self, buffer: &mut [u8], at: usize) -> Result<(), Code> {
        let mut state = self.state()?;
        let bytes = state.file(self.file).bytes();
        let there = bytes.get(at..).unwrap_or_default();
        let there = &there[..there.len().min(buffer.len())];
        buffer[..there.len()].copy_from_slice(there);
        buffer[there.len()..].fill(0);
        if there.len() < buffer.len() { Err(ffi::SQLITE_IOERR_SHORT_READ) } else { Ok(()) }
    }

    pub(super) fn write(&self, bytes: &[u8], at: usize) -> Result<(), Code> {
        let mut state = self.state()?;
        self.step(&mut state, Operation::Write)?;
        state.file(self.file).write(at, bytes);
        Ok(())
    }

    pub(super) fn truncate(&self, size: usize) -> Result<(), Code> {
        let mut state = self.state()?;
        self.step(&mut state, Operation::Truncate)?;
        state.file(self.file).resize(size);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), Code> {
        let mut state = self.state()?;
        if let Err(code) = self.step(&mut state, Operation::Sync) {
            if state.loses_syncs() {
                state.file(self.file).fail_to_sync();
            }
            return Err(code);
        }
        if state.skips_sync(self.name.as_deref()) {
            return Ok(());
        }
        state.file(self.file).sync();
        if self.is_new {
            state.sync_directory();
        }
        drop(state);
        self.is_new = false;
        Ok(())
    }

    pub(super) fn size(&self) -> Result<usize, Code> {
        Ok(self.state()?.file(self.file).bytes().len())
    }

    pub(super) fn lock(&self, level: c_int) -> Result<(), Code> {
        self.state()?.locks(self.file).lock(self.number, level)
    }

    pub(super) fn unlock(&self, level: c_int) {
        if let Ok(mut state) = self.state() {
            state.locks(self.file).unlock(self.number, level);
        }
    }

    pub(super) fn is_reserved(&self) -> Result<bool, Code> {
        Ok(self.state()?.locks(self.file).is_reserved())
    }

    pub(super) fn map_index(&mut self, region: usize, size: usize, extend: bool) -> Result<*mut c_void, Code> {
        if self.index.is_none() {
            let index = self.state()?.index(self.file);
            self.index = Some(index);
        }
        Ok(self.index.as_ref().map_or(std::ptr::null_mut(), |index| index.region(region, size, extend)))
    }

    pub(super) fn lock_index(&mut self, first: usize, count: usize, exclusive: bool) -> Result<(), Code> {
        drop(self.state()?);
        let index = self.index.as_ref().ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        index.lock(&mut self.held, first, count, exclusive)
    }

    pub(super) fn unlock_index(&mut self, first: usize, count: usize) {
        if let Some(index) = &self.index {
            index.unlock(&mut self.held, first, count);
        }
    }

    pub(super) fn unmap_index(&mut self) {
        if let Some(index) = self.index.take() {
            index.unlock_all(&mut self.held);
        }
    }

    fn step(&self, state: &mut State, operation: Operation) -> Result<(), Code> {
        // Temporary files are not what this is about.
        if self.name.is_some() { state.step(operation) } else { Ok(()) }
    }

    /// The drive, unless the power is off, or this process is gone by now.
    fn state(&self) -> Result<MutexGuard<'_, State>, Code> {
        let state = lock(&self.state);
        if state.on && state.life == self.life { Ok(state) } else { Err(ffi::SQLITE_IOERR) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.unmap_index();
        self.unlock(ffi::SQLITE_LOCK_NONE);
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that has failed has nothing more to say about the drive.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
