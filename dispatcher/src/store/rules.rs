//! What follows from what: decisions that are the same whichever store keeps the rows.

use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::{TaskError, task_code};
use taskgrid_protocol::{Lease, WallTime};

use super::{End, Ended, Insert, Outcome, POISON_AFTER, Proof, Retention, Slot};

/// 9999-12-31T23:59:59.999Z: times beyond it have no four-digit year and would not sort as text.
const LAST_TIME: WallTime = WallTime::from_millis(253_402_300_799_999);

/// Longer than any back-off of ours (5 min): how far beyond the latest stored time [`is_due`] still finds
/// a task whose back-off was set before the clock was set back.
pub(super) const BACKOFF_REACH: Duration = Duration::from_secs(600);

/// Attempts of one task that ended uncharged and are kept. A worker that is busy for days rejects the same
/// task again and again; each time another row would fill the disk.
pub(super) const UNCHARGED_MAX: usize = 100;

/// The nearest time that a store can keep.
pub(super) fn storable(time: WallTime) -> WallTime {
    time.clamp(WallTime::default(), LAST_TIME)
}

/// How long until a new task may start, in whole milliseconds, as times are stored.
pub(super) fn wait(now: WallTime, insert: &Insert) -> Duration {
    let until = insert.not_before.map(|at| storable(at).since(now));
    let wait = insert.delay.max(until).unwrap_or_default();
    Duration::from_millis(millis(wait))
}

/// When a task is due that may start in `wait`.
///
/// "At once" is stored as the time of creation. It tells these tasks from delayed ones when the clock is
/// set back: they stay due (see [`is_due`]), and they keep the order of their ids.
pub(super) fn due_time(now: WallTime, created: WallTime, wait: Duration) -> WallTime {
    if millis(wait) == 0 {
        return created;
    }
    let due = storable(now + wait);
    if due == created { due + Duration::from_millis(1) } else { due }
}

/// Whether a pending task may start.
///
/// Its scheduled time has come; or it was due at once; or its last attempt (`tried`: when it was handed over, or
/// ended, whichever is later) is of what is now the future, so the clock was set back since, and its back-off says
/// nothing. Without the last two, a clock that was wrong by a year and is put right would stop the queue for a year.
pub(super) fn is_due(scheduled: WallTime, created: WallTime, tried: Option<WallTime>, now: WallTime) -> bool {
    scheduled <= now || scheduled == created || tried.is_some_and(|tried| tried > now)
}

/// The latest scheduled time at which [`is_due`] can hold, where `latest` is the latest stored time.
pub(super) fn due_horizon(now: WallTime, latest: WallTime) -> WallTime {
    if latest <= now { now } else { storable(latest + BACKOFF_REACH) }
}

/// What a task's own row says about who may bring its result.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) status: Status,
    /// How often the task was retried by RETRY_TASK.
    pub(super) round: u32,
    pub(super) worker: Option<&'a str>,
    pub(super) lease: Option<&'a str>,
}

/// An attempt that ended without the recorded result.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) attempt: u32,
    pub(super) round: u32,
    pub(super) worker: Arc<str>,
    pub(super) lease: Option<Lease>,
    pub(super) outcome: Outcome,
    pub(super) error: Option<TaskError>,
    pub(super) dispatched: WallTime,
}

/// By what right a result comes, as far as the task's own row tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimant {
    /// It is the current attempt's.
    Current,
    /// It is the attempt's whose result is recorded: the same result once more.
    Recorded,
    /// Past attempts must tell.
    Unclear,
}

/// Looks for the sender of a result in the task's own row.
pub(super) fn claimant(task: Standing<'_>, proof: &Proof) -> Claimant {
    match task.status {
        Status::Running if entitles(proof, task.lease, task.worker) => Claimant::Current,
        Status::Done if entitles(proof, task.lease, task.worker) => Claimant::Recorded,
        _ => Claimant::Unclear,
    }
}

/// What becomes of a result that is not the current attempt's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It ends the task; it is that of this past attempt.
    Wins(usize),
    /// It changes nothing, and is kept beside this past attempt.
    Kept(usize),
    /// It changes nothing, and there is nothing new in it.
    Repeated,
    /// No such lease was ever issued for the task.
    LeaseUnknown,
    /// Without a lease it does not count.
    LeaseRequired,
}

/// Judges a result by the task's past attempts, the oldest first (R15, R19).
pub(super) fn judge(task: Standing<'_>, past: &[Past], proof: &Proof, end: &End) -> Verdict {
    let theirs = |past: &&Past| entitles(proof, past.lease.as_ref().map(Lease::as_str), Some(&past.worker));
    let origin = past.iter().rposition(|past| past.outcome != Outcome::Late && theirs(&past));
    let Some(origin) = origin else {
        return match proof {
            Proof::Lease(_) => Verdict::LeaseUnknown,
            // To a worker without leases any answer that ends its re-sending will do.
            Proof::Sender(_) if task.status.is_ended() => Verdict::Repeated,
            Proof::Sender(_) => Verdict::LeaseRequired,
        };
    };
    let counts = !task.status.is_ended() && past[origin].round == task.round;
    if counts && matches!(end, End::Success(_)) {
        return Verdict::Wins(origin);
    }
    let known = past.iter().filter(theirs).any(|past| past.outcome == Outcome::Late || tells(past, end));
    if known { Verdict::Repeated } else { Verdict::Kept(origin) }
}

