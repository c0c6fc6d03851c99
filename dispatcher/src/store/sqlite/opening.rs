//! What the last dispatcher left behind.
//!
//! Only running rows are loaded. Everything else is a seek, so that millions of rows do not delay the start.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Json, TaskId, TaskType, WallTime};

use super::batch::{self, COUNTED_TO, Moves, Work};
use super::look::APPLICATION_ID;
use super::rows::{self, time_text};
use super::{Known, ends};
use crate::store::rules;
use crate::store::{Identity, Opened, Outcome, Running, StoreError};

pub(super) const RUNNING: &str = "\
    SELECT id, type, attempt, timeout_s, timestamp_created, assigned_worker, lease, payload \
    FROM tasks INDEXED BY tasks_status WHERE status = 'running' \
    ORDER BY id";

pub(super) const NEXT_TYPE: &str = "\
    SELECT type FROM tasks INDEXED BY tasks_pending WHERE status = 'pending' AND type > ?1 ORDER BY type LIMIT 1";

const LATEST: &str = "\
    SELECT timestamp_created FROM (SELECT timestamp_created FROM tasks ORDER BY id DESC LIMIT 1) \
    UNION ALL SELECT timestamp_ended FROM (SELECT timestamp_ended FROM task_attempts ORDER BY id DESC LIMIT 1) \
    UNION ALL SELECT timestamp_dispatched FROM tasks INDEXED BY tasks_status \
        WHERE status = 'running'";

pub(super) fn open(connection: &Connection, now: WallTime, identity: Identity) -> Result<(Opened, Known), StoreError> {
    sign(connection, now)?;
    let known = Known { latest: latest(connection)?, newest: counted_to(connection)?, ..Known::default() };
    let mut work = Work::begin(connection, now, known.clone())?;
    let running = running(&mut work)?;
    let learnt = work.close()?;
    let opened = Opened {
        identity,
        running,
        pending_types: pending_types(connection)?,
        next_expiry: batch::next_expiry(connection, now)?,
        pending: batch::pending(connection)?,
    };
    // `pending_types` names the types of added rows too, and nothing was stored at the present time yet.
    Ok((opened, Known { added: BTreeSet::new(), latest: known.latest, ..learnt }))
}

/// Says who made the file, and what it is. A copy made by way of SQL text has lost that mark, and perhaps rows:
/// it is counted anew.
fn sign(connection: &Connection, now: WallTime) -> Result<(), StoreError> {
    if has_lost_mark(connection)? {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.execute("DELETE FROM counters", [])?;
    }
    const SIGN: &str = "INSERT OR IGNORE INTO meta (name, value) VALUES ('made_by', ?1), ('made_at', ?2)";
    connection.execute(SIGN, params![concat!("taskgrid ", env!("CARGO_PKG_VERSION")), time_text(now)])?;
    Ok(())
}

/// Whether the header does not say who made the file: it is a copy by way of SQL text.
pub(super) fn has_lost_mark(connection: &Connection) -> rusqlite::Result<bool> {
    let mark: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(mark != APPLICATION_ID)
}

/// The newest row that the counters know of. If nothing is known, they start from nothing.
fn counted_to(connection: &Connection) -> Result<i64, StoreError> {
    const FIND: &str = "SELECT value FROM counters WHERE name = ?1";
    if let Some(counted_to) = connection.query_row(FIND, [COUNTED_TO], |row| row.get(0)).optional()? {
        return Ok(counted_to);
    }
    connection.execute("DELETE FROM counters", [])?;
    for name in Moves::ALL.iter().map(|status| status.as_str()).chain([COUNTED_TO]) {
        connection.execute("INSERT INTO counters (name, value) VALUES (?1, 0)", [name])?;
    }
    Ok(0)
}

/// The latest of the times that a later one may have to follow: the newest task's creation, the hand-over
/// of a running one, and the end of the newest past attempt.
fn latest(connection: &Connection) -> Result<WallTime, StoreError> {
    let mut statement = connection.prepare(LATEST)?;
    let mut times = statement.query_map([], |row| rows::time(row, 0))?;
    times.try_fold(WallTime::default(), |latest, time| Ok(latest.max(time?)))
}

fn running(work: &mut Work<'_>) -> Result<Vec<Running>, StoreError> {
    let mut statement = work.connection.prepare(RUNNING)?;
    let rows = statement.query_map([], |row| {
        let running = Running {
            id: TaskId(row.get(0)?),
            task_type: rows::task_type(row, 1)?,
            payload: Json::null(),
            attempt: rows::number(row, 2)?,
            timeout_s: rows::count(row, 3)?,
            created: rows::time(row, 4)?,
            worker: rows::worker(row, 5)?,
            lease: rows::lease(row, 6)?,
        };
        Ok((running, rows::json(row, 7)?))
    })?;
    let mut all = Vec::new();
    for row in rows.collect::<Result<Vec<_>, _>>()? {
        match row {
            (running, Ok(payload)) => all.push(Running { payload, ..running }),
            (running, Err(why)) => refuse(work, running.id, &why)?,
        }
    }
    Ok(all)
}

/// Somebody has spoilt the payload of a running task. Its TASK cannot be sent again.
fn refuse(work: &mut Work<'_>, id: TaskId, why: &str) -> Result<(), StoreError> {
    let Some(task) = ends::find(work, id)? else { return Ok(()) };
    let error = rules::bad_payload(why);
    ends::end_attempt(work, &task, Outcome::Failed, Some(&error), true)?;
    ends::fail(work, id, Status::Running, task.attempt, &error)
}

/// From type to type, never over a type's rows.
pub(super) fn pending_types(connection: &Connection) -> Result<Vec<TaskType>, StoreError> {
    let mut statement = connection.prepare_cached(NEXT_TYPE)?;
    let mut types: Vec<TaskType> = Vec::new();
    loop {
        let last = types.last().map_or("", TaskType::as_str);
        match statement.query_row([last], |row| rows::task_type(row, 0)).optional()? {
            Some(next) => types.push(next),
            None => return Ok(types),
        }
    }
}
