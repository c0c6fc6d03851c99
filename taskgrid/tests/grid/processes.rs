//! A grid of real processes at free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../common/needs.rs"]
mod needs;
#[path = "../common/process.rs"]
mod process;

pub(crate) use needs::{is_installed, skipped};
pub(crate) use process::{ANY_PORT, Daemon, PATIENCE, Process, eventually, now, taskgrid};

/// Starts the program.
pub(crate) fn start(args: &[&str]) -> Process {
    Process::start(taskgrid().args(args))
}

/// Starts a program in Python.
pub(crate) fn start_python(program: &str) -> Process {
    Process::start(Command::new("python3").args(["-c", program]))
}

impl Daemon {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(taskgrid().args(args))
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

    /// Stops the dispatcher and damages a page in the middle of its database, whose bytes it returns.
    pub(crate) fn stop_and_damage(&mut self) -> Vec<u8> {
        for n in 0..50 {
            self.submit("reverse", &format!("{n} {}", "x".repeat(300)));
        }
        self.dispatcher.process.terminate();
        let mut bytes = std::fs::read(self.database()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4_096].fill(0xa5);
        std::fs::write(self.database(), &bytes).unwrap();
        bytes
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
