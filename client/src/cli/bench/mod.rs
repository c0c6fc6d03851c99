//! `taskgrid bench`.

mod load;
mod report;

use clap::Args;
use taskgrid_protocol::TaskType;

use super::failures::report_submission_error;
use super::news::warn_if_unserved;
use super::outcome::end_of;
use super::session::Session;
use super::{Console, Done, Exit, OutputArgs, ServerArgs};
use crate::machine::End;
use load::Load;

/// Arguments of `taskgrid bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Each task has a key and a payload of its own and is waited for. Its result is compared
with what 'reverse' or 'upper' must return; of other types it is only checked that a
result comes.

Examples:
  taskgrid bench                                10000 tasks, 64 at a time
  taskgrid bench --tasks 500 --in-flight 1      how long does one task take?
  taskgrid bench --tasks 1000000 --in-flight 1024 --arrays

Exit codes:
  0  all results came and are right
  1  some are wrong or missing
  2  wrong usage
  3  refused
  4  no answer")]
pub struct BenchArgs {
    /// How many tasks to submit
    #[arg(long, value_name = "N", env = "TASKGRID_BENCH_TASKS", hide_env = true, default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    tasks: u32,
    /// How many of them at a time
    #[arg(long, value_name = "N", env = "TASKGRID_BENCH_IN_FLIGHT", hide_env = true, default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,
    /// Which type of task
    #[arg(long = "type", value_name = "TYPE", env = "TASKGRID_BENCH_TYPE", hide_env = true, default_value = "reverse")]
    task_type: TaskType,
    /// Let requests share datagrams
    #[arg(long, env = "TASKGRID_BENCH_ARRAYS", hide_env = true)]
    arrays: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl BenchArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = if self.arrays { session.client.clone().packed() } else { session.client.clone() };
        let load = Load { client, task_type: self.task_type, tasks: self.tasks, in_flight: self.in_flight };
        warm_up(&mut session, &load).await?;
        let tally = load.run(report::progress_bar(session.console, self.tasks)).await;
        report::print(&mut session, &load, &tally);
        if tally.right < self.tasks { Err(Exit::TaskFailed) } else { Ok(()) }
    }
}

/// One task first: it finds out whether anybody serves the type, and lets the dispatcher get to know them.
async fn warm_up(session: &mut Session<'_>, load: &Load) -> Done {
    let answer = session.answer(load.submission(u32::MAX).follow()).await;
    let followed = answer.map_err(|error| report_submission_error(session.console, &error))?;
    if let Some(receipt) = followed.receipt().cloned() {
        warn_if_unserved(session, &load.task_type, &receipt).await;
    }
    match end_of(followed.end().await) {
        Ok(End::Done(_)) => Ok(()),
        Ok(End::Failed(failed)) => {
            session
                .console
                .tell(&format!("The first task failed: {}", super::text::escape_line(&failed.error.message)));
            Err(Exit::TaskFailed)
        }
        Ok(End::Cancelled) => {
            session.console.tell("The first task was cancelled.");
            Err(Exit::TaskFailed)
        }
        Err(error) => Err(session.fail(&error)),
    }
}
