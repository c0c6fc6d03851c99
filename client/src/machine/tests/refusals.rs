//! REJECTED says that nothing was stored. Where that is not certain, the outcome is UNKNOWN (R6).

use super::*;

fn rejected(bench: &Bench, call: CallId) -> ErrorCode {
    let Outcome::Rejected(refused) = bench.outcome(call) else { panic!("{:?}", bench.outcome(call)) };
    refused.code
}

#[test]
fn a_lasting_refusal_ends_the_call_at_once() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let request = bench.request();
    bench.answer(&request.id, &json!({"error": "the key names another task", "code": "KEY_CONFLICT"}));
    assert_eq!(rejected(&bench, call), ErrorCode::KeyConflict);
    bench.pass(seconds(60));
    assert!(bench.silent());
}

#[test]
fn codes_of_newer_versions_are_refusals_too() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let request = bench.request();
    bench.answer(&request.id, &json!({"error": "no", "code": "SOMETHING_NEW"}));
    assert_eq!(rejected(&bench, call), ErrorCode::Other);
}

#[test]
fn a_passing_refusal_is_asked_again_when_it_says_so() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let first = bench.request();
    bench.answer(&first.id, &overloaded(2_000));
    let refused_at = bench.now;
    let second = bench.next_request();
    let waited = bench.now.since(refused_at);
    assert!((seconds(2)..=seconds(3)).contains(&waited), "asked again after {waited:?}");
    let (Body::PostTask(first), Body::PostTask(again)) = (&first.body, &second.body) else { panic!() };
    assert_eq!(first.key, again.key);
    bench.answer(&second.id, &received(42));
    assert!(matches!(bench.outcome(call), Outcome::Ok(_)));
}

#[test]
fn a_refusal_that_comes_twice_is_one_refusal() {
    let mut bench = Bench::new();
    bench.submit("k", false);
    let first = bench.request();
    bench.answer(&first.id, &overloaded(100));
    let second = bench.next_request();
    // Were this taken for the answer to the second copy, the call could end as refused although that copy
    // is stored.
    bench.answer(&first.id, &overloaded(60_000));
    bench.pass(seconds(1));
    assert!(!bench.silent() && bench.ended.is_empty());
    assert_ne!(first.id, second.id);
}

#[test]
fn a_disk_that_stays_full_is_a_definite_refusal() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    while bench.ended.is_empty() {
        let request = bench.next_request();
        bench.answer(&request.id, &json!({"error": "disk low", "code": "DISK_LOW", "retry_after_ms": 1000}));
    }
    assert_eq!(rejected(&bench, call), ErrorCode::DiskLow);
    let waited = bench.now.since(Timestamp::from_micros(1_000_000));
    assert!((seconds(28)..seconds(32)).contains(&waited), "gave up after {waited:?}");
}

#[test]
fn a_refusal_after_a_copy_that_was_never_answered_proves_nothing() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    bench.request();
    let request = bench.next_request();
    bench.answer(&request.id, &overloaded(40_000));
    let Outcome::Unknown(Silence::InDoubt(refused)) = bench.outcome(call) else { panic!() };
    assert_eq!(refused.code, ErrorCode::Overloaded);
}

#[test]
fn silence_after_a_passing_refusal_is_unknown() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let request = bench.request();
    bench.answer(&request.id, &overloaded(100));
    bench.pass(seconds(30));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::NoAnswer));
}

#[test]
fn a_slow_acceptance_outruns_a_refusal() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let request = bench.request();
    bench.answer(&request.id, &overloaded(5_000));
    bench.answer(&request.id, &received(42));
    assert!(matches!(bench.outcome(call), Outcome::Ok(_)));
    bench.pass(seconds(60));
    assert!(bench.silent());
}

#[test]
fn a_cancellation_whose_answer_was_lost_is_no_refusal() {
    let already = json!({"error": "the task has ended already", "code": "ALREADY_ENDED", "status": "cancelled"});
    let mut bench = Bench::new();
    let call = bench.cancel();
    bench.request();
    let copy = bench.next_request();
    bench.answer(&copy.id, &already);
    assert!(matches!(bench.outcome(call), Outcome::Ok(Answer::Data(_))));

    let first_and_only = bench.cancel();
    let request = bench.request();
    bench.answer(&request.id, &already);
    assert_eq!(rejected(&bench, first_and_only), ErrorCode::AlreadyEnded);
}

#[test]
fn a_task_that_was_done_before_is_not_cancelled_by_asking_twice() {
    let mut bench = Bench::new();
    let call = bench.cancel();
    bench.request();
    let copy = bench.next_request();
    bench.answer(&copy.id, &json!({"error": "it is done", "code": "ALREADY_ENDED", "status": "done"}));
    let Outcome::Rejected(refused) = bench.outcome(call) else { panic!() };
    assert_eq!(refused.status, Some(Status::Done));
}

/// R37: a server that knows us by no private address answers long only to a long request.
#[test]
fn a_server_that_wants_longer_requests_gets_them() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let post = bench.request();
    bench.answer(&post.id, &received(42));
    let padding = json!({"error": "pad", "code": "PAD_REQUEST", "need_bytes": 16_000});
    bench.answer(&post.id, &padding);
    let again = bench.request();
    assert!(matches!(&again.body, Body::GetResult(get) if get.task_id == TaskId(42)), "{again:?}");
    assert!(again.length >= 16_000);
    bench.answer(&post.id, &padding);
    assert!(bench.silent(), "a copy of the old answer changes nothing");
    bench.answer(&again.id, &done());
    assert!(matches!(bench.outcome(call), Outcome::Ok(_)));
}

#[test]
fn what_cannot_be_padded_further_is_no_answer() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let request = bench.request();
    for need in [0, 60_000] {
        bench.answer(&request.id, &json!({"error": "pad", "code": "PAD_REQUEST", "need_bytes": need}));
    }
    bench.pass(seconds(60));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::Garbled));
}
