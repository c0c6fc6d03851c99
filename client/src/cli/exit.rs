//! What the process exits with.

use std::process::ExitCode;

/// The exit codes of the client's verbs, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// It was done.
    Fine = 0,
    /// The task failed or was cancelled, or a benchmark found a wrong or missing result.
    TaskFailed = 1,
    /// The command makes no sense as it is written.
    Usage = 2,
    /// The dispatcher refused: nothing was stored or changed. Or a benchmark has found nobody who serves its type.
    Refused = 3,
    /// No answer in time, or no result yet: ask again.
    Unknown = 4,
    /// The grid of a benchmark could not be started, or a part of it has ended.
    Unavailable = 69,
    /// What was to be printed could not be written.
    Output = 74,
    /// Somebody has stopped a benchmark.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
