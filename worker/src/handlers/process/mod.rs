//! Processes that handlers run in, kept within bounds.
//!
//! Each leads a group of its own, which a [`Warden`] watches and which is killed as a whole. There is no shell,
//! and of the worker's environment it sees only what [`mod@environment`] lets through. On file descriptor 3 it
//! may tell its progress.

mod descriptor;
mod environment;
mod family;
mod group;
mod guard;
mod output;
mod progress;
mod table;
mod warden;

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::STOP_GRACE;
pub(super) use environment::{name_of, passed_on, told};
pub(super) use group::Group;
pub use guard::guard;
pub(super) use output::{Head, Tail};
pub(super) use progress::ProgressPipe;
pub use warden::Reserved;
pub(crate) use warden::{Bounds, Warden};

/// What is kept of standard error: its last lines, for the message of a failure.
const ERRORS_MAX: usize = 2 * 1024;

/// A process that a handler has moved out of its group, with our ends of its pipes, is read from for this
/// long after the handler's end.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A process and our ends of its pipes. It is killed, with all of its group, at the latest when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) group: Group,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    /// What it has written to `stderr` last.
    pub(super) errors: Tail,
    pub(super) progress: ProgressPipe,
}

impl Process {
    /// Starts a program with these arguments and this environment, to which nothing is added.
    pub(super) fn start(
        warden: &Warden,
        attempt: String,
        program: &Path,
        arguments: &[&OsStr],
        environment: impl Iterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let progress = ProgressPipe::new(reader)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that whatever it starts can be stopped with it.
            .process_group(0)
            .kill_on_drop(true);
        let (mut child, group) = warden.start(Some(attempt), Some(&writer), || command.spawn(), Child::id)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Self { child, group, stdin, stdout, stderr, errors: Tail::new(ERRORS_MAX), progress })
    }

    /// Asks the process to end, and kills what is left of it and of its group after [`STOP_GRACE`].
    pub(super) async fn stop(&mut self) {
        self.group.terminate();
        let _ = timeout(STOP_GRACE, self.child.wait()).await;
        self.end().await;
    }

    /// Kills the process and its group. When this returns, none is left, not even as a zombie.
    pub(super) async fn end(&mut self) {
        self.group.kill();
        // An error means that it was reaped before.
        let _ = self.child.wait().await;
    }

    /// What came of a process that has failed, after its group is gone.
    pub(super) fn failure(&self, status: ExitStatus) -> Failure {
        if let Some(breach) = self.group.breach() {
            return Failure::passing(task_code::LIMIT_EXCEEDED, breach);
        }
        let errors = self.errors.text();
        match (status.code(), status.signal()) {
            (Some(code), _) => failure_of_exit(code, &errors),
            (None, Some(signal)) => {
                Failure::passing(task_code::FAILED, with_words(&format!("killed by signal {signal}"), &errors))
            }
            (None, None) => Failure::passing(task_code::FAILED, with_words("ended without an exit code", &errors)),
        }
    }
}

/// What a program of our own writes, if it ends well. Waits for it. An error means that it was not started.
pub(super) fn output_of(warden: &Warden, mut command: std::process::Command) -> io::Result<Option<Vec<u8>>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let (child, _group) = warden.start(Some(String::new()), None, || command.spawn(), |child| Some(child.id()))?;
    let output = child.wait_with_output()?;
    Ok(output.status.success().then_some(output.stdout))
}

/// A handler that exits with this code cannot use its payload, and no other attempt will (`EX_DATAERR` of
/// sysexits.h).
const EXIT_BAD_PAYLOAD: i32 = 65;

/// What an exit code means, and the last words before it.
pub(super) fn failure_of_exit(code: i32, errors: &str) -> Failure {
    let message = with_words(&format!("exit code {code}"), errors);
    if code == EXIT_BAD_PAYLOAD {
        return Failure::permanent(task_code::BAD_PAYLOAD, message);
    }
    Failure::passing(task_code::FAILED, message)
}

fn with_words(how: &str, errors: &str) -> String {
    if errors.is_empty() { how.to_owned() } else { format!("{how}: {errors}") }
}

/// The failure of an attempt whose process could not be started. Where its file is gone, or still being written, there
/// is no handler at the time.
pub(super) fn not_started(file: &Path, error: &io::Error) -> Failure {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let is_away = error.kind() == io::ErrorKind::ExecutableFileBusy
        || (error.kind() == io::ErrorKind::NotFound && !file.exists());
    let code = if is_away { task_code::UNKNOWN_TYPE } else { task_code::FAILED };
    Failure::passing(code, format!("cannot start {name}: {error}"))
}
