//! What the daemon does between batches.

use std::collections::BTreeSet;
use std::time::Duration;

use taskgrid_protocol::TaskType;

use super::batch;
use super::connect::WRITER_PATIENCE;
use super::look::{APPLICATION_ID, quick_check};
use super::place::beside;
use super::{SqliteStore, keep_log, rows};
use crate::store::StoreError;

/// How long a batch may be kept waiting for readers to leave the log, so that it can be truncated.
const TRUNCATE_PATIENCE: Duration = Duration::from_millis(50);

/// The state of the write-ahead log after a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wal {
    /// The size of the `-wal` file. It shrinks only when the log is truncated; else its space is used again.
    pub bytes: u64,
    /// Pages in it that are not in the database file yet, because a reader still needs the older ones.
    pub left: u64,
}

impl SqliteStore {
    /// Copies the write-ahead log into the database file, as far as no reader is in the way, so that the log
    /// starts again from its beginning. With `truncate` it also waits a little for readers, and shrinks the
    /// file to nothing if it can.
    ///
    /// It uses the writer's connection, so that no batch can be added while it copies, and the log does start
    /// again; a batch waits for it.
    pub fn checkpoint(&self, truncate: bool) -> Result<Wal, StoreError> {
        let mode = if truncate { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        let (logged, copied) = self.write(|connection| {
            connection.busy_timeout(TRUNCATE_PATIENCE)?;
            let pages = connection.query_row(mode, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
            connection.busy_timeout(WRITER_PATIENCE)?;
            Ok(pages?)
        })?;
        let file = std::fs::metadata(beside(&self.path, "-wal"));
        Ok(Wal { bytes: file.map_or(0, |file| file.len()), left: logged.saturating_sub(copied).max(0).unsigned_abs() })
    }

    /// Copies the log into the file as far as it goes now, with a connection of its own, so that batches go on meanwhile.
    /// What they add is left for [`SqliteStore::checkpoint`], which then keeps the writer waiting for that little alone.
    pub fn copy_log(&self) -> Result<(), StoreError> {
        let connection = self.copier.get()?;
        let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        Ok(copied?)
    }

    /// A copy of the log has failed, so that nobody knows what of it is in the file: closing the writer must not remove it.
    /// The copier never closes last.
    pub fn keep_log(&self) -> Result<(), StoreError> {
        self.write(|connection| keep_log(connection))
    }

    /// Copies all of the log into the file and begins a new one; for the start after the disk has failed, before
    /// anything is stored.
    ///
    /// What a failed sync did not write the operating system may take for written: programs read it, no later sync
    /// tries again, and after a loss of power the log ends there, whatever was stored behind it. Copied, it is
    /// written anew. A loss of power amid this can still do harm, but nothing that follows is built on the gap.
    pub fn begin_new_log(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            let is_read: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if is_read {
                return Err(StoreError::Busy("its log cannot be emptied while another program reads it".to_owned()));
            }
            // SQLite writes it though it is there already: a commit, and with its sync the old log is gone for good.
            Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?)
        })
    }

    /// Looks through the whole file for damage, on a reader. For large files, where
    /// [`super::look_at`] leaves it out, so that they do not delay the start.
    pub fn check(&self) -> Result<(), StoreError> {
        let connection = self.readers.get()?;
        let complaints = quick_check(&connection)?;
        if complaints.is_empty() { Ok(()) } else { Err(StoreError::Corrupt(complaints.join("; "))) }
    }

    /// Types of pending tasks that other programs have inserted into the table since the last call. One seek
    /// if there are none, so it can be asked every second.
    pub fn added_types(&self) -> Result<BTreeSet<TaskType>, StoreError> {
        const ADDED: &str = "SELECT DISTINCT type FROM tasks NOT INDEXED WHERE id > ?1 AND status = 'pending'";
        // While it is held no batch is under way, so every row that is not known came from elsewhere.
        let mut known = self.known();
        let mut added = std::mem::take(&mut known.added);
        let connection = self.readers.get()?;
        let newest = batch::newest(&connection)?;
        let told = known.told.max(known.newest);
        if newest > told {
            let mut statement = connection.prepare_cached(ADDED)?;
            for task_type in statement.query_map([told], |row| rows::task_type(row, 0))? {
                added.insert(task_type?);
            }
            known.told = newest;
        }
        Ok(added)
    }
}
