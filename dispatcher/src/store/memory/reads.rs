//! What people and clients see.

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::{AttemptView, ListTasks, Status, StatusCounts, TaskView};
use taskgrid_protocol::limits::LIST_MAX;

use super::{Attempt, MemoryStore, Task};
use crate::store::{ATTEMPTS_MAX, Answer, Ended, Query};

impl MemoryStore {
    pub(super) fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Result(id) => Answer::Result(self.tasks.get(id).map(ended)),
            Query::Task(id) => {
                Answer::Task(self.tasks.get(id).map(|task| Box::new((view(*id, task), self.views(*id)))))
            }
            Query::List(filter) => self.list(filter),
            Query::Stats => Answer::Stats(self.stats()),
        }
    }

    fn views(&self, id: TaskId) -> Vec<AttemptView> {
        self.attempts.get(&id).into_iter().flatten().rev().take(ATTEMPTS_MAX).map(attempt_view).collect()
    }

    fn list(&self, filter: &ListTasks) -> Answer {
        let older = |id: &TaskId| filter.before.is_none_or(|before| *id < before);
        let wanted = |task: &Task| {
            filter.status.is_none_or(|status| task.status == status)
                && filter.task_type.as_ref().is_none_or(|wanted| task.task_type == *wanted)
        };
        let mut matching = self.tasks.iter().rev().filter(|(id, task)| older(id) && wanted(task));
        let limit = filter.limit.unwrap_or(LIST_MAX) as usize;
        let page = matching.by_ref().take(limit);
        let page = page.map(|(id, task)| TaskView { payload: None, result: None, ..view(*id, task) }).collect();
        Answer::List(page, matching.next().is_some())
    }

    fn stats(&self) -> StatusCounts {
        let count = |status| self.tasks.values().filter(|task| task.status == status).count() as u64;
        StatusCounts {
            pending: count(Status::Pending),
            running: count(Status::Running),
            done: count(Status::Done),
            failed: count(Status::Failed),
            cancelled: count(Status::Cancelled),
        }
    }
}

fn ended(task: &Task) -> Ended {
    let ended = task.status.is_ended();
    Ended {
        status: task.status,
        result: task.result.clone(),
        error: task.error.clone().filter(|_| task.status == Status::Failed),
        attempts: if ended { task.attempt } else { 0 },
    }
}

fn view(id: TaskId, task: &Task) -> TaskView {
    TaskView {
        id,
        task_type: task.task_type.clone(),
        status: task.status,
        payload: Some(task.payload.clone()),
        result: task.result.clone(),
        payload_bytes: task.payload.len() as u64,
        result_bytes: task.result.as_ref().map(|result| result.len() as u64),
        error: task.error.clone(),
        priority: task.priority,
        attempt: task.attempt,
        max_attempts: task.max_attempts,
        timeout_s: task.timeout_s,
        key: task.key.clone(),
        assigned_worker: task.worker.as_deref().map(str::to_owned),
        lease: task.lease.clone(),
        timestamp_created: task.created,
        timestamp_scheduled: task.scheduled,
        timestamp_dispatched: task.dispatched,
        timestamp_completed: task.completed,
        timestamp_expires: task.expires,
    }
}

fn attempt_view(attempt: &Attempt) -> AttemptView {
    AttemptView {
        attempt: attempt.past.attempt,
        worker: attempt.past.worker.as_ref().to_owned(),
        outcome: attempt.past.outcome.as_str().to_owned(),
        error: attempt.past.error.clone(),
        timestamp_dispatched: attempt.past.dispatched,
        timestamp_ended: attempt.ended,
    }
}
