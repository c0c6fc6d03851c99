//! What an onlooker writes down while a world runs: what clients were told, what handlers did, what stood in
//! the table, and what went over the wire. The checkers know this and nothing else.

use std::collections::BTreeMap;

use taskgrid_client::machine::{End, Silence};
use taskgrid_client::{ErrorCode, Status};
use taskgrid_dispatcher::store::{Answer, Query, Store};
use taskgrid_protocol::body::{AttemptView, Failure, StatusCounts, TaskView};
use taskgrid_protocol::{Json, Lease, TaskId};

use crate::faults::Kind;
use crate::options::Micros;
use crate::trace::Trace;
use crate::wire::Wire;
use crate::workload::Wish;

/// One run of one process: its place in the world, and which of its lives.
pub type Life = (usize, u32);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Record {
    /// Every event, as text and as a hash.
    pub trace: Trace,
    /// All that clients want, by number.
    pub wishes: Vec<Wish>,
    /// What they were told, in order.
    pub history: Vec<Told>,
    /// What handlers did, in order.
    pub journal: Vec<Ran>,
    /// Every state in which a task stood in the table after a commit, in order.
    pub rows: BTreeMap<TaskId, Vec<Row>>,
    /// What went over the wire.
    pub wire: Wire,
    /// The payloads that plain clients have posted, and how often each has arrived.
    pub plain_posts: BTreeMap<String, u64>,
    /// What went wrong, and how often.
    pub faults: BTreeMap<Kind, u64>,
    /// Datagrams that the network lost, repeated, or damaged.
    pub net: NetCount,
    /// When the world healed.
    pub healed: Option<Micros>,
}

/// What the network has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCount {
    /// Datagrams that were sent.
    pub sent: u64,
    /// … and never arrived.
    pub lost: u64,
    /// … and arrived twice.
    pub repeated: u64,
    /// … and arrived damaged.
    pub damaged: u64,
}

/// Something a client did or was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// When.
    pub at: Micros,
    /// Which client process.
    pub client: Life,
    /// About what.
    pub what: What,
}

/// See [`Told`].
#[derive(Clone, Debug)]
pub enum What {
    /// It begins to submit this wish.
    Submitting(usize),
    /// The wish is stored under this number.
    Stored(usize, TaskId),
    /// It was definitely refused.
    Refused(usize, ErrorCode),
    /// Nobody knows.
    Unknown(usize, Option<Silence>),
    /// It begins to wait for the end of a task.
    Waiting(TaskId),
    /// The task has ended like this.
    Ended(TaskId, End),
    /// The task stands here.
    Stands(TaskId, Option<Status>),
    /// A question about the task was refused.
    NoAnswer(TaskId, ErrorCode),
    /// It was told that the task is cancelled now.
    Cancelled(TaskId),
    /// It was told that the task is pending again.
    Retried(TaskId),
    /// It begins to make the task pending again.
    Retrying(TaskId),
    /// A plain client has a result.
    PlainResult(TaskId),
}

/// Something a handler did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// When.
    pub at: Micros,
    /// Which worker process.
    pub worker: Life,
    /// For which task.
    pub task: TaskId,
    /// Under which lease; a plain worker has none.
    pub lease: Option<Lease>,
    /// What.
    pub what: Step,
}

/// See [`Ran`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It began.
    Start,
    /// It ended by itself.
    End(Result<Json, Failure>),
    /// It was stopped.
    Stopped,
}

/// A task in the table after a commit.
#[derive(Clone, Debug)]
pub struct Row {
    /// When the commit was done.
    pub at: Micros,
    /// The row, with payload and result.
    pub task: TaskView,
    /// Its ended attempts, the newest first.
    pub attempts: Vec<AttemptView>,
}

/// The table at rest.
#[derive(Debug)]
pub struct Table {
    /// All rows, by number.
    pub rows: BTreeMap<TaskId, Row>,
    /// What GET_STATS would say.
    pub counts: StatusCounts,
}

impl Record {
    /// Looks at these tasks in the table, as anybody could with sqlite3.
    pub fn look(&mut self, at: Micros, store: &dyn Store, ids: impl IntoIterator<Item = TaskId>) {
        for id in ids {
            if let Some(row) = look_at(at, store, id) {
                self.rows.entry(id).or_default().push(row);
            }
        }
    }

    /// Writes down what a client did or was told.
    pub fn tell(&mut self, at: Micros, client: Life, what: What) {
        self.trace.line(at, || format!("client {client:?}: {what:?}"));
        self.history.push(Told { at, client, what });
    }

    /// Writes down what a handler did.
    pub fn ran(&mut self, at: Micros, worker: Life, task: TaskId, lease: Option<Lease>, what: Step) {
        self.trace.line(at, || format!("worker {worker:?}: task {} {lease:?} {what:?}", task.0));
        self.journal.push(Ran { at, worker, task, lease, what });
    }

    /// Whether this is the result of a task, as it stands in the table.
    pub fn is_result_of(&self, id: TaskId, result: &serde_json::Value) -> bool {
        let row = self.rows.get(&id).and_then(|rows| rows.last());
        let stored = row.and_then(|row| row.task.result.as_ref());
        stored.is_some_and(|stored| stored.read::<serde_json::Value>().is_ok_and(|stored| stored == *result))
    }

    /// A datagram has come to the dispatcher.
    pub fn arrived(&mut self, datagram: &[u8]) {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(datagram) else { return };
        if message["type"] == "POST_TASK"
            && let Some(count) = self.plain_posts.get_mut(&message["data"]["payload"].to_string())
        {
            *count += 1;
        }
    }

    /// The table as it is now.
    pub fn table(&self, at: Micros, store: &dyn Store) -> Table {
        let newest = self.rows.keys().next_back().map_or(0, |id| id.0);
        // Beyond the newest that was seen there must be nothing.
        let rows = (1..=newest + 3).filter_map(|id| Some((TaskId(id), look_at(at, store, TaskId(id))?))).collect();
        let Ok(Answer::Stats(counts)) = store.read(&Query::Stats) else { panic!("the counts can be read") };
        Table { rows, counts }
    }
}

fn look_at(at: Micros, store: &dyn Store, id: TaskId) -> Option<Row> {
    match store.read(&Query::Task(id)) {
        Ok(Answer::Task(Some(found))) => {
            let (task, attempts) = *found;
            Some(Row { at, task, attempts })
        }
        Ok(Answer::Task(None)) => None,
        other => panic!("task {} can be read, not {other:?}", id.0),
    }
}
