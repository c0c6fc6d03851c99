//! What a supervisor such as systemd is told of us: that we are ready, that we are alive, that we stop. The protocol
//! is that of sd_notify(3): lines in datagrams to the socket that `NOTIFY_SOCKET` names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskgrid_protocol::Timestamp;

use crate::Clock;

/// A supervisor that does not read must not keep us from work. But one that never hears of READY kills a service that is
/// well, so that is sent again after this time. A sign of life is not: the next one is due soon.
const READY_AGAIN: Duration = Duration::from_millis(100);

/// A supervisor that wants to hear of us more often would keep the loop busy with that alone.
const WATCHDOG_MIN: Duration = Duration::from_millis(10);

/// Whoever started this process and wants to hear of it; nobody, as a rule.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Option<Arc<Line>>);

/// The line to a supervisor, which all loops of the process share.
#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    to: SocketAddr,
    /// Without a word for so long it takes us for hung. Not all supervisors do.
    watchdog: Option<Duration>,
    loops: Mutex<Loops>,
}

#[derive(Debug, Default)]
struct Loops {
    /// Each loop, by the order in which they came.
    each: BTreeMap<usize, Loop>,
    /// How many there have been.
    count: usize,
    /// Whether there is nothing more to say of the start.
    started: bool,
    /// All are ready, and there was no room for that word.
    owes_ready: bool,
}

#[derive(Debug, Default)]
struct Loop {
    /// Whether it has beaten since the supervisor was told last.
    beaten: bool,
    status: String,
}

impl Supervisor {
    /// The one that the environment names.
    pub fn of_process() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_for_us && *micros > 0);
        let watchdog = watchdog.map(|micros| Duration::from_micros(micros).max(WATCHDOG_MIN));
        Self::at(&name, watchdog).unwrap_or_else(|error| {
            tracing::warn!("cannot tell the supervisor at NOTIFY_SOCKET={} anything: {error}", name.display());
            Self::default()
        })
    }

    fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let to = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Line { socket, to, watchdog, loops: Mutex::default() }))))
    }

    /// For a loop whose hanging is to be noticed. The supervisor is told that we are ready when all loops that have
    /// one go round, and that we are alive when all of them have gone round again. So take all before any is driven.
    pub fn pulse(&self) -> Pulse {
        let line = self.0.clone().map(|line| {
            let mut loops = line.loops();
            let number = loops.count;
            loops.count += 1;
            loops.each.insert(number, Loop::default());
            drop(loops);
            (line, number)
        });
        Pulse { line, due: Some(Timestamp::ZERO) }
    }

    /// We have been asked to stop, and may take a while.
    pub(crate) fn stopping(&self) {
        if let Some(line) = &self.0 {
            let mut loops = line.loops();
            loops.started = true;
            loops.owes_ready = false;
            drop(loops);
            line.tell("STOPPING=1\nSTATUS=stopping, what runs may finish");
        }
    }
}

/// A path, or a name without a file, which begins with `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor a name after '@'")),
    }
}

impl Line {
    fn loops(&self) -> MutexGuard<'_, Loops> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, words: &str) {
        if let Err(error) = self.send(words) {
            self.complain(words, &error);
        }
    }

    fn send(&self, words: &str) -> io::Result<()> {
        self.socket.send_to_addr(words.as_bytes(), &self.to).map(drop)
    }

    fn complain(&self, words: &str, error: &io::Error) {
        tracing::warn!("cannot tell the supervisor at NOTIFY_SOCKET that {}: {error}", words.replace('\n', " "));
    }

    /// The loop has gone round. When all have, that is told. Says whether to come again soon, since it could not be.
    fn beat(&self, number: usize) -> bool {
        let mut loops = self.loops();
        if let Some(one) = loops.each.get_mut(&number) {
            one.beaten = true;
        }
        if loops.owes_ready {
            self.tell_ready(&mut loops);
        } else if loops.each.values().all(|one| one.beaten) {
            loops.each.values_mut().for_each(|one| one.beaten = false);
            if std::mem::replace(&mut loops.started, true) {
                self.tell("WATCHDOG=1");
            } else {
                self.tell_ready(&mut loops);
            }
        }
        loops.owes_ready
    }

    fn tell_ready(&self, loops: &mut Loops) {
        let all: Vec<&str> = loops.each.values().map(|one| one.status.as_str()).collect();
        let words = format!("READY=1\nSTATUS={}", all.join("; "));
        let owed = loops.owes_ready;
        loops.owes_ready = match self.send(&words) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !owed {
                    self.complain(&words, &error);
                }
                true
            }
            Err(error) => {
                self.complain(&words, &error);
                false
            }
            Ok(()) => false,
        };
    }
}

/// The pulse of one loop: it beats as the loop goes round, and stops with it.
#[derive(Debug, Default)]
pub struct Pulse {
    line: Option<(Arc<Line>, usize)>,
    /// When the next beat is due, if another one is.
    due: Option<Timestamp>,
}

impl Pulse {
    /// What the supervisor shows of us: one line.
    pub fn status(&self, status: &str) {
        if let Some((line, number)) = &self.line
            && let Some(one) = line.loops().each.get_mut(number)
        {
            one.status = status.replace('\n', " ");
        }
    }

    /// The loop goes round. Says how long it may rest: half of the time after which it would be taken for hung.
    pub(crate) fn beat(&mut self, clock: &Clock) -> Duration {
        let Some((line, number)) = &self.line else { return Duration::MAX };
        let Some(due) = self.due else { return Duration::MAX };
        if due <= clock.now() {
            self.due = match line.watchdog {
                _ if line.beat(*number) => Some(clock.now() + READY_AGAIN),
                Some(watchdog) => Some(clock.now() + watchdog / 2),
                None => None,
            };
        }
        self.due.map_or(Duration::MAX, |due| clock.until(due))
    }
}

impl Drop for Pulse {
    /// A loop that has ended holds back no other's word. If it ends before all have begun, they never will.
    fn drop(&mut self) {
        if let Some((line, number)) = &self.line {
            let mut loops = line.loops();
            loops.each.remove(number);
            loops.started = true;
            loops.owes_ready = false;
        }
    }
}

#[cfg(test)]
mod tests;
