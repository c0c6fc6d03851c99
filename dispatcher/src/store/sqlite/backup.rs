//! A copy of the database while it is in use, and the opening of such a copy (R32).
//!
//! The copy is made page by page with SQLite's online backup, within one read transaction. Without that, SQLite
//! begins anew whenever another process has written between two steps, and under load never ends. With it, every
//! step copies of one state, as VACUUM INTO does too; but that builds each table and index anew, which takes
//! several times as long, and until it is done the log cannot start again. Nobody waits for either.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use taskgrid_runtime::{Exit, StartError};

use super::connect;
use super::error::code_of;
use super::look::{self, Look};
use super::place::{beside, directory_of, free_in, resolved, size_beside};
use super::refusal::{damaged, not_ours, refusal};
use crate::store::StoreError;

/// Pages between two looks at the progress: 4 MiB, well below a tenth of a second.
const STEP_PAGES: i32 = 1_024;

/// What a copy leaves free, since the disk may be that of the database: as much as below which new tasks are
/// refused (R33).
const LEAVE_FREE: u64 = 64 * 1024 * 1024;

/// How long to wait where SQLite makes a reader wait at all, such as while another program opens the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The row of `meta` that marks a copy until a dispatcher opens it.
pub(super) const MARK: &str = "backup_at";

pub(super) use crate::store::identity::LEAP;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Tasks in the copy.
    pub tasks: u64,
    /// Its size.
    pub bytes: u64,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupStep {
    /// So many bytes of so many are copied.
    Copied(u64, u64),
    /// All are copied; now the copy is looked through for damage.
    Checking,
}

/// Copies the database `database` to `file`, which must not exist and only does once the copy is whole, sound
/// and on stable storage.
pub fn back_up(database: &Path, file: &Path, mut tell: impl FnMut(BackupStep)) -> Result<BackedUp, StartError> {
    connect::assert_version()?;
    refuse_existing(file)?;
    let source = Source::open(database)?;
    let scratch = Scratch::beside(file)?;
    source.refuse_small_disk(file)?;
    let failed = |error: &rusqlite::Error| failure(database, file, error);
    let mut copy = scratch.open().map_err(|error| failed(&error))?;
    source.copy_to(&mut copy, &mut tell).map_err(|error| failed(&error))?;
    // From here on the log of the database may start again.
    drop(source);
    tell(BackupStep::Checking);
    // A copy in WAL mode would leave its own log beside it whenever somebody looks into it.
    copy.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(())).map_err(|error| failed(&error))?;
    let look = Look { path: database, connection: &copy };
    if look.refuse_strangers()? {
        return Err(not_ours(database, "it has no tables yet"));
    }
    look.refuse_other_schemas()?;
    mark(&copy).map_err(|error| failed(&error))?;
    look.refuse_damage()?;
    let tasks = copy.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    copy.close().map_err(|(_, error)| failed(&error))?;
    let bytes = scratch.keep_as(file, database)?;
    Ok(BackedUp { tasks: i64::unsigned_abs(tasks), bytes })
}

fn refuse_existing(file: &Path) -> Result<(), StartError> {
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(file, &error)),
        Ok(_) => Err(StartError::configuration(format!(
            "{} exists already and is not overwritten; name another file, or move that one away",
            file.display()
        ))),
    }
}

fn cannot_write(file: &Path, error: &std::io::Error) -> StartError {
    let why = format!("cannot write {}: {error}; name a file in a directory that can be written", file.display());
    StartError::refused(error, why)
}

/// What an error of SQLite means where it may be of either file.
fn failure(database: &Path, file: &Path, error: &rusqlite::Error) -> StartError {
    let (from, to) = (database.display(), file.display());
    match code_of(error) {
        Some(ErrorCode::DiskFull) => StartError::new(
            Exit::Disk,
            format!("cannot write {to}: {error}; make space, or name a file on another disk"),
        ),
        // Unknown: there is no such table.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            damaged(database, &[error.to_string()])
        }
        _ => StartError::new(Exit::Disk, format!("cannot copy {from} to {to}: {error}; look at the disks")),
    }
}

/// The database, in one committed state of it.
struct Source<'p> {
    path: &'p Path,
    connection: Connection,
    page_bytes: u64,
    pages: u64,
}

impl<'p> Source<'p> {
    /// Nothing is written: a reader's connection neither copies a log into the file nor removes one.
    fn open(path: &'p Path) -> Result<Self, StartError> {
        if let Err(error) = fs::metadata(path)
            && error.kind() == ErrorKind::NotFound
        {
            let message = format!("there is no database {}; name the dispatcher's with --database", path.display());
            return Err(StartError::configuration(message));
        }
        let real = resolved(path);
        look::refuse_other_formats(&real)?;
        if size_beside(&real, "-journal") > 0 {
            return Err(not_ours(
                path,
                "another program was interrupted while it wrote to it, and has left a -journal",
            ));
        }
        Self::begin(path, &real).map_err(|error| refusal(path, &error))
    }

