//! Tasks come, attempts end, people interfere.

use std::time::Duration;

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::TaskError;

use super::{Attempt, Clock, MemoryStore, Task};
use crate::store::rules::{self, Claimant, Next, Past, Verdict};
use crate::store::{
    Cancelled, EXPIRE_MAX, End, Ended, Finish, Finished, Insert, Inserted, Outcome, Release, Released, Retried,
};

impl MemoryStore {
    pub(super) fn insert(&mut self, clock: Clock, insert: &Insert) -> Inserted {
        if insert.max_attempts == 0 || insert.timeout_s == 0 {
            return Inserted::Refused("max_attempts and timeout_s are at least 1".to_owned());
        }
        // A known key uses up a number, as it does with the sequences of databases.
        self.newest += 1;
        if let Some(id) = insert.key.as_ref().and_then(|key| self.keys.get(key)) {
            let task = &self.tasks[id];
            let same = is_same(task, insert);
            return if same { Inserted::Existing { id: *id, status: task.status } } else { Inserted::KeyConflict(*id) };
        }
        let wait = rules::wait(clock.now, insert);
        let slot = insert.slot.as_ref().filter(|_| wait.is_zero());
        let id = TaskId(self.newest);
        let task = Task {
            task_type: insert.task_type.clone(),
            payload: insert.payload.clone(),
            status: if slot.is_some() { Status::Running } else { Status::Pending },
            priority: insert.priority,
            attempt: u32::from(slot.is_some()),
            max_attempts: insert.max_attempts,
            round: 0,
            timeout_s: insert.timeout_s,
            key: insert.key.clone(),
            worker: slot.map(|slot| slot.worker.clone()),
            lease: slot.and_then(|slot| slot.lease.clone()),
            result: None,
            error: None,
            created: clock.stamp,
            scheduled: rules::due_time(clock.now, clock.stamp, wait),
            dispatched: slot.map(|_| clock.stamp),
            completed: None,
            not_before: insert.not_before.map(rules::storable),
            expires: insert.expires.map(|span| rules::storable(clock.now + span)),
        };
        if let Some(key) = &insert.key {
            self.keys.insert(key.clone(), id);
        }
        self.tasks.insert(id, task);
        self.enter_sets(id);
        Inserted::New { id, created: clock.stamp, claimed: slot.is_some(), due: wait }
    }

    pub(super) fn finish(&mut self, clock: Clock, finish: &Finish) -> Finished {
        let id = finish.task;
        let Some(task) = self.tasks.get(&id) else { return Finished::NotFound };
        match rules::claimant(task.standing(), &finish.proof) {
            Claimant::Recorded => return Finished::Late,
            Claimant::Current => {
                return match &finish.end {
                    End::Success(_) => self.win(clock, finish, None),
                    End::Failure { error, retry } => self.fail_attempt(clock, id, error, *retry),
                };
            }
            Claimant::Unclear => {}
        }
        let past: Vec<Past> = self.past(id).map(|attempt| attempt.past.clone()).collect();
        match rules::judge(task.standing(), &past, &finish.proof, &finish.end) {
            Verdict::Wins(origin) => self.win(clock, finish, Some(origin)),
            Verdict::Kept(origin) => {
                let error = match &finish.end {
                    End::Success(_) => None,
                    End::Failure { error, .. } => Some(error.clone()),
                };
                let past = Past { outcome: Outcome::Late, error, ..past[origin].clone() };
                self.attempts.entry(id).or_default().push(Attempt { past, charged: false, ended: clock.stamp });
                Finished::Late
            }
            Verdict::Repeated => Finished::Late,
            Verdict::LeaseUnknown => Finished::LeaseUnknown,
            Verdict::LeaseRequired => Finished::LeaseRequired,
        }
    }

    /// Records a result: that of the current attempt, or of the past one `origin`.
    fn win(&mut self, clock: Clock, finish: &Finish, origin: Option<usize>) -> Finished {
        let End::Success(result) = &finish.end else { unreachable!("only a success wins") };
        let id = finish.task;
        let winner = origin.map(|origin| self.attempts.get_mut(&id).expect("it was just read").remove(origin).past);
        if winner.is_some() {
            self.end_attempt(clock, id, Outcome::Superseded, None, true);
        }
        self.change(id, |task| {
            if let Some(winner) = winner {
                task.attempt = task.attempt.max(winner.attempt);
                task.worker = Some(winner.worker);
                task.lease = winner.lease;
                task.dispatched = Some(winner.dispatched);
            }
            task.status = Status::Done;
            task.result = Some(result.clone());
            task.error = None;
            task.completed = Some(clock.stamp);
        });
        Finished::Done
    }

    /// The current attempt's worker reports a failure.
    fn fail_attempt(&mut self, clock: Clock, id: TaskId, error: &TaskError, retry: Option<Duration>) -> Finished {
        self.end_attempt(clock, id, rules::outcome_of(error), Some(error), true);
        let task = &self.tasks[&id];
        match rules::next(task.attempt, task.max_attempts, retry, error, 0) {
            Next::Again(wait) => {
                self.requeue(clock, id, wait, Some(error));
                Finished::Requeued(wait)
            }
            Next::Fail(error) => Finished::Ended(self.fail(clock, id, error)),
        }
    }

