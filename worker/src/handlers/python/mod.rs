//! Handlers that are Python files: interpreters that are kept warm, each for one file and one task at a time.

mod check;
mod interpreter;
mod pool;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::Json;
use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::VALUE_MAX;
use tokio::sync::watch;
use tokio::time::timeout;

use super::process::{failure_of_exit, not_started};
use super::{LongHandler, Run, Running, stopped};
use crate::machine::{Outcome, Task};
pub(super) use check::trouble_with;
use interpreter::{Answer, Interpreter, Kind};
pub(crate) use pool::Pool;

/// Loading a file may take so long. The time limit of its tasks is for these alone.
const LOADING_MAX: Duration = Duration::from_secs(600);

/// Says so.
const TOO_LONG: &str = "loading it took longer than 600 s";

/// A Python file with `def handle(payload)`.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) file: PathBuf,
    pub(super) python: PathBuf,
    pub(super) pool: Arc<Pool>,
}

impl LongHandler for Script {
    fn run(&self, run: Run) -> Running {
        let script = self.clone();
        Box::pin(async move { script.run_one(run).await })
    }
}

impl Script {
    async fn run_one(self, run: Run) -> Outcome {
        let Run { task, mut stop, progress } = run;
        let (found, place) = self.pool.take(&self.file, &task);
        let mut interpreter = match found {
            Some(interpreter) => interpreter,
            None => Interpreter::start(self.pool.warden(), &task, &self.python, &self.file)
                .map_err(|error| not_started(&self.python, &error))?,
        };
        let answer = tokio::select! {
            answer = serve(&mut interpreter, &task, &progress) => answer,
            () = stop.requested() => {
                interpreter.stop().await;
                return stopped();
            }
        };
        match answer {
            Ok(answer) if answer.fit => {
                let outcome = outcome_of(&answer, &mut interpreter);
                place.give_back(interpreter);
                outcome
            }
            Ok(answer) => {
                let outcome = outcome_of(&answer, &mut interpreter);
                interpreter.finish().await;
                outcome
            }
            Err(_) => Err(interpreter.post_mortem().await),
        }
    }
}

/// Gives an interpreter a task, once it has loaded its file. Where that cannot be loaded, this is the answer.
async fn serve(
    interpreter: &mut Interpreter,
    task: &Task,
    progress: &watch::Sender<Option<Progress>>,
) -> io::Result<Answer> {
    if !interpreter.has_begun() {
        let loading = timeout(LOADING_MAX, interpreter.load(progress)).await;
        let answer = loading.unwrap_or_else(|_| Ok(Answer::cannot_begin(TOO_LONG)))?;
        if answer.kind != Kind::Begun {
            return Ok(answer);
        }
    }
    interpreter.call(task, progress).await
}

/// What an interpreter's answer means for its task.
fn outcome_of(answer: &Answer, interpreter: &mut Interpreter) -> Outcome {
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    match answer.kind {
        Kind::Begun => Err(Failure::passing(task_code::FAILED, "the handler used its worker's pipes")),
        Kind::CannotBegin => Err(Failure::passing(task_code::FAILED, text())),
        Kind::Result => result_of(&answer.body),
        Kind::Failure => Err(Failure::passing(task_code::FAILED, text())),
        Kind::Permanent => Err(Failure::permanent(task_code::FAILED, text())),
        // One that no number can be is none of ours.
        Kind::Exit => Err(failure_of_exit(text().parse().unwrap_or(1), &interpreter.last_words())),
        Kind::Gone => Err(Failure::passing(task_code::UNKNOWN_TYPE, "the handler's file is gone")),
        Kind::TooLong => {
            let message = format!("the result has {} bytes, the limit is {VALUE_MAX}", text());
            Err(Failure::permanent(task_code::RESULT_TOO_LARGE, message))
        }
    }
}

fn result_of(body: &[u8]) -> Outcome {
    let parsed = std::str::from_utf8(body).map_err(|error| error.to_string());
    let parsed = parsed.and_then(|text| Json::parse(text).map_err(|error| error.to_string()));
    parsed.map_err(|why| {
        let message = format!("the result is no JSON that a task may have: {why}");
        Failure::permanent(task_code::FAILED, message)
    })
}