    fn begin(path: &'p Path, real: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(real, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connect::init(&connection)?;
        // It ends with the connection. The first read chooses the state.
        connection.execute_batch("BEGIN")?;
        look::touch(&connection)?;
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let (page_bytes, pages) = (number("page_size")?.unsigned_abs(), number("page_count")?.unsigned_abs());
        Ok(Self { path, connection, page_bytes, pages })
    }

    /// A copy that fills the disk of the database would stop the dispatcher from taking tasks.
    fn refuse_small_disk(&self, file: &Path) -> Result<(), StartError> {
        let needed = self.pages.saturating_mul(self.page_bytes);
        let Some(free) = free_in(directory_of(file)).filter(|free| *free < needed.saturating_add(LEAVE_FREE)) else {
            return Ok(());
        };
        let message = format!(
            "{} MiB are free where {} is to lie, and the copy of {} takes {} MiB and leaves {} MiB; make space, or name \
             a file on another disk",
            free >> 20,
            file.display(),
            self.path.display(),
            needed.div_ceil(1 << 20),
            LEAVE_FREE >> 20
        );
        Err(StartError::new(Exit::Disk, message))
    }

    fn copy_to(&self, copy: &mut Connection, tell: &mut impl FnMut(BackupStep)) -> rusqlite::Result<()> {
        let backup = Backup::new(&self.connection, copy)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let left = u64::try_from(backup.progress().remaining).unwrap_or_default();
            tell(BackupStep::Copied(self.pages.saturating_sub(left) * self.page_bytes, self.pages * self.page_bytes));
            match step {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                _ => {
                    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                    return Err(rusqlite::Error::SqliteFailure(busy, None));
                }
            }
        }
    }
}

/// The copy while it is made. What a killed one leaves is used by the next one to the same file.
struct Scratch {
    path: PathBuf,
    /// Locked, so that two programs do not write one copy.
    file: File,
}

impl Scratch {
    fn beside(file: &Path) -> Result<Self, StartError> {
        let path = beside(file, ".partial");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Until it gets the permissions of the database nobody else reads it.
            options.mode(0o600);
        }
        let opened = options.open(&path).map_err(|error| cannot_write(&path, &error))?;
        match opened.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another backup writes {} just now; wait for it", file.display());
                return Err(StartError::in_use(message));
            }
            Err(TryLockError::Error(error)) => return Err(cannot_write(&path, &error)),
        }
        // Whoever held the lock may have given this very file its name meanwhile.
        refuse_existing(file)?;
        let scratch = Self { path, file: opened };
        scratch.file.set_len(0).map_err(|error| cannot_write(&scratch.path, &error))?;
        Ok(scratch)
    }

    /// Synced once at the end, so not before; and what is not whole needs no journal.
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connect::init(&connection)?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(connection)
    }

    /// Gives the copy its name, once it is on stable storage; returns its size.
    fn keep_as(self, file: &Path, database: &Path) -> Result<u64, StartError> {
        let renamed = || {
            self.file.set_permissions(fs::metadata(database)?.permissions())?;
            self.file.sync_all()?;
            fs::rename(&self.path, file)?;
            File::open(directory_of(file))?.sync_all()?;
            self.file.metadata().map(|data| data.len())
        };
        // It may have come into being meanwhile.
        refuse_existing(file)?;
        renamed().map_err(|error| {
            StartError::new(Exit::Disk, format!("cannot write {}: {error}; look at the disk", file.display()))
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is there under this name once the copy has its own.
        let _ = fs::remove_file(&self.path);
    }
}

fn mark(copy: &Connection) -> rusqlite::Result<()> {
    const MARK_IT: &str =
        "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
    copy.execute(MARK_IT, [MARK]).map(drop)
}

/// The file is a copy that nobody has opened yet: whoever made it went on, and acknowledged tasks that it does not
/// know. Their numbers must not name other tasks, so they are left out. `Some` says what to tell people.
pub(super) fn leap(connection: &Connection) -> Result<Option<String>, StoreError> {
    const UNMARK: &str = "DELETE FROM meta WHERE name = ?1 RETURNING value";
    const MOVE_ON: &str = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'tasks'";
    const BEGIN: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', ?1)";
    let Some(made) = connection.query_row(UNMARK, [MARK], |row| row.get::<_, String>(0)).optional()? else {
        return Ok(None);
    };
    if connection.execute(MOVE_ON, [LEAP])? == 0 {
        connection.execute(BEGIN, [LEAP])?;
    }
    Ok(Some(format!(
        "the database is a backup of {made}: what was stored since is not in it; numbers of new tasks begin {LEAP} later, \
         so that no number that was given since names another task"
    )))
}
