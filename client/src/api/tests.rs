//! The API on real sockets, against a scripted dispatcher.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taskgrid_protocol::body::{PostReply, Status};
use taskgrid_protocol::limits::VALUE_MAX;
use taskgrid_protocol::{Body, ErrorCode, TaskId};

use super::*;
use crate::testing::FakeDispatcher;
use crate::{Rejected, WaitError};

/// Numbers the tasks, and reverses their payloads for those who wait.
fn reversing() -> FakeDispatcher {
    let mut last = 0;
    FakeDispatcher::start(move |body| match body {
        Body::PostTask(post) => {
            last += 1;
            let received = serde_json::to_value(PostReply::new(TaskId(last), Status::Pending)).unwrap();
            let text: String = post.payload.read().unwrap();
            let done = json!({"result": text.chars().rev().collect::<String>(), "status": "done"});
            if post.wait_s.is_some() { vec![received, done] } else { vec![received] }
        }
        _ => vec![json!({"error": "not in this script", "code": "UNKNOWN_MESSAGE"})],
    })
}

async fn connect(dispatcher: &FakeDispatcher) -> Client {
    Client::connect(&dispatcher.address()).await.unwrap()
}

fn keys(dispatcher: &FakeDispatcher) -> Vec<Option<String>> {
    let posts = dispatcher.received().into_iter().filter_map(|received| match received.body {
        Body::PostTask(post) => Some(post.key.map(|key| key.to_string())),
        _ => None,
    });
    posts.collect()
}

#[tokio::test]
async fn a_submission_is_stored_under_a_key_of_its_own() {
    let dispatcher = reversing();
    let client = connect(&dispatcher).await;
    let receipt = client.submit("reverse", "OpenAI").await.unwrap();
    assert_eq!((receipt.task, receipt.status, receipt.duplicate), (TaskId(1), Status::Pending, false));
    let other = client.submit("reverse", "OpenAI").key("mine").await.unwrap();
    assert_eq!(other.key.as_str(), "mine");
    assert_eq!(keys(&dispatcher), [Some(receipt.key.to_string()), Some("mine".to_owned())]);
}

#[tokio::test]
async fn options_travel_with_the_task() {
    let dispatcher = reversing();
    let client = connect(&dispatcher).await;
    let submission = client.submit("reverse", "x").priority(-3).delay(Duration::from_millis(1_500)).max_attempts(7);
    submission.timeout(Duration::from_secs(60)).expires(Duration::from_secs(90)).await.unwrap();
    let received = dispatcher.received();
    let Body::PostTask(post) = &received[0].body else { panic!() };
    let data = serde_json::to_value(post).unwrap();
    let Value::Object(fields) = data else { panic!() };
    let option = |name: &str| fields[name].clone();
    assert_eq!(option("priority"), json!(-3));
    assert_eq!(option("delay_s"), json!(1.5));
    assert_eq!(option("max_attempts"), json!(7));
    assert_eq!(option("timeout_s"), json!(60));
    assert_eq!(option("expires_s"), json!(90));
}

#[tokio::test]
async fn waiting_brings_the_result() {
    let dispatcher = reversing();
    let client = connect(&dispatcher).await;
    let result = client.submit("reverse", "OpenAI").wait().await.unwrap();
    assert_eq!(result.read::<String>().unwrap(), "IAnepO");
    let followed = client.submit("reverse", "abc").follow().await.unwrap();
    assert_eq!(followed.receipt().unwrap().task, TaskId(2));
    assert_eq!(followed.end().await.unwrap().get(), "\"cba\"");
}

#[tokio::test]
async fn many_tasks_share_datagrams_and_come_back_in_order() {
    // The fake names each task by its payload, so a datagram that was lost and sent again changes nothing.
    let dispatcher = FakeDispatcher::start(|body| {
        let Body::PostTask(post) = body else { return Vec::new() };
        let number: i64 = post.payload.read::<String>().unwrap().parse().unwrap();
        vec![serde_json::to_value(PostReply::new(TaskId(number), Status::Pending)).unwrap()]
    });
    let client = connect(&dispatcher).await;
    let submissions = (0..20_000).map(|n| client.submit("reverse", n.to_string()));
    let receipts = client.submit_many(submissions).await;
    let numbers: Vec<i64> = receipts.iter().map(|receipt| receipt.as_ref().unwrap().task.0).collect();
    assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
    assert!(dispatcher.received().iter().all(|received| received.packed));
}

