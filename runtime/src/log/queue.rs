//! Lines on their way to standard error, which may be full, closed or not read.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

/// What waits to be written. Some 10,000 lines: a burst at `TASKGRID_LOG=debug` passes whole, and a reader that is
/// paused for minutes misses none of the lines at the default level. As much again is being written meanwhile.
const WAITING_MAX: usize = 1024 * 1024;

/// What one write takes, whole lines as far as they fit. A pipe that several programs write to gets so much in one
/// piece (PIPE_BUF), so lines of different programs do not mix.
const PIECE: usize = 4 * 1024;

/// Lines between those that log and the one thread that writes. Logging never waits: where there is no room a line is
/// dropped and counted.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: Vec<u8>,
    /// Lines since it was last told how many were dropped.
    dropped: u64,
    /// Some of what was taken is not written yet.
    is_writing: bool,
    /// There is a writer, or there will be in a moment.
    is_open: bool,
    writer: Option<ThreadId>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        let state = State { waiting: Vec::new(), dropped: 0, is_writing: false, is_open: false, writer: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Whoever calls this starts a thread that calls [`write_to`](Self::write_to).
    pub(super) fn open(&self) {
        self.state().is_open = true;
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_open
    }

    /// Adds whole lines.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.state();
        // The one line that the writer has of its own, now and then, says what was dropped.
        let is_writers_own = state.writer == Some(std::thread::current().id());
        if state.waiting.len() + lines.len() > WAITING_MAX && !is_writers_own {
            state.dropped += count(lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all is written or dropped, at most for `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let has_more = |state: &mut State| state.is_open && (state.is_writing || !state.waiting.is_empty());
        let waited = self.changed.wait_timeout_while(self.state(), patience, has_more);
        drop(waited);
    }

    /// Writes for ever what comes. After lines were dropped and writing works again, `tell` logs how many.
    pub(super) fn write_to(&self, mut output: impl Write, tell: impl Fn(u64)) {
        self.state().writer = Some(std::thread::current().id());
        let mut lines = Vec::new();
        let mut is_torn = false;
        loop {
            self.take(&mut lines);
            let lost = write_pieces(&mut output, &lines, &mut is_torn);
            let told = self.written(lost);
            if told > 0 {
                tell(told);
                // What it has logged, if that is logged at all, waits by now.
                self.state().is_writing = false;
                self.changed.notify_all();
            }
        }
    }

    /// Waits for lines, and takes all that there are.
    fn take(&self, lines: &mut Vec<u8>) {
        lines.clear();
        let waited = self.changed.wait_while(self.state(), |state| state.waiting.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, lines);
        state.is_writing = true;
    }

    /// What was taken is dealt with; `lost` lines of it could not be written. Returns how many dropped lines to tell of.
    fn written(&self, lost: u64) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        state.dropped += lost;
        let told = if lost == 0 { std::mem::take(&mut state.dropped) } else { 0 };
        // Whoever waits for the end waits for that word too.
        state.is_writing = told > 0;
        drop(state);
        self.changed.notify_all();
        told
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under this lock, and a panic elsewhere is logged by way of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines; returns how many were lost. `is_torn`: what was written last lacks its end.
fn write_pieces(output: &mut impl Write, mut lines: &[u8], is_torn: &mut bool) -> u64 {
    let mut lost = 0;
    while !lines.is_empty() {
        let (piece, rest) = lines.split_at(piece_of(lines));
        lines = rest;
        let begun = if *is_torn { output.write_all(b"\n") } else { Ok(()) };
        let mut left = piece;
        let outcome = begun.and_then(|()| {
            *is_torn = false;
            write_all(output, &mut left)
        });
        if outcome.is_err() {
            lost += count(left);
            *is_torn |= left.len() < piece.len() && piece[..piece.len() - left.len()].last() != Some(&b'\n');
        }
    }
    lost
}

/// Like [`Write::write_all`], but says what is left.
fn write_all(output: &mut impl Write, left: &mut &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        match output.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *left = &left[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The length of the first piece: the lines that fit, or one that is longer.
fn piece_of(lines: &[u8]) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let fits = &lines[..lines.len().min(PIECE)];
    let end = fits.iter().rposition(is_end).or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
