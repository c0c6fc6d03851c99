//! One dispatcher a database (R30).

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use taskgrid_runtime::{Exit, StartError};

/// Holds the lock on a database until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock beside `database`. The file stays when the dispatcher has stopped: removing it could
    /// take it from under a dispatcher that is just starting.
    pub(super) fn take(database: &Path) -> Result<Self, StartError> {
        let path = lock_path(database);
        let failed = |error: &std::io::Error| {
            let message = format!("cannot lock {}: {error}; the directory must exist and be writable", path.display());
            StartError::configuration(message)
        };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StartError::new(
                Exit::InUse,
                format!(
                    "the database {} is in use by another dispatcher; stop that one, or name another file with --database",
                    database.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_dispatcher_is_refused_and_told_which_database() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("tasks.db");
        let first = DatabaseLock::take(&database).unwrap();
        let refused = DatabaseLock::take(&database).unwrap_err();
        assert_eq!(refused.exit, Exit::InUse);
        assert!(refused.to_string().contains("tasks.db"), "{refused}");
        drop(first);
        DatabaseLock::take(&database).unwrap();
    }
}
