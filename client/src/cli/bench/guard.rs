//! Ends the servers of a grid when we are killed and cannot do so ourselves.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

/// The verb by which a worker has its handlers ended. It reads groups of processes from a pipe, `+` with the number of one
/// that has begun and `-` of one that has ended, and kills what is left when the pipe is closed.
const VERB: &str = "guard-handlers";

/// The other end of the pipe, in this very program started once more.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(VERB).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for us.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    pub(super) fn begun(&mut self, group: &str) {
        self.write("+", group);
    }

    pub(super) fn ended(&mut self, group: &str) {
        self.write("-", group);
    }

    fn write(&mut self, sign: &str, group: &str) {
        // An error means that somebody has ended it; then there is none.
        let _ = self.pipe.as_ref().map(|mut pipe| writeln!(pipe, "{sign}{group}"));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        // It ends at once, and an error means that it has.
        let _ = self.child.wait();
    }
}
