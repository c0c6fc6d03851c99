//! One question, one answer.

use super::*;

#[test]
fn a_lost_request_is_sent_again_with_the_same_id_and_key() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let first = bench.request();
    let second = bench.next_request();
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    let Body::PostTask(post) = &second.body else { panic!("{second:?}") };
    assert_eq!(post.key, Some(Key::new("k").unwrap()));
    bench.answer(&second.id, &received(42));
    assert_eq!(*bench.outcome(call), Outcome::Ok(Answer::Stored(PostReply::new(TaskId(42), Status::Pending))));
    bench.pass(seconds(60));
    assert!(bench.silent(), "an answered request is not sent again");
}

#[test]
fn a_lost_answer_looks_the_same_and_the_copy_is_answered_as_a_duplicate() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    bench.request();
    let copy = bench.next_request();
    let duplicate = json!({"message": "Task received, ID = 42", "task_id": 42, "status": "running", "duplicate": true});
    bench.answer(&copy.id, &duplicate);
    let Outcome::Ok(Answer::Stored(reply)) = bench.outcome(call) else { panic!() };
    assert!(reply.duplicate && reply.task_id == TaskId(42));
}

#[test]
fn thirty_seconds_of_silence_are_an_unknown_outcome() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    bench.pass(seconds(29));
    assert!(bench.ended.is_empty());
    bench.pass(seconds(1));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::NoAnswer));
    assert!(bench.sent.len() >= 8, "{} copies", bench.sent.len());
    assert_eq!(bench.machine.calls(), 0);
}

#[test]
fn answers_that_come_twice_or_late_or_to_nobody_are_passed_over() {
    let mut bench = Bench::new();
    let call = bench.call(ping());
    let request = bench.request();
    bench.answer(&request.id, &json!({"role": "dispatcher"}));
    bench.answer(&request.id, &json!({"role": "something else"}));
    assert_eq!(*bench.outcome(call), Outcome::Ok(Answer::Data(Json::of(&json!({"role": "dispatcher"})))));
    let other = bench.call(ping());
    bench.answer(&request.id, &json!({"role": "late"}));
    bench.answer(&RequestId::number(5), &json!({"role": "guessed"}));
    bench.answer(&serde_json::from_str("\"text\"").unwrap(), &json!({"role": "guessed"}));
    assert!(!bench.ended.contains_key(&other));
}

#[test]
fn requests_that_come_to_a_client_get_silence() {
    let mut bench = Bench::new();
    bench.machine.handle_datagram(bench.now, server(), Message::request(RequestId::number(1), Body::Ping(NoData {})));
    bench.collect();
    assert!(bench.silent());
}

#[test]
fn an_answer_that_makes_no_sense_leaves_the_question_open() {
    let mut bench = Bench::new();
    let call = bench.submit("k", false);
    let request = bench.request();
    bench.answer(&request.id, &json!([1, 2]));
    bench.answer(&request.id, &json!({"message": "what?"}));
    assert!(bench.ended.is_empty());
    bench.pass(seconds(30));
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::Garbled));
}

#[test]
fn an_abandoned_call_is_forgotten() {
    let mut bench = Bench::new();
    let call = bench.submit("k", true);
    let request = bench.request();
    bench.event(Event::Abandon(call));
    bench.event(Event::Abandon(call));
    bench.answer(&request.id, &received(42));
    bench.pass(seconds(60));
    assert!(bench.silent() && bench.ended.is_empty());
    assert_eq!(bench.machine.calls(), 0);
}

#[test]
fn what_does_not_fit_the_window_waits_its_turn() {
    let mut bench = Bench::new();
    let calls: Vec<CallId> = (0..5_000).map(|_| bench.call(ping())).collect();
    let in_flight = bench.sent.len();
    assert!((1_000..3_000).contains(&in_flight), "{in_flight} of 5000 went out at once");
    let mut answered = 0;
    while let Some(sent) = bench.sent.pop_front() {
        assert_eq!(bench.ended.len(), answered);
        bench.answer(&sent.id, &json!({}));
        answered += 1;
    }
    assert_eq!(bench.ended.len(), calls.len());
    assert!(bench.ended.values().all(|outcome| matches!(outcome, Outcome::Ok(_))));
}

#[test]
fn what_never_gets_its_turn_ends_at_its_deadline_all_the_same() {
    let mut bench = Bench::new();
    for _ in 0..5_000 {
        bench.call(ping());
    }
    bench.pass(seconds(30));
    assert_eq!(bench.ended.len(), 5_000);
    assert!(bench.ended.values().all(|outcome| *outcome == Outcome::Unknown(Silence::NoAnswer)));
}

#[test]
fn a_program_that_never_awaits_is_refused_at_last() {
    let mut bench = Bench::with_server("nowhere.invalid:4000");
    let machine = &mut bench.machine;
    for id in 0..=limits::CALLS_MAX as u64 {
        let call = Call { id: CallId(id), request: ping(), patience: ANSWER_DEADLINE, pack: true };
        machine.handle_event(bench.now, Event::Call(call));
    }
    bench.collect();
    assert_eq!(bench.ended.len(), 1);
    let Outcome::Rejected(refused) = bench.outcome(CallId(limits::CALLS_MAX as u64)) else { panic!() };
    assert_eq!(refused.code, ErrorCode::Overloaded);
}

/// R10: a second copy of a task without a key would be a second task. What was refused is not stored, so that is asked
/// again.
#[test]
fn a_task_without_a_key_is_sent_once_unless_it_is_refused() {
    let mut bench = Bench::new();
    let keyless = || Request::Submit { task: Box::new(reverse()), wait: false };
    let silent = bench.call(keyless());
    bench.request();
    bench.pass(ANSWER_DEADLINE);
    assert!(bench.silent());
    assert_eq!(bench.outcome(silent), &Outcome::Unknown(Silence::NoAnswer));

    let refused = bench.call(keyless());
    let first = bench.request();
    bench.answer(&first.id, &json!({"error": "not now", "code": "OVERLOADED", "retry_after_ms": 200}));
    let second = bench.next_request();
    bench.answer(&second.id, &json!({"message": "Task received, ID = 1", "task_id": 1, "status": "pending"}));
    assert!(matches!(bench.outcome(refused), Outcome::Ok(Answer::Stored(_))));
}
