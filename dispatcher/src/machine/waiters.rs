//! Requests that wait for the end of a task (R10a).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taskgrid_protocol::body::{Progress, ResultReply, Span, Status};
use taskgrid_protocol::limits::WAIT_MAX;
use taskgrid_protocol::{ErrorCode, ReplyTo, TaskId, Timers, Timestamp};

use super::Machine;
use super::limits::WAITERS_MAX;
use crate::store::Ended;

/// Who waits for what. The same request sent again is the same waiter.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_task: BTreeMap<TaskId, BTreeSet<ReplyTo>>,
    deadlines: Timers<(TaskId, ReplyTo)>,
    count: usize,
}

impl Waiters {
    /// `false`: too many wait already.
    pub(super) fn add(&mut self, now: Timestamp, task: TaskId, waiter: ReplyTo, wait: Duration) -> bool {
        let known = self.by_task.get(&task).is_some_and(|waiters| waiters.contains(&waiter));
        if !known {
            if self.count >= WAITERS_MAX {
                return false;
            }
            self.count += 1;
        }
        // The last copy of the request says how long the answer may be.
        self.by_task.entry(task).or_default().replace(waiter.clone());
        self.deadlines.set((task, waiter), now + wait.min(WAIT_MAX));
        true
    }

    /// All who wait for `task`; they wait no longer.
    pub(super) fn take(&mut self, task: TaskId) -> BTreeSet<ReplyTo> {
        let waiters = self.by_task.remove(&task).unwrap_or_default();
        for waiter in &waiters {
            self.deadlines.cancel(&(task, waiter.clone()));
        }
        self.count -= waiters.len();
        waiters
    }

    /// All who wait for `task`.
    pub(super) fn of(&self, task: TaskId) -> Vec<ReplyTo> {
        self.by_task.get(&task).into_iter().flatten().cloned().collect()
    }

    /// One who waits for `task` waits no longer. Says whether it did.
    pub(super) fn remove(&mut self, task: TaskId, waiter: &ReplyTo) -> bool {
        self.deadlines.cancel(&(task, waiter.clone()));
        self.drop_from_task(task, waiter)
    }

    /// The next one whose time is up; it waits no longer.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(TaskId, ReplyTo)> {
        let (task, waiter) = self.deadlines.pop_due(now)?;
        self.drop_from_task(task, &waiter);
        Some((task, waiter))
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn drop_from_task(&mut self, task: TaskId, waiter: &ReplyTo) -> bool {
        let Some(waiters) = self.by_task.get_mut(&task) else { return false };
        let removed = waiters.remove(waiter);
        if waiters.is_empty() {
            self.by_task.remove(&task);
        }
        self.count -= usize::from(removed);
        removed
    }
}

impl Machine {
    pub(super) fn add_waiter(&mut self, now: Timestamp, task: TaskId, waiter: &ReplyTo, wait: Span) -> bool {
        self.waiters.add(now, task, waiter.clone(), wait.0)
    }

    /// The task has ended: all who wait for it are answered.
    pub(super) fn answer_waiters(&mut self, task: TaskId, ended: &Ended) {
        for waiter in self.waiters.take(task) {
            self.reply(&waiter, &result_reply(ended));
        }
    }

    pub(super) fn reply_not_ready(&mut self, waiter: &ReplyTo, task: TaskId) {
        let reply = ResultReply {
            error: Some("Result not ready".to_owned()),
            code: Some(ErrorCode::NotReady),
            progress: self.progress_for(waiter, task),
            ..empty_reply()
        };
        self.reply(waiter, &reply);
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
    }
}
