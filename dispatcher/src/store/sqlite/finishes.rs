//! Results: the first one of a task is stored, whichever attempt brings it (R15, R19).

use std::time::Duration;

use rusqlite::{CachedStatement, params};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Json, Lease, TaskId};

use super::batch::Work;
use super::ends::{self, Task};
use super::rows;
use crate::store::rules::{self, Claimant, Next, Past, Verdict};
use crate::store::{End, Finish, Finished, Outcome, Proof, StoreError};

/// The common case is a success of the current attempt.
pub(super) const WIN: &str = "\
    UPDATE tasks SET status = 'done', result = ?2, error_code = NULL, error = NULL, timestamp_completed = ?3 \
    WHERE id = ?1 AND status = 'running' AND lease = ?4";

pub(super) const RECORD: &str = "\
    UPDATE tasks SET status = 'done', result = ?2, error_code = NULL, error = NULL, timestamp_completed = ?3, \
        attempt = ?4, assigned_worker = ?5, lease = ?6, timestamp_dispatched = ?7 \
    WHERE id = ?1";

pub(super) const PAST: &str = "\
    SELECT id, attempt, round, worker, lease, outcome, error_code, error, timestamp_dispatched \
    FROM task_attempts WHERE task_id = ?1 ORDER BY id";

pub(super) const FORGET: &str = "DELETE FROM task_attempts WHERE id = ?1";

pub(super) const KEEP: &str = "\
    INSERT INTO task_attempts (task_id, attempt, round, charged, worker, lease, outcome, error_code, error, \
        timestamp_dispatched, timestamp_ended, result) \
    VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

pub(super) fn finish_all(work: &mut Work<'_>, finishes: &[Finish]) -> Result<Vec<Finished>, StoreError> {
    let mut win = work.connection.prepare_cached(WIN)?;
    finishes.iter().map(|finish| finish_one(work, &mut win, finish)).collect()
}

fn finish_one(work: &mut Work<'_>, win: &mut CachedStatement<'_>, finish: &Finish) -> Result<Finished, StoreError> {
    if let (Proof::Lease(lease), End::Success(result)) = (&finish.proof, &finish.end) {
        let values = params![finish.task.0, result.get(), work.stamp_text, lease.as_str()];
        if win.execute(values)? == 1 {
            work.moves.shift(Status::Running, Status::Done);
            return Ok(Finished::Done);
        }
    }
    let Some(task) = ends::find(work, finish.task)? else { return Ok(Finished::NotFound) };
    match (rules::claimant(task.standing(), &finish.proof), &finish.end) {
        (Claimant::Recorded, _) => Ok(Finished::Late),
        (Claimant::Current, End::Success(result)) => record(work, &task, result),
        (Claimant::Current, End::Failure { error, retry }) => fail_attempt(work, &task, error, *retry),
        (Claimant::Unclear, _) => finish_past(work, task, finish),
    }
}

/// A result that is not the current attempt's.
fn finish_past(work: &mut Work<'_>, task: Task, finish: &Finish) -> Result<Finished, StoreError> {
    let (ids, past): (Vec<i64>, Vec<Past>) = past(work, task.id)?.into_iter().unzip();
    match rules::judge(task.standing(), &past, &finish.proof, &finish.end) {
        Verdict::Wins(origin) => {
            let End::Success(result) = &finish.end else { unreachable!("only a success wins") };
            ends::end_attempt(work, &task, Outcome::Superseded, None, true)?;
            work.connection.prepare_cached(FORGET)?.execute([ids[origin]])?;
            record(work, &task.won_by(&past[origin]), result)
        }
        Verdict::Kept(origin) => {
            keep(work, task.id, &past[origin], &finish.end)?;
            Ok(Finished::Late)
        }
        Verdict::Repeated => Ok(Finished::Late),
        Verdict::LeaseUnknown => Ok(Finished::LeaseUnknown),
        Verdict::LeaseRequired => Ok(Finished::LeaseRequired),
    }
}

/// Ends a task with the result of the attempt that `task` names.
fn record(work: &mut Work<'_>, task: &Task, result: &Json) -> Result<Finished, StoreError> {
    let values = params![
        task.id.0,
        result.get(),
        work.stamp_text,
        task.attempt,
        task.worker,
        task.lease.as_ref().map(Lease::as_str),
        task.dispatched.map(rows::time_text),
    ];
    work.connection.prepare_cached(RECORD)?.execute(values)?;
    work.moves.shift(task.status, Status::Done);
    Ok(Finished::Done)
}

/// The current attempt's worker reports a failure.
fn fail_attempt(
    work: &mut Work<'_>,
    task: &Task,
    error: &TaskError,
    retry: Option<Duration>,
) -> Result<Finished, StoreError> {
    ends::end_attempt(work, task, rules::outcome_of(error), Some(error), true)?;
    match rules::next(task.attempt, task.max_attempts, retry, error, 0) {
        Next::Again(wait) => {
            ends::requeue(work, task, task.attempt, wait, Some(error))?;
            Ok(Finished::Requeued(wait))
        }
        Next::Fail(error) => {
            ends::fail(work, task.id, task.status, task.attempt, &error)?;
            Ok(Finished::Ended(rules::failed(error, task.attempt)))
        }
    }
}

fn past(work: &Work<'_>, task: TaskId) -> Result<Vec<(i64, Past)>, StoreError> {
    let mut statement = work.connection.prepare_cached(PAST)?;
    let rows = statement.query_map([task.0], |row| {
        let past = Past {
            attempt: rows::number(row, 1)?,
            round: rows::number(row, 2)?,
            worker: rows::worker(row, 3)?,
            lease: rows::lease(row, 4)?,
            outcome: rows::outcome(row, 5)?,
            error: rows::error(row, 6)?,
            dispatched: rows::time(row, 8)?,
        };
        Ok((row.get(0)?, past))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps what came too late beside the attempt that it came from.
fn keep(work: &Work<'_>, task: TaskId, origin: &Past, end: &End) -> Result<(), StoreError> {
    let (result, error) = match end {
        End::Success(result) => (Some(result.get()), None),
        End::Failure { error, .. } => (None, Some(error)),
    };
    let values = params![
        task.0,
        origin.attempt,
        origin.round,
        &*origin.worker,
        origin.lease.as_ref().map(Lease::as_str),
        Outcome::Late.as_str(),
        error.map(|error| &error.code),
        error.map(|error| &error.message),
        rows::time_text(origin.dispatched),
        work.stamp_text,
        result,
    ];
    work.connection.prepare_cached(KEEP)?.execute(values)?;
    Ok(())
}
