//! Stopping without losing anything.

use serde_json::json;

use super::rig::{DISPATCHER, NAMESERVICE, Rig, done, failed, millis, seconds, stored, task};
use crate::machine::{Effect, Event, Exit, Note, RunKey};

const DRAINED: Effect = Effect::Exit(Exit::Drained);

#[test]
fn an_idle_worker_deregisters_and_exits() {
    let mut rig = Rig::new();
    rig.effects();
    rig.take("");
    rig.happen(Event::Drain);
    let farewell = rig.only();
    assert_eq!((farewell.to.as_str(), &farewell.message["type"]), (NAMESERVICE, &json!("DEREGISTER_WORKER")));
    assert_eq!(farewell.message["data"], json!({"address": "worker-1:6000", "instance": "instance-1"}));
    assert_eq!(rig.effects(), [DRAINED]);
}

/// What a dispatcher sent to a worker that had just gone was lost, and charged, after a lease.
#[test]
fn an_idle_worker_stays_until_its_dispatcher_knows_and_gives_back_what_still_comes() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.end(run, done());
    let result = rig.only();
    rig.answer(&result, &stored());
    rig.effects();
    rig.happen(Event::Drain);
    let leave = rig.take("TASK_HEARTBEAT").remove(0);
    assert_eq!((leave.to.as_str(), &leave.message["instance"]), (DISPATCHER, &json!("instance-1")));
    assert_eq!(leave.message["data"], json!({"leases": [], "draining": true}));
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    assert_eq!(rig.take("TASK_REJECT")[0].message["data"]["reason"], "draining");
    assert!(rig.effects().is_empty());
    rig.answer(&leave, &json!({}));
    assert_eq!(rig.effects(), [DRAINED]);
}

#[test]
fn a_name_service_that_is_silent_holds_nobody_up_for_long() {
    let mut rig = Rig::new();
    rig.effects();
    rig.nameservice_up = false;
    rig.happen(Event::Drain);
    rig.pass(millis(1_900));
    assert!(rig.take("DEREGISTER_WORKER").len() > 1);
    assert!(rig.effects().is_empty());
    rig.pass(millis(100));
    assert_eq!(rig.effects(), [DRAINED]);
}

#[test]
fn nothing_new_is_taken_and_dispatchers_are_told_at_once() {
    let mut rig = Rig::new();
    rig.start(1, "lease-1");
    rig.happen(Event::Drain);
    let beats = rig.take("TASK_HEARTBEAT");
    assert_eq!((&beats[0].message["data"]["draining"], &beats[0].message["free_slots"]), (&json!(true), &json!(0)));
    rig.tell(DISPATCHER, &task(2, "lease-2"));
    assert_eq!(rig.only().message["data"]["reason"], "draining");
    rig.pass(seconds(10));
    assert!(rig.take("HEARTBEAT").is_empty(), "it stays off the lists");
}

#[test]
fn running_handlers_finish_and_their_results_are_sent_until_stored() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.happen(Event::Drain);
    rig.pass(seconds(20));
    rig.effects();
    rig.take("");
    rig.end(run, done());
    let result = rig.only();
    rig.pass(millis(200));
    assert_eq!(rig.take("RESULT_RETURN").len(), 1);
    assert!(rig.effects().is_empty());
    rig.answer(&result, &stored());
    assert_eq!(rig.effects(), [DRAINED]);
}

fn after_the_grace() -> (Rig, RunKey) {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.happen(Event::Drain);
    rig.pass(millis(24_999));
    assert!(rig.stopped().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.stopped(), [run]);
    rig.take("");
    (rig, run)
}

#[test]
fn what_outlasts_the_grace_is_stopped_and_given_back() {
    let (mut rig, run) = after_the_grace();
    rig.end(run, failed());
    let reject = rig.only().message;
    assert_eq!((&reject["lease"], &reject["data"]["reason"]), (&json!("lease-1"), &json!("draining")));
    rig.pass(seconds(1));
    assert_eq!(rig.take("TASK_REJECT").len(), 4, "it is never answered, so it leaves five times");
    assert_eq!(rig.effects(), [DRAINED]);
}

#[test]
fn what_ends_well_while_it_is_stopped_is_a_result() {
    let (mut rig, run) = after_the_grace();
    rig.end(run, done());
    let result = rig.only();
    assert_eq!(result.message["data"]["result"], "IAnepO");
    rig.answer(&result, &stored());
    assert_eq!(rig.effects(), [DRAINED]);
}

#[test]
fn a_dispatcher_that_is_gone_is_not_waited_for_without_end() {
    let mut rig = Rig::new();
    rig.finish(1, "lease-1");
    rig.effects();
    rig.happen(Event::Drain);
    rig.pass(millis(27_999));
    assert!(rig.effects().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.effects(), [Effect::Note(Note::Unstored(1)), DRAINED]);
}
