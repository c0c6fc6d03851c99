//! What people and clients see: one committed state, read without waiting for the writer.

use rusqlite::{Connection, OptionalExtension, Row, params};
use taskgrid_protocol::body::{AttemptView, ListTasks, Priority, Status, StatusCounts, TaskView};
use taskgrid_protocol::limits::LIST_MAX;
use taskgrid_protocol::{Key, TaskId, TaskType};

use super::batch;
use super::rows;
use crate::store::{ATTEMPTS_MAX, Answer, Ended, LIST_REACH, Query, StoreError};

const ENDED: &str = "SELECT status, attempt, error_code, error, result FROM tasks WHERE id = ?1";

/// The columns of a [`TaskView`] without payload and result.
macro_rules! view_columns {
    () => {
        "id, type, status, octet_length(payload), octet_length(result), error_code, error, priority, attempt, \
         max_attempts, timeout_s, request_key, assigned_worker, lease, timestamp_created, timestamp_scheduled, \
         timestamp_dispatched, timestamp_completed, timestamp_expires"
    };
}

const TASK: &str = concat!("SELECT ", view_columns!(), ", payload, result FROM tasks WHERE id = ?1");

const ATTEMPTS: &str = "\
    SELECT attempt, worker, outcome, error_code, error, timestamp_dispatched, timestamp_ended \
    FROM task_attempts WHERE task_id = ?1 ORDER BY id DESC LIMIT ?2";

const COUNTERS: &str = "SELECT name, value FROM counters";

/// Walks back through the table.
const LIST: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM tasks NOT INDEXED WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR type = ?4) \
     ORDER BY id DESC LIMIT ?5"
);

/// Walks back through the tasks of one of the rare states.
const LIST_RARE: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM tasks INDEXED BY tasks_status WHERE id < ?1 AND id >= ?2 \
     AND (status = 'running' OR status = 'failed' OR status = 'cancelled') AND status = ?3 AND (?4 IS NULL OR type = ?4) \
     ORDER BY id DESC LIMIT ?5"
);

/// Walks through all pending tasks, or those of one type, in the index alone.
const LIST_PENDING: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM tasks WHERE id IN (SELECT id FROM tasks INDEXED BY tasks_pending \
        WHERE status = 'pending' AND type BETWEEN ?2 AND ?3 AND id < ?1 ORDER BY id DESC LIMIT ?4) \
     ORDER BY id DESC"
);

pub(super) fn answer(connection: &mut Connection, query: &Query) -> Result<Answer, StoreError> {
    match query {
        Query::Result(id) => ended(connection, *id).map(Answer::Result),
        Query::Task(id) => task(connection, *id).map(|task| Answer::Task(task.map(Box::new))),
        Query::List(filter) => list(connection, filter).map(|(page, more)| Answer::List(page, more)),
        Query::Stats => stats(connection).map(Answer::Stats),
    }
}

fn ended(connection: &Connection, id: TaskId) -> Result<Option<Ended>, StoreError> {
    let mut statement = connection.prepare_cached(ENDED)?;
    let ended = statement.query_row([id.0], |row| {
        let status = rows::status(row, 0)?;
        Ok(Ended {
            status,
            result: rows::optional_json(row, 4)?,
            error: rows::error(row, 2)?.filter(|_| status == Status::Failed),
            attempts: if status.is_ended() { rows::number(row, 1)? } else { 0 },
        })
    });
    Ok(ended.optional()?)
}

fn task(connection: &mut Connection, id: TaskId) -> Result<Option<(TaskView, Vec<AttemptView>)>, StoreError> {
    // Both of the same state.
    let transaction = connection.transaction()?;
    let task = transaction.prepare_cached(TASK)?.query_row([id.0], |row| {
        let (payload, result) = (rows::optional_json(row, 19)?, rows::optional_json(row, 20)?);
        Ok(TaskView { payload, result, ..view(row)? })
    });
    let Some(task) = task.optional()? else { return Ok(None) };
    let limit = i64::try_from(ATTEMPTS_MAX).unwrap_or(i64::MAX);
    let mut statement = transaction.prepare_cached(ATTEMPTS)?;
    let attempts = statement.query_map([id.0, limit], attempt)?.collect::<Result<_, _>>()?;
    Ok(Some((task, attempts)))
}

