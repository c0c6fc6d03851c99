//! The store in an SQLite file.
//!
//! One connection writes, a few read, and each comes from a pool. The file is in WAL mode, so that readers
//! never wait for the writer, and every commit is synced before it is reported.

mod backup;
mod batch;
mod claims;
mod connect;
mod ends;
mod error;
mod finishes;
mod identity;
mod inserts;
mod look;
mod maintain;
mod opening;
mod place;
mod prune;
mod reads;
mod refusal;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use taskgrid_protocol::{FileId, TaskType, WallTime};
use taskgrid_runtime::Clock;

pub use backup::{BackedUp, BackupStep, back_up};
pub use look::{Looked, look_at};
pub use maintain::Wal;

use super::{Answer, Batch, Opened, Outcomes, Query, Store, StoreError};

/// How long a read may take. While one is under way the log cannot start again from its beginning.
const READ_MAX: Duration = Duration::from_secs(2);

/// How many of its instructions SQLite does between two looks at the clock: well below a millisecond's work.
const READ_LOOKS_EVERY: i32 = 10_000;

/// A table of tasks in an SQLite file. Clones share its connections.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    readers: Pool<SqliteConnectionManager>,
    /// Copies a long log into the file while the writer goes on. Opened when that is first wanted.
    copier: Pool<SqliteConnectionManager>,
    /// After all others, so that it closes last: that empties the log into the file, which a reader cannot.
    writer: Pool<SqliteConnectionManager>,
    known: Arc<Mutex<Known>>,
}

/// What the writer remembers from batch to batch.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The latest time that was stored; no later one is earlier.
    latest: WallTime,
    /// The newest row that the counters know of.
    newest: i64,
    /// Types of pending rows that another program has inserted and that nobody has asked for yet.
    added: BTreeSet<TaskType>,
    /// The newest row whose type was told to whom asked.
    told: i64,
}

impl Store for SqliteStore {
    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError> {
        let mut known = self.known();
        let (leap, (opened, learnt)) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let newest = identity::newest(&transaction)?;
            let leap = backup::leap(&transaction)?;
            let is_copy = leap.is_some() || opening::has_lost_mark(&transaction)?;
            let identity = identity::settle(&transaction, fresh, is_copy, newest)?;
            let done = opening::open(&transaction, now, identity)?;
            transaction.commit()?;
            Ok((leap, done))
        })?;
        *known = learnt;
        if let Some(leap) = leap {
            tracing::warn!("{leap}");
        }
        Ok(opened)
    }

    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError> {
        let mut known = self.known();
        let (outcomes, learnt) = self.write(|connection| {
            // Dropping the transaction rolls it back, whatever SQLite has undone by itself before.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = batch::apply(&transaction, now, known.clone(), batch)?;
            transaction.commit()?;
            Ok(done)
        })?;
        *known = learnt;
        Ok(outcomes)
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        self.read_within(READ_MAX, query)
    }
}

/// The disk has failed. What the connection takes for copied into the file may not be there, so closing it must not
/// remove the log.
fn keep_log(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

impl SqliteStore {
    fn read_within(&self, limit: Duration, query: &Query) -> Result<Answer, StoreError> {
        let mut connection = self.readers.get()?;
        let clock = Clock::new();
        let end = clock.now() + limit;
        connection.progress_handler(READ_LOOKS_EVERY, Some(move || clock.now() >= end))?;
        let answer = reads::answer(&mut connection, query);
        connection.progress_handler(0, None::<fn() -> bool>)?;
        answer
    }

    /// Does something with the one connection that writes.
    fn write<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.writer.get()?;
        let done = work(&mut connection);
        if let Err(StoreError::Unavailable(_)) = done {
            keep_log(&connection)?;
        }
        done
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is known changes only after a commit, in one assignment, so a panic elsewhere left it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
