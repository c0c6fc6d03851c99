//! The verbs of the `taskgrid` command that talk to a dispatcher.

mod bench;
mod console;
mod exit;
mod failures;
mod list;
mod news;
mod orders;
mod outcome;
mod payload;
mod ping;
mod result;
mod session;
mod show;
mod stats;
mod submit;
mod table;
mod task;
mod text;
mod workers;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use taskgrid_protocol::TaskId;
use taskgrid_runtime::parse_seconds;

pub use bench::BenchArgs;
use console::Console;
use exit::Exit;
pub use list::ListArgs;
pub use orders::OrderArgs;
pub use ping::PingArgs;
pub use result::ResultArgs;
pub use show::ShowArgs;
pub use stats::StatsArgs;
pub use submit::SubmitArgs;
pub use workers::WorkersArgs;

/// What a user can ask of a running grid.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Give a task to the grid, and wait for its result if you like
    Submit(SubmitArgs),
    /// Print the result of a task
    Result(ResultArgs),
    /// Cancel a task that has not ended
    Cancel(OrderArgs),
    /// Run a failed or cancelled task again
    Retry(OrderArgs),
    /// List tasks, the newest first
    List(ListArgs),
    /// Show all about one task: its attempts, and why it is not running
    Show(ShowArgs),
    /// List the workers and what they serve
    Workers(WorkersArgs),
    /// Count tasks, workers and commits
    Stats(StatsArgs),
    /// Ask a server for its version and limits, to see whether it is there
    Ping(PingArgs),
    /// Measure the grid: submit many tasks and check every result
    Bench(BenchArgs),
}

impl Command {
    /// Does it, on the terminal, and returns what the process should exit with. Must be called inside a
    /// tokio runtime.
    pub async fn run(self) -> ExitCode {
        let mut console = Console::of_process();
        let exit = self.execute(&mut console).await;
        console.finish(exit).into()
    }

    async fn execute(self, console: &mut Console) -> Exit {
        let done = match self {
            Self::Submit(args) => args.execute(console).await,
            Self::Result(args) => args.execute(console).await,
            Self::Cancel(args) => args.cancel(console).await,
            Self::Retry(args) => args.retry(console).await,
            Self::List(args) => args.execute(console).await,
            Self::Show(args) => args.execute(console).await,
            Self::Workers(args) => args.execute(console).await,
            Self::Stats(args) => args.execute(console).await,
            Self::Ping(args) => args.execute(console).await,
            Self::Bench(args) => args.execute(console).await,
        };
        done.err().unwrap_or(Exit::Fine)
    }
}

/// How a verb ends: well, or with what it exits after having said why.
type Done = Result<(), Exit>;

/// Whom to ask.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The dispatcher's address
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "TASKGRID_DISPATCHER",
        hide_env_values = true,
        default_value = "127.0.0.1:4000"
    )]
    dispatcher: String,
    /// How long to ask a silent dispatcher before giving up
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_DEADLINE", hide_env_values = true, default_value = "30", value_parser = parse_deadline)]
    deadline: Duration,
}

/// How to print.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// Print for people, or one JSON document for programs
    #[arg(long, value_name = "FORM", env = "TASKGRID_OUTPUT", hide_env_values = true, default_value = "table")]
    output: Output,
}

impl OutputArgs {
    /// Whether a program is to read what is printed.
    pub fn wants_json(self) -> bool {
        self.output == Output::Json
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    let deadline = parse_seconds(text)?;
    if deadline < Duration::from_millis(1) || deadline > Duration::from_secs(86_400) {
        return Err("write a number of seconds between 0.001 and 86400".to_owned());
    }
    Ok(deadline)
}

fn parse_task_id(text: &str) -> Result<TaskId, String> {
    let number = text.parse().map_err(|_| "write the task's number, as 'submit' has printed it".to_owned())?;
    Ok(TaskId(number))
}