/// The newest tasks that `filter` wants, and whether there are more.
///
/// Looks at the newest [`LIST_REACH`] tasks, beyond that only where an index leads on.
fn list(connection: &mut Connection, filter: &ListTasks) -> Result<(Vec<TaskView>, bool), StoreError> {
    let transaction = connection.transaction()?;
    let limit = filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX) as usize;
    let before = match filter.before {
        Some(before) => before.0,
        None => batch::newest(&transaction)?.saturating_add(1),
    };
    let floor = before.saturating_sub(LIST_REACH).max(0);
    let mut page = walk(&transaction, filter, before, floor, limit + 1)?;
    if page.len() <= limit && filter.status == Some(Status::Pending) && floor > 0 {
        page = walk_pending(&transaction, filter, before, limit + 1)?;
    } else if page.len() <= limit && floor > 0 {
        // There may be few tasks among so many numbers: after a restore, or where old ones were deleted.
        let floor = floor_of_rows(&transaction, before)?;
        page = walk(&transaction, filter, before, floor, limit + 1)?;
        if page.len() <= limit {
            let older = "SELECT EXISTS (SELECT 1 FROM tasks WHERE id < ?1)";
            return Ok((page, transaction.prepare_cached(older)?.query_row([floor], |row| row.get(0))?));
        }
    }
    let more = page.len() > limit;
    page.truncate(limit);
    Ok((page, more))
}

/// The number of the task that is [`LIST_REACH`] tasks back, or the lowest of all.
fn floor_of_rows(connection: &Connection, before: i64) -> Result<i64, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM tasks WHERE id < ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2")?;
    Ok(statement.query_row([before, LIST_REACH], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn walk(
    connection: &Connection,
    filter: &ListTasks,
    before: i64,
    floor: i64,
    limit: usize,
) -> Result<Vec<TaskView>, StoreError> {
    let rare = matches!(filter.status, Some(Status::Running | Status::Failed | Status::Cancelled));
    let mut statement = connection.prepare_cached(if rare { LIST_RARE } else { LIST })?;
    let status = filter.status.map(Status::as_str);
    let task_type = filter.task_type.as_ref().map(TaskType::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![before, floor, status, task_type, limit], view)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn walk_pending(
    connection: &Connection,
    filter: &ListTasks,
    before: i64,
    limit: usize,
) -> Result<Vec<TaskView>, StoreError> {
    // '~' sorts after all that a type consists of.
    let (first, last) = filter.task_type.as_ref().map_or(("", "~"), |wanted| (wanted.as_str(), wanted.as_str()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST_PENDING)?;
    let rows = statement.query_map(params![before, first, last, limit], view)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn view(row: &Row<'_>) -> rusqlite::Result<TaskView> {
    let result_bytes: Option<i64> = row.get(4)?;
    Ok(TaskView {
        id: TaskId(row.get(0)?),
        task_type: rows::task_type(row, 1)?,
        status: rows::status(row, 2)?,
        payload: None,
        result: None,
        payload_bytes: rows::count(row, 3)?,
        result_bytes: result_bytes.map(i64::unsigned_abs),
        error: rows::error(row, 5)?,
        priority: Priority::new(row.get(7)?).unwrap_or_default(),
        attempt: rows::number(row, 8)?,
        max_attempts: rows::number(row, 9)?,
        timeout_s: rows::count(row, 10)?,
        key: rows::optional_text(row, 11)?.and_then(|text| Key::new(&text).ok()),
        assigned_worker: rows::optional_text(row, 12)?,
        lease: rows::lease(row, 13)?,
        timestamp_created: rows::time(row, 14)?,
        timestamp_scheduled: rows::time(row, 15)?,
        timestamp_dispatched: rows::optional_time(row, 16)?,
        timestamp_completed: rows::optional_time(row, 17)?,
        timestamp_expires: rows::optional_time(row, 18)?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptView> {
    Ok(AttemptView {
        attempt: rows::number(row, 0)?,
        worker: rows::text(row, 1)?,
        outcome: rows::text(row, 2)?,
        error: rows::error(row, 3)?,
        timestamp_dispatched: rows::time(row, 5)?,
        timestamp_ended: rows::time(row, 6)?,
    })
}

fn stats(connection: &Connection) -> Result<StatusCounts, StoreError> {
    let mut counts = StatusCounts::default();
    let mut statement = connection.prepare_cached(COUNTERS)?;
    let mut counters = statement.query([])?;
    while let Some(row) = counters.next()? {
        let value = rows::count(row, 1)?;
        match Status::from_word(&rows::text(row, 0)?) {
            Some(Status::Pending) => counts.pending = value,
            Some(Status::Running) => counts.running = value,
            Some(Status::Done) => counts.done = value,
            Some(Status::Failed) => counts.failed = value,
            Some(Status::Cancelled) => counts.cancelled = value,
            None => {}
        }
    }
    Ok(counts)
}