    pub(super) fn release(&mut self, clock: Clock, release: &Release) -> Released {
        let id = release.task;
        let current = |task: &&Task| {
            task.status == Status::Running && task.attempt == release.attempt && task.lease == release.lease
        };
        if self.tasks.get(&id).filter(current).is_none() {
            return Released::Stale;
        }
        self.end_attempt(clock, id, release.outcome, Some(&release.error), release.charged);
        let task = &self.tasks[&id];
        match rules::next(task.attempt, task.max_attempts, release.retry, &release.error, self.lost_workers(id)) {
            Next::Again(wait) => {
                self.requeue(clock, id, wait, Some(&release.error).filter(|_| release.charged));
                Released::Requeued(wait)
            }
            Next::Fail(error) => Released::Ended(self.fail(clock, id, error)),
        }
    }

    pub(super) fn cancel(&mut self, clock: Clock, id: TaskId) -> Cancelled {
        let Some(task) = self.tasks.get(&id) else { return Cancelled::NotFound };
        if task.status.is_ended() {
            return Cancelled::AlreadyEnded(task.status);
        }
        self.end_attempt(clock, id, Outcome::Cancelled, None, true);
        let attempts = self.change(id, |task| {
            task.status = Status::Cancelled;
            task.completed = Some(clock.stamp);
            task.attempt
        });
        Cancelled::Ended(rules::cancelled(attempts))
    }

    pub(super) fn retry(&mut self, clock: Clock, id: TaskId) -> Retried {
        let Some(task) = self.tasks.get(&id) else { return Retried::NotFound };
        if !matches!(task.status, Status::Failed | Status::Cancelled) {
            return Retried::NotRetryable(task.status);
        }
        let task_type = task.task_type.clone();
        self.change(id, |task| {
            task.status = Status::Pending;
            let more = rules::first_max_attempts(task.max_attempts, task.round);
            task.max_attempts = task.max_attempts.saturating_add(more);
            task.round += 1;
            task.scheduled = rules::due_time(clock.now, task.created, Duration::ZERO);
            task.completed = None;
            task.expires = task.expires.filter(|expires| *expires > clock.now);
        });
        Retried::Requeued { id, task_type }
    }

    pub(super) fn expire(&mut self, clock: Clock) -> Vec<TaskId> {
        let expired = self.expiring.iter().take_while(|(expires, _)| *expires <= clock.now);
        let expired: Vec<TaskId> = expired.take(EXPIRE_MAX).map(|(_, id)| *id).collect();
        for id in &expired {
            self.end_attempt(clock, *id, Outcome::Expired, Some(&rules::expired()), true);
            self.fail(clock, *id, rules::expired());
        }
        expired
    }

    fn requeue(&mut self, clock: Clock, id: TaskId, wait: Duration, error: Option<&TaskError>) {
        self.change(id, |task| {
            task.status = Status::Pending;
            task.scheduled = rules::due_time(clock.now, task.created, wait);
            task.error = error.cloned().or_else(|| task.error.take());
        });
    }

    fn fail(&mut self, clock: Clock, id: TaskId, error: TaskError) -> Ended {
        let attempts = self.change(id, |task| {
            task.status = Status::Failed;
            task.error = Some(error.clone());
            task.completed = Some(clock.stamp);
            task.attempt
        });
        rules::failed(error, attempts)
    }

    /// Moves the current attempt, if there is one, to the past ones. What becomes of the task is for the
    /// caller to say.
    fn end_attempt(&mut self, clock: Clock, id: TaskId, outcome: Outcome, error: Option<&TaskError>, charged: bool) {
        let task = &self.tasks[&id];
        if task.status != Status::Running {
            return;
        }
        let past = Past {
            attempt: task.attempt,
            round: task.round,
            worker: task.worker.clone().expect("a running task has a worker"),
            lease: task.lease.clone(),
            outcome,
            error: error.cloned(),
            dispatched: task.dispatched.expect("a running task was dispatched"),
        };
        let attempts = self.attempts.entry(id).or_default();
        attempts.push(Attempt { past, charged, ended: clock.stamp });
        if !charged {
            forget_oldest_uncharged(attempts);
            self.change(id, |task| task.attempt -= 1);
        }
    }

    fn lost_workers(&self, id: TaskId) -> u32 {
        let round = self.tasks[&id].round;
        let lost = |attempt: &&Attempt| attempt.past.outcome == Outcome::WorkerLost && attempt.past.round == round;
        u32::try_from(self.past(id).filter(lost).count()).unwrap_or(u32::MAX)
    }

    fn past(&self, id: TaskId) -> impl Iterator<Item = &Attempt> {
        self.attempts.get(&id).into_iter().flatten()
    }
}

fn forget_oldest_uncharged(attempts: &mut Vec<Attempt>) {
    let given_back = |attempt: &Attempt| !attempt.charged && attempt.past.outcome != Outcome::Late;
    if attempts.iter().filter(|attempt| given_back(attempt)).count() > rules::UNCHARGED_MAX
        && let Some(oldest) = attempts.iter().position(given_back)
    {
        attempts.remove(oldest);
    }
}

/// Whether a POST_TASK with a known key means the task that has it (R3).
fn is_same(task: &Task, insert: &Insert) -> bool {
    task.task_type == insert.task_type
        && task.payload == insert.payload
        && task.priority == insert.priority
        && rules::first_max_attempts(task.max_attempts, task.round) == insert.max_attempts
        && task.timeout_s == insert.timeout_s
        && task.not_before == insert.not_before.map(rules::storable)
}
