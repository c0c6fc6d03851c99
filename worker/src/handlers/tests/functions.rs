//! Handlers that are functions, as the daemon runs them.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskgrid_protocol::body::Failure as Failed;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{LONG, task};
use crate::handlers::{Handler, Line, Run, Running, function};
use crate::machine::Outcome;
use crate::{Failure, Task};

fn begin(handler: &Handler, payload: &str) -> (Running, Line) {
    let (run, line) = Run::new(task("test", payload));
    let Handler::Long(handler) = handler else { panic!("a function takes its time") };
    (handler.run(run), line)
}

async fn end(running: Running) -> Outcome {
    timeout(LONG, running).await.expect("the handler ends")
}

async fn outcome(handler: Handler, payload: &str) -> Outcome {
    let (running, _line) = begin(&handler, payload);
    end(running).await
}

async fn failure(handler: Handler) -> Failed {
    outcome(handler, "null").await.unwrap_err()
}

#[tokio::test]
async fn a_function_is_given_its_task_and_its_result_is_written() {
    let handler = function(|task: Task<(u32, String)>| async move {
        let lease = task.lease.map(|lease| lease.to_string());
        Ok::<_, Failure>((task.id.0, task.attempt, lease, task.task_type, task.payload.1.repeat(2), task.payload.0))
    });
    let written = outcome(handler, r#"[7, "ab"]"#).await.unwrap();
    assert_eq!(written.get(), r#"[42,3,"lease-a","test","abab",7]"#);
    let untyped = function(|task: Task| async move { Ok::<_, Failure>(task.payload["a"][0].clone()) });
    assert_eq!(outcome(untyped, r#"{"a": [1]}"#).await.unwrap().get(), "1");
}

#[tokio::test]
async fn a_payload_of_another_shape_fails_before_the_function_is_called() {
    let handler = function(|_: Task<u32>| async { panic!("it was called") as Result<(), Failure> });
    let refused = outcome(handler, r#""secret""#).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retry), ("BAD_PAYLOAD", false));
    assert!(refused.message.contains("expected u32") && !refused.message.contains("secret"), "{}", refused.message);
}

#[tokio::test]
async fn errors_keep_what_they_say_of_trying_again() {
    let minute = Duration::from_secs(60);
    let handler = function(move |_: Task| async move { Err::<(), _>(Failure::retry_after(minute, "quota")) });
    let later = failure(handler).await;
    assert_eq!(
        (later.retry, later.retry_after_s.map(|span| span.0), later.message.as_str()),
        (true, Some(minute), "quota")
    );
    let error = function(|_: Task| async { Ok::<_, Failure>("x".parse::<u32>()?) });
    assert_eq!(failure(error).await, Failed::passing("FAILED", "invalid digit found in string"));
    let own = function(|_: Task| async { Err::<(), _>(std::fmt::Error) });
    assert!(failure(own).await.retry);
}

#[tokio::test]
async fn a_panic_fails_the_attempt_wherever_it_happens() {
    let message = async |handler| {
        let failed = failure(handler).await;
        assert_eq!((failed.code.as_str(), failed.retry), ("FAILED", true));
        failed.message
    };
    let number = 7;
    let formatted = function(move |_: Task| async move { panic!("number {number}") as Result<(), Failure> });
    assert_eq!(message(formatted).await, "the handler panicked: number 7");
    let later = function(|_: Task| async {
        yield_now().await;
        panic!("later") as Result<(), Failure>
    });
    assert_eq!(message(later).await, "the handler panicked: later");
    let value = function(|_: Task| async { std::panic::panic_any(7) as Result<(), Failure> });
    assert_eq!(message(value).await, "the handler panicked");
    #[expect(unreachable_code, reason = "the function itself panics, before there is a future")]
    let early = function(|_: Task| {
        panic!("early");
        async { Ok::<_, Failure>(()) }
    });
    assert_eq!(message(early).await, "the handler panicked: early");
}

#[tokio::test]
async fn what_is_told_of_progress_is_clamped_and_the_last_of_it_counts() {
    let handler = function(|task: Task| async move {
        task.progress(-1.0, "started");
        task.progress(2.0, "");
        task.progress(f64::NAN, "no number");
        Ok::<_, Failure>(())
    });
    let (running, line) = begin(&handler, "null");
    end(running).await.unwrap();
    let told = serde_json::to_value(line.progress.borrow().as_ref()).unwrap();
    assert_eq!(told, serde_json::json!({"fraction": 1.0}));
}

#[tokio::test]
async fn a_handler_that_is_asked_to_stop_may_still_say_what_it_has() {
    let handler = function(|task: Task| async move {
        let before = task.is_cancelled();
        task.cancelled().await;
        Ok::<_, Failure>((before, task.is_cancelled()))
    });
    let (running, line) = begin(&handler, "null");
    line.stop.send(true).unwrap();
    assert_eq!(end(running).await.unwrap().get(), "[true,true]");
    let (running, line) = begin(&handler, "null");
    let asking = async {
        yield_now().await;
        drop(line.stop);
    };
    let (outcome, ()) = tokio::join!(end(running), asking);
    assert_eq!(outcome.unwrap().get(), "[false,true]", "nobody wants it any more");
}

/// Sets its flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A handler that never ends, and whether it was dropped.
fn endless() -> (Handler, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Mutex::new(Some(Dropped(Arc::clone(&dropped))));
    let handler = function(move |_: Task| {
        let held = flag.lock().unwrap().take();
        async move {
            let _held = held;
            pending::<Result<(), Failure>>().await
        }
    });
    (handler, dropped)
}

#[tokio::test]
async fn a_handler_that_does_not_stop_is_dropped_before_it_counts_as_ended() {
    let (handler, dropped) = endless();
    let (running, line) = begin(&handler, "null");
    line.stop.send(true).unwrap();
    end(running).await.unwrap_err();
    assert!(dropped.load(Ordering::Acquire));
}

#[tokio::test]
async fn dropping_a_run_drops_the_handler() {
    let (handler, dropped) = endless();
    let (mut running, _line) = begin(&handler, "null");
    for _ in 0..3 {
        tokio::select! {
            biased;
            _ = &mut running => panic!("it never ends"),
            () = yield_now() => {}
        }
    }
    drop(running);
    let gone = async {
        while !dropped.load(Ordering::Acquire) {
            yield_now().await;
        }
    };
    timeout(LONG, gone).await.expect("the handler is dropped");
}
