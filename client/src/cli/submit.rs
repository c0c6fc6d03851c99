//! `taskgrid submit`.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use taskgrid_protocol::body::TaskRef;
use taskgrid_protocol::{FileId, Key, TaskId, TaskType};
use taskgrid_runtime::parse_seconds;

use super::failures::report_submission_error;
use super::news::{tell_of_task, warn_if_unserved};
use super::outcome::{end_of, print_end};
use super::payload::read_payload;
use super::session::Session;
use super::{Console, Done, OutputArgs, ServerArgs};
use crate::{Receipt, Status, Submission};

/// Arguments of `taskgrid submit`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taskgrid submit reverse OpenAI --wait       prints IAnepO
  taskgrid submit sum '[1, 2, 3]' --json      prints the number of the task
  taskgrid submit hash - < report.txt         takes the payload from a file
  taskgrid submit report 2024 --key r-2024    as often as you like: it is one task

A default of your own comes from a variable: TASKGRID_SUBMIT_PRIORITY stands for
--priority, and so on for all but --key, which names one task.

Exit codes:
  0  fine
  1  the task failed or was cancelled
  2  wrong usage
  3  refused: nothing is stored
  4  no answer: it may be stored; the message names the key to ask again with")]
pub struct SubmitArgs {
    /// What to do: a type that a worker serves ('taskgrid workers' lists them)
    #[arg(value_name = "TYPE")]
    task_type: TaskType,
    /// What to do it with, sent as a JSON string; '-' reads standard input
    #[arg(allow_negative_numbers = true)]
    payload: String,
    /// Wait for the end of the task and print its result
    #[arg(long, env = "TASKGRID_SUBMIT_WAIT", hide_env = true)]
    wait: bool,
    /// The payload is JSON and is sent as the value it is
    #[arg(long, env = "TASKGRID_SUBMIT_JSON", hide_env = true)]
    json: bool,
    // No variable: forgotten, it would turn every task into this one.
    /// A name for this one task, up to 64 bytes: submitted again, it is found, not repeated
    #[arg(long)]
    key: Option<Key>,
    /// Tasks with a higher priority go first, -100 to 100 [default: 0]
    #[arg(long, value_name = "N", env = "TASKGRID_SUBMIT_PRIORITY", hide_env = true, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: Option<i32>,
    /// Do not start the task earlier than this
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_SUBMIT_DELAY", hide_env = true, value_parser = parse_seconds)]
    delay: Option<Duration>,
    /// Attempts before the task fails, 1 to 1000 [default: 5]
    #[arg(long, value_name = "N", env = "TASKGRID_SUBMIT_MAX_ATTEMPTS", hide_env = true,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// The time limit of one attempt, whole seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_SUBMIT_TIMEOUT", hide_env = true,
        value_parser = clap::value_parser!(u32).range(1..=315_360_000))]
    timeout: Option<u32>,
    /// Fail the task unless it is done by then
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_SUBMIT_EXPIRES", hide_env = true, value_parser = parse_seconds)]
    expires: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What `--output json` prints of a stored task.
#[derive(Serialize)]
struct ReceiptDocument<'a> {
    task_id: TaskId,
    status: Status,
    duplicate: bool,
    key: &'a Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
}

impl SubmitArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let payload = read_payload(console, &self.payload, self.json)?;
        let mut session = Session::open(&self.server, self.output, console).await?;
        let submission = self.options(session.client.submit(self.task_type.as_str(), payload));
        if self.wait {
            submit_and_wait(&mut session, &self.task_type, submission).await
        } else {
            submit(&mut session, &self.task_type, submission).await
        }
    }

    fn options(&self, mut submission: Submission) -> Submission {
        if let Some(key) = &self.key {
            submission = submission.key(key.as_str());
        }
        if let Some(priority) = self.priority {
            submission = submission.priority(priority);
        }
        if let Some(delay) = self.delay {
            submission = submission.delay(delay);
        }
        if let Some(attempts) = self.max_attempts {
            submission = submission.max_attempts(attempts);
        }
        if let Some(seconds) = self.timeout {
            submission = submission.timeout(Duration::from_secs(seconds.into()));
        }
        if let Some(expires) = self.expires {
            submission = submission.expires(expires);
        }
        submission
    }
}

async fn submit(session: &mut Session<'_>, task_type: &TaskType, submission: Submission) -> Done {
    let answer = session.answer(submission.into_future()).await;
    let receipt = answer.map_err(|error| report_submission_error(session.console, &error))?;
    if session.wants_json() {
        let Receipt { task, status, duplicate, ref key, file, .. } = receipt;
        session.console.print_json(&ReceiptDocument { task_id: task, status, duplicate, key, file_id: file });
    } else {
        session.console.print(&receipt.task.to_string());
    }
    session.console.flush();
    warn_if_unserved(session, task_type, &receipt).await;
    Ok(())
}

async fn submit_and_wait(session: &mut Session<'_>, task_type: &TaskType, submission: Submission) -> Done {
    let answer = session.answer(submission.follow()).await;
    let followed = answer.map_err(|error| report_submission_error(session.console, &error))?;
    let receipt = followed.receipt().cloned();
    let waited = {
        let mut end = pin!(followed.end());
        tokio::select! {
            biased;
            waited = &mut end => waited,
            never = accompany(session, task_type, receipt.as_ref()) => match never {},
        }
    };
    let task = receipt.as_ref().map(TaskRef::from);
    match (end_of(waited), task) {
        (Ok(end), task) => print_end(session, task, end),
        // The task is stored, so there is no doubt about it, only about its end.
        (Err(error), Some(task)) => {
            let exit = session.fail(&error);
            session.console.tell(&format!(
                "Task {0} is stored. To ask for its result: taskgrid result {0} --wait 60",
                task.task_id
            ));
            Err(exit)
        }
        (Err(error), None) => Err(report_submission_error(session.console, &error)),
    }
}

/// Tells the user what there is to tell while the task is under way.
async fn accompany(session: &mut Session<'_>, task_type: &TaskType, receipt: Option<&Receipt>) -> Infallible {
    if let Some(receipt) = receipt {
        warn_if_unserved(session, task_type, receipt).await;
        if session.console.err_is_terminal {
            return tell_of_task(session, receipt.into()).await;
        }
    }
    std::future::pending().await
}
