//! Attempts end without a result, and people interfere.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Lease, TaskId, TaskType, WallTime};

use super::batch::Work;
use super::rows;
use crate::store::rules::{self, Next, Past, Standing};
use crate::store::{Cancelled, EXPIRE_MAX, Outcome, Release, Released, Retried, StoreError};

pub(super) const FIND: &str = "\
    SELECT type, status, attempt, max_attempts, retries, assigned_worker, lease, timestamp_created, \
        timestamp_dispatched \
    FROM tasks WHERE id = ?1";

pub(super) const END_ATTEMPT: &str = "\
    INSERT INTO task_attempts (task_id, attempt, round, charged, worker, lease, outcome, error_code, error, \
        timestamp_dispatched, timestamp_ended) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

pub(super) const FORGET_UNCHARGED: &str = "\
    DELETE FROM task_attempts WHERE id IN ( \
        SELECT id FROM task_attempts WHERE task_id = ?1 AND charged = 0 AND outcome <> 'late' \
        ORDER BY id DESC LIMIT -1 OFFSET ?2)";

pub(super) const LOST_WORKERS: &str =
    "SELECT count(*) FROM task_attempts WHERE task_id = ?1 AND round = ?2 AND outcome = 'worker_lost'";

pub(super) const REQUEUE: &str = "\
    UPDATE tasks SET status = 'pending', attempt = ?2, timestamp_scheduled = ?3, \
        error_code = coalesce(?4, error_code), error = coalesce(?5, error) \
    WHERE id = ?1";

pub(super) const FAIL: &str = "\
    UPDATE tasks SET status = 'failed', attempt = ?2, error_code = ?3, error = ?4, timestamp_completed = ?5 \
    WHERE id = ?1";

pub(super) const CANCEL: &str = "UPDATE tasks SET status = 'cancelled', timestamp_completed = ?2 WHERE id = ?1";

pub(super) const RETRY: &str = "\
    UPDATE tasks SET status = 'pending', max_attempts = ?2, retries = retries + 1, \
        timestamp_scheduled = timestamp_created, timestamp_completed = NULL, \
        timestamp_expires = CASE WHEN timestamp_expires > ?3 THEN timestamp_expires END \
    WHERE id = ?1";

pub(super) const EXPIRED: &str = "\
    SELECT id FROM tasks \
    WHERE (status = 'pending' OR status = 'running') AND timestamp_expires <= ?1 \
    ORDER BY timestamp_expires, id LIMIT ?2";

/// What the end of an attempt depends on.
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) task_type: TaskType,
    pub(super) status: Status,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) round: u32,
    pub(super) worker: Option<Arc<str>>,
    pub(super) lease: Option<Lease>,
    pub(super) created: WallTime,
    pub(super) dispatched: Option<WallTime>,
}

impl Task {
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing {
            status: self.status,
            round: self.round,
            worker: self.worker.as_deref(),
            lease: self.lease.as_ref().map(Lease::as_str),
        }
    }

    /// The task with a past attempt in the place of the current one.
    pub(super) fn won_by(self, past: &Past) -> Self {
        Self {
            attempt: self.attempt.max(past.attempt),
            worker: Some(past.worker.clone()),
            lease: past.lease.clone(),
            dispatched: Some(past.dispatched),
            ..self
        }
    }
}

pub(super) fn find(work: &Work<'_>, id: TaskId) -> Result<Option<Task>, StoreError> {
    let mut statement = work.connection.prepare_cached(FIND)?;
    let task = statement.query_row([id.0], |row| {
        Ok(Task {
            id,
            task_type: rows::task_type(row, 0)?,
            status: rows::status(row, 1)?,
            attempt: rows::number(row, 2)?,
            max_attempts: rows::number(row, 3)?,
            round: rows::number(row, 4)?,
            worker: rows::optional_text(row, 5)?.map(Arc::from),
            lease: rows::lease(row, 6)?,
            created: rows::time(row, 7)?,
            dispatched: rows::optional_time(row, 8)?,
        })
    });
    Ok(task.optional()?)
}

pub(super) fn release_all(work: &mut Work<'_>, releases: &[Release]) -> Result<Vec<Released>, StoreError> {
    releases.iter().map(|release| release_one(work, release)).collect()
}

fn release_one(work: &mut Work<'_>, release: &Release) -> Result<Released, StoreError> {
    let current =
        |task: &Task| task.status == Status::Running && task.attempt == release.attempt && task.lease == release.lease;
    let Some(task) = find(work, release.task)?.filter(current) else { return Ok(Released::Stale) };
    end_attempt(work, &task, release.outcome, Some(&release.error), release.charged)?;
    let attempt = if release.charged { task.attempt } else { task.attempt.saturating_sub(1) };
    let lost = lost_workers(work, &task)?;
    match rules::next(attempt, task.max_attempts, release.retry, &release.error, lost) {
        Next::Again(wait) => {
            requeue(work, &task, attempt, wait, Some(&release.error).filter(|_| release.charged))?;
            Ok(Released::Requeued(wait))
        }
        Next::Fail(error) => {
            fail(work, task.id, Status::Running, attempt, &error)?;
            Ok(Released::Ended(rules::failed(error, attempt)))
        }
    }
}

