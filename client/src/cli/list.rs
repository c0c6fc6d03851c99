//! `taskgrid list`.

use clap::{Args, ValueEnum};
use taskgrid_protocol::limits::LIST_MAX;
use taskgrid_protocol::{TaskId, TaskType};

use super::session::Session;
use super::table::Columns;
use super::{Console, Done, Exit, OutputArgs, ServerArgs, parse_task_id, text};
use crate::{ListTasks, ListTasksReply, Status, TaskView};

/// Characters of an error that a list shows; 'show' shows all.
const ERROR_SHOWN: usize = 60;

/// Arguments of `taskgrid list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taskgrid list --status failed --limit 5
  taskgrid list --type reverse --before 1000    goes on where another list ended
  taskgrid list --output json | jq '.tasks[].id'")]
pub struct ListArgs {
    /// Only tasks of this status
    #[arg(long, value_enum, env = "TASKGRID_LIST_STATUS", hide_env = true)]
    status: Option<StatusWord>,
    /// Only tasks of this type
    #[arg(long = "type", value_name = "TYPE", env = "TASKGRID_LIST_TYPE", hide_env = true)]
    task_type: Option<TaskType>,
    /// At most so many
    #[arg(long, value_name = "N", env = "TASKGRID_LIST_LIMIT", hide_env = true, default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only tasks older than the one with this number
    #[arg(long, value_name = "ID", value_parser = parse_task_id)]
    before: Option<TaskId>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// A task's status, as it is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatusWord {
    Pending,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl From<StatusWord> for Status {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Pending => Self::Pending,
            StatusWord::Running => Self::Running,
            StatusWord::Done => Self::Done,
            StatusWord::Failed => Self::Failed,
            StatusWord::Cancelled => Self::Cancelled,
        }
    }
}

impl ListArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let list = self.fetch(&mut session).await?;
        if session.wants_json() {
            session.console.print_json(&list);
            return Ok(());
        }
        if list.tasks.is_empty() {
            session.console.tell("No such tasks.");
            return Ok(());
        }
        let mut columns = Columns::new(&["ID", "TYPE", "STATUS", "ATTEMPT", "WORKER", "CREATED", "ENDED", "ERROR"]);
        for task in &list.tasks {
            columns.row(cells(task));
        }
        columns.right(0).print(session.console);
        if let (true, Some(last)) = (list.more, list.tasks.last()) {
            session.console.tell(&format!("There are older ones: add --before {}.", last.id));
        }
        Ok(())
    }

    /// As many pages as it takes.
    async fn fetch(&self, session: &mut Session<'_>) -> Result<ListTasksReply, Exit> {
        let client = session.client.clone();
        let mut list = ListTasksReply { tasks: Vec::new(), more: true };
        let mut before = self.before;
        while list.more && list.tasks.len() < self.limit as usize {
            let missing = self.limit - u32::try_from(list.tasks.len()).unwrap_or(self.limit);
            let page = ListTasks {
                status: self.status.map(Status::from),
                task_type: self.task_type.clone(),
                before,
                limit: Some(missing.min(LIST_MAX)),
            };
            let page = session.ask(client.list(page)).await?;
            let Some(last) = page.tasks.last() else {
                list.more = false;
                break;
            };
            before = Some(last.id);
            list.more = page.more;
            list.tasks.extend(page.tasks);
        }
        Ok(list)
    }
}

fn cells(task: &TaskView) -> [String; 8] {
    let error = task.error.as_ref().map_or_else(String::new, |error| shorten(&error.message));
    [
        task.id.to_string(),
        task.task_type.to_string(),
        task.status.to_string(),
        format!("{}/{}", task.attempt, task.max_attempts),
        task.assigned_worker.clone().unwrap_or_else(|| "-".to_owned()),
        text::time(task.timestamp_created),
        task.timestamp_completed.map_or_else(|| "-".to_owned(), text::time),
        error,
    ]
}

fn shorten(message: &str) -> String {
    let mut chars = message.chars();
    let start: String = chars.by_ref().take(ERROR_SHOWN).collect();
    if chars.next().is_some() { format!("{start}…") } else { start }
}
