//! Hands over due tasks in the order of work.
//!
//! Every step is a seek in the index `tasks_pending`: from priority to priority, and at each to the rows
//! that are due. Rows that are not due, and rows of other types or states, are never walked over.

use rusqlite::{CachedStatement, OptionalExtension, Row, params};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::limits::PRIORITY_MAX;
use taskgrid_protocol::{Json, Lease, TaskId, TaskType, WallTime};

use super::batch::Work;
use super::ends;
use super::rows;
use crate::store::rules::{self, Places};
use crate::store::{Claim, Claimed, Rest, Running, StoreError};

/// The next lower priority that has pending tasks, and when the first of those is scheduled.
pub(super) const LEVEL: &str = "\
    SELECT priority, timestamp_scheduled FROM tasks WHERE status = 'pending' AND type = ?1 AND priority < ?2 \
    ORDER BY priority DESC, timestamp_scheduled LIMIT 1";

/// See `rules::is_due`. The horizon bounds the walk; after it, the first comparison decides unless the
/// clock was set back.
pub(super) const DUE: &str = "\
    SELECT id, attempt, timeout_s, assigned_worker, timestamp_created, payload FROM tasks \
    WHERE status = 'pending' AND type = ?1 AND priority = ?2 AND timestamp_scheduled <= ?3 \
    AND (timestamp_scheduled <= ?4 OR timestamp_scheduled = timestamp_created OR timestamp_dispatched > ?4 \
        OR EXISTS (SELECT 1 FROM task_attempts WHERE task_id = tasks.id AND timestamp_ended > ?4)) \
    ORDER BY timestamp_scheduled, id LIMIT ?5";

pub(super) const TAKE: &str = "\
    UPDATE tasks SET status = 'running', attempt = ?2, assigned_worker = ?3, lease = ?4, timestamp_dispatched = ?5 \
    WHERE id = ?1";

/// A due row.
struct Due {
    task: Waiting,
    payload: Result<Json, String>,
}

/// What the next attempt of a task starts from.
struct Waiting {
    id: TaskId,
    attempt: u32,
    timeout_s: u64,
    worker: Option<String>,
    created: WallTime,
}

pub(super) fn claim_all(work: &mut Work<'_>, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
    claims.iter().map(|claim| claim_one(work, claim)).collect()
}

fn claim_one(work: &mut Work<'_>, claim: &Claim) -> Result<Claimed, StoreError> {
    let mut statement = work.connection.prepare_cached(TAKE)?;
    let mut places = Places::new(&claim.slots);
    let mut tasks = Vec::new();
    let mut above = PRIORITY_MAX + 1;
    while places.left() > 0
        && let Some((priority, _)) = level(work, &claim.task_type, above)?
    {
        let wanted = places.left();
        let due = due(work, &claim.task_type, priority, wanted)?;
        if due.len() < wanted {
            above = priority;
        }
        for row in due {
            match row.payload {
                Ok(payload) => tasks.push(take(work, &mut statement, claim, &mut places, row.task, payload)?),
                // The slot stays free, for the next row at this priority or below.
                Err(why) => refuse(work, &row.task, &why)?,
            }
        }
    }
    Ok(Claimed { tasks, rest: rest(work, &claim.task_type)? })
}

fn level(work: &Work<'_>, task_type: &TaskType, above: i32) -> Result<Option<(i32, WallTime)>, StoreError> {
    let mut statement = work.connection.prepare_cached(LEVEL)?;
    let level = statement.query_row(params![task_type.as_str(), above], |row| Ok((row.get(0)?, rows::time(row, 1)?)));
    Ok(level.optional()?)
}

fn due(work: &Work<'_>, task_type: &TaskType, priority: i32, limit: usize) -> Result<Vec<Due>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = work.connection.prepare_cached(DUE)?;
    let values = params![task_type.as_str(), priority, work.horizon_text, work.now_text, limit];
    let rows = statement.query_map(values, |row| Ok(Due { task: waiting(row)?, payload: rows::json(row, 5)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        id: TaskId(row.get(0)?),
        attempt: rows::number(row, 1)?,
        timeout_s: rows::count(row, 2)?,
        worker: rows::optional_text(row, 3)?,
        created: rows::time(row, 4)?,
    })
}

fn take(
    work: &mut Work<'_>,
    statement: &mut CachedStatement<'_>,
    claim: &Claim,
    places: &mut Places<'_>,
    task: Waiting,
    payload: Json,
) -> Result<(usize, Running), StoreError> {
    let (index, slot) = places.take(task.worker.as_deref());
    let attempt = task.attempt + 1;
    let lease = slot.lease.as_ref().map(Lease::as_str);
    let values = params![task.id.0, attempt, &*slot.worker, lease, work.stamp_text];
    statement.execute(values)?;
    work.moves.shift(Status::Pending, Status::Running);
    let running = Running {
        id: task.id,
        task_type: claim.task_type.clone(),
        payload,
        attempt,
        timeout_s: task.timeout_s,
        created: task.created,
        worker: slot.worker.clone(),
        lease: slot.lease.clone(),
    };
    Ok((index, running))
}

/// Somebody has put into the table what is no payload: no worker could read its TASK.
fn refuse(work: &mut Work<'_>, task: &Waiting, why: &str) -> Result<(), StoreError> {
    ends::fail(work, task.id, Status::Pending, task.attempt, &rules::bad_payload(why))
}

/// What is left after a claim. Unless the clock was set back, the first row at each priority tells.
fn rest(work: &Work<'_>, task_type: &TaskType) -> Result<Rest, StoreError> {
    let mut first = None;
    let mut above = PRIORITY_MAX + 1;
    while let Some((priority, scheduled)) = level(work, task_type, above)? {
        if scheduled <= work.now || is_any_due(work, task_type, priority)? {
            return Ok(Rest::Ready);
        }
        first = first.into_iter().chain([scheduled]).min();
        above = priority;
    }
    Ok(first.map_or(Rest::Empty, |first| Rest::DueIn(first.since(work.now))))
}

fn is_any_due(work: &Work<'_>, task_type: &TaskType, priority: i32) -> Result<bool, StoreError> {
    if work.stamp <= work.now {
        return Ok(false);
    }
    Ok(!due(work, task_type, priority, 1)?.is_empty())
}
