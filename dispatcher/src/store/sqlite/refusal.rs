//! Why a database cannot be used, for the operator: what is wrong, and what can be done about it (R32).

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::Access;
use rustix::io::Errno;
use taskgrid_runtime::{Exit, StartError};

use super::error::code_of;
use super::place::beside;

pub(super) fn not_ours(path: &Path, why: &str) -> StartError {
    let path = path.display();
    StartError::new(
        Exit::Corrupt,
        format!("{path} is not a taskgrid database: {why}; choose another file with --database"),
    )
}

pub(super) fn damaged(path: &Path, complaints: &[impl AsRef<str>]) -> StartError {
    let complaints = complaints.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("; ");
    let path = path.display();
    let message = format!(
        "the database {path} is damaged ({complaints}). It was left as it is. Save what can be read with: \
         sqlite3 '{path}' \".recover\" | sqlite3 '{path}.recovered' (or, where sqlite3 has no .recover: \
         sqlite3 '{path}' .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 '{path}.recovered')"
    );
    StartError::new(Exit::Corrupt, message)
}

/// What an error of SQLite means before anything was stored.
pub(super) fn refusal(path: &Path, error: &rusqlite::Error) -> StartError {
    let name = path.display();
    match code_of(error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StartError::in_use(format!("the database {name} is locked by another program; stop that one"))
        }
        Some(ErrorCode::NotADatabase) => not_ours(path, "it is not an SQLite database"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            let cause = what_refuses(path);
            let exit = cause.as_ref().map_or(Exit::Unavailable, Exit::when_refused);
            let cause = cause.map_or_else(|| "what prevented it is over".to_owned(), |cause| cause.to_string());
            let message = format!(
                "cannot open the database {name}: {error} ({cause}); the file, its -wal and -shm beside it, and their \
                 directory must belong to a user who may write them, on a local disk"
            );
            StartError::new(exit, message)
        }
        Some(ErrorCode::DiskFull) => {
            StartError::new(Exit::Disk, format!("cannot open the database {name}: {error}; make space and start again"))
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => {
            StartError::new(Exit::Disk, format!("cannot read the database {name}: {error}; look at the disk"))
        }
        _ => damaged(path, &[error.to_string()]),
    }
}

/// SQLite says that it cannot open a file, and not why, so what it needs is asked of the system again.
fn what_refuses(path: &Path) -> Option<io::Error> {
    let access = Access::READ_OK | Access::WRITE_OK;
    let existing = ["", "-wal", "-shm"].map(|ending| beside(path, ending)).into_iter().find_map(|file| {
        let found = fs::metadata(&file).ok()?;
        if found.is_dir() { Some(Errno::ISDIR) } else { rustix::fs::access(&file, access).err() }
    });
    existing.map(io::Error::from).or_else(|| {
        // The log and its index are new files as a rule.
        let probe = beside(path, ".probe");
        let made = File::create_new(&probe).and_then(|_| fs::remove_file(&probe));
        made.err().filter(|error| error.kind() != ErrorKind::AlreadyExists)
    })
}

/// The same for an error that others have wrapped.
pub(super) fn refusal_of(path: &Path, error: &(dyn Error + 'static)) -> StartError {
    let mut cause = error;
    loop {
        if let Some(error) = cause.downcast_ref::<rusqlite::Error>() {
            return refusal(path, error);
        }
        match cause.source() {
            Some(inner) => cause = inner,
            // The innermost one says what is wrong; those around it, what was being done.
            None => {
                return StartError::new(Exit::Disk, format!("cannot open the database {}: {cause}", path.display()));
            }
        }
    }
}