#[tokio::test]
async fn mistakes_in_a_task_are_told_before_anything_is_sent() {
    let dispatcher = FakeDispatcher::silent();
    let client = connect(&dispatcher).await;
    let code = |outcome: Result<Receipt, CallError>| match outcome {
        Err(CallError::Rejected(Rejected { code, .. })) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(client.submit("../sh", 1).await), ErrorCode::BadRequest);
    assert_eq!(code(client.submit("hash", "x".repeat(VALUE_MAX)).await), ErrorCode::TooLarge);
    assert_eq!(code(client.submit("hash", f64::NAN).key(&"k".repeat(65)).await), ErrorCode::BadRequest);
    assert_eq!(code(client.submit("hash", 1).priority(101).await), ErrorCode::BadRequest);
    assert_eq!(code(client.submit("hash", 1).timeout(Duration::from_millis(1_500)).await), ErrorCode::BadRequest);
    assert_eq!(code(client.submit("hash", 1).delay(Duration::MAX).await), ErrorCode::BadRequest);
    assert_eq!(code(client.submit("hash", 1).max_attempts(0).await), ErrorCode::BadRequest);
    assert!(dispatcher.received().is_empty());
}

#[tokio::test]
async fn an_unknown_outcome_names_the_key_to_ask_again_with() {
    let dispatcher = FakeDispatcher::silent();
    let client = connect(&dispatcher).await.with_patience(Duration::from_millis(300));
    let Err(CallError::Unknown(unknown)) = client.submit("reverse", "x").await else { panic!() };
    let sent = keys(&dispatcher);
    assert!(sent.len() >= 2, "asked {} times", sent.len());
    assert!(sent.iter().all(|key| *key == unknown.key.as_ref().map(ToString::to_string)));
    assert_eq!(unknown.server, dispatcher.address());
    let Err(WaitError::Call(CallError::Unknown(_))) = client.submit("reverse", "x").wait().await else { panic!() };
    let Err(CallError::Unknown(unknown)) = client.ping().await else { panic!() };
    assert_eq!(unknown.key, None);
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_nothing_behind() {
    let dispatcher = FakeDispatcher::silent();
    let client = connect(&dispatcher).await;
    for _ in 0..100 {
        tokio::select! {
            biased;
            _ = client.submit("reverse", "x").wait() => panic!("nobody answers"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(client.driver.calls(), 0);
}

/// Whoever drops a call has not heard what came of it; the key says so later.
#[tokio::test]
async fn a_call_that_is_dropped_disturbs_no_other_and_its_key_finds_its_task() {
    let answering = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&answering);
    let mut known = Vec::new();
    let dispatcher = FakeDispatcher::start(move |body| {
        let Body::PostTask(post) = body else { return Vec::new() };
        let place = known.iter().position(|key| *key == post.key).unwrap_or(known.len());
        if place == known.len() {
            known.push(post.key.clone());
        }
        let reply = PostReply::new(TaskId(i64::try_from(place).unwrap()), Status::Pending);
        let answered = answers.load(Ordering::Acquire);
        Vec::from_iter(answered.then(|| serde_json::to_value(reply).unwrap()))
    });
    let client = connect(&dispatcher).await;
    let clone = client.clone();
    let other = tokio::spawn(async move { clone.submit("reverse", "y").key("other").await });
    let sent = async || {
        while !keys(&dispatcher).contains(&Some("dropped".to_owned())) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        receipt = client.submit("reverse", "x").key("dropped") => panic!("nobody answers yet: {receipt:?}"),
        () = sent() => {}
    }
    answering.store(true, Ordering::Release);
    let other = other.await.unwrap().unwrap();
    let again = client.submit("reverse", "x").key("dropped").await.unwrap();
    assert_eq!(other.task.0 + again.task.0, 1, "two keys, two tasks: 0 and 1");
    assert_eq!(client.driver.calls(), 0);
}

#[tokio::test]
async fn the_last_clone_takes_the_driver_with_it() {
    let dispatcher = reversing();
    let client = connect(&dispatcher).await;
    let other = client.clone();
    let task = client.driver.task();
    client.submit("reverse", "x").await.unwrap();
    drop(client);
    other.submit("reverse", "x").await.unwrap();
    assert!(!task.is_finished());
    drop(other);
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_client_whose_runtime_is_gone_says_so_instead_of_hanging() {
    let dispatcher = FakeDispatcher::silent();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let client = first.block_on(connect(&dispatcher));
    drop(first);
    let outcome = runtime().block_on(client.ping());
    assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
}

#[tokio::test]
async fn answers_of_another_shape_are_an_unknown_outcome() {
    let dispatcher = FakeDispatcher::start(|_| vec![json!({"something": "else"})]);
    let client = connect(&dispatcher).await;
    let Err(CallError::Unknown(unknown)) = client.stats().await else { panic!() };
    assert_eq!(unknown.silence, Silence::Garbled);
}

#[test]
fn clients_and_their_futures_go_from_thread_to_thread() {
    fn moves<T: Send>(_: impl FnOnce(Client) -> T) {}
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Client>();
    moves(|client| client.submit("reverse", "x").into_future());
    moves(|client| client.submit("reverse", "x").wait());
    moves(|client| async move { client.cancel(TaskId(1)).await });
}
