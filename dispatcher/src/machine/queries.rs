//! Reads of the table, and answers from memory.

use std::collections::BTreeMap;
use std::time::Duration;

use taskgrid_protocol::body::{
    AttemptView, GetResult, ListTasks, ListTasksReply, ListWorkersReply, ResultReply, StatsReply, Status, TaskRef,
    TaskReply, TaskView, WorkerView,
};
use taskgrid_protocol::limits::{LIST_MAX, PACK_LOOPBACK_MAX};
use taskgrid_protocol::{ErrorCode, ReplyTo, TaskId, TaskType, Timestamp, WallTime};

use super::Effect;
use super::Machine;
use super::limits::READS_MAX;
use super::waiters::result_reply;
use crate::store::{Answer, Ended, Query, StoreError};

/// Tasks in an answer to LIST_TASKS that names no limit.
const LIST_DEFAULT: u32 = 20;

fn millis_rounded_up(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// What a read is for.
#[derive(Debug)]
pub(super) enum Reading {
    /// GET_RESULT without waiting.
    Result {
        /// Of which task.
        task: TaskId,
    },
    /// A request that waits already looks whether the end came before it.
    Waited {
        /// For which task.
        task: TaskId,
    },
    /// GET_TASK.
    Task,
    /// LIST_TASKS.
    List,
    /// GET_STATS.
    Stats {
        /// When it was asked.
        now: Timestamp,
    },
}

/// Reads that are under way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    by_ticket: BTreeMap<u64, (ReplyTo, Reading)>,
    next: u64,
}

impl Reads {
    pub(super) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }
}

impl Machine {
    pub(super) fn read(&mut self, reply_to: ReplyTo, reading: Reading, query: Query) {
        if !self.takes_reads() {
            return self.reply_overloaded(&reply_to, "too many reads are under way");
        }
        self.begin_read(reply_to, reading, query);
    }

    /// Looks whether the end that somebody waits for has come. Where there is no room for another read it stays a
    /// waiter: it is answered at the end, and its next copy looks again.
    pub(super) fn read_for_waiter(&mut self, waiter: ReplyTo, task: TaskId) {
        if self.takes_reads() {
            self.begin_read(waiter, Reading::Waited { task }, Query::Result(task));
        }
    }

    fn takes_reads(&self) -> bool {
        self.reads.by_ticket.len() < READS_MAX && self.open.takes_reads()
    }

    fn begin_read(&mut self, reply_to: ReplyTo, reading: Reading, query: Query) {
        let ticket = self.reads.next;
        self.reads.next += 1;
        self.reads.by_ticket.insert(ticket, (reply_to, reading));
        self.effects.push_back(Effect::Read { ticket, query });
    }

    /// GET_RESULT: a waiter is registered *before* the read, so that no end slips between (R10a).
    pub(super) fn handle_get_result(&mut self, now: Timestamp, reply_to: ReplyTo, get: GetResult) {
        let GetResult { task_id: task, wait_s, file_id } = get;
        if !self.is_ours(&reply_to, TaskRef { task_id: task, file_id }) {
            return;
        }
        match wait_s {
            None => self.read(reply_to, Reading::Result { task }, Query::Result(task)),
            Some(wait) if self.add_waiter(now, task, &reply_to, wait) => self.read_for_waiter(reply_to, task),
            Some(_) => self.reply_overloaded(&reply_to, "too many requests wait for the end of a task"),
        }
    }

    pub(super) fn handle_get_task(&mut self, reply_to: ReplyTo, task: TaskRef) {
        if self.is_ours(&reply_to, task) {
            self.read(reply_to, Reading::Task, Query::Task(task.task_id));
        }
    }

