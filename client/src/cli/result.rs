//! `taskgrid result`.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use taskgrid_protocol::body::TaskRef;
use taskgrid_runtime::parse_seconds;

use super::news::tell_of_task;
use super::outcome::{EndDocument, print_end};
use super::session::Session;
use super::task::TaskArgs;
use super::{Console, Done, Exit, OutputArgs, ServerArgs, text};
use crate::{Progress, Standing};

/// Arguments of `taskgrid result`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taskgrid result 42              prints the result: a string bare, all else as JSON
  taskgrid result 42 --wait 60    waits for it, up to a minute

Reading a result does not use it up.

Exit codes:
  0  fine
  1  the task failed or was cancelled
  2  wrong usage
  3  there is no such task
  4  no result yet, or no answer")]
pub struct ResultArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// How long to wait for the end of the task
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_RESULT_WAIT", hide_env = true, default_value = "0", value_parser = parse_seconds)]
    wait: Duration,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl ResultArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        let task = self.task.named();
        // The first look is answered at once, so silence can be told from waiting.
        let mut progress = session.ask(client.result(task)).await?;
        if matches!(progress, Progress::NotReady(_)) && !self.wait.is_zero() {
            progress = wait(&mut session, task, self.wait).await?;
        }
        match progress {
            Progress::Ended(end) => print_end(&mut session, Some(task), end),
            Progress::NotReady(Standing { status, progress }) => {
                if session.wants_json() {
                    let document = EndDocument::new(Some(task), status);
                    session.console.print_json(&EndDocument { progress: progress.as_ref(), ..document });
                }
                let stands = status.map_or_else(String::new, |status| format!(": it is {status}"));
                let far = progress.map_or_else(String::new, |progress| format!(" ({})", text::progress(&progress)));
                session.console.tell(&format!("Task {} has no result yet{stands}{far}.", task.task_id));
                Err(Exit::Unknown)
            }
        }
    }
}

/// Waits for the end, and tells a user at a terminal meanwhile what there is to tell.
async fn wait(session: &mut Session<'_>, task: TaskRef, limit: Duration) -> Result<Progress, Exit> {
    let client = session.client.clone();
    let waited = {
        let mut end = pin!(client.wait_at_most(task, limit));
        if session.console.err_is_terminal {
            tokio::select! {
                biased;
                waited = &mut end => waited,
                never = tell_of_task(session, task) => match never {},
            }
        } else {
            end.await
        }
    };
    waited.map_err(|error| session.fail(&error))
}
