//! New tasks, each stored once however often it is posted (R2, R3).

use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{CachedStatement, ToSql};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Key, TaskId};

use super::batch::Work;
use super::error::is_rows_own;
use super::rows::{self, time_text};
use crate::store::rules;
use crate::store::{Insert, Inserted, Slot, StoreError};

/// The columns that a new task is stored with. The others are NULL or have their defaults.
const COLUMNS: usize = 15;

const INTO: &str = "\
    INSERT INTO tasks (type, status, priority, attempt, max_attempts, timeout_s, assigned_worker, lease, request_key, \
        timestamp_created, timestamp_scheduled, timestamp_dispatched, timestamp_not_before, timestamp_expires, payload)";

const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// One task, unless its key is there already.
pub(super) static INSERT: LazyLock<String> =
    LazyLock::new(|| format!("{INTO} VALUES {ROW} ON CONFLICT (request_key) WHERE request_key IS NOT NULL DO NOTHING"));

/// Rows that one statement inserts. What a statement costs by itself, such as a look into `sqlite_sequence`, is shared by
/// them: an insert takes 3.1 µs where it took 4.2 (`store_speed`, 1,000 a batch). More rows would save little more.
const AT_ONCE: usize = 16;

/// Many tasks, or none.
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| format!("{INTO} VALUES {}", [ROW; AT_ONCE].join(", ")));

pub(super) const FIND: &str = "\
    SELECT id, status, type, priority, max_attempts, retries, timeout_s, timestamp_not_before, payload \
    FROM tasks WHERE request_key = ?1";

pub(super) fn insert_all(work: &mut Work<'_>, inserts: &[Insert]) -> Result<Vec<Inserted>, StoreError> {
    let mut outcomes = Vec::with_capacity(inserts.len());
    let mut chunks = inserts.chunks_exact(AT_ONCE);
    // A long statement is long to find among those that are prepared.
    if inserts.len() >= AT_ONCE {
        let mut many = work.connection.prepare_cached(&INSERT_MANY)?;
        for inserts in &mut chunks {
            if !insert_many(work, &mut many, inserts, &mut outcomes)? {
                insert_singly(work, inserts, &mut outcomes)?;
            }
        }
    }
    insert_singly(work, chunks.remainder(), &mut outcomes)?;
    Ok(outcomes)
}

fn insert_singly(work: &mut Work<'_>, inserts: &[Insert], outcomes: &mut Vec<Inserted>) -> Result<(), StoreError> {
    let mut one = work.connection.prepare_cached(&INSERT)?;
    for insert in inserts {
        outcomes.push(insert_one(work, &mut one, insert)?);
    }
    Ok(())
}

/// What an insert comes to, now.
struct New<'i> {
    insert: &'i Insert,
    wait: Duration,
    /// The slot, if it is taken at once.
    slot: Option<&'i Slot>,
}

impl<'i> New<'i> {
    fn of(work: &Work<'_>, insert: &'i Insert) -> Self {
        let wait = rules::wait(work.now, insert);
        Self { insert, wait, slot: insert.slot.as_ref().filter(|_| wait.is_zero()) }
    }

    fn status(&self) -> Status {
        if self.slot.is_some() { Status::Running } else { Status::Pending }
    }

    /// Sets the values of the row at `place` of the statement.
    fn bind(&self, work: &Work<'_>, statement: &mut CachedStatement<'_>, place: usize) -> rusqlite::Result<()> {
        let Self { insert, wait, slot } = self;
        let scheduled = (!wait.is_zero()).then(|| time_text(rules::due_time(work.now, work.stamp, *wait)));
        let values: [&dyn ToSql; COLUMNS] = [
            &insert.task_type.as_str(),
            &self.status().as_str(),
            &insert.priority.get(),
            &i64::from(slot.is_some()),
            &insert.max_attempts,
            &i64::try_from(insert.timeout_s).unwrap_or(i64::MAX),
            &slot.map(|slot| &*slot.worker),
            &slot.and_then(|slot| slot.lease.as_ref()).map(|lease| lease.as_str()),
            &insert.key.as_ref().map(Key::as_str),
            &work.stamp_text,
            scheduled.as_ref().unwrap_or(&work.stamp_text),
            &slot.map(|_| &work.stamp_text),
            &insert.not_before.map(time_text),
            &insert.expires.map(|span| time_text(work.now + span)),
            &insert.payload.get(),
        ];
        for (column, value) in values.into_iter().enumerate() {
            statement.raw_bind_parameter(place * COLUMNS + column + 1, value)?;
        }
        Ok(())
    }

    /// The row is in the table.
    fn done(&self, work: &mut Work<'_>, id: i64) -> Inserted {
        work.known.newest = id;
        work.moves.add(self.status(), 1);
        Inserted::New { id: TaskId(id), created: work.stamp, claimed: self.slot.is_some(), due: self.wait }
    }
}

/// `false`: one of the rows is not as usual, its key known or what it holds refused, and none was stored.
fn insert_many(
    work: &mut Work<'_>,
    statement: &mut CachedStatement<'_>,
    inserts: &[Insert],
    outcomes: &mut Vec<Inserted>,
) -> Result<bool, StoreError> {
    let all: Vec<New<'_>> = inserts.iter().map(|insert| New::of(work, insert)).collect();
    for (place, new) in all.iter().enumerate() {
        new.bind(work, statement, place)?;
    }
    match statement.raw_execute() {
        Ok(_) => {
            // Nobody else inserts meanwhile, so the numbers follow each other.
            let ids = work.connection.last_insert_rowid() - all.len() as i64 + 1..;
            outcomes.extend(all.iter().zip(ids).map(|(new, id)| new.done(work, id)));
            Ok(true)
        }
        Err(error) if is_rows_own(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn insert_one(
    work: &mut Work<'_>,
    statement: &mut CachedStatement<'_>,
    insert: &Insert,
) -> Result<Inserted, StoreError> {
    let new = New::of(work, insert);
    new.bind(work, statement, 0)?;
    match (statement.raw_execute(), &insert.key) {
        (Ok(0), Some(key)) => existing(work, key, insert),
        (Ok(_), _) => Ok(new.done(work, work.connection.last_insert_rowid())),
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
