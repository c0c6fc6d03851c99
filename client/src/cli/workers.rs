//! `taskgrid workers`.

use clap::Args;
use taskgrid_protocol::TaskType;

use super::session::Session;
use super::table::Columns;
use super::{Console, Done, OutputArgs, ServerArgs};
use crate::{ListWorkers, WorkerView};

/// Arguments of `taskgrid workers`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taskgrid workers --type reverse
  taskgrid workers --dispatcher 127.0.0.1:5001    those registered at a name service

The dispatcher lists the workers that it knows, with how many tasks they run now.")]
pub struct WorkersArgs {
    /// Only workers that serve this type
    #[arg(long = "type", value_name = "TYPE", env = "TASKGRID_WORKERS_TYPE", hide_env = true)]
    task_type: Option<TaskType>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl WorkersArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        let reply = session.ask(client.workers(ListWorkers { task_type: self.task_type })).await?;
        if session.wants_json() {
            session.console.print_json(&reply);
            return Ok(());
        }
        if reply.workers.is_empty() {
            session.console.tell("No such workers. 'taskgrid worker' starts one.");
            return Ok(());
        }
        let mut columns = Columns::new(&["ADDRESS", "RUNNING", "CAPACITY", "INSTANCE", "TYPES"]);
        for worker in &reply.workers {
            columns.row(cells(worker));
        }
        columns.right(1).right(2).print(session.console);
        if reply.more {
            session.console.tell("There are more than fit into one answer; --type narrows them down.");
        }
        Ok(())
    }
}

fn cells(worker: &WorkerView) -> [String; 5] {
    let types: Vec<&str> = worker.types.iter().map(TaskType::as_str).collect();
    [
        worker.address.clone(),
        worker.running.map_or_else(|| "-".to_owned(), |running| running.to_string()),
        worker.capacity.to_string(),
        worker.instance.as_ref().map_or_else(|| "(plain)".to_owned(), ToString::to_string),
        types.join(","),
    ]
}
