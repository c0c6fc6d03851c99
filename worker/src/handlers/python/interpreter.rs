//! One Python process that runs the tasks of one file, and the pipes between it and the worker.

use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::io;
use std::path::Path;
use std::pin::pin;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::VALUE_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::handlers::STOP_GRACE;
use crate::handlers::process::{LINGER, Process, Warden, name_of, passed_on};
use crate::machine::Task;

/// What the process runs. runner.py says what goes over the pipes.
const RUNNER: &str = concat!(
    // The current directory must not take the place of a standard module.
    "import sys\ndel sys.path[0]\n",
    include_str!("result.py"),
    include_str!("runner.py")
);

/// The module that handlers import to tell their progress and to fail for good.
const SDK: &str = include_str!("../../../../sdk/python/taskgrid.py");

/// A letter and a length.
const HEAD: usize = 5;

/// An answer that is longer is not from the runner: the longest are results, and of failures it keeps 4,000
/// characters.
const BODY_MAX: usize = VALUE_MAX;

/// What came of loading the file, or what it made of a task.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
    /// The process can take another task.
    pub(super) fit: bool,
}

impl Answer {
    /// The file cannot be loaded, for this reason.
    pub(super) fn cannot_begin(why: &str) -> Self {
        Self { kind: Kind::CannotBegin, body: why.into(), fit: false }
    }
}

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Begun,
    CannotBegin,
    Gone,
    Result,
    Failure,
    Permanent,
    Exit,
    TooLong,
}

impl Kind {
    fn of(letter: u8) -> Option<Self> {
        Some(match letter.to_ascii_uppercase() {
            b'B' => Self::Begun,
            b'C' => Self::CannotBegin,
            b'G' => Self::Gone,
            b'R' => Self::Result,
            b'F' => Self::Failure,
            b'P' => Self::Permanent,
            b'E' => Self::Exit,
            b'L' => Self::TooLong,
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(super) struct Interpreter {
    process: Process,
    /// The file is loaded.
    has_begun: bool,
    /// How many tasks it has been given.
    served: u32,
}

impl Interpreter {
    /// Nothing can be asked of it before [`load`](Self::load).
    pub(super) fn start(warden: &Warden, task: &Task, python: &Path, file: &Path) -> io::Result<Self> {
        let result_max = VALUE_MAX.to_string();
        // Nothing is written into the directory of handlers, which may be read-only.
        let arguments =
            ["-B", "-c", RUNNER].map(OsStr::new).into_iter().chain([file.as_os_str(), OsStr::new(&result_max)]);
        let arguments: Vec<&OsStr> = arguments.collect();
        // Children that it forks have what it begins with, and are known for a handler's by the type.
        let task_type = (OsString::from("TASKGRID_TYPE"), OsString::from(task.task_type.as_str()));
        let environment = passed_on(std::env::vars_os()).chain([task_type]);
        let process = Process::start(warden, name_of(task), python, &arguments, environment)?;
        Ok(Self { process, has_begun: false, served: 0 })
    }

    /// Whether its file is loaded.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn served(&self) -> u32 {
        self.served
    }

    /// Whether it can be given another task: it holds no more than it should, and has not ended while it rested, killed
    /// by somebody or by something that its last task has left in it.
    pub(super) fn is_usable(&mut self) -> bool {
        !self.process.group.is_worn() && matches!(self.process.child.try_wait(), Ok(None))
    }

    /// What it took when it was looked at last, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.process.group.memory()
    }

    /// This task runs in it from now on.
    pub(super) fn wake(&mut self, task: &Task) {
        let Process { group, stderr, errors, progress, .. } = &mut self.process;
        group.set_attempt(Some(name_of(task)));
        // What was written before is not of this task.
        errors.read_ready(stderr);
        errors.clear();
        progress.clear();
    }

    /// No task runs in it for a while.
    pub(super) fn rest(&mut self) {
        self.process.group.set_attempt(None);
    }

    /// Loads the file. An error means that the process is of no more use.
    pub(super) async fn load(&mut self, progress: &watch::Sender<Option<Progress>>) -> io::Result<Answer> {
        let mut request = length(SDK).to_vec();
        request.extend(SDK.as_bytes());
        let answer = self.ask(&request, progress).await?;
        self.has_begun = answer.kind == Kind::Begun;
        Ok(answer)
    }

    /// Gives it a task and returns its answer. An error means that it is of no more use.
    pub(super) async fn call(&mut self, task: &Task, progress: &watch::Sender<Option<Progress>>) -> io::Result<Answer> {
        self.served += 1;
        self.ask(&request(task), progress).await
    }

    async fn ask(&mut self, request: &[u8], progress: &watch::Sender<Option<Progress>>) -> io::Result<Answer> {
        let Process { child, stdin, stdout, stderr, errors, progress: told, .. } = &mut self.process;
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let conversation = async {
            stdin.write_all(request).await?;
            let mut head = [0; HEAD];
            stdout.read_exact(&mut head).await?;
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let kind = Kind::of(head[0]).filter(|_| length <= BODY_MAX).ok_or(io::ErrorKind::InvalidData)?;
            let mut body = vec![0; length];
            stdout.read_exact(&mut body).await?;
            Ok(Answer { kind, body, fit: head[0].is_ascii_uppercase() })
        };
        let beside = async { tokio::join!(errors.read(stderr), told.read(progress)) };
        let mut beside = pin!(beside);
        let mut conversation = pin!(conversation);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                answer = &mut conversation => return answer,
                // What the handler has forked may still hold the other ends of the pipes.
                _ = child.wait() => return Err(io::ErrorKind::BrokenPipe.into()),
                _ = &mut beside, if open => open = false,
            }
        }
    }

