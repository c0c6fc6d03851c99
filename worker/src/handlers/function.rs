//! Handlers that are functions of the program itself.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskgrid_protocol::body::Failure;
use taskgrid_protocol::error::task_code;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::{Handler, LongHandler, Run, Running, STOP_GRACE, Stop, encode, stopped};
use crate::Task;
use crate::machine::Outcome;

/// The handler that calls `function`.
pub(crate) fn function<P, R, E, F>(function: impl Fn(Task<P>) -> F + Send + Sync + 'static) -> Handler
where
    P: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: Into<crate::Failure> + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
{
    let function = Arc::new(function);
    let call = move |run| -> Running {
        let function = Arc::clone(&function);
        // Reading, calling and writing are all code of the program's, and all may panic.
        Box::pin(async move {
            let called = {
                let task = Task::new(run)?;
                function(task)
            };
            let result = called.await;
            encode(&result.map_err(|error| error.into().into_body())?)
        })
    };
    Handler::Long(Arc::new(Function(Box::new(call))))
}

struct Function(Box<dyn Fn(Run) -> Running + Send + Sync>);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl LongHandler for Function {
    fn run(&self, run: Run) -> Running {
        let stop = run.stop.clone();
        Box::pin(supervise((self.0)(run), stop))
    }
}

/// Runs it as a task of tokio's, where a panic ends with it. Dropping the set ends it too.
async fn supervise(running: Running, mut stop: Stop) -> Outcome {
    let mut set = JoinSet::new();
    set.spawn(running);
    let ended = tokio::select! {
        ended = set.join_next() => ended,
        () = stop.requested() => match timeout(STOP_GRACE, set.join_next()).await {
            Ok(ended) => ended,
            Err(_) => {
                set.abort_all();
                // It is dropped where it awaits next; until then it takes its slot.
                set.join_next().await
            }
        },
    };
    ended.expect("the set holds one").unwrap_or_else(broken_off)
}

fn broken_off(error: JoinError) -> Outcome {
    let Ok(panic) = error.try_into_panic() else { return stopped() };
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message =
        text.map_or_else(|| "the handler panicked".to_owned(), |text| format!("the handler panicked: {text}"));
    Err(Failure::passing(task_code::FAILED, message))
}
