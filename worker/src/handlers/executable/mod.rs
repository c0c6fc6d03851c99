//! Handlers that are executable files: one process for each task, which gets the payload on standard input and
//! answers on standard output.

mod verdict;

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::VALUE_MAX;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::watch;
use tokio::time::timeout;

use super::process::{Head, LINGER, Process, Warden, name_of, not_started, passed_on, told};
use super::{LongHandler, Run, Running, stopped};
use crate::machine::Outcome;

/// What is kept of standard output: the largest result, and what stands around it.
const OUTPUT_MAX: usize = VALUE_MAX + 8 * 1024;

/// How a file wants its payload, and writes its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// JSON. What it writes is text if it is no JSON.
    Json,
    /// Bare text, where the payload is a string, and never JSON as a result.
    Text,
}

/// A file that the system can execute.
#[derive(Clone, Debug)]
pub(super) struct Executable {
    pub(super) file: PathBuf,
    pub(super) speech: Speech,
    pub(super) warden: Warden,
}

impl LongHandler for Executable {
    fn run(&self, run: Run) -> Running {
        let executable = self.clone();
        Box::pin(async move { executable.run_one(run).await })
    }
}

impl Executable {
    async fn run_one(self, run: Run) -> Outcome {
        let Run { task, mut stop, progress } = run;
        let environment = passed_on(std::env::vars_os()).chain(told(&task));
        let mut process = Process::start(&self.warden, name_of(&task), &self.file, &[], environment)
            .map_err(|error| not_started(&self.file, &error))?;
        let mut output = Head::new(OUTPUT_MAX);
        let payload = verdict::spoken(&task.payload, self.speech);
        let ended = tokio::select! {
            ended = talk(&mut process, &payload, &mut output, &progress) => ended,
            () = stop.requested() => {
                process.stop().await;
                return stopped();
            }
        };
        if output.overflowed() {
            let message = format!("the handler wrote more than {OUTPUT_MAX} bytes");
            return Err(Failure::permanent(task_code::RESULT_TOO_LARGE, message));
        }
        let status =
            ended.map_err(|error| Failure::passing(task_code::FAILED, format!("lost the handler: {error}")))?;
        if !status.success() {
            return Err(process.failure(status));
        }
        verdict::result(output.bytes(), self.speech)
    }
}

/// Feeds the process, reads what it writes, and returns how it ended. When this returns its group is gone.
async fn talk(
    process: &mut Process,
    payload: &str,
    output: &mut Head,
    progress: &watch::Sender<Option<Progress>>,
) -> io::Result<ExitStatus> {
    let Process { child, group, stdin, stdout, stderr, errors, progress: told } = process;
    let stdin = stdin.take();
    let mut written = pin!(output.read(stdout));
    let mut beside = pin!(async { tokio::join!(feed(stdin, payload), errors.read(stderr), told.read(progress)) });
    let (mut writes, mut open) = (true, true);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            is_too_long = &mut written, if writes => {
                writes = false;
                if is_too_long {
                    group.kill();
                }
            }
            _ = &mut beside, if open => open = false,
        }
    };
    // What the handler has left behind ends with it, and closes its ends of the pipes.
    group.kill();
    // Whatever escaped the group keeps its output to itself.
    let _ = timeout(LINGER, async {
        if writes {
            written.await;
        }
        if open {
            beside.await;
        }
    })
    .await;
    status
}

/// Writes the payload. A handler need not read it.
async fn feed(stdin: Option<ChildStdin>, payload: &str) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(payload.as_bytes()).await;
    }
}
