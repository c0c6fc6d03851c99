//! Tasks beyond the slots: here, and not started.

use serde_json::{Value, json};

use super::rig::{
    DISPATCHER, NAMESERVICE, Rig, cancel, config, done, failed, millis, plain_task, seconds, stored, task, types,
};
use crate::machine::{Config, Effect, Event, Exit, RunKey};

/// One slot, which task 1 has, and room for two more.
fn full() -> (Rig, RunKey) {
    let mut rig = Rig::with(Config { concurrency: 1, prefetch: 2, ..config() });
    let run = rig.start(1, "lease-1");
    (rig, run)
}

/// The same, with tasks 2 and 3 waiting.
fn waiting() -> (Rig, RunKey) {
    let (mut rig, run) = full();
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    rig.tell(DISPATCHER, &task(3, "lease-3"));
    (rig, run)
}

fn started(rig: &mut Rig) -> Vec<i64> {
    rig.started().into_iter().map(|(_, task)| task.id.0).collect()
}

#[test]
fn it_registers_for_as_many_as_it_takes() {
    let mut rig = Rig::with(Config { concurrency: 1, prefetch: 2, ..config() });
    let registration = rig.only();
    assert_eq!((registration.to.as_str(), &registration.message["data"]["capacity"]), (NAMESERVICE, &json!(3)));
}

#[test]
fn what_comes_when_all_slots_are_taken_is_started_in_its_order() {
    let (mut rig, run) = waiting();
    assert!(started(&mut rig).is_empty());
    rig.end(run, done());
    let result = rig.only().message;
    assert_eq!((&result["data"]["task_id"], &result["free_slots"]), (&json!(1), &json!(1)));
    let [(second, next)] = &rig.started()[..] else { panic!("one slot is free") };
    assert_eq!(next.id.0, 2);
    rig.end(*second, failed());
    assert_eq!(started(&mut rig), [3]);
}

#[test]
fn beyond_that_it_is_busy() {
    let (mut rig, run) = waiting();
    rig.tell(DISPATCHER, &task(4, "lease-4"));
    let reject = rig.only().message;
    assert_eq!((&reject["data"]["reason"], &reject["free_slots"]), (&json!("busy"), &json!(0)));
    rig.end(run, done());
    rig.take("");
    rig.tell(DISPATCHER, &task(5, "lease-5"));
    rig.nothing_sent();
}

#[test]
fn what_waits_is_acknowledged_as_waiting_and_once_it_runs_as_running() {
    let (mut rig, run) = full();
    rig.pass(seconds(1));
    rig.take("");
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    rig.pass(millis(49));
    rig.nothing_sent();
    rig.pass(millis(1));
    let waits = json!({"task_id": 2, "state": "running", "waiting": true});
    let ack = rig.only().message;
    assert_eq!((&ack["type"], &ack["free_slots"], &ack["data"]), (&json!("TASK_ACK"), &json!(1), &waits));
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    assert_eq!(rig.only().message["data"], waits, "a copy of its TASK is told the same");
    rig.end(run, done());
    rig.take("");
    rig.pass(millis(50));
    assert_eq!(rig.only().message["data"], json!({"task_id": 2, "state": "running"}));
}

#[test]
fn what_waits_for_less_than_50_ms_is_acknowledged_as_any_other() {
    let (mut rig, run) = full();
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    rig.pass(millis(20));
    rig.end(run, done());
    rig.take("");
    rig.pass(millis(30));
    assert_eq!(rig.only().message["data"], json!({"task_id": 2, "state": "running"}));
    rig.pass(seconds(1));
    assert!(rig.take("TASK_ACK").is_empty());
}

