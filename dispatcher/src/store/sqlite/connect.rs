//! Opens the file: pools, pragmas, migrations (R31).

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use taskgrid_runtime::StartError;

use super::place::resolved;
use super::refusal::{refusal, refusal_of};
use super::{Known, SqliteStore};

/// Before this version two connections could lose commits when one of them checkpointed.
pub(super) const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// GET_RESULT and its like are read by one, a long LIST_TASKS or the check of the file by the other.
const READERS: u32 = 2;

/// How long a reader waits where SQLite makes it wait at all, such as for a checkpoint that ends.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a batch waits for the lock before [`crate::store::StoreError::Busy`]: the committer then says so
/// from time to time, and tries again.
pub(super) const WRITER_PATIENCE: Duration = Duration::from_secs(1);

/// How long the pool tries to open the file before it says what is wrong.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);

/// Statements are prepared once for a connection's life; there are fewer than this.
const STATEMENTS_MAX: usize = 64;

/// The writer's page cache in KiB. Above SQLite's 2 MiB, so that the inner pages of the indexes of a table
/// with millions of rows stay in it.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

mod embedded {
    refinery::embed_migrations!("../migrations");
}
pub(super) use embedded::migrations;

impl SqliteStore {
    /// Opens the file, which [`super::look_at`] has found fit, and brings its schema up to date.
    pub fn connect(path: &Path) -> Result<Self, StartError> {
        assert_version()?;
        let failed = |error: &(dyn Error + 'static)| refusal_of(path, error);
        // The pool would try for a while and then tell the text of an error alone. This one is dropped when the
        // pool has its own, so that closing it does not copy the log.
        let first = Connection::open_with_flags(path, flags(false)).and_then(|mut connection| {
            init_writer(&mut connection)?;
            Ok(connection)
        });
        let first = first.map_err(|error| refusal(path, &error))?;
        let writer = SqliteConnectionManager::file(path).with_flags(flags(false)).with_init(init_writer);
        let writer = pool(writer, 1, 1).map_err(|error| failed(&error))?;
        let mut connection = writer.get().map_err(|error| failed(&error))?;
        migrations::runner().set_grouped(true).run(&mut *connection).map_err(|error| failed(&error))?;
        drop((connection, first));
        let readers = SqliteConnectionManager::file(path).with_flags(flags(true)).with_init(init_reader);
        let readers = pool(readers, READERS, READERS).map_err(|error| failed(&error))?;
        let copier = SqliteConnectionManager::file(path).with_flags(flags(false)).with_init(init_copier);
        let copier = pool(copier, 1, 0).map_err(|error| failed(&error))?;
        let known = Arc::new(Mutex::new(Known::default()));
        Ok(Self { path: Arc::new(resolved(path)), readers, copier, writer, known })
    }
}

pub(super) fn assert_version() -> Result<(), StartError> {
    if rusqlite::version_number() >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    let version = rusqlite::version();
    Err(StartError::configuration(format!(
        "this program was built with SQLite {version}, which can lose commits; build it with 3.51.3 or later"
    )))
}

fn flags(read_only: bool) -> OpenFlags {
    let access = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    // A pool hands a connection to one thread at a time, so SQLite needs no mutex of its own.
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Connections live as long as the pool: their caches and prepared statements are worth keeping.
/// So many are opened at once; the others when they are wanted.
fn pool(
    manager: SqliteConnectionManager,
    size: u32,
    at_once: u32,
) -> Result<Pool<SqliteConnectionManager>, r2d2::Error> {
    let builder = Pool::builder()
        .max_size(size)
        .min_idle(Some(at_once))
        .max_lifetime(None)
        .idle_timeout(None)
        .test_on_check_out(false);
    builder.connection_timeout(OPEN_PATIENCE).build(manager)
}

fn init_writer(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(WRITER_PATIENCE)?;
    init(connection)?;
    demand(connection, "journal_mode", "wal", "wal".to_owned())?;
    // 2 is FULL: a commit is synced before it returns.
    demand(connection, "synchronous", "FULL", 2)?;
    if cfg!(target_os = "macos") {
        // There, fsync alone leaves the data in the drive's cache.
        demand(connection, "fullfsync", 1, 1)?;
    }
    // 2 is MEMORY. A statement of many rows keeps what it takes to undo it, and in a file that is a third of the
    // committer's time.
    demand(connection, "temp_store", "MEMORY", 2)?;
    // Checkpoints are made between batches, not in the middle of one.
    demand(connection, "wal_autocheckpoint", 0, 0)?;
    demand(connection, "cache_size", -WRITER_CACHE_KIB, -WRITER_CACHE_KIB)
}

fn init_copier(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    init(connection)?;
    // 2 is FULL: the log is synced before it is copied, and the file before the log is used anew.
    demand(connection, "synchronous", "FULL", 2)?;
    if cfg!(target_os = "macos") {
        demand(connection, "fullfsync", 1, 1)?;
    }
    demand(connection, "wal_autocheckpoint", 0, 0)
}

fn init_reader(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(READER_PATIENCE)?;
    init(connection)
}

/// What holds for every connection to a file that other programs may have written to.
pub(super) fn init(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    demand(connection, "trusted_schema", "OFF", 0)?;
    demand(connection, "cell_size_check", "ON", 1)
}

/// Sets a pragma and reads it back: SQLite ignores what it cannot do, such as WAL on some file systems.
fn demand<V, E>(connection: &Connection, pragma: &str, value: V, expected: E) -> rusqlite::Result<()>
where
    V: rusqlite::ToSql,
    E: rusqlite::types::FromSql + PartialEq + std::fmt::Display,
{
    connection.pragma_update(None, pragma, value)?;
    let actual: E = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    if actual == expected {
        return Ok(());
    }
    let message = format!("PRAGMA {pragma} is {actual} where {expected} is needed");
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), Some(message)))
}
