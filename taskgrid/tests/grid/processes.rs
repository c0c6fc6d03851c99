//! Real processes at free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take that should happen. Far beyond what it takes, since machines under test are
/// busy; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// Polls until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    while now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("{what} did not happen within {PATIENCE:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test of real processes has real deadlines")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether a program that a test needs is on this machine.
pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Says, past the capture of the test harness, that (a part of) a test cannot run here.
pub(crate) fn skipped(program: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED in whole or part: {test}: there is no {program} on this machine").unwrap();
}

/// A process that is killed when the test ends, with all that it has said.
pub(crate) struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
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
        self.said.lock().unwrap().iter().any(|line| line.contains(needle))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually(&format!("the end of {self}"), || self.child.try_wait().unwrap()).code()
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} that said {:#?}", self.child.id(), self.said.lock().unwrap())
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

/// Starts the program.
pub(crate) fn start(args: &[&str]) -> Process {
    Process::start(taskgrid().args(args))
}

/// Starts a program in Python.
pub(crate) fn start_python(program: &str) -> Process {
    Process::start(Command::new("python3").args(["-c", program]))
}

/// A daemon, and where it listens.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
}

impl Daemon {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut process = start(args);
        let line = process.line_with(" listening on ");
        let addr = line.split(" listening on ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
        let addr = addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("no address in '{line}'"));
        Self { process, addr }
    }
}

/// A grid of separate processes over a database in a directory of its own.
pub(crate) struct Grid {
    pub(crate) dir: TempDir,
    pub(crate) nameservice: Daemon,
    pub(crate) dispatcher: Daemon,
    pub(crate) workers: Vec<Daemon>,
}

impl Grid {
    /// Name service and dispatcher, no worker.
    pub(crate) fn without_workers() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT]);
        let dispatcher = start_dispatcher(dir.path(), ANY_PORT, nameservice.addr);
        Self { dir, nameservice, dispatcher, workers: Vec::new() }
    }

    /// With one worker that serves the built-in types.
    pub(crate) fn start() -> Self {
        let mut grid = Self::without_workers();
        grid.add_worker(&[]);
        grid
    }

    pub(crate) fn add_worker(&mut self, args: &[&str]) {
        let nameservice = self.nameservice.addr.to_string();
        let mut all = vec!["worker", "--listen", ANY_PORT, "--nameservice", &nameservice];
        all.extend(args);
        self.workers.push(Daemon::start(&all));
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("tasks.db")
    }

    pub(crate) fn kill_and_restart_dispatcher(&mut self) {
        self.dispatcher.process.kill();
        let addr = self.dispatcher.addr.to_string();
        self.dispatcher = start_dispatcher(self.dir.path(), &addr, self.nameservice.addr);
    }

    /// Runs a verb of the client.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        taskgrid().args(args).args(["--dispatcher", &self.dispatcher.addr.to_string()]).output().unwrap()
    }

    /// Submits with `--wait`; returns what was printed.
    pub(crate) fn submit_and_wait(&self, task_type: &str, payload: &str) -> String {
        let output = self.run(&["submit", task_type, payload, "--wait"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Submits without waiting; returns the number of the task.
    pub(crate) fn submit(&self, task_type: &str, payload: &str) -> String {
        let output = self.run(&["submit", task_type, payload]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn result(&self, id: &str) -> String {
        eventually(&format!("the result of task {id}"), || {
            let output = self.run(&["result", id, "--wait", "10"]);
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
        })
    }

    /// Sends one bare datagram, as a client in any language would, and returns the answer.
    pub(crate) fn ask(&self, message: &Value) -> Value {
        ask(self.dispatcher.addr, message)
    }

    /// What the `sqlite3` shell prints for a query; `None` where it is not installed.
    pub(crate) fn sqlite3(&self, sql: &str) -> Option<String> {
        let output = Command::new("sqlite3").arg("-readonly").arg(self.database()).arg(sql).output().ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    pub(crate) fn plain_client(&self, args: &[&str]) -> Output {
        let dispatcher = self.dispatcher.addr.to_string();
        Command::new("python3").arg(plain("client.py")).args(["--dispatcher", &dispatcher]).args(args).output().unwrap()
    }

    pub(crate) fn plain_worker(&self, args: &[&str]) -> Process {
        let (nameservice, dispatcher) = (self.nameservice.addr.to_string(), self.dispatcher.addr.to_string());
        let mut command = Command::new("python3");
        command.arg(plain("worker.py")).args(["--listen", ANY_PORT, "--nameservice", &nameservice]);
        let mut process = Process::start(command.args(["--dispatcher", &dispatcher]).args(args));
        process.line_with("registered");
        process
    }
}

pub(crate) fn start_dispatcher(dir: &Path, listen: &str, nameservice: SocketAddr) -> Daemon {
    let database = dir.join("tasks.db");
    let nameservice = nameservice.to_string();
    let database = database.to_str().unwrap();
    // Leases of a few seconds, so that losing one does not take a test half a minute.
    Daemon::start(&[
        "dispatcher",
        "--listen",
        listen,
        "--nameservice",
        &nameservice,
        "--database",
        database,
        "--lease",
        "3",
    ])
}

fn plain(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain").join(name)
}

/// Sends a message from a socket of its own until it is answered.
pub(crate) fn ask(to: SocketAddr, message: &Value) -> Value {
    ask_bytes(to, message.to_string().as_bytes())
}

pub(crate) fn ask_bytes(to: SocketAddr, datagram: &[u8]) -> Value {
    let socket = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(datagram, to).unwrap();
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no answer from {to}: {error}"));
    serde_json::from_slice(&buffer[..length]).unwrap()
}

pub(crate) fn post(task_type: &str, payload: impl Into<Value>) -> Value {
    json!({"type": "POST_TASK", "data": {"type": task_type, "payload": payload.into()}})
}
