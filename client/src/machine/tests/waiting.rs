//! Waiting for the end of a task (R10a).

use super::*;
use crate::TaskProgress;

#[test]
fn a_submission_that_waits_is_answered_twice() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    assert_eq!(post.wait_s(), Some(10.0));
    bench.answer(&post.id, &received(42));
    assert_eq!(bench.stored[&call].task_id, TaskId(42));
    assert!(bench.ended.is_empty());
    bench.answer(&post.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
    bench.pass(seconds(60));
    assert!(bench.silent());
}

#[test]
fn the_end_may_overtake_the_first_answer() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &done());
    bench.answer(&post.id, &received(42));
    assert_eq!(*bench.outcome(call), ended_well());
    assert!(bench.stored.is_empty());
}

#[test]
fn null_and_other_empty_values_are_results() {
    for (value, json) in [(json!({"result": null, "status": "done"}), "null"), (json!({"result": ""}), "\"\"")] {
        let mut bench = Bench::new();
        let call = bench.watch(None);
        let request = bench.request();
        bench.answer(&request.id, &value);
        let expected = Answer::Progress(Progress::Ended(End::Done(Json::parse(json).unwrap())));
        assert_eq!(*bench.outcome(call), Outcome::Ok(expected));
    }
}

#[test]
fn an_end_that_got_lost_is_asked_for_every_two_seconds_under_the_same_id() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &received(42));
    bench.pass(Duration::from_millis(1_999));
    assert!(bench.silent());
    bench.pass(Duration::from_millis(2));
    let again = bench.request();
    assert_eq!(again.id, post.id, "the dispatcher must see one waiter");
    assert!(matches!(&again.body, Body::GetResult(get) if get.task_id == TaskId(42)), "{again:?}");
    bench.answer(&again.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
}

#[test]
fn a_wait_lasts_for_as_long_as_the_dispatcher_answers() {
    let mut bench = Bench::new();
    let call = bench.watch(None);
    for _ in 0..3_600 {
        bench.pass(seconds(1));
        while let Some(request) = bench.sent.pop_front() {
            // A dispatcher that renews the wait with each copy says "not ready" only when it is not to wait.
            if request.wait_s().is_none() {
                bench.answer(&request.id, &not_ready());
            }
        }
    }
    assert!(bench.ended.is_empty());
    bench.pass(seconds(31));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::NoAnswer));
}

#[test]
fn a_dispatcher_that_falls_silent_is_given_thirty_seconds() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &received(42));
    bench.pass(seconds(29));
    assert!(bench.ended.is_empty());
    bench.pass(seconds(1));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::NoAnswer));
    let life_signs = bench.sent.iter().filter(|sent| sent.wait_s().is_none()).count();
    assert!(life_signs >= 15, "only {life_signs} chances to be heard");
}

#[test]
fn a_task_that_fails_or_is_cancelled_ends_the_wait() {
    let failed = json!({
        "error": "Task failed: no such file", "code": "TASK_FAILED", "status": "failed", "attempts": 3,
        "task_error": {"code": "NO_FILE", "message": "no such file"}
    });
    let mut bench = Bench::new();
    let call = bench.watch(None);
    let request = bench.request();
    bench.answer(&request.id, &failed);
    let Outcome::Ok(Answer::Progress(Progress::Ended(End::Failed(why)))) = bench.outcome(call) else { panic!() };
    assert_eq!((why.error.code.as_str(), why.error.message.as_str(), why.attempts), ("NO_FILE", "no such file", 3));

    let call = bench.watch(None);
    let request = bench.request();
    bench.answer(&request.id, &json!({"error": "Task was cancelled", "code": "TASK_CANCELLED", "status": "cancelled"}));
    assert_eq!(*bench.outcome(call), Outcome::Ok(Answer::Progress(Progress::Ended(End::Cancelled))));
}

#[test]
fn a_task_that_does_not_exist_is_a_refusal() {
    let mut bench = Bench::new();
    let call = bench.watch(None);
    let request = bench.request();
    bench.answer(&request.id, &json!({"error": "Task not found", "code": "NOT_FOUND"}));
    assert!(matches!(bench.outcome(call), Outcome::Rejected(refused) if refused.code == ErrorCode::NotFound));
}