fn entitles(proof: &Proof, lease: Option<&str>, worker: Option<&str>) -> bool {
    match proof {
        Proof::Lease(theirs) => lease == Some(theirs.as_str()),
        Proof::Sender(theirs) => {
            lease.is_none() && worker.is_some_and(|worker| theirs.iter().any(|it| **it == *worker))
        }
    }
}

/// Whether the attempt ended with this very failure, which its worker now reports once more.
fn tells(past: &Past, end: &End) -> bool {
    match end {
        End::Success(_) => false,
        End::Failure { error, .. } => past.error.as_ref() == Some(error),
    }
}

/// The outcome of an attempt that its worker ended with this error.
pub(super) fn outcome_of(error: &TaskError) -> Outcome {
    if error.code == task_code::TIMEOUT { Outcome::Timeout } else { Outcome::Failed }
}

/// What follows when the current attempt has ended without a result.
#[derive(Debug)]
pub(super) enum Next {
    /// Another attempt, in this time.
    Again(Duration),
    /// The task has failed.
    Fail(TaskError),
}

/// `attempt` charged attempts of `max_attempts` are spent; `lost` of them, with this one, lost their worker.
pub(super) fn next(attempt: u32, max_attempts: u32, retry: Option<Duration>, error: &TaskError, lost: u32) -> Next {
    if lost >= POISON_AFTER {
        let code = task_code::WORKER_LOST.to_owned();
        let message = format!("{lost} workers vanished while they ran this task; the last time: {}", error.message);
        return Next::Fail(TaskError { code, message });
    }
    match retry {
        Some(wait) if attempt < max_attempts => Next::Again(Duration::from_millis(millis(wait))),
        _ => Next::Fail(error.clone()),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The slots of a claim, given away in the order of work.
pub(super) struct Places<'a> {
    slots: &'a [Slot],
    taken: Vec<bool>,
    /// All before it are taken.
    first: usize,
}

impl<'a> Places<'a> {
    pub(super) fn new(slots: &'a [Slot]) -> Self {
        Self { slots, taken: vec![false; slots.len()], first: 0 }
    }

    /// How many are free.
    pub(super) fn left(&self) -> usize {
        self.taken[self.first..].iter().filter(|taken| !**taken).count()
    }

    /// Takes the first free slot at another worker than `before`, where the task's last attempt was, or
    /// else the first free slot (R25).
    ///
    /// Panics when none is free.
    pub(super) fn take(&mut self, before: Option<&str>) -> (usize, &'a Slot) {
        let free = |index: &usize| !self.taken[*index];
        let elsewhere = |index: &usize| before.is_none_or(|before| *self.slots[*index].worker != *before);
        let mut indexes = (self.first..self.slots.len()).filter(free);
        let first = indexes.next().expect("a task is only placed while a slot is left");
        let index = if elsewhere(&first) { first } else { indexes.find(elsewhere).unwrap_or(first) };
        self.taken[index] = true;
        while self.taken.get(self.first) == Some(&true) {
            self.first += 1;
        }
        (index, &self.slots[index])
    }
}

/// The end of a task without a result.
pub(super) fn failed(error: TaskError, attempts: u32) -> Ended {
    Ended { status: Status::Failed, result: None, error: Some(error), attempts }
}

/// The end of a task that somebody cancelled.
pub(super) fn cancelled(attempts: u32) -> Ended {
    Ended { status: Status::Cancelled, result: None, error: None, attempts }
}

/// Why an expired task has failed.
pub(super) fn expired() -> TaskError {
    TaskError { code: task_code::EXPIRED.to_owned(), message: "the task was not done within its expires_s".to_owned() }
}

/// Why a task has failed whose payload somebody has spoilt in the table.
pub(super) fn bad_payload(why: &str) -> TaskError {
    let message = format!("the payload in the table is not valid JSON: {why}");
    TaskError { code: task_code::BAD_PAYLOAD.to_owned(), message }
}

/// What a [`super::Retention`] means at a time: tasks that ended by then are no longer kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutoffs {
    done: Option<WallTime>,
    failed: Option<WallTime>,
}

impl Cutoffs {
    pub(super) fn new(now: WallTime, retention: Retention) -> Self {
        let before = |kept: Duration| {
            let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
            // Nothing ends before the first time that can be stored.
            let cutoff = now.as_millis().saturating_sub(kept);
            (cutoff >= 0).then(|| storable(WallTime::from_millis(cutoff)))
        };
        Self { done: retention.done.and_then(before), failed: retention.failed.and_then(before) }
    }

    /// The end by which a task of this status is no longer kept; `None`: it is.
    pub(super) fn of(&self, status: Status) -> Option<WallTime> {
        match status {
            Status::Done => self.done,
            Status::Failed | Status::Cancelled => self.failed,
            Status::Pending | Status::Running => None,
        }
    }

    /// A task that was created later has not ended long enough ago, whatever its status. `None`: nor has any.
    pub(super) fn last(&self) -> Option<WallTime> {
        self.done.into_iter().chain(self.failed).max()
    }
}

/// A task's first `max_attempts`: every RETRY_TASK added as much again (R24a).
pub(super) fn first_max_attempts(max_attempts: u32, round: u32) -> u32 {
    max_attempts / round.saturating_add(1)
}
