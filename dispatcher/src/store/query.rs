//! What is read of a table, without waiting for the writer.

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::{AttemptView, ListTasks, StatusCounts, TaskView};

use super::Ended;

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Where a task stands, and its result.
    Result(TaskId),
    /// All about a task.
    Task(TaskId),
    /// Tasks, the newest first; `limit` is filled in.
    List(ListTasks),
    /// How many tasks stand where.
    Stats,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// For [`Query::Result`]; `None`: no such task. `status` may be any; the rest is filled in once it has
    /// ended.
    Result(Option<Ended>),
    /// For [`Query::Task`]: the task and its ended attempts, the newest first, at most [`ATTEMPTS_MAX`].
    Task(Option<Box<(TaskView, Vec<AttemptView>)>>),
    /// For [`Query::List`]: without payloads and results, and whether there are older ones. A store may stop
    /// after [`LIST_REACH`] tasks without finding enough, and then says that there may be.
    List(Vec<TaskView>, bool),
    /// For [`Query::Stats`].
    Stats(StatusCounts),
}

/// How many tasks a list with a filter looks back, unless an index leads on: less than a second's work.
pub const LIST_REACH: i64 = 1_000_000;

/// Ended attempts that are shown of one task.
pub const ATTEMPTS_MAX: usize = 20;
