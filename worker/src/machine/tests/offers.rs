//! Taking tasks, and turning them down.

use serde_json::json;

use super::rig::{DISPATCHER, Rig, config, done, failed, millis, plain_task, seconds, stored, task, types};
use crate::machine::Event;

#[test]
fn a_task_is_run_with_all_that_its_handler_should_know() {
    let mut rig = Rig::new();
    rig.tell(DISPATCHER, &task(42, "lease-a"));
    let started = rig.started();
    let [(_, run)] = &started[..] else { panic!("{started:?}") };
    assert_eq!((run.id.0, run.task_type.as_str(), run.payload.get(), run.attempt), (42, "reverse", "\"OpenAI\"", 3));
    assert_eq!(run.lease.as_ref().unwrap().as_str(), "lease-a");
}

#[test]
fn a_short_handler_is_answered_by_its_result_alone() {
    let mut rig = Rig::new();
    let sent = rig.finish(42, "lease-a");
    assert_eq!((sent.to.as_str(), &sent.message["type"]), (DISPATCHER, &json!("RESULT_RETURN")));
    assert_eq!(sent.message["lease"], "lease-a");
    assert_eq!(sent.message["free_slots"], 2);
    assert!(sent.message["id"].is_u64());
    assert_eq!(sent.message["data"], json!({"task_id": 42, "result": "IAnepO"}));
    rig.answer(&sent, &stored());
    rig.pass(millis(100));
    assert!(rig.take("TASK_ACK").is_empty());
}

#[test]
fn a_handler_that_runs_longer_than_50_ms_is_acknowledged_once() {
    let mut rig = Rig::new();
    rig.start(42, "lease-a");
    rig.pass(millis(49));
    rig.nothing_sent();
    rig.pass(millis(1));
    let ack = rig.only();
    assert_eq!(
        ack.message,
        json!({"type": "TASK_ACK", "lease": "lease-a", "free_slots": 1, "data": {"task_id": 42, "state": "running"}})
    );
    rig.pass(seconds(4));
    assert!(rig.take("TASK_ACK").is_empty());
}

#[test]
fn a_lease_is_never_started_twice_whatever_became_of_it() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.tell(DISPATCHER, &task(42, "lease-a"));
    assert_eq!(rig.only().message["data"]["state"], "running");
    rig.end(run, done());
    let first = rig.only();
    rig.tell(DISPATCHER, &task(42, "lease-a"));
    rig.pass(millis(0));
    assert_eq!(rig.only().message, first.message, "an unstored result is sent again at once");
    rig.answer(&first, &stored());
    rig.pass(seconds(500));
    rig.take("");
    rig.tell(DISPATCHER, &task(42, "lease-a"));
    let again = rig.only();
    assert_eq!(again.message["data"], first.message["data"], "a stored one too, for ten minutes");
    rig.pass(seconds(60));
    assert!(rig.take("RESULT_RETURN").is_empty(), "but once for each TASK");
    assert!(rig.started().is_empty());
}

#[test]
fn a_task_that_is_turned_down_once_is_not_started_by_a_late_copy() {
    let mut rig = Rig::new();
    let first = rig.start(1, "lease-1");
    rig.start(2, "lease-2");
    rig.tell(DISPATCHER, &task(3, "lease-3"));
    let busy = rig.only().message;
    assert_eq!(
        busy,
        json!({"type": "TASK_REJECT", "lease": "lease-3", "free_slots": 0,
            "data": {"task_id": 3, "reason": "busy", "retry_after_ms": 200}})
    );
    rig.end(first, done());
    rig.take("");
    rig.tell(DISPATCHER, &task(3, "lease-3"));
    assert_eq!(rig.only().message["data"], busy["data"]);
    assert!(rig.started().is_empty());
    rig.start(3, "lease-4");
}

#[test]
fn a_type_that_is_not_served_is_turned_down() {
    let mut rig = Rig::with(crate::machine::Config { types: types(&["upper"]), ..config() });
    rig.take("");
    rig.tell(DISPATCHER, &task(1, "lease-a"));
    assert_eq!(rig.only().message["data"]["reason"], "unknown_type");
    rig.happen(Event::Types(types(&["reverse"])));
    rig.start(1, "lease-b");
}

#[test]
fn a_payload_above_the_limit_is_turned_down() {
    let mut rig = Rig::new();
    rig.take("");
    let mut large = task(1, "lease-a");
    large["data"]["payload"] = json!("x".repeat(48 * 1024));
    rig.tell(DISPATCHER, &large);
    assert_eq!(rig.only().message["data"]["reason"], "too_large");
}

