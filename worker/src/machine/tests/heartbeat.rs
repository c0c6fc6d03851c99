//! TASK_HEARTBEAT.

use serde_json::{Value, json};

use taskgrid_protocol::limits::PACK_REMOTE_MAX;

use super::rig::{DISPATCHER, Rig, config, done, millis, seconds, stored, task};
use crate::machine::Config;

fn leases(beat: &Value) -> Vec<&str> {
    beat["data"]["leases"].as_array().unwrap().iter().map(|beat| beat["lease"].as_str().unwrap()).collect()
}

#[test]
fn one_heartbeat_names_all_attempts_that_run_or_are_unstored() {
    let mut rig = Rig::new();
    rig.start(1, "lease-1");
    rig.finish(2, "lease-2");
    rig.pass(seconds(10));
    let beats = rig.take("TASK_HEARTBEAT");
    assert_eq!(beats.len(), 1);
    assert_eq!(leases(&beats[0].message), ["lease-1", "lease-2"]);
    assert_eq!((&beats[0].message["free_slots"], beats[0].to.as_str()), (&json!(1), DISPATCHER));
    rig.answer(&beats[0], &json!({}));
    rig.pass(seconds(9));
    assert!(rig.take("TASK_HEARTBEAT").is_empty());
    rig.pass(seconds(1));
    assert_eq!(rig.take("TASK_HEARTBEAT").len(), 1);
}

#[test]
fn it_is_sent_again_every_second_until_it_is_answered() {
    let mut rig = Rig::new();
    rig.start(1, "lease-1");
    rig.pass(seconds(10));
    let first = rig.take("TASK_HEARTBEAT");
    rig.pass(seconds(3));
    let copies = rig.take("TASK_HEARTBEAT");
    assert_eq!(copies.len(), 3);
    rig.answer(&first[0], &json!({}));
    rig.pass(seconds(6));
    assert!(rig.take("TASK_HEARTBEAT").is_empty());
}

#[test]
fn a_silent_dispatcher_is_sent_one_heartbeat_a_second_however_long_it_is_silent() {
    let mut rig = Rig::new();
    rig.tell(DISPATCHER, &json!({"type": "TASK", "lease": "lease-1", "timeout_s": 9_000, "data": task(1, "")["data"]}));
    rig.pass(seconds(600));
    rig.take("");
    rig.pass(seconds(100));
    assert_eq!(rig.take("TASK_HEARTBEAT").len(), 100);
}

#[test]
fn nothing_is_sent_when_nothing_runs() {
    let mut rig = Rig::new();
    let result = rig.finish(1, "lease-1");
    rig.answer(&result, &stored());
    rig.pass(seconds(100));
    assert!(rig.take("TASK_HEARTBEAT").is_empty());
}

#[test]
fn many_attempts_are_told_in_pieces_that_fit_into_a_datagram() {
    let mut rig = Rig::with(Config { concurrency: 40, ..config() });
    for id in 0..40 {
        rig.start(i64::MAX - id, &format!("{id:032}"));
    }
    rig.pass(seconds(10));
    let beats = rig.take("TASK_HEARTBEAT");
    assert_eq!(beats.iter().map(|beat| leases(&beat.message).len()).collect::<Vec<_>>(), [14, 14, 12]);
    assert!(beats.iter().all(|beat| beat.length <= PACK_REMOTE_MAX));
}

#[test]
fn sixteen_attempts_of_our_dispatcher_fit_into_one_heartbeat() {
    let mut rig = Rig::with(Config { concurrency: 17, ..config() });
    for id in 0..17 {
        rig.start(1_000_000 + id, &format!("{id:024}"));
    }
    rig.pass(seconds(10));
    let beats = rig.take("TASK_HEARTBEAT");
    assert_eq!(beats.iter().map(|beat| leases(&beat.message).len()).collect::<Vec<_>>(), [16, 1]);
}

#[test]
fn the_answer_stops_what_is_cancelled_and_leaves_alone_what_is_unknown() {
    let mut rig = Rig::new();
    let first = rig.start(1, "lease-1");
    rig.start(2, "lease-2");
    rig.pass(seconds(10));
    let beat = rig.take("TASK_HEARTBEAT").remove(0);
    rig.answer(&beat, &json!({"cancel": ["lease-1", "lease-9"], "unknown": ["lease-2"]}));
    assert_eq!(rig.stopped(), [first]);
    let reject = rig.only().message;
    assert_eq!((&reject["lease"], &reject["data"]["reason"]), (&json!("lease-1"), &json!("cancelled")));
    rig.end(first, done());
    rig.pass(millis(100));
    assert!(rig.take("RESULT_RETURN").is_empty());
}
