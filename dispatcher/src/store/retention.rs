//! How long ended tasks are kept (R4).

use std::time::Duration;

use taskgrid_protocol::TaskId;

/// How long tasks are kept after their end; `None`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Done ones.
    pub done: Option<Duration>,
    /// Failed and cancelled ones, which somebody may want to retry.
    pub failed: Option<Duration>,
}

impl Retention {
    /// After this time the first tasks are deleted; `None`: none ever.
    pub fn shortest(&self) -> Option<Duration> {
        self.done.into_iter().chain(self.failed).min()
    }
}

/// Deletes tasks that ended long enough ago, with their attempts. Looks at the tasks behind `after` in the order of
/// their ids, at [`PRUNE_LOOKS`] of them at most, and stops after [`PRUNE_MAX`] deletions or [`PRUNE_BYTES_MAX`], or
/// before a task that was created too recently to have ended long enough ago: so were all behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Where the one before has stopped.
    pub after: TaskId,
    /// What is kept. By `now`, as it is due times that are judged.
    pub retention: Retention,
}

/// The outcome of a [`Prune`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// How many tasks are gone.
    pub deleted: usize,
    /// The last task that was looked at, or [`Prune::after`].
    pub reached: TaskId,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// Tasks that one batch looks at. Their rows may lie on as many pages, which may have to be read from the disk.
pub const PRUNE_LOOKS: usize = 2_000;

/// Tasks that one batch deletes: two milliseconds of work.
pub const PRUNE_MAX: usize = 500;

/// Bytes of payloads and results after which it stops. To free the pages of a long one, SQLite reads them.
pub const PRUNE_BYTES_MAX: usize = 4 * 1024 * 1024;
