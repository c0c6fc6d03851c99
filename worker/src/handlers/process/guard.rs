//! The process that ends handlers when their worker was killed and could not.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// What a guard does, from its start to its end: it reads of process groups that begin, `+N`, and that have ended,
/// `-N`, from standard input. That ends with the worker, and then it kills those that are left.
pub fn guard() {
    let mut groups = BTreeSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let number = line.get(1..).and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        match (line.as_bytes().first(), number) {
            (Some(b'+'), Some(group)) => groups.insert(group.as_raw_pid()),
            (Some(b'-'), Some(group)) => groups.remove(&group.as_raw_pid()),
            _ => false,
        };
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        // An error means that nobody is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// The worker's end of it.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts this program once more, with the verb that calls [`guard`].
    pub(super) fn start(verb: &str) -> io::Result<Self> {
        // The very file that runs here, even if another one has its name by now.
        let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        let mut command = Command::new(program);
        command.arg(verb).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the worker, which may take its time.
        let mut child = command.process_group(0).spawn()?;
        let pipe = child.stdin.take().expect("it was asked for");
        Ok(Self { child, pipe })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn begun(&mut self, group: i32) -> io::Result<()> {
        self.pipe.write_all(format!("+{group}\n").as_bytes())
    }

    pub(super) fn ended(&mut self, group: i32) -> io::Result<()> {
        self.pipe.write_all(format!("-{group}\n").as_bytes())
    }
}
