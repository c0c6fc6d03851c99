//! A look at a database before anything is opened for writing (R32).
//!
//! It decides whether this program may work with the file, and leaves the file, and all beside it, byte for
//! byte as they were.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use taskgrid_runtime::{Exit, StartError};

use super::connect::{self, migrations};
use super::place::{refuse_unsuitable_place, refused, resolved, size, size_beside};
use super::refusal::{damaged, not_ours, refusal};

/// Below this the whole file is checked before it is used: it takes less than half a second.
const CHECK_AT_ONCE_MAX: u64 = 64 * 1024 * 1024;

/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Lines of `quick_check` that are told; the first say enough.
const COMPLAINTS_MAX: usize = 5;

/// What the first migration writes into the header.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"TGRD");

/// How long to try to be alone with the file. A program that has it open keeps it so, mostly.
const ALONE_PATIENCE: Duration = Duration::from_millis(100);

/// For another program to end its transaction.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing: the file will be created.
    New,
    /// Our table, without damage.
    Sound,
    /// Our table. It is large, so [`super::SqliteStore::check`] is to look for damage while it is in use.
    Unchecked,
}

/// Looks at the database `path`. `thorough` checks also a large file for damage, as is wise after the disk
/// has failed.
pub fn look_at(path: &Path, thorough: bool) -> Result<Looked, StartError> {
    connect::assert_version()?;
    let path = &resolved(path);
    refuse_unsuitable_place(path)?;
    let Some(size) = size(path)? else { return Ok(Looked::New) };
    let log = size_beside(path, "-wal");
    if size == 0 {
        return if log == 0 { Ok(Looked::New) } else { Err(damaged(path, &["the file is empty, its -wal is not"])) };
    }
    if size_beside(path, "-journal") > 0 {
        return look_at_journal(path, size);
    }
    refuse_other_formats(path)?;
    let connection = open(path, log > 0).map_err(|error| refusal(path, &error))?;
    let look = Look { path, connection: &connection };
    let is_new = look.refuse_strangers()?;
    if !is_new {
        look.refuse_other_schemas()?;
    }
    if !thorough && size >= CHECK_AT_ONCE_MAX {
        return Ok(Looked::Unchecked);
    }
    look.refuse_damage()?;
    Ok(if is_new { Looked::New } else { Looked::Sound })
}

/// What is asked of a file before it is used, whoever has opened it. Refusals name `path`.
pub(super) struct Look<'a> {
    pub(super) path: &'a Path,
    pub(super) connection: &'a Connection,
}

