//! The id of the file, in `meta` (R32).
//!
//! `file_id` is its own. A row `former_file_id:ID` holds an id that it had before it was restored, and in `value` the
//! highest number that was given under it and is in the backup.

use rusqlite::{Connection, OptionalExtension, params};
use taskgrid_protocol::{FileId, TaskId};

use crate::store::StoreError;
use crate::store::identity::{FORMER_MAX, Identity};

/// The row of `meta` that holds the file's own id.
pub(super) const FILE_ID: &str = "file_id";

/// Makes sure that the file has an id of its own: `fresh`, if it has none or is a copy. `newest` is the highest
/// number that was given in it.
pub(super) fn settle(
    connection: &Connection,
    fresh: FileId,
    is_copy: bool,
    newest: TaskId,
) -> Result<Identity, StoreError> {
    const WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
    const REMEMBER: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('former_file_id:' || ?1, ?2)";
    const FORGET: &str = "\
        DELETE FROM meta WHERE name GLOB 'former_file_id:*' AND name NOT IN (
            SELECT name FROM meta WHERE name GLOB 'former_file_id:*' ORDER BY CAST(value AS INTEGER) DESC LIMIT ?1)";
    let known = id_of(connection)?;
    if let Some(id) = known.filter(|_| !is_copy) {
        return Ok(Identity { id, former: former(connection)? });
    }
    if let Some(id) = known {
        connection.execute(REMEMBER, params![id.as_str(), newest.0.to_string()])?;
        connection.execute(FORGET, [FORMER_MAX])?;
    }
    connection.execute(WRITE, params![FILE_ID, fresh.as_str()])?;
    Ok(Identity { id: fresh, former: former(connection)? })
}

/// The id in the file. One that is none, which somebody must have written, counts as missing.
pub(super) fn id_of(connection: &Connection) -> rusqlite::Result<Option<FileId>> {
    const READ: &str = "SELECT value FROM meta WHERE name = ?1";
    let text: Option<String> = connection.query_row(READ, [FILE_ID], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The ids that the file had before, by id.
pub(super) fn former(connection: &Connection) -> rusqlite::Result<Vec<(FileId, TaskId)>> {
    const READ: &str = "\
        SELECT substr(name, 16), CAST(value AS INTEGER) FROM meta WHERE name GLOB 'former_file_id:*' ORDER BY name";
    let mut statement = connection.prepare(READ)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter_map(|(id, newest)| Some((id.parse().ok()?, TaskId(newest)))).collect())
}

/// The highest number that was ever given in the file; 0 if none was.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<TaskId> {
    const READ: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'tasks'";
    Ok(TaskId(connection.query_row(READ, [], |row| row.get(0)).optional()?.unwrap_or_default()))
}
