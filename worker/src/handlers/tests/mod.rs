//! Handlers as the daemon runs them.

mod bounds;
mod executables;
mod functions;
mod interpreters;
mod python;
mod results;
mod scan;

use std::fs;
use std::path::Path;
use std::time::Duration;

use taskgrid_protocol::{Json, Lease, TaskId, TaskType};
use tokio::time::{interval, timeout};

use super::process::{Bounds, Warden};
use super::{LongHandler, Run};
use crate::machine::{Outcome, Task};

/// The result of a handler that can use the payload.
pub(super) fn quick(handler: fn(&Json) -> Outcome, payload: &str) -> String {
    handler(&Json::parse(payload).unwrap()).unwrap().get().to_owned()
}

/// Why a handler cannot use the payload, and never will.
pub(super) fn refused(handler: fn(&Json) -> Outcome, payload: &str) -> String {
    let failure = handler(&Json::parse(payload).unwrap()).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("BAD_PAYLOAD", false));
    failure.message
}

/// Bounds that no handler here comes near.
pub(super) const BOUNDS: Bounds = Bounds { memory: 1 << 30, processes: 100 };

pub(super) fn warden() -> Warden {
    Warden::new(BOUNDS)
}

/// Longer than anything here takes on the slowest machine.
pub(super) const LONG: Duration = Duration::from_secs(30);

pub(super) fn task(task_type: &str, payload: &str) -> Task {
    Task {
        id: TaskId(42),
        task_type: TaskType::new(task_type).unwrap(),
        payload: Json::parse(payload).unwrap(),
        attempt: 3,
        lease: Some(Lease::new("lease-a").unwrap()),
    }
}

pub(super) async fn run(handler: &impl LongHandler, task: Task) -> Outcome {
    let (run, _line) = Run::new(task);
    timeout(LONG, handler.run(run)).await.expect("the handler ends")
}

pub(super) async fn gone(process: u32) {
    until(|| (!is_running(process)).then_some(())).await;
}

pub(super) fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// A zombie does not run: whoever adopted it may reap it when it likes.
pub(super) fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Asks again and again, until there is an answer.
pub(super) async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let mut pace = interval(Duration::from_millis(5));
    let asked = async {
        loop {
            pace.tick().await;
            if let Some(answer) = ask() {
                return answer;
            }
        }
    };
    timeout(LONG, asked).await.expect("it comes to pass")
}