#[test]
fn another_lease_for_a_task_that_is_here_is_told_which_one_it_runs_under() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.tell(DISPATCHER, &task(42, "lease-b"));
    let reject = rig.only().message;
    assert_eq!(reject["lease"], "lease-b");
    assert_eq!(reject["data"], json!({"task_id": 42, "reason": "already_running", "holds": "lease-a"}));
    rig.end(run, done());
    rig.take("");
    rig.tell(DISPATCHER, &task(42, "lease-c"));
    rig.pass(millis(0));
    assert!(rig.started().is_empty(), "an unstored result is here too");
    assert_eq!(rig.take("RESULT_RETURN")[0].message["lease"], "lease-a", "and leaves at once");
}

/// "Result stored" for a failure was lost, and the next attempt came to the same worker, which said that it was
/// running the old one. The dispatcher took its word and waited for a whole lease.
#[test]
fn another_attempt_starts_where_the_last_one_has_failed() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.end(run, failed());
    rig.take("");
    rig.start(42, "lease-b");
    rig.pass(seconds(60));
    let beats = rig.take("");
    assert!(beats.iter().all(|sent| sent.message["lease"] != "lease-a"), "nobody wants the old failure: {beats:?}");
}

/// The dispatcher knows of the failure, or has given the attempt up. To call the new one already running would have
/// it wait for nothing.
#[test]
fn a_task_that_failed_is_run_again_though_nobody_has_answered_for_the_failure() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.end(run, failed());
    rig.take("");
    rig.start(42, "lease-b");
    rig.pass(seconds(30));
    assert!(rig.take("RESULT_RETURN").is_empty(), "the old failure is of no use to anybody");
}

#[test]
fn tasks_of_two_grids_may_share_a_number() {
    let mut rig = Rig::new();
    rig.start(42, "lease-a");
    let mut other = task(42, "lease-b");
    other["data"]["timestamp_created"] = json!(1_700_000_001);
    rig.tell("127.0.0.2:4000", &other);
    assert_eq!(rig.started().len(), 1);
}

#[test]
fn a_dispatcher_that_comes_back_elsewhere_gets_what_it_asks_for_there() {
    let mut rig = Rig::new();
    let elsewhere = "127.0.0.1:4444";
    let run = rig.start(1, "lease-1");
    rig.tell(elsewhere, &task(1, "lease-1"));
    assert_eq!(rig.only().to, elsewhere);
    rig.end(run, done());
    assert_eq!(rig.only().to, elsewhere);
    rig.finish(2, "lease-2");
    rig.tell(elsewhere, &task(2, "lease-2"));
    rig.pass(millis(0));
    assert_eq!(rig.only().to, elsewhere, "a finished one is sent there at once");
    rig.pass(seconds(10));
    assert!(rig.take("TASK_HEARTBEAT").iter().all(|beat| beat.to == elsewhere));
}

/// It had moved, and given the attempt up meanwhile: the result went to where it was no more.
#[test]
fn a_dispatcher_that_gives_a_new_lease_elsewhere_gets_there_what_the_old_one_has_come_to() {
    for ends_before in [true, false] {
        let mut rig = Rig::new();
        let elsewhere = "127.0.0.1:4444";
        let run = rig.start(1, "lease-1");
        if ends_before {
            rig.end(run, done());
        }
        rig.tell(elsewhere, &task(1, "lease-2"));
        if !ends_before {
            rig.end(run, done());
        }
        rig.pass(millis(0));
        let results = rig.take("RESULT_RETURN");
        let last = results.last().unwrap();
        assert_eq!((last.to.as_str(), &last.message["lease"]), (elsewhere, &json!("lease-1")));
    }
}

#[test]
fn answers_travel_in_arrays_only_to_those_who_sent_one() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.end(run, done());
    assert!(!rig.only().packed);
    rig.tell(DISPATCHER, &json!([task(2, "lease-2")]));
    rig.pass(millis(50));
    assert!(rig.take("TASK_ACK")[0].packed);
    let (run, _) = rig.started()[0].clone();
    rig.end(run, done());
    assert!(rig.only().packed);
}

#[test]
fn a_task_without_a_lease_is_run_and_answered_in_the_plain_way() {
    let mut rig = Rig::new();
    rig.take("");
    rig.tell(DISPATCHER, &plain_task(42));
    rig.tell(DISPATCHER, &plain_task(42));
    rig.pass(millis(100));
    rig.nothing_sent();
    let started = rig.started();
    assert_eq!(started.len(), 1, "a copy that comes while the first runs starts nothing");
    rig.end(started[0].0, done());
    let result = rig.only();
    assert_eq!(result.message["data"], json!({"task_id": 42, "result": "IAnepO"}));
    assert!(result.message.get("lease").is_none());
    rig.nameservice_up = true;
    rig.pass(seconds(31));
    let copies = rig.take("RESULT_RETURN").len();
    assert!((5..20).contains(&copies), "sent again for half a minute: {copies}");
    rig.pass(seconds(3_600));
    assert!(rig.take("RESULT_RETURN").is_empty());
    rig.tell(DISPATCHER, &plain_task(42));
    assert_eq!(rig.started().len(), 1, "without a lease nothing is remembered");
}
