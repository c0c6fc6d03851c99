//! Which task a verb is about.

use clap::Args;
use taskgrid_protocol::body::TaskRef;
use taskgrid_protocol::{FileId, TaskId};

use super::parse_task_id;

/// A task, as the receipt of 'submit' names it.
#[derive(Args, Clone, Debug)]
pub(super) struct TaskArgs {
    /// The number of the task
    #[arg(value_name = "ID", value_parser = parse_task_id, allow_negative_numbers = true)]
    task: TaskId,
    // No variable: it belongs to one number.
    /// The database that gave the number, as 'submit --output json' prints it: refuse any other
    #[arg(long, value_name = "HEX")]
    file_id: Option<FileId>,
}

impl TaskArgs {
    /// The task.
    pub(super) fn named(&self) -> TaskRef {
        TaskRef { task_id: self.task, file_id: self.file_id }
    }
}