pub(super) fn cancel_all(work: &mut Work<'_>, cancels: &[TaskId]) -> Result<Vec<Cancelled>, StoreError> {
    cancels.iter().map(|id| cancel_one(work, *id)).collect()
}

fn cancel_one(work: &mut Work<'_>, id: TaskId) -> Result<Cancelled, StoreError> {
    let Some(task) = find(work, id)? else { return Ok(Cancelled::NotFound) };
    if task.status.is_ended() {
        return Ok(Cancelled::AlreadyEnded(task.status));
    }
    end_attempt(work, &task, Outcome::Cancelled, None, true)?;
    work.connection.prepare_cached(CANCEL)?.execute(params![id.0, work.stamp_text])?;
    work.moves.shift(task.status, Status::Cancelled);
    Ok(Cancelled::Ended(rules::cancelled(task.attempt)))
}

pub(super) fn retry_all(work: &mut Work<'_>, retries: &[TaskId]) -> Result<Vec<Retried>, StoreError> {
    retries.iter().map(|id| retry_one(work, *id)).collect()
}

fn retry_one(work: &mut Work<'_>, id: TaskId) -> Result<Retried, StoreError> {
    let Some(task) = find(work, id)? else { return Ok(Retried::NotFound) };
    if !matches!(task.status, Status::Failed | Status::Cancelled) {
        return Ok(Retried::NotRetryable(task.status));
    }
    let max_attempts = task.max_attempts.saturating_add(rules::first_max_attempts(task.max_attempts, task.round));
    work.connection.prepare_cached(RETRY)?.execute(params![id.0, max_attempts, work.now_text])?;
    work.moves.shift(task.status, Status::Pending);
    Ok(Retried::Requeued { id, task_type: task.task_type })
}

pub(super) fn expire(work: &mut Work<'_>) -> Result<Vec<TaskId>, StoreError> {
    let limit = i64::try_from(EXPIRE_MAX).unwrap_or(i64::MAX);
    let mut statement = work.connection.prepare_cached(EXPIRED)?;
    let expired = statement.query_map(params![work.now_text, limit], |row| Ok(TaskId(row.get(0)?)))?;
    let expired: Vec<TaskId> = expired.collect::<Result<_, _>>()?;
    let error = rules::expired();
    for id in &expired {
        let Some(task) = find(work, *id)? else { continue };
        end_attempt(work, &task, Outcome::Expired, Some(&error), true)?;
        fail(work, *id, task.status, task.attempt, &error)?;
    }
    Ok(expired)
}

/// Writes the current attempt, if there is one, to the past ones. What becomes of the task is for the
/// caller to say.
pub(super) fn end_attempt(
    work: &Work<'_>,
    task: &Task,
    outcome: Outcome,
    error: Option<&TaskError>,
    charged: bool,
) -> Result<(), StoreError> {
    if task.status != Status::Running {
        return Ok(());
    }
    let values = params![
        task.id.0,
        task.attempt,
        task.round,
        charged,
        task.worker,
        task.lease.as_ref().map(Lease::as_str),
        outcome.as_str(),
        error.map(|error| &error.code),
        error.map(|error| &error.message),
        task.dispatched.map(rows::time_text),
        work.stamp_text,
    ];
    work.connection.prepare_cached(END_ATTEMPT)?.execute(values)?;
    if !charged {
        let kept = i64::try_from(rules::UNCHARGED_MAX).unwrap_or(i64::MAX);
        work.connection.prepare_cached(FORGET_UNCHARGED)?.execute([task.id.0, kept])?;
    }
    Ok(())
}

fn lost_workers(work: &Work<'_>, task: &Task) -> Result<u32, StoreError> {
    let mut statement = work.connection.prepare_cached(LOST_WORKERS)?;
    Ok(statement.query_row(params![task.id.0, task.round], |row| rows::number(row, 0))?)
}

/// Makes a running task pending again, with `attempt` charged attempts.
pub(super) fn requeue(
    work: &mut Work<'_>,
    task: &Task,
    attempt: u32,
    wait: Duration,
    error: Option<&TaskError>,
) -> Result<(), StoreError> {
    let due = rows::time_text(rules::due_time(work.now, task.created, wait));
    let (code, message) = (error.map(|error| &error.code), error.map(|error| &error.message));
    work.connection.prepare_cached(REQUEUE)?.execute(params![task.id.0, attempt, due, code, message])?;
    work.moves.shift(task.status, Status::Pending);
    Ok(())
}

/// Fails a task that was `from` until now, after `attempt` charged attempts.
pub(super) fn fail(
    work: &mut Work<'_>,
    id: TaskId,
    from: Status,
    attempt: u32,
    error: &TaskError,
) -> Result<(), StoreError> {
    let values = params![id.0, attempt, error.code, error.message, work.stamp_text];
    work.connection.prepare_cached(FAIL)?.execute(values)?;
    work.moves.shift(from, Status::Failed);
    Ok(())
}