    pub(super) fn handle_list(&mut self, reply_to: ReplyTo, list: ListTasks) {
        let limit = Some(list.limit.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX));
        self.read(reply_to, Reading::List, Query::List(ListTasks { limit, ..list }));
    }

    pub(super) fn handle_read(
        &mut self,
        now: Timestamp,
        ticket: u64,
        answer: Result<Answer, StoreError>,
        at: WallTime,
    ) {
        let (reply_to, reading) = self.reads.by_ticket.remove(&ticket).expect("only reads that were asked for end");
        let answer = match answer {
            Ok(answer) => answer,
            // It stays a waiter, and its next copy may fare better.
            Err(_) if matches!(reading, Reading::Waited { .. }) => return,
            Err(StoreError::TooSlow(_)) => {
                // Were it asked again at once, others would wait for it again.
                let error = "the table is too large for this question; narrow it down by type or status";
                return self.reply_error(&reply_to, ErrorCode::BadRequest, error);
            }
            Err(error) => {
                return self.reply_overloaded(&reply_to, &format!("the table could not be read: {error}"));
            }
        };
        match (reading, answer) {
            (Reading::Result { task }, Answer::Result(state)) => self.reply_state(&reply_to, task, state.as_ref()),
            (Reading::Waited { task }, Answer::Result(state)) => {
                let is_final = state.as_ref().is_none_or(|state| state.status.is_ended());
                // If the end has come in the meantime, it has been answered.
                if is_final && self.waiters.remove(task, &reply_to) {
                    self.reply_state(&reply_to, task, state.as_ref());
                }
            }
            (Reading::Task, Answer::Task(Some(found))) => {
                let (task, attempts) = *found;
                self.reply_task(&reply_to, task, attempts, at);
            }
            (Reading::Task, Answer::Task(None)) => self.reply_error(&reply_to, ErrorCode::NotFound, "Task not found"),
            (Reading::List, Answer::List(tasks, more)) => self.reply_list(&reply_to, tasks, more),
            (Reading::Stats { now: asked }, Answer::Stats(tasks)) => {
                let reply = StatsReply {
                    tasks,
                    workers: u32::try_from(self.roster.registered().count()).unwrap_or(u32::MAX),
                    waiting: u32::try_from(self.waiters.len()).unwrap_or(u32::MAX),
                    uptime_s: now.max(asked).since(self.started).as_secs(),
                    commits: self.commits,
                    entries: self.entries,
                    checkpoint_max_ms: self.longest_checkpoint.map(millis_rounded_up),
                };
                self.reply(&reply_to, &reply);
            }
            (reading, answer) => unreachable!("{reading:?} was answered by {answer:?}"),
        }
    }

    fn reply_state(&mut self, reply_to: &ReplyTo, task: TaskId, state: Option<&Ended>) {
        match state {
            Some(state) => {
                let is_running = state.status == Status::Running;
                let progress = is_running.then(|| self.progress_for(reply_to, task)).flatten();
                self.reply_result(reply_to, &mut ResultReply { progress, ..result_reply(state) });
            }
            None => self.reply_error(reply_to, ErrorCode::NotFound, "Task not found"),
        }
    }

    /// GET_TASK, less what does not fit into a datagram (R35).
    fn reply_task(&mut self, reply_to: &ReplyTo, task: TaskView, attempts: Vec<AttemptView>, at: WallTime) {
        let note = self.why_not_running(&task, at);
        // The row was read a moment ago, and may be of an attempt before the one that is known here.
        let current = self.attempts.get(task.id).filter(|it| it.lease.is_some() && it.lease == task.lease);
        let progress = current.filter(|_| task.status == Status::Running).and_then(|it| it.progress.clone());
        let mut reply =
            TaskReply { task, attempts, omitted: Vec::new(), note, progress, file_id: self.file_for(reply_to) };
        let length = |reply: &TaskReply| serde_json::to_string(reply).map_or(usize::MAX, |text| text.len());
        if length(&reply) > PACK_LOOPBACK_MAX {
            reply.task.payload = None;
            reply.omitted.push("payload".to_owned());
        }
        if length(&reply) > PACK_LOOPBACK_MAX && reply.task.result.take().is_some() {
            reply.omitted.push("result".to_owned());
        }
        if length(&reply) > PACK_LOOPBACK_MAX {
            reply.omitted.push("attempts".to_owned());
        }
        while length(&reply) > PACK_LOOPBACK_MAX && reply.attempts.pop().is_some() {}
        self.reply(reply_to, &reply);
    }

    fn reply_list(&mut self, reply_to: &ReplyTo, tasks: Vec<TaskView>, more: bool) {
        let mut reply = ListTasksReply { tasks, more };
        while serde_json::to_string(&reply).map_or(usize::MAX, |text| text.len()) > PACK_LOOPBACK_MAX {
            reply.tasks.pop();
            reply.more = true;
        }
        self.reply(reply_to, &reply);
    }

    fn why_not_running(&self, task: &TaskView, at: WallTime) -> Option<String> {
        if task.status != Status::Pending {
            return None;
        }
        if task.timestamp_scheduled > at {
            let wait = task.timestamp_scheduled.since(at).as_secs_f64();
            let why = if task.attempt > 0 { "it waits before its next attempt" } else { "it was posted with a delay" };
            return Some(format!("{why}: it is due in {wait:.1} s"));
        }
        let served = self.types.get(&task.task_type).is_some_and(|state| !state.workers().is_empty());
        if served {
            return Some(format!("all workers of type '{}' are busy, or older tasks go first", task.task_type));
        }
        Some(format!("no worker serves type '{}'; start one, or check its --types", task.task_type))
    }

    /// LIST_WORKERS, as far as they fit into a datagram.
    pub(super) fn handle_list_workers(&mut self, reply_to: &ReplyTo, task_type: Option<&TaskType>) {
        let mut reply = ListWorkersReply { workers: Vec::new(), more: false };
        let mut length = 100;
        for worker in self.roster.registered() {
            if task_type.is_some_and(|wanted| !worker.types.contains(wanted)) {
                continue;
            }
            let view = WorkerView {
                address: worker.address.to_string(),
                types: worker.types.iter().cloned().collect(),
                capacity: worker.capacity,
                running: Some(worker.used),
                instance: worker.kind.instance().cloned(),
            };
            length += serde_json::to_string(&view).map_or(usize::MAX, |text| text.len() + 1);
            if length > PACK_LOOPBACK_MAX {
                reply.more = true;
                break;
            }
            reply.workers.push(view);
        }
        reply.workers.sort_by(|one, other| one.address.cmp(&other.address));
        self.reply(reply_to, &reply);
    }
}
