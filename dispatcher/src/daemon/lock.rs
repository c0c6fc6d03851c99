//! One dispatcher a database (R30).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use taskgrid_runtime::{Exit, StartError};

/// Holds the lock on a database until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    file: File,
}

impl DatabaseLock {
    /// Takes the lock beside `database`. The file stays when the dispatcher has stopped: removing it could
    /// take it from under a dispatcher that is just starting.
    pub(super) fn take(database: &Path) -> Result<Self, StartError> {
        let path = lock_path(database);
        let failed = |error: &std::io::Error| {
            let message = format!("cannot lock {}: {error}; the directory must exist and be writable", path.display());
            StartError::refused(error, message)
        };
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
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

impl DatabaseLock {
    /// Whether the disk failed under the last dispatcher: then even a large file is checked before it is
    /// used (R32).
    pub(super) fn is_suspect(&self) -> bool {
        self.file.metadata().is_ok_and(|data| data.len() > 0)
    }

    /// The disk has failed. If even this cannot be written, the next start is no worse off than without it.
    pub(super) fn suspect(&mut self) {
        let _ = self.file.write_all(b"the disk failed under the last dispatcher\n");
    }

    /// The file was checked.
    pub(super) fn trust(&self) {
        let _ = self.file.set_len(0);
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

    #[test]
    fn a_failed_disk_is_remembered_until_the_file_was_checked() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("tasks.db");
        let mut lock = DatabaseLock::take(&database).unwrap();
        assert!(!lock.is_suspect());
        lock.suspect();
        drop(lock);
        let lock = DatabaseLock::take(&database).unwrap();
        assert!(lock.is_suspect());
        lock.trust();
        assert!(!lock.is_suspect());
    }
}
