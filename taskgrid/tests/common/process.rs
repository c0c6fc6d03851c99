//! Real processes of the built program, for the tests that start some.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take that should happen. Far beyond what it takes, since machines under test are
/// busy; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// Polls until `look` finds something.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same, with a patience of its own.
pub(crate) fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + patience;
    while now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("{what} did not happen within {patience:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test of real processes has real deadlines")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A process that is killed when the test ends, with all that it has said.
pub(crate) struct Process {
    pub(crate) child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        listen(child.stdout.take().unwrap(), said.clone());
        listen(child.stderr.take().unwrap(), said.clone());
        Self { child, said }
    }

    /// The first line that holds `needle`.
    pub(crate) fn line_with(&mut self, needle: &str) -> String {
        eventually(&format!("a line with '{needle}' from {self}"), || {
            let line = self.said.lock().unwrap().iter().find(|line| line.contains(needle)).cloned();
            if line.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("{self} ended with {status}");
            }
            line
        })
    }

    pub(crate) fn has_said(&self, needle: &str) -> bool {
        self.times_said(needle) > 0
    }

    pub(crate) fn times_said(&self, needle: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|line| line.contains(needle)).count()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.end().code()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        eventually(&format!("the end of {self}"), || self.child.try_wait().unwrap())
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} that said", self.child.id())?;
        self.said.lock().unwrap().iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(pipe: impl Read + Send + 'static, said: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            said.lock().unwrap().push(line);
        }
    });
}

pub(crate) fn taskgrid() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskgrid"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKGRID_")) {
        command.env_remove(name);
    }
    command
}

/// A daemon, and where it listens.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
}

impl Daemon {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line_with(" listening on ");
        let addr = line.split(" listening on ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
        let addr = addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("no address in '{line}'"));
        Self { process, addr }
    }
}
