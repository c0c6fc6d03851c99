//! What a transaction is asked to do, entry by entry, and what came of each.

use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{Priority, Status};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Json, Key, Lease, TaskId, TaskType, WallTime};

use super::retention::{Prune, Pruned};

/// One transaction's worth of work. The lists are applied in the order in which they stand here, each from
/// its first entry to its last.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Results of attempts, as workers returned them.
    pub finishes: Vec<Finish>,
    /// Attempts that the dispatcher ends without a result.
    pub releases: Vec<Release>,
    /// Tasks that somebody cancels.
    pub cancels: Vec<TaskId>,
    /// Failed or cancelled tasks that somebody makes pending again.
    pub retries: Vec<TaskId>,
    /// Whether to fail what has expired, at most [`EXPIRE_MAX`] tasks.
    pub expire: bool,
    /// Ended tasks to delete.
    pub prune: Option<Prune>,
    /// New tasks.
    pub inserts: Vec<Insert>,
    /// Pending tasks to hand over.
    pub claims: Vec<Claim>,
}

impl Batch {
    /// How many entries it has; a claim is one, however many slots it offers.
    pub fn entries(&self) -> u64 {
        let lists = [
            self.finishes.len(),
            self.releases.len(),
            self.cancels.len(),
            self.retries.len(),
            usize::from(self.expire),
            usize::from(self.prune.is_some()),
            self.inserts.len(),
            self.claims.len(),
        ];
        lists.iter().sum::<usize>() as u64
    }
}

/// Tasks that one batch fails as expired; the rest follow in the next one.
pub const EXPIRE_MAX: usize = 1_000;

/// One outcome for each entry of a [`Batch`], in the same order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// For [`Batch::finishes`].
    pub finishes: Vec<Finished>,
    /// For [`Batch::releases`].
    pub releases: Vec<Released>,
    /// For [`Batch::cancels`].
    pub cancels: Vec<Cancelled>,
    /// For [`Batch::retries`].
    pub retries: Vec<Retried>,
    /// For [`Batch::expire`].
    pub expired: Vec<TaskId>,
    /// How long until the next task expires, counted from the end of this batch, if `expire` was asked
    /// for and any task has an expiry. Zero when more have expired than one batch takes.
    pub next_expiry: Option<Duration>,
    /// For [`Batch::prune`].
    pub pruned: Option<Pruned>,
    /// For [`Batch::inserts`].
    pub inserts: Vec<Inserted>,
    /// For [`Batch::claims`].
    pub claims: Vec<Claimed>,
    /// How many tasks are pending after the batch, as [`Query::Stats`](super::Query::Stats) counts.
    pub pending: u64,
}

/// A place at a worker that an attempt is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The worker's address: the column `assigned_worker`.
    pub worker: Arc<str>,
    /// The new attempt's lease; `None` for a plain worker, and then NULL in the row (R15).
    pub lease: Option<Lease>,
}

/// A worker says how an attempt ended (R19).
#[derive(Clone, Debug)]
pub struct Finish {
    /// Which task.
    pub task: TaskId,
    /// By what right.
    pub proof: Proof,
    /// How.
    pub end: End,
}

/// What entitles a result to be stored.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The lease of an attempt: the current one, or for a success any that was issued since the last
    /// RETRY_TASK.
    Lease(Lease),
    /// The result came without a lease, from a host on which these workers live. It counts when a plain
    /// attempt of the task (current, or ended since the last RETRY_TASK) went to one of them (R15).
    Sender(Arc<[Arc<str>]>),
}

impl Proof {
    /// The lease, if it is one.
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Lease(lease) => Some(lease),
            Self::Sender(_) => None,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With a result.
    Success(Json),
    /// Without one. `retry` says in how long another attempt makes sense; `None`: never.
    Failure {
        /// What the handler said.
        error: TaskError,
        /// When to try again, if attempts are left.
        retry: Option<Duration>,
    },
}

/// The outcome of a [`Finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It brought the task's result.
    Done,
    /// It ended the task without a result.
    Ended(Ended),
    /// It ended the current attempt; the task is pending again and due in this time.
    Requeued(Duration),
    /// The task had ended, or its attempt had and brings no success. Nothing changed; it is kept among the past
    /// attempts if its lease was ever issued, once, however often it is sent.
    Late,
    /// No such lease was ever issued for the task.
    LeaseUnknown,
    /// Without a lease it does not count.
    LeaseRequired,
    /// No such task.
    NotFound,
}

/// What an ended task looks like to those who waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `Done`, `Failed` or `Cancelled`.
    pub status: Status,
    /// The result of a done task.
    pub result: Option<Json>,
    /// The last error of a failed one.
    pub error: Option<TaskError>,
    /// Charged attempts.
    pub attempts: u32,
}

/// The dispatcher ends an attempt, if it is still the current one.
#[derive(Clone, Debug)]
pub struct Release {
    /// Which task.
    pub task: TaskId,
    /// The attempt's lease; `None` for a plain worker.
    pub lease: Option<Lease>,
    /// The attempt's number.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What to tell people.
    pub error: TaskError,
    /// Whether the attempt counts against `max_attempts`. If not, its number is given back (R14), and only the
    /// newest of its kind are kept.
    pub charged: bool,
    /// In how long the task is due again; `None`: never, it is failed.
    pub retry: Option<Duration>,
}

