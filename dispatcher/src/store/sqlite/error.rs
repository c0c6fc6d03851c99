//! SQLite's errors, named for what to do about them.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = describe(&error);
        match error.sqlite_error_code() {
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

/// The message, with the code that tells one I/O error from another.
fn describe(error: &Error) -> String {
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
