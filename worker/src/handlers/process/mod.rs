//! Handlers that are files: one process for each task.
//!
//! The process gets the payload as JSON on standard input and answers on standard output. There is no shell,
//! the arguments are fixed, and of the worker's environment it sees only what [`mod@environment`] lets through.

mod environment;
mod group;
mod output;
mod verdict;

use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::VALUE_MAX;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::{LongHandler, Run, Running, stopped};
use crate::machine::Outcome;
use environment::environment;
use group::Group;
use output::{Head, Tail};

/// Reads the payload, imports the file that is its argument, and writes what its `handle` returns.
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// What is kept of standard output: the largest result, and what stands around it.
const OUTPUT_MAX: usize = VALUE_MAX + 8 * 1024;

/// What is kept of standard error: its last lines, for the message of a failure.
const ERRORS_MAX: usize = 2 * 1024;

/// A process that a handler has moved out of its group, with our ends of its pipes, is read from for this
/// long after the handler's end.
const LINGER: Duration = Duration::from_secs(1);

/// What is run for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A Python file with `def handle(payload)`.
    Python {
        /// The interpreter.
        python: PathBuf,
        /// The file.
        file: PathBuf,
    },
    /// A file that the system can execute.
    Executable(PathBuf),
}

impl Program {
    fn command(&self) -> Command {
        match self {
            Self::Python { python, file } => {
                let mut command = Command::new(python);
                // Nothing is written into the directory of handlers, which may be read-only.
                command.args(["-B", "-c", BOOTSTRAP]).arg(file);
                command
            }
            Self::Executable(file) => Command::new(file),
        }
    }
}

impl LongHandler for Program {
    fn run(&self, run: Run) -> Running {
        let program = self.clone();
        Box::pin(async move { program.run_one(run).await })
    }
}

impl Program {
    async fn run_one(self, run: Run) -> Outcome {
        let Run { task, mut stop, .. } = run;
        let mut command = self.command();
        command
            .env_clear()
            .envs(environment(std::env::vars_os(), &task))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that whatever it starts can be stopped with it.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let mut group = Group::led_by(&child);
        let (mut stdout, mut stderr) = (Head::new(OUTPUT_MAX), Tail::new(ERRORS_MAX));
        let ended = tokio::select! {
            ended = talk(&mut child, &mut group, task.payload.get(), &mut stdout, &mut stderr) => Some(ended),
            () = stop.requested() => None,
        };
        let Some(ended) = ended else {
            group.kill();
            // Reaped, so that no zombie is left, and gone for certain.
            let _ = child.wait().await;
            return stopped();
        };
        let status =
            ended.map_err(|error| Failure::passing(task_code::FAILED, format!("lost the handler: {error}")))?;
        verdict::of(&self, status, &stdout, &stderr)
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        let (Self::Python { python: file, .. } | Self::Executable(file)) = self;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        Failure::passing(task_code::FAILED, format!("cannot start {name}: {error}"))
    }
}

/// Feeds the process, reads what it writes, and returns how it ended.
async fn talk(
    child: &mut Child,
    group: &mut Group,
    payload: &str,
    stdout: &mut Head,
    stderr: &mut Tail,
) -> std::io::Result<ExitStatus> {
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let pipes = async { tokio::join!(feed(stdin, payload), stdout.read(out), stderr.read(err)) };
    let mut pipes = pin!(pipes);
    let mut open = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = &mut pipes, if open => open = false,
        }
    };
    // What the handler has left behind ends with it, and closes its ends of the pipes.
    group.kill();
    if open {
        // Whatever escaped the group keeps its output to itself.
        let _ = timeout(LINGER, pipes).await;
    }
    status
}

/// Writes the payload. A handler need not read it.
async fn feed(stdin: Option<ChildStdin>, payload: &str) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(payload.as_bytes()).await;
    }
}