impl Look<'_> {
    /// Whether the file has no tables yet: the first start was interrupted. A file with tables must be ours. A
    /// copy that was made by way of SQL text has lost the mark in its header; then the schema tells.
    pub(super) fn refuse_strangers(&self) -> Result<bool, StartError> {
        const TABLES: &str = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'refinery_schema_history'";
        const HISTORY: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'";
        let id: i32 = self.read("PRAGMA application_id")?;
        let (tables, history): (i64, i64) = (self.read(TABLES)?, self.read(HISTORY)?);
        match id {
            APPLICATION_ID => Ok(false),
            0 if tables == 0 => Ok(true),
            0 if history > 0 => Ok(false),
            _ => Err(not_ours(self.path, "it is the database of another program")),
        }
    }

    pub(super) fn refuse_other_schemas(&self) -> Result<(), StartError> {
        // With the name, which only refinery wants: it must be there.
        const HISTORY: &str =
            "SELECT version, checksum, applied_on, name FROM refinery_schema_history ORDER BY version";
        let runner = migrations::runner();
        let ours = runner.get_migrations();
        let newest = ours.iter().map(refinery::Migration::version).max().unwrap_or_default();
        let history = self.connection.prepare(HISTORY).and_then(|mut statement| {
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<Vec<(i32, String, String)>, _>>()
        });
        let history = history.map_err(|error| refusal(self.path, &error))?;
        if history.is_empty() {
            return Err(not_ours(self.path, "it does not say which schema it has"));
        }
        for (version, checksum, applied_on) in history {
            if version > newest {
                return Err(self.newer(version, newest));
            }
            let known = ours.iter().find(|migration| migration.version() == version);
            let same = known.is_some_and(|migration| migration.checksum().to_string() == checksum);
            // refinery panics where it cannot read the time.
            if !same || DateTime::parse_from_rfc3339(&applied_on).is_err() {
                let why = format!("its schema {version} is not the one that was released under this number");
                return Err(not_ours(self.path, &why));
            }
        }
        Ok(())
    }

    /// Looks through all of it.
    pub(super) fn refuse_damage(&self) -> Result<(), StartError> {
        let complaints = quick_check(self.connection).map_err(|error| refusal(self.path, &error))?;
        if complaints.is_empty() { self.refuse_spoilt_tables() } else { Err(damaged(self.path, &complaints)) }
    }

    /// SQLite reads a table whose constraints no longer make sense, and fails when it is to write to it. Found
    /// out elsewhere, since nothing is written here.
    fn refuse_spoilt_tables(&self) -> Result<(), StartError> {
        const OURS: &str = "SELECT sql FROM sqlite_schema
                            WHERE type = 'table' AND name IN ('tasks', 'task_attempts', 'counters', 'meta')";
        let tried = Connection::open_in_memory().and_then(|elsewhere| {
            let mut statement = self.connection.prepare(OURS)?;
            for table in statement.query_map([], |row| row.get::<_, String>(0))? {
                elsewhere.execute_batch(&table?)?;
            }
            Ok(())
        });
        tried.map_err(|error| damaged(self.path, &[error.to_string()]))
    }

    fn newer(&self, version: i32, newest: i32) -> StartError {
        let path = self.path.display();
        let message = format!(
            "the database {path} was made by a newer taskgrid (schema {version}, this one knows {newest}): start that \
             one, or choose another file with --database"
        );
        StartError::new(Exit::Corrupt, message)
    }

    fn read<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<T, StartError> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| refusal(self.path, &error))
    }
}

/// Opens the file in such a way that nothing is written, not even the index of the write-ahead log.
fn open(path: &Path, has_log: bool) -> rusqlite::Result<Connection> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !has_log {
        // Without a log everything stands in the file itself, and no lock or index is needed to read it.
        let connection = Connection::open_with_flags(uri(path), read_only | OpenFlags::SQLITE_OPEN_URI)?;
        return connect::init(&connection).map(|()| connection);
    }
    match open_exclusively(path) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            // Another program reads the file just now and so keeps an index of the log, which we can share.
            let connection = Connection::open_with_flags(path, read_only)?;
            connection.busy_timeout(PATIENCE)?;
            connect::init(&connection)?;
            touch(&connection).map(|()| connection)
        }
        opened => opened,
    }
}

/// Alone with the file, SQLite keeps the index of the log in its own memory.
fn open_exclusively(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(ALONE_PATIENCE)?;
    // Else closing the connection would copy the log into the file and delete it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connect::init(&connection)?;
    touch(&connection).map(|()| connection)
}

/// The first access: now the locks are taken.
pub(super) fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn uri(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

pub(super) fn refuse_other_formats(path: &Path) -> Result<(), StartError> {
    let mut header = [0; MAGIC.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header == *MAGIC => Ok(()),
        Ok(()) => Err(not_ours(path, "it is not an SQLite database")),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(not_ours(path, "it is not an SQLite database")),
        Err(error) => Err(refused(path, &error, "cannot read it")),
    }
}

/// Our files are in WAL mode from their first page on, so a rollback journal is another program's work; to
/// read the file would roll it back. But before the first page is whole, our own first start has one.
fn look_at_journal(path: &Path, size: u64) -> Result<Looked, StartError> {
    const FIRST_PAGE: u64 = 4_096;
    if size <= FIRST_PAGE {
        return Ok(Looked::New);
    }
    Err(not_ours(path, "another program was interrupted while it wrote to it, and has left a -journal"))
}

/// Complaints about the file behind `connection`; none if it is sound.
pub(super) fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({COMPLAINTS_MAX})"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
