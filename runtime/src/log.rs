//! Log lines, on standard error. A thread of their own writes them, so a program never waits for who reads its log: not
//! for a full pipe, not for a full disk, not for a terminal that is stopped.
//!
//! `tracing-appender` has such a thread too. It bounds lines and not bytes, forgets lines whose writing fails, and
//! reports its own trouble at the end with a macro that panics where standard error is closed.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

use queue::Queue;

/// What is said by default only when it is a warning: the library that brings the schema up to date tells at
/// every start, in several lines, that there was nothing to do.
const QUIET: &str = "refinery_core=warn";

/// How long the end of a program waits for its last words to be written. A reader that works takes no millisecond.
const LAST_WORDS: Duration = Duration::from_secs(1);

static QUEUE: Queue = Queue::new();

/// Starts logging at the level that `TASKGRID_LOG` names (`error`, `warn`, `info`, `debug`, `trace`, or
/// per module as in `taskgrid_worker=debug`); `default` where it names none. In colours on a terminal, unless
/// `NO_COLOR` is set. A panic goes into the log too. The last lines are written when [`flush`] is called.
pub fn init(default: &str) {
    let thread = std::thread::Builder::new().name("log".to_owned());
    // Without the thread each line is written at once, and may have to wait.
    if thread.spawn(|| QUEUE.write_to(Output, tell_of_dropped)).is_ok() {
        QUEUE.open();
    }
    let filter =
        EnvFilter::try_from_env("TASKGRID_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{default},{QUIET}")));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_timer(ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned()))
        .with_target(false)
        .with_writer(|| Input)
        .init();
    std::panic::set_hook(Box::new(log_panic));
}

/// A line for whoever started the program, without level and time.
pub fn say(line: &str) {
    put(format!("{line}\n").as_bytes());
}

/// Where no log was started it is written at once.
fn put(lines: &[u8]) {
    if QUEUE.is_open() {
        QUEUE.push(lines);
    } else {
        // Nobody is left to be told that this failed.
        let _ = io::stderr().write_all(lines);
    }
}

/// Waits a moment for what was logged to be written. To be called before the process ends.
pub fn flush() {
    QUEUE.flush(LAST_WORDS);
}

/// Takes what is logged, at once.
#[derive(Debug)]
struct Input;

impl Write for Input {
    /// The formatter hands over a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error without the lock and the leniency of the standard library: a thread that waits here holds up no
/// other, and a descriptor that is closed is an error.
#[derive(Debug)]
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match write(io::stderr(), bytes) {
                // Another program that shares the pipe has made it so.
                Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], None)?),
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tell_of_dropped(lines: u64) {
    tracing::warn!(
        lines,
        "lines of this log are missing: standard error was full, closed or not read; look at what reads it"
    );
}

/// The hook of the standard library waits for a pipe for ever.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let mut words = format!("thread '{}' {panic}", thread.name().unwrap_or("?"));
    if backtrace.status() == BacktraceStatus::Captured {
        words = format!("{words}\n{backtrace}");
    }
    say(&words);
    flush();
}

#[cfg(test)]
mod tests;
