//! The client for programs in Python, behind `talker.py`.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::conversations::{CLIENTS_PATIENCE, Talker};

pub(crate) const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/python");

pub(crate) struct Python {
    process: Child,
    ops: ChildStdin,
    outcomes: Receiver<String>,
}

impl Python {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let patience = CLIENTS_PATIENCE.to_string();
        let args = [&format!("{SCRIPTS}/talker.py"), &server.to_string(), &patience];
        let mut process = python().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ops, said) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, outcomes) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                // Nobody listens any more when the test has failed.
                let _ = sender.send(line);
            }
        });
        Self { process, ops, outcomes }
    }
}

impl Talker for Python {
    fn perform(&mut self, op: &Value) -> Value {
        writeln!(self.ops, "{op}").unwrap();
        let deadline = Duration::from_secs(2 * u64::from(CLIENTS_PATIENCE));
        let line = self.outcomes.recv_timeout(deadline).unwrap_or_else(|error| panic!("{op}: {error}"));
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a script, or a program behind `-c`, that can import the module.
pub(crate) fn run(script: &str, args: &[&str]) -> Output {
    python().arg(script).args(args).stdin(Stdio::null()).output().unwrap()
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", MODULE).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("TASKGRID_TASK_ID");
    command
}
