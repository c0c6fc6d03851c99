//! What came of a batch: replies leave, attempts begin and end.

use taskgrid_protocol::body::{OrderReply, PostReply, ResultReply, Status, Stored};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{ErrorCode, Lease, ReplyTo, TaskId, Timestamp};

use super::batch::{Hung, Posted};
use super::roster::WorkerKey;
use super::waiters::{done_reply, empty_reply, result_reply};
use super::{Alarm, Machine};
use crate::store::{
    Batch, Cancelled, Claimed, End, Finish, Finished, Insert, Inserted, Outcome, Outcomes, Release, Released, Retried,
    Running,
};

/// A batch that is on stable storage.
#[derive(Debug)]
pub(super) struct Committed {
    batch: Batch,
    hung: Hung,
    outcomes: Outcomes,
}

impl Machine {
    /// The next batch may be committed now. It goes first: to look at the outcomes of a large one takes as long as to
    /// commit it, and the disk would stand still meanwhile. So whoever closes a batch knows nothing of what came of
    /// the one before: slots that it frees are offered one batch later, and types that it claims from are claimed from
    /// again in the one after. Nothing else comes between: whatever else happens, the outcomes are looked at first.
    pub(super) fn note_committed(&mut self, batch: Batch, outcomes: Outcomes) {
        let hung = self.in_flight.take().expect("only a batch that was handed out is committed");
        self.disk.is_full = false;
        self.disk.failures = 0;
        self.pending = outcomes.pending;
        self.committed = Some(Committed { batch, hung, outcomes });
    }

    /// Replies leave, attempts begin and end.
    pub(super) fn look_at_outcomes(&mut self, now: Timestamp) {
        let Some(Committed { batch, hung, outcomes }) = self.committed.take() else { return };
        assert_eq!(batch.inserts.len(), outcomes.inserts.len(), "one outcome an insert");
        assert_eq!(batch.finishes.len(), outcomes.finishes.len(), "one outcome a finish");
        for ((finish, reply_to), outcome) in batch.finishes.into_iter().zip(&hung.finishes).zip(outcomes.finishes) {
            self.handle_finished(now, finish, reply_to, outcome);
        }
        for (release, outcome) in batch.releases.iter().zip(outcomes.releases) {
            self.handle_released(now, release, &outcome);
        }
        for ((task, reply_to), outcome) in batch.cancels.into_iter().zip(&hung.cancels).zip(outcomes.cancels) {
            self.handle_cancelled(now, task, reply_to, &outcome);
        }
        for (reply_to, outcome) in hung.retries.iter().zip(outcomes.retries) {
            self.handle_retried(now, reply_to, outcome);
        }
        for task in outcomes.expired {
            self.handle_expired(now, task);
        }
        if batch.expire
            && let Some(next) = outcomes.next_expiry
        {
            self.timers.set_earlier(Alarm::Expiry, now + next);
        }
        if let Some(pruned) = outcomes.pruned {
            self.handle_pruned(now, pruned);
        }
        for ((claim, workers), claimed) in batch.claims.into_iter().zip(hung.claims).zip(outcomes.claims) {
            if let Some(at) = self.types.claim_ends(now, &claim.task_type, claimed.rest) {
                self.timers.set(Alarm::Due(claim.task_type), at);
            }
            self.handle_claimed(now, workers, claimed);
        }
        for ((insert, posted), outcome) in batch.inserts.into_iter().zip(hung.inserts).zip(outcomes.inserts) {
            self.handle_inserted(now, insert, posted, outcome);
        }
    }

    fn handle_finished(&mut self, now: Timestamp, finish: Finish, reply_to: &ReplyTo, outcome: Finished) {
        let task = finish.task;
        let stored = |duplicate| Stored { message: "Result stored".to_owned(), duplicate };
        match outcome {
            Finished::Done => {
                self.reply(reply_to, &stored(false));
                let End::Success(result) = finish.end else { unreachable!("only a success brings a result") };
                self.end_task(now, task, done_reply(result), finish.proof.lease());
            }
            Finished::Ended(ended) => {
                self.reply(reply_to, &stored(false));
                self.end_task(now, task, result_reply(&ended), finish.proof.lease());
            }
            Finished::Requeued(due) => {
                self.reply(reply_to, &stored(false));
                self.requeue(now, task, due);
            }
            Finished::Late => {
                self.reply(reply_to, &stored(true));
                self.forget_if_current(now, &finish);
                self.end_if_adopted(&finish);
            }
            Finished::LeaseUnknown => {
                self.reply_error(reply_to, ErrorCode::LeaseUnknown, "this lease was never issued for this task");
                self.forget_if_current(now, &finish);
            }
            Finished::LeaseRequired => {
                let error = "a result needs the lease that came with its TASK; send it beside 'data'";
                self.reply_error(reply_to, ErrorCode::LeaseRequired, error);
            }
            Finished::NotFound => {
                self.reply_error(reply_to, ErrorCode::NotFound, "Task ID not found");
                self.forget_if_current(now, &finish);
            }
        }
    }

