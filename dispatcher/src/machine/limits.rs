//! The bounds of the dispatcher's memory, and what happens at each.

use std::time::Duration;

/// New tasks, or results, in one transaction. Larger ones cost no less a task (measured flat from about 1,000) and
/// make the ones behind them wait.
pub(super) const BATCH_ENTRIES_MAX: usize = 4_096;

/// Bytes of their payloads, or of the results, for the same reason.
pub(super) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// New tasks that wait for a transaction: four full ones, some 50 ms of work. More are answered OVERLOADED.
pub(super) const WAITING_INSERTS_MAX: usize = 4 * BATCH_ENTRIES_MAX;

/// Payload bytes of the same.
pub(super) const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Cancels, retries and results that wait for a transaction, of each kind. Results are shed last (R34), so theirs is
/// sixteen full transactions. A million attempts that end at once bring more: leasing workers send theirs again (R21),
/// while the task of a plain worker waits for the end of its attempt.
pub(super) const WAITING_ORDERS_MAX: usize = 4_096;
/// See [`WAITING_ORDERS_MAX`].
pub(super) const WAITING_FINISHES_MAX: usize = 65_536;

/// Bytes of the results that wait. New tasks are refused from a quarter of either limit on, reads from half.
pub(super) const WAITING_FINISH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Attempts that run at a time, some 500 bytes each beside the payload of those that are not yet acknowledged. With
/// more nothing is claimed.
pub(super) const RUNNING_MAX: usize = 1_000_000;

/// Messages that are sent again until they are answered. With more a TASK_CANCEL is sent once: a worker that
/// lives hears it again in the answer to its heartbeat, or brings a result that is no longer wanted.
pub(super) const UNANSWERED_MAX: usize = 2 * RUNNING_MAX;

/// Slots that one claim offers.
pub(super) const CLAIM_SLOTS_MAX: usize = 256;

/// Reads that are under way. More are answered OVERLOADED.
pub const READS_MAX: usize = 8_192;

/// Requests that wait for the end of a task (R10a). More are answered OVERLOADED, or `"waiting":false`.
pub(super) const WAITERS_MAX: usize = 100_000;

/// Types that are remembered. Beyond it, idle ones are forgotten, and tasks of further types refused.
pub(super) const TYPES_MAX: usize = 100_000;

/// Workers that are remembered. Further registrations are passed over until some expire.
pub(super) const WORKERS_MAX: usize = 10_000;

/// Plain workers that have left and are remembered. Of more, the first are forgotten, and their late results
/// refused.
pub(super) const DEPARTED_MAX: usize = 1_024;

/// Results of plain workers that wait for a DNS answer. Further ones are dropped, as if lost on the way.
pub(super) const PARKED_MAX: usize = 1_024;

/// Questions for the workers of one type that are unanswered at a time (R27).
pub(super) const QUESTIONS_MAX: usize = 64;

/// What a peer is told to wait when a queue is full: some batches.
pub(super) const OVERLOAD_PAUSE: Duration = Duration::from_millis(100);

/// What a client is told to wait when as many tasks are pending as the operator allows: they are that many because
/// workers do not keep up, so some more milliseconds change nothing.
pub(super) const QUEUE_FULL_PAUSE: Duration = Duration::from_secs(1);

/// What a client is told to wait when the dispatcher stops: about as long as a restart takes.
pub(super) const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long a worker's own count of free slots overrules ours. Older reports may be of the past.
pub(super) const REPORT_VALID_FOR: Duration = Duration::from_secs(1);

/// A worker that was busy and did not say for how long.
pub(super) const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// A worker that stops. The grace of its handlers is 25 s, and after it the worker is gone.
pub(super) const DRAINING_PAUSE: Duration = Duration::from_secs(30);
/// Batches in a row that did not fit on the disk, after which a dispatcher that is to stop no longer waits for
/// room: some four seconds, of the ten that Docker leaves between SIGTERM and SIGKILL.
pub(super) const FAREWELL_TRIES: u32 = 8;

/// How long a process is offered nothing at whose address another one has answered: as long as a name service lists a
/// worker that is silent, with the usual interval.
pub(super) const DENIED_FOR: Duration = Duration::from_secs(15);

/// How long a process may be met at the name of its address after another one has registered with it: while it stops.
pub(super) const REPLACED_FOR: Duration = DRAINING_PAUSE;

/// Processes of both kinds that are remembered. Of more, the first are forgotten, and cost at most one attempt more.
pub(super) const FORMER_MAX: usize = WORKERS_MAX;

/// After this much silence a plain worker is offered another task (R15).
pub(super) const PLAIN_SLOT_FREE_AFTER: Duration = Duration::from_secs(30);

/// How long after a handler's time limit the dispatcher ends an attempt itself (R24).
pub(super) const TIMEOUT_MARGIN: Duration = Duration::from_secs(10);

/// An attempt ends after this much silence once another process has taken the address of its worker (R18). A
/// process that lives elsewhere is heard every 10 s, a third of the default lease.
pub(super) const REPLACED_SILENCE: Duration = Duration::from_secs(10);

/// The longest interval between copies of a TASK (R5).
pub(super) const TASK_RESEND_MAX: Duration = Duration::from_secs(1);

/// How often an attempt that waits looks again: for a DNS answer, or for another worker that is free.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A worker that has not answered its TASK for so long is asked for the task back, if another one could run
/// it. Five copies have left by then: where a third of all datagrams is lost each way, one worker in twenty
/// is asked in vain, which costs two datagrams and no second run.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(3);

/// Back-off after a failed attempt: 1 s, doubled each time, at most 5 min, full jitter (R25).
pub(super) const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// See [`BACKOFF_FIRST`].
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// How often the name service is asked what has changed while a type waits without a worker (R27) …
pub(super) const FEED_HUNGRY: Duration = Duration::from_millis(500);
/// … and while none does.
pub(super) const FEED_CALM: Duration = Duration::from_secs(2);

/// The length of a question to a name service that is on no private network: three times that is more than the
/// longest page of its answers (R37).
pub(super) const FAR_QUESTION_BYTES: usize = 600;

/// After this much silence of a name service the next one is asked.
pub(super) const NAMESERVICE_SILENCE: Duration = Duration::from_secs(2);

/// How long a worker is used that a restarted name service has not named yet (R27).
pub(super) const UNCONFIRMED_FOR: Duration = Duration::from_secs(300);

/// After a commit failed for want of space, the next one is tried after this time.
pub(super) const DISK_FULL_PAUSE: Duration = Duration::from_millis(500);

/// What a client is told to wait while there is little space: as long as it takes until the driver looks again.
pub(super) const DISK_LOW_PAUSE: Duration = Duration::from_secs(1);

/// How often tasks are looked for that are no longer kept. Nothing depends on the minute.
pub(super) const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// How often that begins with the first task of the table, for those that ended later than others behind them.
pub(super) const PRUNE_ALL_EVERY: Duration = Duration::from_secs(3_600);

/// The pause between two batches that delete: 10,000 tasks a second at most, as many as can be done.
pub(super) const PRUNE_PAUSE: Duration = Duration::from_millis(50);