#[test]
fn heartbeats_name_what_waits_and_say_so() {
    let (mut rig, run) = full();
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    rig.pass(seconds(10));
    let beat = rig.take("TASK_HEARTBEAT").remove(0);
    let leases = json!([{"task_id": 1, "lease": "lease-1"}, {"task_id": 2, "lease": "lease-2", "waiting": true}]);
    assert_eq!(beat.message["data"]["leases"], leases);
    rig.answer(&beat, &json!({"cancel": ["lease-2"]}));
    assert_eq!(rig.take("TASK_REJECT")[0].message["data"]["reason"], "cancelled");
    rig.end(run, done());
    assert!(started(&mut rig).is_empty());
}

#[test]
fn its_time_limit_counts_from_its_start() {
    let (mut rig, run) = full();
    rig.pass(seconds(30));
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    rig.pass(seconds(29));
    rig.effects();
    rig.end(run, done());
    let (second, _) = rig.started()[0].clone();
    rig.pass(millis(59_999));
    assert!(rig.stopped().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.stopped(), [second]);
}

#[test]
fn what_is_cancelled_while_it_waits_never_starts() {
    for unless_started in [false, true] {
        let (mut rig, run) = waiting();
        rig.tell(DISPATCHER, &cancel(2, "lease-2", unless_started));
        let reject = rig.only().message;
        assert_eq!((&reject["data"]["reason"], &reject["free_slots"]), (&json!("cancelled"), &json!(1)));
        rig.tell(DISPATCHER, &task(2, "lease-2"));
        assert_eq!(rig.only().message["data"]["reason"], "cancelled");
        assert!(rig.stopped().is_empty());
        rig.end(run, done());
        assert_eq!(started(&mut rig), [3]);
        rig.take("");
        rig.pass(millis(49));
        rig.nothing_sent();
    }
}

#[test]
fn a_cancelled_handler_keeps_its_slot_from_what_waits_until_nothing_is_left_of_it() {
    let (mut rig, run) = waiting();
    rig.tell(DISPATCHER, &cancel(1, "lease-1", false));
    assert!(started(&mut rig).is_empty());
    rig.end(run, failed());
    assert_eq!(started(&mut rig), [2]);
}

#[test]
fn another_lease_for_what_waits_is_told_which_one_it_waits_under() {
    let (mut rig, _) = waiting();
    rig.tell(DISPATCHER, &task(2, "lease-b"));
    let data = json!({"task_id": 2, "reason": "already_running", "holds": "lease-2"});
    assert_eq!(rig.only().message["data"], data);
}

#[test]
fn a_worker_that_stops_gives_back_what_waits_and_finishes_what_runs() {
    let (mut rig, run) = waiting();
    rig.happen(Event::Drain);
    let sent = rig.take("TASK_REJECT");
    let given_back: Vec<&Value> = sent.iter().map(|sent| &sent.message["data"]["task_id"]).collect();
    assert_eq!(given_back, [2, 3]);
    assert!(sent.iter().all(|sent| sent.message["data"]["reason"] == "draining" && sent.message["free_slots"] == 0));
    rig.pass(seconds(3));
    assert_eq!(rig.take("TASK_REJECT").len(), 8, "it is never answered, so each leaves five times");
    rig.end(run, done());
    assert!(started(&mut rig).is_empty());
    let result = rig.only();
    rig.answer(&result, &stored());
    assert_eq!(rig.effects(), [Effect::Exit(Exit::Drained)]);
}

#[test]
fn what_waits_for_a_handler_that_is_taken_away_is_given_back() {
    let (mut rig, run) = waiting();
    rig.happen(Event::Types(types(&["wait"])));
    let sent = rig.take("TASK_REJECT");
    assert_eq!(sent.iter().filter(|sent| sent.message["data"]["reason"] == "busy").count(), 2);
    rig.end(run, done());
    assert!(started(&mut rig).is_empty());
}

#[test]
fn a_task_without_a_lease_waits_like_any_other() {
    let (mut rig, run) = full();
    rig.tell(DISPATCHER, &plain_task(2));
    rig.pass(seconds(1));
    assert!(rig.take("TASK_ACK").iter().all(|sent| sent.message["data"]["task_id"] == 1));
    rig.end(run, done());
    assert_eq!(started(&mut rig), [2]);
}