    /// The table says that an attempt is not current which we believed to be: somebody has changed the row
    /// by other means.
    fn forget_if_current(&mut self, now: Timestamp, finish: &Finish) {
        let Some(lease) = finish.proof.lease() else { return };
        if self.attempts.get(finish.task).is_some_and(|attempt| attempt.lease.as_ref() == Some(lease)) {
            self.forget_attempt(now, finish.task);
        }
    }

    /// The older run that stood for an attempt (R22) has ended, and its result does not count, since it began before
    /// a RETRY_TASK. So the task still has to run.
    fn end_if_adopted(&mut self, finish: &Finish) {
        let Some(lease) = finish.proof.lease() else { return };
        let attempt = self.attempts.get(finish.task);
        if attempt.is_some_and(|attempt| attempt.also_known_as.as_ref() == Some(lease)) {
            let message = "the older run that stood for this attempt began before the task was retried";
            let error = TaskError { code: "RELEASED".to_owned(), message: message.to_owned() };
            self.end_attempt(finish.task, Outcome::Released, error, false, Some(std::time::Duration::ZERO));
        }
    }

    fn handle_released(&mut self, now: Timestamp, release: &Release, outcome: &Released) {
        match outcome {
            Released::Ended(ended) => self.end_task(now, release.task, result_reply(ended), release.lease.as_ref()),
            Released::Requeued(due) => self.requeue(now, release.task, *due),
            Released::Stale => {
                let current = self.attempts.get(release.task);
                if current.is_some_and(|attempt| attempt.lease == release.lease && attempt.number == release.attempt) {
                    self.forget_attempt(now, release.task);
                }
            }
        }
    }

    fn handle_cancelled(&mut self, now: Timestamp, task: TaskId, reply_to: &ReplyTo, outcome: &Cancelled) {
        match outcome {
            Cancelled::Ended(ended) => {
                self.reply(reply_to, &acted("Task cancelled", task, Status::Cancelled));
                self.end_task(now, task, result_reply(ended), None);
            }
            Cancelled::AlreadyEnded(status) => {
                let error = format!("the task has ended already: it is {status}");
                self.reply(reply_to, &refused(ErrorCode::AlreadyEnded, error, *status));
            }
            Cancelled::NotFound => self.reply_error(reply_to, ErrorCode::NotFound, "Task not found"),
        }
    }

    fn handle_retried(&mut self, now: Timestamp, reply_to: &ReplyTo, outcome: Retried) {
        match outcome {
            Retried::Requeued { id, task_type } => {
                if self.admit_type(now, &task_type) {
                    self.types.pending_now(&task_type);
                }
                self.reply(reply_to, &acted("Task is pending again", id, Status::Pending));
            }
            Retried::NotRetryable(status) => {
                let error = format!("only failed and cancelled tasks can be retried; this one is {status}");
                self.reply(reply_to, &refused(ErrorCode::NotRetryable, error, status));
            }
            Retried::NotFound => self.reply_error(reply_to, ErrorCode::NotFound, "Task not found"),
        }
    }

    fn handle_expired(&mut self, now: Timestamp, task: TaskId) {
        if let Some(attempt) = self.forget_attempt(now, task) {
            self.send_cancels(now, task, &attempt.address, attempt.leases());
        }
        for waiter in self.waiters.of(task) {
            self.read_for_waiter(waiter, task);
        }
    }

    /// The task has reached its end, by the attempt under `winner` if by any. `reply` is what is said to who waits.
    fn end_task(&mut self, now: Timestamp, task: TaskId, mut reply: ResultReply, winner: Option<&Lease>) {
        if let Some(attempt) = self.forget_attempt(now, task) {
            let losers = attempt.leases().filter(|lease| Some(lease) != winner);
            self.send_cancels(now, task, &attempt.address, losers);
        }
        for waiter in self.waiters.take(task) {
            self.reply_result(&waiter, &mut reply);
        }
    }

