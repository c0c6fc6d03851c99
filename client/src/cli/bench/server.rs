//! One program of a grid, as a process of ours.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use taskgrid_protocol::body::NoData;
use taskgrid_protocol::{Body, Message, RequestId};
use taskgrid_runtime::{Clock, Exit, StartError, bind};
use tokio::process::Command;
use tokio::sync::watch;

/// How long a program may take to answer, which it does within milliseconds; with millions of rows to look at, seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often it is asked meanwhile: as exactly is it told how long a start takes.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How many of the last lines of a log are shown.
const LAST_LINES: usize = 10;

/// Variables that mean us, or a grid that is not measured.
const NOT_FOR_SERVERS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    pub(super) addr: SocketAddr,
    pid: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    log: PathBuf,
}

impl Server {
    /// Starts the verb `name` of this very program, at home in `directory`.
    pub(super) fn start(
        name: &'static str,
        addr: SocketAddr,
        args: &[&str],
        directory: &Path,
    ) -> std::io::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).args(["--listen", &addr.to_string()]).args(args);
        for (variable, _) in std::env::vars_os() {
            let is_setting = variable.to_string_lossy().starts_with("TASKGRID_") && variable != "TASKGRID_LOG";
            if is_setting || NOT_FOR_SERVERS.iter().any(|other| variable == *other) {
                command.env_remove(variable);
            }
        }
        command.current_dir(directory).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // Ctrl-C at a terminal is meant for us: we end the others, in order.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = id.expect("a child that nobody has waited for has a number");
        let (ending, ended) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await;
            ending.send_replace(status.ok());
        });
        Ok(Self { name, addr, pid, ended, log })
    }

    /// The number of its process.
    pub(super) fn id(&self) -> String {
        self.pid.as_raw_nonzero().to_string()
    }

    /// Waits until it answers, and says how long that took.
    pub(super) async fn answers(&self) -> Result<Duration, StartError> {
        let clock = Clock::new();
        let started = clock.now();
        let ping = Message::request(RequestId::number(1), Body::Ping(NoData {})).transmit(self.addr, false);
        let asking = async {
            let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
            let mut pace = tokio::time::interval(ASK_EVERY);
            let mut answer = [0; 1];
            loop {
                pace.tick().await;
                // Nobody listens there yet, which an error may say; the next one may fare better.
                let _ = socket.send_to(&ping.bytes, self.addr).await;
                if socket.try_recv_from(&mut answer).is_ok() {
                    return Ok(clock.now().since(started));
                }
            }
        };
        tokio::select! {
            answered = tokio::time::timeout(START_LIMIT, asking) => answered.unwrap_or_else(|_| {
                Err(StartError::unavailable(format!("the {} has not answered in {START_LIMIT:?}", self.name)))
            }),
            died = self.death() => Err(died),
        }
    }

    /// Waits until it ends although nobody has asked it to, and says so with its last words.
    pub(super) fn death(&self) -> impl Future<Output = StartError> + use<> {
        let (name, log, mut ended) = (self.name, self.log.clone(), self.ended.clone());
        async move {
            let status = ended.wait_for(Option::is_some).await.map_or(None, |status| *status);
            let how = status.map_or_else(|| "in an unknown way".to_owned(), |status| format!("with {status}"));
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let is_in_use = status.and_then(|status| status.code()) == Some(Exit::InUse as i32);
            let exit = if is_in_use { Exit::InUse } else { Exit::Unavailable };
            StartError::new(exit, format!("the {name} has ended {how}; it said last:{}", last_lines(&said)))
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM).await;
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::KILL).await;
    }

    async fn signal(&mut self, signal: Signal) {
        // While nobody has seen its end the number is its own.
        if self.ended.borrow().is_none() {
            // An error means that it ends by itself.
            let _ = kill_process(self.pid, signal);
        }
        // An error means that nobody waits for it any more, as when we end.
        let _ = self.ended.wait_for(Option::is_some).await;
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_last_lines_are_shown() {
        let text: String = (1..=12).map(|number| format!("line {number}\n")).collect();
        let last = last_lines(&text);
        assert!(last.starts_with("\n  line 3\n") && last.ends_with("\n  line 12"), "{last}");
        assert_eq!(last_lines("one"), "\n  one");
        assert_eq!(last_lines(""), "");
    }
}