/// How an attempt without the recorded result ended: the column `task_attempts.outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The handler failed.
    Failed,
    /// It ran longer than `timeout_s`.
    Timeout,
    /// Nothing was heard of it for a whole lease.
    LeaseLost,
    /// Its worker process is gone. The third one of a task (since the last RETRY_TASK) fails it with
    /// WORKER_LOST, whatever attempts are left (R25).
    WorkerLost,
    /// The worker did not take it.
    Rejected,
    /// It never started and was given back.
    Released,
    /// An older attempt brought the result.
    Superseded,
    /// The task was cancelled.
    Cancelled,
    /// The task expired.
    Expired,
    /// It brought a result after the task had ended.
    Late,
}

impl Outcome {
    const ALL: [Self; 10] = [
        Self::Failed,
        Self::Timeout,
        Self::LeaseLost,
        Self::WorkerLost,
        Self::Rejected,
        Self::Released,
        Self::Superseded,
        Self::Cancelled,
        Self::Expired,
        Self::Late,
    ];

    /// The outcome that a word in the table names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::LeaseLost => "lease_lost",
            Self::WorkerLost => "worker_lost",
            Self::Rejected => "rejected",
            Self::Released => "released",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Late => "late",
        }
    }
}

/// Lost worker processes that make a task poison (R25).
pub const POISON_AFTER: u32 = 3;

/// The outcome of a [`Release`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// It ended the task: no attempts are left, or it was poison, or there was no retry.
    Ended(Ended),
    /// The task is pending again and due in this time.
    Requeued(Duration),
    /// That attempt was no longer the current one; nothing changed.
    Stale,
}

/// The outcome of a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The task is cancelled now.
    Ended(Ended),
    /// It had ended before, like this.
    AlreadyEnded(Status),
    /// No such task.
    NotFound,
}

/// The outcome of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The task is pending again, due at once. An expiry that has passed is dropped.
    Requeued {
        /// Its number.
        id: TaskId,
        /// Its type.
        task_type: TaskType,
    },
    /// It has neither failed nor been cancelled.
    NotRetryable(Status),
    /// No such task.
    NotFound,
}

/// A new task, all defaults filled in.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Which handler.
    pub task_type: TaskType,
    /// What it is given.
    pub payload: Json,
    /// The idempotency key.
    pub key: Option<Key>,
    /// The higher goes first.
    pub priority: Priority,
    /// Attempts that may be charged.
    pub max_attempts: u32,
    /// The time limit of one attempt in seconds.
    pub timeout_s: u64,
    /// Not to be started earlier.
    pub not_before: Option<WallTime>,
    /// Not to be started earlier than this long after now.
    pub delay: Option<Duration>,
    /// Fails unless it is done this long after now.
    pub expires: Option<Duration>,
    /// Hand it over at once, as attempt 1. Ignored when the task exists already or is not due.
    pub slot: Option<Slot>,
}

/// The outcome of an [`Insert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// A new row.
    New {
        /// Its number, higher than any before. There may be gaps: a known key uses up a number.
        id: TaskId,
        /// When it was created.
        created: WallTime,
        /// `true`: handed over to the slot, so it is running.
        claimed: bool,
        /// How long until it may start.
        due: Duration,
    },
    /// The key names this task, and it is the same one. Compared are type, payload bytes, priority, first
    /// `max_attempts`, `timeout_s` and `not_before` (R3).
    Existing {
        /// Its number.
        id: TaskId,
        /// Where it stands.
        status: Status,
    },
    /// The key names this task, and it is another one.
    KeyConflict(TaskId),
    /// The row could not be stored for a reason of its own; the rest of the batch was.
    Refused(String),
}

/// Hand over due tasks of a type, at most one a slot: the highest priority first, then the earliest due
/// time, then the lowest id. Where it can, a task that was at a worker before gets a slot at another one.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which type.
    pub task_type: TaskType,
    /// Where to.
    pub slots: Vec<Slot>,
}

/// The outcome of a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The tasks that are now running, each with the index of its slot; in the order of work.
    pub tasks: Vec<(usize, Running)>,
    /// What is left of the type.
    pub rest: Rest,
}

/// The pending tasks of a type after a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none.
    Empty,
    /// There are some that are due.
    Ready,
    /// There are some; the first is due in this time.
    DueIn(Duration),
}

/// A running row, with all that TASK needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The task.
    pub id: TaskId,
    /// Which handler.
    pub task_type: TaskType,
    /// What it is given.
    pub payload: Json,
    /// The attempt's number, counted from 1.
    pub attempt: u32,
    /// The time limit of the attempt in seconds.
    pub timeout_s: u64,
    /// When the task was created.
    pub created: WallTime,
    /// The worker.
    pub worker: Arc<str>,
    /// The lease; `None` for a plain worker.
    pub lease: Option<Lease>,
}