    /// The current attempt has ended, the task has not.
    fn requeue(&mut self, now: Timestamp, task: TaskId, due: std::time::Duration) {
        let Some(attempt) = self.forget_attempt(now, task) else { return };
        self.note_pending(now, &attempt.task_type, due);
    }

    fn note_pending(&mut self, now: Timestamp, task_type: &taskgrid_protocol::TaskType, due: std::time::Duration) {
        if due.is_zero() {
            self.types.pending_now(task_type);
        } else if let Some(at) = self.types.pending_at(task_type, now + due) {
            self.timers.set_earlier(Alarm::Due(task_type.clone()), at);
        }
    }

    fn handle_claimed(&mut self, now: Timestamp, workers: Vec<WorkerKey>, claimed: Claimed) {
        let mut free: Vec<Option<WorkerKey>> = workers.into_iter().map(Some).collect();
        for (slot, running) in claimed.tasks {
            let worker = free[slot].take().expect("a slot is given to one task");
            self.hand_over(now, worker, running);
        }
        for worker in free.into_iter().flatten() {
            self.roster.free_slot(now, worker);
        }
    }

    fn handle_inserted(&mut self, now: Timestamp, insert: Insert, posted: Posted, outcome: Inserted) {
        let handed_over = matches!(outcome, Inserted::New { claimed: true, .. });
        if let (Some(worker), false) = (posted.worker, handed_over) {
            self.roster.free_slot(now, worker);
        }
        match outcome {
            Inserted::New { id, created, claimed, due } => {
                if let Some(expires) = insert.expires {
                    self.timers.set_earlier(Alarm::Expiry, now + expires);
                }
                if claimed {
                    let worker = posted.worker.expect("only an insert with a slot is handed over");
                    self.hand_over(now, worker, running(id, created, insert));
                } else if !due.is_zero() || posted.worker.is_some() || insert.slot.is_none() && !is_due(&insert) {
                    self.note_pending(now, &posted.task_type, due);
                }
                // A claim of the same batch may have taken it.
                let status = if self.attempts.get(id).is_some() { Status::Running } else { Status::Pending };
                self.reply_posted(now, &posted, PostReply::new(id, status), None);
            }
            Inserted::Existing { id, status } => {
                let reply = PostReply { duplicate: true, ..PostReply::new(id, status) };
                self.reply_posted(now, &posted, reply, Some(id));
            }
            Inserted::KeyConflict(id) => {
                let error = format!("the key names task {id}, which differs; use a new key");
                self.reply_error(&posted.reply_to, ErrorCode::KeyConflict, &error);
            }
            Inserted::Refused(why) => {
                let error = format!("the task could not be stored: {why}");
                self.reply_error(&posted.reply_to, ErrorCode::BadRequest, &error);
            }
        }
    }

    /// Answers POST_TASK, and takes up the wait if one was asked for. `look`: the task may have ended
    /// before.
    fn reply_posted(&mut self, now: Timestamp, posted: &Posted, mut reply: PostReply, look: Option<TaskId>) {
        if let Some(state) = self.types.get(&posted.task_type)
            && state.looked_up
        {
            reply.workers = Some(u32::try_from(state.workers().len()).unwrap_or(u32::MAX));
        }
        let waits = posted.wait.is_some_and(|wait| self.add_waiter(now, reply.task_id, &posted.reply_to, wait));
        reply.file_id = self.file_for(&posted.reply_to);
        reply.waiting = (posted.wait.is_some() && !waits).then_some(false);
        self.reply(&posted.reply_to, &reply);
        if let (true, Some(task)) = (waits, look) {
            self.read_for_waiter(posted.reply_to.clone(), task);
        }
    }
}

fn is_due(insert: &Insert) -> bool {
    insert.delay.is_none() && insert.not_before.is_none()
}

fn running(id: TaskId, created: taskgrid_protocol::WallTime, insert: Insert) -> Running {
    let slot = insert.slot.expect("only an insert with a slot is handed over");
    Running {
        id,
        task_type: insert.task_type,
        payload: insert.payload,
        attempt: 1,
        timeout_s: insert.timeout_s,
        created,
        worker: slot.worker,
        lease: slot.lease,
    }
}

fn acted(message: &str, task_id: TaskId, status: Status) -> OrderReply {
    OrderReply { message: message.to_owned(), task_id, status }
}

fn refused(code: ErrorCode, error: String, status: Status) -> ResultReply {
    ResultReply { error: Some(error), code: Some(code), status: Some(status), ..empty_reply() }
}
