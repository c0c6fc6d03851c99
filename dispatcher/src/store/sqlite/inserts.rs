//! New tasks, each stored once however often it is posted (R2, R3).

use rusqlite::{CachedStatement, params};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Key, TaskId};

use super::batch::Work;
use super::error::is_rows_own;
use super::rows::{self, time_text};
use crate::store::rules;
use crate::store::{Insert, Inserted, StoreError};

pub(super) const INSERT: &str = "\
    INSERT INTO tasks (type, status, priority, attempt, max_attempts, timeout_s, assigned_worker, lease, request_key, \
        timestamp_created, timestamp_scheduled, timestamp_dispatched, timestamp_not_before, timestamp_expires, payload) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
    ON CONFLICT (request_key) WHERE request_key IS NOT NULL DO NOTHING";

pub(super) const FIND: &str = "\
    SELECT id, status, type, priority, max_attempts, retries, timeout_s, timestamp_not_before, payload \
    FROM tasks WHERE request_key = ?1";

pub(super) fn insert_all(work: &mut Work<'_>, inserts: &[Insert]) -> Result<Vec<Inserted>, StoreError> {
    let mut statement = work.connection.prepare_cached(INSERT)?;
    inserts.iter().map(|insert| insert_one(work, &mut statement, insert)).collect()
}

fn insert_one(
    work: &mut Work<'_>,
    statement: &mut CachedStatement<'_>,
    insert: &Insert,
) -> Result<Inserted, StoreError> {
    let wait = rules::wait(work.now, insert);
    let slot = insert.slot.as_ref().filter(|_| wait.is_zero());
    let status = if slot.is_some() { Status::Running } else { Status::Pending };
    let scheduled = (!wait.is_zero()).then(|| time_text(rules::due_time(work.now, work.stamp, wait)));
    let stored = statement.execute(params![
        insert.task_type.as_str(),
        status.as_str(),
        insert.priority.get(),
        i64::from(slot.is_some()),
        insert.max_attempts,
        i64::try_from(insert.timeout_s).unwrap_or(i64::MAX),
        slot.map(|slot| &*slot.worker),
        slot.and_then(|slot| slot.lease.as_ref()).map(|lease| lease.as_str()),
        insert.key.as_ref().map(Key::as_str),
        work.stamp_text,
        scheduled.as_ref().unwrap_or(&work.stamp_text),
        slot.map(|_| &work.stamp_text),
        insert.not_before.map(time_text),
        insert.expires.map(|span| time_text(work.now + span)),
        insert.payload.get(),
    ]);
    match (stored, &insert.key) {
        (Ok(0), Some(key)) => existing(work, key, insert),
        (Ok(_), _) => {
            let id = work.connection.last_insert_rowid();
            work.known.newest = id;
            work.moves.add(status, 1);
            Ok(Inserted::New { id: TaskId(id), created: work.stamp, claimed: slot.is_some(), due: wait })
        }
        (Err(error), _) if is_rows_own(&error) => Ok(Inserted::Refused(error.to_string())),
        (Err(error), _) => Err(error.into()),
    }
}

/// The key was there before: in the same transaction, so also if it came in with this very batch.
fn existing(work: &Work<'_>, key: &Key, insert: &Insert) -> Result<Inserted, StoreError> {
    let found = work.connection.prepare_cached(FIND)?.query_row([key.as_str()], |row| {
        let id = TaskId(row.get(0)?);
        let first = rules::first_max_attempts(rows::number(row, 4)?, rows::number(row, 5)?);
        let same = row.get_ref(2)?.as_str()? == insert.task_type.as_str()
            && row.get::<_, i32>(3)? == insert.priority.get()
            && first == insert.max_attempts
            && rows::count(row, 6)? == insert.timeout_s
            && rows::optional_time(row, 7)? == insert.not_before.map(rules::storable)
            && row.get_ref(8)?.as_bytes()? == insert.payload.get().as_bytes();
        Ok(if same { Inserted::Existing { id, status: rows::status(row, 1)? } } else { Inserted::KeyConflict(id) })
    })?;
    Ok(found)
}
