//! What runs tasks: the built-in types, the files of a directory, and the functions of a program.
//!
//! A type is one [`Handler`]. The daemon starts one for each [`Effect::Run`](crate::machine::Effect::Run) of the
//! machine and reports its [`Outcome`]; nothing outside this module knows what kinds of handlers there are.

mod builtin;
mod directory;
mod executable;
mod function;
mod hash;
mod json;
mod list;
mod payload;
mod process;
mod python;
mod registry;
mod reverse;
mod sum;
#[cfg(test)]
mod tests;
mod upper;
mod wait;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::Json;
use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::error::task_code;
use tokio::sync::watch;

use crate::machine::{Outcome, Task};

pub(crate) use function::function;
pub(crate) use json::decode;
pub(crate) use list::Handlers;
pub(crate) use process::Bounds;
pub use process::{Reserved, guard};
pub(crate) use python::Pool;
pub(crate) use registry::{Registry, Room, Serving};

use json::encode;

/// How long a handler that is asked to stop may take to do so. A worker that drains waits longer than that for
/// results to be stored.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What runs the tasks of one type.
#[derive(Clone, Debug)]
pub(crate) enum Handler {
    /// Takes microseconds for the largest payload: called on the spot, which saves handing it over.
    Quick(fn(&Json) -> Outcome),
    /// Takes its time, beside others.
    Long(Arc<dyn LongHandler>),
}

/// A handler that takes its time.
pub(crate) trait LongHandler: fmt::Debug + Send + Sync {
    /// Runs one task. It ends soon after it is asked to stop, and when it has ended nothing of it is left.
    /// Dropping the future stops it too.
    fn run(&self, run: Run) -> Running;
}

/// A task that is being run.
pub(crate) type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a handler is given for one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) task: Task,
    pub(crate) stop: Stop,
    /// Takes what the handler tells of its progress. Only the latest counts.
    pub(crate) progress: watch::Sender<Option<Progress>>,
}

/// What the worker holds of a run.
#[derive(Debug)]
pub(crate) struct Line {
    /// Asks the handler to stop; dropping it does too.
    pub(crate) stop: watch::Sender<bool>,
    /// What the handler told last of its progress.
    pub(crate) progress: watch::Receiver<Option<Progress>>,
}

impl Run {
    pub(crate) fn new(task: Task) -> (Self, Line) {
        let (stop, stopped) = watch::channel(false);
        let (progress, told) = watch::channel(None);
        (Self { task, stop: Stop(stopped), progress }, Line { stop, progress: told })
    }
}

/// Tells a handler that it must stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns when it is time to stop.
    pub(crate) async fn requested(&mut self) {
        // An error means that the sender is gone, which asks just as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// What a handler that was stopped has come to. The machine knows why it was.
fn stopped() -> Outcome {
    Err(Failure::passing(task_code::FAILED, "the handler was stopped"))
}
