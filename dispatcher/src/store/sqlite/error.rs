//! SQLite's errors, named for what to do about them.

use std::io::{self, ErrorKind};

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let code = code_of(&error);
        let text = describe(&error);
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::OperationInterrupted) => Self::TooSlow(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            // SystemIoFailure, and all that should not happen: whether a COMMIT took place is unknown.
            Some(_) => Self::Unavailable(text),
            // A row that does not hold what the schema demands of it.
            None => Self::Corrupt(text),
        }
    }
}

/// SQLite's code, but a file that may not grow is a full disk as well: because of a limit of file sizes, or of a quota.
/// SQLite takes only ENOSPC for one. All three fail before the commit is written, so nothing was stored.
///
/// To be asked at once: the cause of a write that has failed is the thread's last error of the system, which is what
/// `sqlite3_system_errno` reads too.
pub(super) fn code_of(error: &Error) -> Option<ErrorCode> {
    if may_not_grow(error) { Some(ErrorCode::DiskFull) } else { error.sqlite_error_code() }
}

fn may_not_grow(error: &Error) -> bool {
    let is_write = error.sqlite_error().is_some_and(|cause| cause.extended_code == ffi::SQLITE_IOERR_WRITE);
    is_write && matches!(io::Error::last_os_error().kind(), ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded)
}

/// The message, with the code that tells one I/O error from another.
fn describe(error: &Error) -> String {
    if may_not_grow(error) {
        let cause = io::Error::last_os_error();
        return format!("{cause}; raise the limit of file sizes (ulimit -f, LimitFSIZE=), or the quota");
    }
    match error.sqlite_error() {
        Some(cause) => format!("{error} (SQLite code {})", cause.extended_code),
        None => error.to_string(),
    }
}

/// Whether the fault lies with the row alone. SQLite has undone its statement, and only that.
pub(super) fn is_rows_own(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

impl From<r2d2::Error> for StoreError {
    /// All connections of the pool are in use, or no new one can be opened.
    fn from(error: r2d2::Error) -> Self {
        Self::Busy(error.to_string())
    }
}
