//! Interpreters that wait for tasks.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Interpreter;
use crate::handlers::process::Warden;
use crate::machine::Task;

/// An interpreter is ended after so many tasks: what leaks a kilobyte with each has leaked ten megabytes then,
/// and starting one anew, some 20 ms, is two microseconds for each task.
const TASKS_MAX: u32 = 10_000;

/// What has waited for so many sweeps, of which there is one every two seconds, is ended, and its memory is free
/// for others.
const SWEEPS_MAX: u32 = 30;

/// Shared by all Python files of a worker.
#[derive(Debug)]
pub(in crate::handlers) struct Pool {
    warden: Warden,
    /// Interpreters at a time, busy or not: as many as the worker runs tasks.
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that has waited longest comes first.
    idle: VecDeque<Idle>,
    busy: usize,
    /// Counts the changes of the files. What has loaded older ones takes no more tasks.
    generation: u64,
}

#[derive(Debug)]
struct Idle {
    file: PathBuf,
    sweeps: u32,
    interpreter: Interpreter,
}

/// The place in the pool of an interpreter that is busy. It is free when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    file: PathBuf,
    generation: u64,
}

impl Pool {
    pub(in crate::handlers) fn new(warden: Warden, size: usize) -> Self {
        Self { warden, size, state: Mutex::default() }
    }

    pub(super) fn warden(&self) -> &Warden {
        &self.warden
    }

    /// The interpreter of this file that was busy last, if one is there, and a place for it or a new one. Where
    /// the places are taken, another that is idle is ended.
    pub(super) fn take(self: &Arc<Self>, file: &Path, task: &Task) -> (Option<Interpreter>, Place) {
        let mut state = self.state();
        let mut found = None;
        while let Some(index) = state.idle.iter().rposition(|idle| idle.file == file) {
            let mut interpreter = state.idle.remove(index).expect("it was found there").interpreter;
            if !interpreter.is_worn() && !interpreter.has_ended() {
                interpreter.wake(task);
                found = Some(interpreter);
                break;
            }
        }
        if found.is_none() && state.idle.len() + state.busy >= self.size {
            state.idle.pop_front();
        }
        state.busy += 1;
        let generation = state.generation;
        (found, Place { pool: Arc::clone(self), file: file.to_owned(), generation })
    }

    /// The files have changed: what is idle is ended now, and what is busy after its task.
    pub(in crate::handlers) fn renew(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.idle.clear();
    }

    /// Ends what has waited too long.
    pub(in crate::handlers) fn sweep(&self) {
        self.state().idle.retain_mut(|idle| {
            idle.sweeps += 1;
            idle.sweeps <= SWEEPS_MAX && !idle.interpreter.is_worn() && !idle.interpreter.has_ended()
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing that can panic is done under this lock")
    }
}

impl Place {
    /// The interpreter waits for another task, if it is good for one.
    pub(super) fn give_back(self, mut interpreter: Interpreter) {
        let mut state = self.pool.state();
        let is_current = state.generation == self.generation;
        if is_current && interpreter.served() < TASKS_MAX && !interpreter.is_worn() {
            interpreter.rest();
            state.idle.push_back(Idle { file: self.file.clone(), sweeps: 0, interpreter });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool.state().busy -= 1;
    }
}
