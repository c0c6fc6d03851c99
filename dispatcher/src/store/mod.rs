//! The seam to storage: what the machine asks of a store, and what it is told.
//!
//! The machine never predicts an outcome and never makes an id. The *order* of work (priority, due time,
//! id) is the store's contract, its *placement* on workers the machine's. Whatever a store must do stands
//! in `conformance`, which every store passes; a behaviour that is not in there does not exist.

mod batch;
#[cfg(test)]
mod conformance;
mod identity;
mod memory;
mod query;
mod retention;
mod rules;
mod sqlite;

use std::time::Duration;

use taskgrid_protocol::{FileId, TaskType, WallTime};

pub use batch::{
    Batch, Cancelled, Claim, Claimed, EXPIRE_MAX, End, Ended, Finish, Finished, Insert, Inserted, Outcome, Outcomes,
    POISON_AFTER, Proof, Release, Released, Rest, Retried, Running, Slot,
};
pub use identity::Identity;
pub use memory::MemoryStore;
pub use query::{ATTEMPTS_MAX, Answer, LIST_REACH, Query};
pub use retention::{PRUNE_BYTES_MAX, PRUNE_LOOKS, PRUNE_MAX, Prune, Pruned, Retention};
pub use sqlite::{BackedUp, BackupStep, Looked, SqliteStore, Wal, back_up, look_at};

/// A durable table of tasks. Its methods block, so they are never called on a tokio worker thread.
pub trait Store {
    /// What was under way when the last dispatcher stopped. `fresh`, which no other table has, becomes the id of a table
    /// that has none yet, or that was restored.
    fn open(&mut self, now: WallTime, fresh: FileId) -> Result<Opened, StoreError>;

    /// Applies a batch in one transaction: all of it is on stable storage when this returns `Ok`, and
    /// none of it is visible when it returns an error. (After [`StoreError::Unavailable`] it may yet turn up
    /// at the next start: the outcome is unknown.)
    ///
    /// `now` may jump. Stored times never go back all the same; what is due is judged by `now` itself, except
    /// that a task which was due at once stays due, and a back-off does not outlast a clock that was wrong.
    fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Outcomes, StoreError>;

    /// Reads a committed state; never waits for a writer.
    fn read(&self, query: &Query) -> Result<Answer, StoreError>;
}

/// Why a store could not do what it was asked, named for what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another connection holds the lock; nothing has happened. Try the same thing again.
    #[error("the database is locked by another program: {0}")]
    Busy(String),
    /// No space is left; the batch was undone. Go on with what must be stored, refuse what need not.
    #[error("the disk is full: {0}")]
    Full(String),
    /// A read was given up. Ask for less.
    #[error("it takes too long: {0}")]
    TooSlow(String),
    /// The disk failed; the outcome is unknown. Stop, and look at the file at the next start.
    #[error("the disk failed: {0}")]
    Unavailable(String),
    /// The file is damaged. Stop.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
}

/// The state of a table when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Which table it is.
    pub identity: Identity,
    /// All running rows, by id.
    pub running: Vec<Running>,
    /// All types that have pending rows, due or not, by name.
    pub pending_types: Vec<TaskType>,
    /// How long until the first task expires, if one will.
    pub next_expiry: Option<Duration>,
    /// How many tasks are pending, as [`Query::Stats`] counts.
    pub pending: u64,
}