    /// What it has written to standard error lately.
    pub(super) fn last_words(&mut self) -> String {
        self.process.errors.read_ready(&self.process.stderr);
        self.process.errors.text()
    }

    /// Stops the task that runs in it, which may clean up, and then ends it.
    pub(super) async fn stop(mut self) {
        self.process.group.terminate();
        self.leave().await;
        self.process.end().await;
    }

    /// Ends it when it has no task, as any program ends that has nothing more to do.
    pub(super) async fn finish(mut self) {
        self.process.stdin = None;
        if !self.leave().await {
            self.process.group.terminate();
            self.leave().await;
        }
        self.process.end().await;
    }

    /// Waits for its end, as long as it may take. What it writes meanwhile must not hold it up.
    async fn leave(&mut self) -> bool {
        let Process { child, stderr, errors, .. } = &mut self.process;
        let read = async {
            errors.read(stderr).await;
            pending::<()>().await;
        };
        let ended = async {
            tokio::select! {
                _ = child.wait() => {}
                () = read => {}
            }
        };
        timeout(STOP_GRACE, ended).await.is_ok()
    }

    /// Why it has ended, or said what it should not.
    pub(super) async fn post_mortem(&mut self) -> Failure {
        let Process { child, group, stderr, errors, .. } = &mut self.process;
        // Closed pipes come a moment before the end of the process.
        let status = match timeout(LINGER, child.wait()).await {
            Ok(Ok(status)) => Some(status),
            Ok(Err(_)) | Err(_) => None,
        };
        group.kill();
        let _ = timeout(LINGER, errors.read(stderr)).await;
        match status {
            Some(status) if !status.success() || self.process.group.breach().is_some() => self.process.failure(status),
            Some(_) => Failure::passing(task_code::FAILED, "the process ended before handle returned"),
            None => {
                self.process.end().await;
                Failure::passing(task_code::FAILED, "the handler closed or used its worker's pipes")
            }
        }
    }
}

/// The bytes that tell the process of a task.
fn request(task: &Task) -> Vec<u8> {
    let lease = task.lease.as_ref().map_or("", |lease| lease.as_str());
    let about = format!("{} {} {lease} {}", task.id, task.attempt, task.task_type);
    let payload = task.payload.get();
    let mut request = Vec::with_capacity(about.len() + payload.len() + 8);
    request.extend(length(&about));
    request.extend(length(payload));
    request.extend(about.as_bytes());
    request.extend(payload.as_bytes());
    request
}

fn length(text: &str) -> [u8; 4] {
    u32::try_from(text.len()).expect("payloads and our own texts are much shorter").to_le_bytes()
}
