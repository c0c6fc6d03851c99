//! Requests that wait for the end of a task (R10a).

use std::collections::BTreeSet;
use std::time::Duration;

use taskgrid_protocol::body::{Progress, ResultReply, Span, Status};
use taskgrid_protocol::limits::WAIT_MAX;
use taskgrid_protocol::{ErrorCode, Json, ReplyTo, TaskId, Timers, Timestamp};

use super::Machine;
use super::limits::WAITERS_MAX;
use crate::store::Ended;

/// Who waits for what. The same request sent again is the same waiter.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: BTreeSet<(TaskId, ReplyTo)>,
    deadlines: Timers<(TaskId, ReplyTo)>,
}

impl Waiters {
    /// `false`: too many wait already.
    pub(super) fn add(&mut self, now: Timestamp, task: TaskId, waiter: ReplyTo, wait: Duration) -> bool {
        let entry = (task, waiter);
        if self.waiting.len() >= WAITERS_MAX && !self.waiting.contains(&entry) {
            return false;
        }
        // The last copy of the request says how long the answer may be.
        self.waiting.replace(entry.clone());
        self.deadlines.set(entry, now + wait.min(WAIT_MAX));
        true
    }

    /// All who wait for `task`; they wait no longer.
    pub(super) fn take(&mut self, task: TaskId) -> Vec<ReplyTo> {
        let waiters = self.of(task);
        for waiter in &waiters {
            self.remove(task, waiter);
        }
        waiters
    }

    /// All who wait for `task`.
    pub(super) fn of(&self, task: TaskId) -> Vec<ReplyTo> {
        let from = (task, ReplyTo::least());
        self.waiting.range(from..).take_while(|(other, _)| *other == task).map(|(_, waiter)| waiter.clone()).collect()
    }

    /// One who waits for `task` waits no longer. Says whether it did.
    pub(super) fn remove(&mut self, task: TaskId, waiter: &ReplyTo) -> bool {
        let entry = (task, waiter.clone());
        self.deadlines.cancel(&entry);
        self.waiting.remove(&entry)
    }

    /// The next one whose time is up; it waits no longer.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(TaskId, ReplyTo)> {
        let entry = self.deadlines.pop_due(now)?;
        self.waiting.take(&entry)
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Machine {
    pub(super) fn add_waiter(&mut self, now: Timestamp, task: TaskId, waiter: &ReplyTo, wait: Span) -> bool {
        self.waiters.add(now, task, waiter.clone(), wait.0)
    }

    pub(super) fn reply_not_ready(&mut self, waiter: &ReplyTo, task: TaskId) {
        let mut reply = ResultReply {
            error: Some("Result not ready".to_owned()),
            code: Some(ErrorCode::NotReady),
            progress: self.progress_for(waiter, task),
            ..empty_reply()
        };
        self.reply_result(waiter, &mut reply);
    }

    /// What NOT_READY adds. Not for strangers: their answer would become so long that they had to ask again (R37), and
    /// a plain client has always been told NOT_READY.
    pub(super) fn progress_for(&self, reply_to: &ReplyTo, task: TaskId) -> Option<Progress> {
        if reply_to.is_stranger() {
            return None;
        }
        self.attempts.get(task)?.progress.clone()
    }
}

/// What is said of a task with this result (R9).
pub(super) fn done_reply(result: Json) -> ResultReply {
    ResultReply { result: Some(result), status: Some(Status::Done), ..empty_reply() }
}

/// What GET_RESULT says of a task in this state (R9).
pub(super) fn result_reply(state: &Ended) -> ResultReply {
    let reply = ResultReply { status: Some(state.status), ..empty_reply() };
    match state.status {
        Status::Done => ResultReply { result: state.result.clone(), ..reply },
        Status::Failed => {
            let message = state.error.as_ref().map_or("", |error| error.message.as_str());
            ResultReply {
                error: Some(format!("Task failed: {message}")),
                code: Some(ErrorCode::TaskFailed),
                attempts: Some(state.attempts),
                task_error: state.error.clone(),
                ..reply
            }
        }
        Status::Cancelled => {
            ResultReply { error: Some("Task was cancelled".to_owned()), code: Some(ErrorCode::TaskCancelled), ..reply }
        }
        Status::Pending | Status::Running => {
            ResultReply { error: Some("Result not ready".to_owned()), code: Some(ErrorCode::NotReady), ..reply }
        }
    }
}

/// A reply that says nothing yet.
pub(super) fn empty_reply() -> ResultReply {
    ResultReply {
        result: None,
        error: None,
        code: None,
        status: None,
        attempts: None,
        task_error: None,
        progress: None,
        file_id: None,
    }
}
