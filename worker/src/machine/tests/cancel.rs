//! TASK_CANCEL, time limits.

use serde_json::json;

use super::rig::{DISPATCHER, Rig, cancel, done, failed, millis, seconds, stored, task};

#[test]
fn what_has_not_started_is_forgotten_for_good() {
    let mut rig = Rig::new();
    rig.take("");
    rig.tell(DISPATCHER, &cancel(42, "lease-a", true));
    let rejected = json!({"type": "TASK_REJECT", "lease": "lease-a", "free_slots": 2,
        "data": {"task_id": 42, "reason": "cancelled"}});
    assert_eq!(rig.only().message, rejected);
    rig.tell(DISPATCHER, &task(42, "lease-a"));
    assert_eq!(rig.only().message, rejected, "its TASK came later than its TASK_CANCEL");
    assert!(rig.started().is_empty());
}

#[test]
fn what_runs_goes_on_when_only_the_unstarted_is_cancelled() {
    let mut rig = Rig::new();
    rig.start(42, "lease-a");
    rig.tell(DISPATCHER, &cancel(42, "lease-a", true));
    assert_eq!(rig.only().message["data"], json!({"task_id": 42, "state": "running"}));
    assert!(rig.stopped().is_empty());
}

#[test]
fn what_runs_is_stopped_and_its_slot_is_taken_until_nothing_is_left_of_it() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.tell(DISPATCHER, &cancel(42, "lease-a", false));
    let reject = rig.only().message;
    assert_eq!((&reject["data"]["reason"], &reject["free_slots"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(rig.stopped(), [run]);
    rig.tell(DISPATCHER, &cancel(42, "lease-a", false));
    assert_eq!(rig.only().message["data"]["reason"], "cancelled");
    assert!(rig.stopped().is_empty());
    rig.end(run, done());
    rig.nothing_sent();
    rig.tell(DISPATCHER, &cancel(42, "lease-a", false));
    assert_eq!(rig.only().message["free_slots"], 2);
}

#[test]
fn what_has_ended_says_so() {
    let mut rig = Rig::new();
    let result = rig.finish(42, "lease-a");
    let done = json!({"task_id": 42, "state": "done"});
    rig.tell(DISPATCHER, &cancel(42, "lease-a", false));
    assert_eq!(rig.only().message["data"], done);
    rig.answer(&result, &stored());
    rig.tell(DISPATCHER, &cancel(42, "lease-a", true));
    assert_eq!(rig.only().message["data"], done);
}

#[test]
fn a_cancel_without_a_lease_is_a_mistake_that_is_named() {
    let mut rig = Rig::new();
    rig.take("");
    rig.tell(DISPATCHER, &json!({"type": "TASK_CANCEL", "id": 1, "data": {"task_id": 42}}));
    let reply = rig.only().message;
    assert_eq!((&reply["id"], &reply["data"]["code"]), (&json!(1), &json!("BAD_REQUEST")));
}

#[test]
fn a_handler_is_stopped_at_its_time_limit_and_has_failed_when_it_is_gone() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.pass(millis(59_999));
    assert!(rig.stopped().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.stopped(), [run]);
    assert!(rig.take("RESULT_RETURN").is_empty(), "its process may still be at work");
    rig.end(run, failed());
    let error = &rig.only().message["data"]["error"];
    assert_eq!((&error["code"], &error["retry"]), (&json!("TIMEOUT"), &json!(true)));
}

#[test]
fn a_result_that_beats_the_stop_counts() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.pass(seconds(60));
    rig.take("");
    rig.end(run, done());
    assert_eq!(rig.only().message["data"]["result"], "IAnepO");
}

/// R18: whether an attempt of the process before it has started, it cannot say; but here it never does.
#[test]
fn what_was_meant_for_the_process_before_is_not_started() {
    let mut rig = Rig::new();
    rig.take("");
    let rejected = json!({"type": "TASK_REJECT", "lease": "lease-a", "instance": "instance-1", "free_slots": 2,
        "data": {"task_id": 42, "reason": "replaced"}});
    for mut message in [task(42, "lease-a"), cancel(42, "lease-a", true)] {
        message["instance"] = json!("instance-0");
        rig.tell(DISPATCHER, &message);
        assert_eq!(rig.only().message, rejected);
    }
    let mut mine = task(42, "lease-b");
    mine["instance"] = json!("instance-1");
    rig.tell(DISPATCHER, &mine);
    assert_eq!(rig.started().len(), 1);
}

/// R26: a dispatcher that has started anew asks for what is held, and starts nothing by it.
#[test]
fn what_is_held_is_answered_for_whoever_it_was_meant_for() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    let mut again = task(42, "lease-a");
    again["instance"] = json!("-");
    rig.tell(DISPATCHER, &again);
    assert_eq!(rig.only().message["data"]["state"], "running");
    rig.end(run, done());
    rig.take("");
    rig.tell(DISPATCHER, &again);
    rig.pass(millis(1));
    assert_eq!(rig.take("RESULT_RETURN").len(), 1);
    again["lease"] = json!("lease-b");
    again["data"]["id"] = json!(43);
    rig.tell(DISPATCHER, &again);
    assert_eq!(rig.only().message["data"]["reason"], "replaced");
}
