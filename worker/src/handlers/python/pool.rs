//! Interpreters that wait for tasks, each of its own file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::JoinSet;

use super::Interpreter;
use crate::handlers::Room;
use crate::handlers::process::Warden;
use crate::machine::Task;

/// An interpreter is ended after so many tasks: what leaks a kilobyte with each has leaked ten megabytes then,
/// and starting one anew, some 20 ms, is two microseconds for each task.
const TASKS_MAX: u32 = 10_000;

/// What has waited for so many sweeps, of which there is one every two seconds, is ended, and its memory is free
/// for others.
const SWEEPS_MAX: u32 = 30;

/// Shared by all Python files of a worker. It holds idle interpreters only: of the others there are no more than the
/// worker runs tasks.
#[derive(Debug)]
pub(crate) struct Pool {
    warden: Warden,
    /// How many may be idle.
    idle_max: usize,
    /// How many may be ending: as many as there can be.
    ending_max: usize,
    /// What idle ones may take together, in bytes: as much as those that run tasks.
    memory_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that has waited longest comes first.
    idle: VecDeque<Idle>,
    ending: JoinSet<()>,
    /// Counts the changes of the files. What has loaded older ones takes no more tasks.
    generation: u64,
    /// The worker stops. Nothing is kept any more.
    closed: bool,
}

#[derive(Debug)]
struct Idle {
    file: PathBuf,
    sweeps: u32,
    interpreter: Interpreter,
}

/// Where an interpreter that is busy comes back to.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    file: PathBuf,
    generation: u64,
}

impl Pool {
    pub(in crate::handlers) fn new(warden: Warden, room: Room) -> Self {
        Self {
            warden,
            idle_max: room.idle,
            ending_max: room.idle + room.slots,
            memory_max: room.bounds.memory.saturating_mul(room.slots as u64),
            state: Mutex::default(),
        }
    }

    pub(in crate::handlers) fn warden(&self) -> &Warden {
        &self.warden
    }

    /// The interpreter of this file that was busy last, if one is there, and where it or a new one comes back to.
    pub(super) fn take(self: &Arc<Self>, file: &Path, task: &Task) -> (Option<Interpreter>, Place) {
        let mut state = self.state();
        let mut found = None;
        while let Some(index) = state.idle.iter().rposition(|idle| idle.file == file) {
            let mut interpreter = state.idle.remove(index).expect("it was found there").interpreter;
            if interpreter.is_usable() {
                interpreter.wake(task);
                found = Some(interpreter);
                break;
            }
            self.retire(&mut state, interpreter);
        }
        let generation = state.generation;
        (found, Place { pool: Arc::clone(self), file: file.to_owned(), generation })
    }

    /// The files have changed: what is idle is ended now, and what is busy after its task.
    pub(in crate::handlers) fn renew(&self) {
        let mut state = self.state();
        state.generation += 1;
        self.retire_all(&mut state);
    }

    /// Ends what has waited too long, and what takes too much memory.
    pub(in crate::handlers) fn sweep(&self) {
        let mut state = self.state();
        for mut idle in std::mem::take(&mut state.idle) {
            idle.sweeps += 1;
            if idle.sweeps <= SWEEPS_MAX && idle.interpreter.is_usable() {
                state.idle.push_back(idle);
            } else {
                self.retire(&mut state, idle.interpreter);
            }
        }
        while state.memory() > self.memory_max
            && let Some(idle) = state.idle.pop_front()
        {
            self.retire(&mut state, idle.interpreter);
        }
    }

    /// Whether the next sweep ends some of them for that.
    #[cfg(test)]
    pub(in crate::handlers) fn takes_too_much(&self) -> bool {
        self.state().memory() > self.memory_max
    }

    /// The worker stops: idle interpreters end now, and the others after their tasks.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.retire_all(&mut state);
    }

    /// Returns when those that were ending have ended.
    pub(crate) async fn ended(&self) {
        let ending = std::mem::take(&mut self.state().ending);
        ending.join_all().await;
    }

    fn retire_all(&self, state: &mut State) {
        for idle in std::mem::take(&mut state.idle) {
            self.retire(state, idle.interpreter);
        }
    }

    /// Lets an interpreter end in its own time, beside all else.
    fn retire(&self, state: &mut State, interpreter: Interpreter) {
        while state.ending.try_join_next().is_some() {}
        // Else it is killed, here and now.
        if state.ending.len() < self.ending_max {
            state.ending.spawn(interpreter.finish());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing that can panic is done under this lock")
    }
}

impl State {
    /// What idle interpreters took when they were looked at last, in bytes.
    fn memory(&self) -> u64 {
        self.idle.iter().map(|idle| idle.interpreter.memory()).sum()
    }
}

impl Place {
    /// The interpreter waits for another task, if it is good for one. Where too many wait, the one that has waited
    /// longest is ended.
    pub(super) fn give_back(self, mut interpreter: Interpreter) {
        let Self { pool, file, generation } = self;
        let mut state = pool.state();
        let is_wanted = generation == state.generation && !state.closed;
        if !is_wanted || interpreter.served() >= TASKS_MAX || !interpreter.is_usable() {
            return pool.retire(&mut state, interpreter);
        }
        interpreter.rest();
        state.idle.push_back(Idle { file, sweeps: 0, interpreter });
        if state.idle.len() > pool.idle_max
            && let Some(idle) = state.idle.pop_front()
        {
            pool.retire(&mut state, idle.interpreter);
        }
    }
}