#[test]
fn a_look_without_waiting_is_one_question() {
    let mut bench = Bench::new();
    let call = bench.watch(Some(Duration::ZERO));
    let request = bench.request();
    assert_eq!(request.wait_s(), None);
    bench.answer(&request.id, &not_ready());
    let standing = Standing { status: Some(Status::Running), progress: None };
    assert_eq!(*bench.outcome(call), Outcome::Ok(Answer::Progress(Progress::NotReady(standing))));
}

#[test]
fn not_ready_tells_how_far_the_task_is_and_a_progress_that_is_none_spoils_nothing() {
    let half = TaskProgress::new(0.5, Some("half".to_owned()));
    for (told, understood) in [(json!({"fraction": 0.5, "note": "half"}), half), (json!("half"), None)] {
        let mut bench = Bench::new();
        let call = bench.watch(Some(Duration::ZERO));
        let request = bench.request();
        let mut reply = not_ready();
        reply["progress"] = told;
        bench.answer(&request.id, &reply);
        let standing = Standing { status: Some(Status::Running), progress: understood };
        assert_eq!(*bench.outcome(call), Outcome::Ok(Answer::Progress(Progress::NotReady(standing))));
    }
}

#[test]
fn a_limited_wait_is_content_with_not_ready_when_its_time_has_passed() {
    let mut bench = Bench::new();
    let call = bench.watch(Some(seconds(25)));
    let mut slices = Vec::new();
    while bench.ended.is_empty() {
        while let Some(request) = bench.sent.pop_front() {
            match request.wait_s() {
                None => bench.answer(&request.id, &not_ready()),
                Some(wait) => slices.push(wait),
            }
        }
        bench.pass(Duration::from_millis(500));
    }
    assert!(matches!(bench.outcome(call), Outcome::Ok(Answer::Progress(Progress::NotReady(_)))));
    assert!(slices.iter().all(|slice| *slice <= 10.0), "{slices:?}");
    let waited = bench.now.since(Timestamp::from_micros(1_000_000));
    assert!((seconds(25)..seconds(27)).contains(&waited), "{waited:?}");
}

#[test]
fn where_no_more_may_wait_the_result_is_asked_for_now_and_then() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    let mut reply = received(42);
    reply["waiting"] = json!(false);
    bench.answer(&post.id, &reply);
    for _ in 0..100 {
        bench.pass(seconds(1));
        for request in std::mem::take(&mut bench.sent) {
            let answer = if request.wait_s().is_some() { overloaded(1_000) } else { not_ready() };
            bench.answer(&request.id, &answer);
        }
    }
    assert!(bench.ended.is_empty(), "the dispatcher answers, so the wait goes on");
    bench.pass(seconds(1));
    let request = bench.sent.pop_front().unwrap();
    bench.answer(&request.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
}

#[test]
fn not_ready_before_the_number_of_the_task_is_known_changes_nothing() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &not_ready());
    assert!(matches!(bench.next_request().body, Body::PostTask(_)));
    bench.answer(&post.id, &received(42));
    bench.answer(&post.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
}

#[test]
fn a_very_patient_refusal_does_not_end_an_endless_wait() {
    let mut bench = Bench::new();
    let call = bench.watch(None);
    let request = bench.request();
    bench.answer(&request.id, &overloaded(u64::MAX));
    bench.pass(seconds(91));
    let request = bench.sent.pop_front().expect("asked again after a minute and a half at most");
    bench.answer(&request.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
}

/// The database was put back, or lost, while a client waited: its number may name another task now.
#[test]
fn who_waits_for_a_task_it_submitted_asks_the_database_that_stored_it() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &json!({"message": "", "task_id": 42, "status": "pending", "file_id": FILE}));
    bench.pass(seconds(3));
    let again = bench.request();
    assert_eq!(again.file(), Some(FILE));
    bench.answer(&again.id, &json!({"error": "Task not found", "code": "NOT_FOUND"}));
    assert!(matches!(bench.outcome(call), Outcome::Rejected(refused) if refused.code == ErrorCode::NotFound));
}

#[test]
fn who_waits_for_a_number_alone_means_the_database_that_answers_first() {
    let mut bench = Bench::new();
    bench.watch(None);
    let first = bench.request();
    assert_eq!(first.file(), None);
    bench.answer(&first.id, &json!({"error": "Result not ready", "code": "NOT_READY", "file_id": FILE}));
    assert_eq!(bench.request().file(), Some(FILE));
}
