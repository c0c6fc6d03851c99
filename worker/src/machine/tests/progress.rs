//! What handlers tell of their progress, on its way to the dispatcher (R16).

use serde_json::{Value, json};
use taskgrid_protocol::limits::PACK_REMOTE_MAX;

use super::rig::{DISPATCHER, Rig, cancel, config, done, millis, plain_task, seconds, stored};
use crate::machine::Config;
use crate::machine::limits::NOTED_MAX;

/// What each heartbeat since the last look says of the progress of its first lease.
fn told(rig: &mut Rig) -> Vec<Value> {
    let beats = rig.take("TASK_HEARTBEAT").into_iter();
    beats.map(|beat| beat.message["data"]["leases"][0]["progress"].clone()).collect()
}

/// The same, where the dispatcher answers: nothing is sent again.
fn told_and_answered(rig: &mut Rig) -> Vec<Value> {
    let beats = rig.take("TASK_HEARTBEAT");
    for beat in &beats {
        rig.answer(beat, &json!({}));
    }
    beats.into_iter().map(|beat| beat.message["data"]["leases"][0]["progress"].clone()).collect()
}

#[test]
fn the_first_progress_is_told_at_once() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.progress(run, 0.4, "resizing");
    rig.pass(millis(1));
    assert_eq!(told(&mut rig), [json!({"fraction": 0.4, "note": "resizing"})]);
}

#[test]
fn it_is_told_at_most_once_a_second_and_then_the_last_word() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    let mut all = Vec::new();
    for step in 0..100 {
        rig.progress(run, f64::from(step) / 100.0, "");
        rig.pass(millis(100));
        all.extend(told_and_answered(&mut rig));
    }
    let fractions: Vec<f64> = all.iter().map(|progress| progress["fraction"].as_f64().unwrap()).collect();
    assert_eq!(fractions, [0.0, 0.09, 0.19, 0.29, 0.39, 0.49, 0.59, 0.69, 0.79, 0.89, 0.99]);
}

#[test]
fn a_progress_that_is_no_news_brings_no_heartbeat_forward() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.progress(run, 0.5, "half");
    rig.pass(millis(1));
    assert_eq!(told_and_answered(&mut rig).len(), 1);
    for _ in 0..90 {
        rig.progress(run, 0.5, "half");
        rig.pass(millis(100));
    }
    assert!(told(&mut rig).is_empty());
}

#[test]
fn every_later_heartbeat_repeats_it_for_a_dispatcher_that_was_started_anew() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.progress(run, 0.5, "half");
    rig.pass(millis(1));
    assert_eq!(told_and_answered(&mut rig).len(), 1);
    rig.pass(seconds(10));
    assert_eq!(told_and_answered(&mut rig), [json!({"fraction": 0.5, "note": "half"})]);
}

#[test]
fn a_heartbeat_is_never_later_for_it_than_it_was_due() {
    let mut rig = Rig::with(Config { heartbeat_every: millis(300), ..config() });
    let run = rig.start(1, "lease-1");
    for step in 1..=10 {
        rig.progress(run, f64::from(step) / 10.0, "");
        rig.pass(millis(300));
        assert_eq!(told_and_answered(&mut rig).len(), if step == 1 { 2 } else { 1 }, "step {step}");
    }
}

/// Only the silence is as fast as a progress may be; the two do not add up.
#[test]
fn a_silent_dispatcher_hears_of_it_no_more_often_than_of_a_plain_heartbeat() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.pass(seconds(1));
    for step in 0..400 {
        rig.progress(run, f64::from(step) / 400.0, "");
        rig.pass(millis(50));
    }
    // The first at once, then one a second.
    assert_eq!(told(&mut rig).len(), 1 + 20);
}

#[test]
fn an_answer_that_takes_longer_than_the_next_progress_still_stops_what_is_cancelled() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.progress(run, 0.1, "");
    rig.pass(millis(1));
    let first = rig.take("TASK_HEARTBEAT").remove(0);
    rig.progress(run, 0.2, "");
    rig.pass(seconds(3));
    rig.effects();
    rig.answer(&first, &json!({"cancel": ["lease-1"]}));
    assert_eq!(rig.stopped(), [run]);
}

#[test]
fn what_a_run_says_that_has_ended_or_was_stopped_is_ignored() {
    let mut rig = Rig::new();
    let ended = rig.start(1, "lease-1");
    let stopped = rig.start(2, "lease-2");
    rig.end(ended, done());
    rig.tell(DISPATCHER, &cancel(2, "lease-2", false));
    let result = rig.take("RESULT_RETURN").remove(0);
    rig.progress(ended, 0.9, "late");
    rig.progress(stopped, 0.9, "late");
    rig.pass(seconds(1));
    assert!(told(&mut rig).is_empty());
    rig.answer(&result, &stored());
    rig.end(stopped, done());
    rig.progress(stopped, 1.0, "later");
    rig.pass(seconds(20));
    assert!(told(&mut rig).is_empty());
}

#[test]
fn a_result_that_is_not_stored_yet_has_no_progress_beside_it() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.progress(run, 0.9, "nearly");
    rig.pass(millis(1));
    assert_eq!(told_and_answered(&mut rig).len(), 1);
    rig.end(run, done());
    rig.pass(seconds(10));
    assert_eq!(told_and_answered(&mut rig), [Value::Null]);
}

#[test]
fn a_dispatcher_without_leases_is_told_nothing() {
    let mut rig = Rig::new();
    rig.tell(DISPATCHER, &plain_task(1));
    let run = rig.started()[0].0;
    rig.progress(run, 0.5, "half");
    rig.pass(seconds(20));
    assert!(told(&mut rig).is_empty());
}

#[test]
fn heartbeats_with_long_notes_fit_into_a_datagram_too() {
    for note in ["x".repeat(200), "\u{1b}".repeat(200), "é".repeat(100)] {
        let mut rig = Rig::with(Config { concurrency: 40, ..config() });
        let runs: Vec<_> = (0..40).map(|id| rig.start(i64::MAX - id, &format!("{id:032}"))).collect();
        for run in runs {
            rig.progress(run, 0.123_456, &note);
        }
        rig.pass(seconds(1));
        rig.take("");
        rig.pass(seconds(10));
        let beats = rig.take("TASK_HEARTBEAT");
        assert!(beats.iter().all(|beat| beat.length <= PACK_REMOTE_MAX), "{}", note.escape_debug());
        let leases = |beat: &Value| beat["data"]["leases"].as_array().unwrap().clone();
        let told: Vec<Value> = beats.iter().flat_map(|beat| leases(&beat.message)).collect();
        let named: std::collections::BTreeSet<&str> = told.iter().map(|one| one["lease"].as_str().unwrap()).collect();
        assert_eq!(named.len(), 40);
        let noted = told.iter().filter(|one| one["progress"]["note"].is_string()).count();
        // As JSON a control character has six bytes: a note of nothing else fits nowhere.
        assert_eq!(noted > 0, !note.contains('\u{1b}'));
        assert!(told.iter().all(|one| one["progress"]["fraction"] == 0.123_456));
    }
}

#[test]
fn a_worker_with_many_attempts_tells_their_fractions_without_notes() {
    let many = u32::try_from(NOTED_MAX).unwrap() + 1;
    let mut rig = Rig::with(Config { concurrency: many, ..config() });
    for id in 0..i64::from(many) {
        let run = rig.start(id, &format!("{id:024}"));
        rig.progress(run, 0.5, "half");
    }
    rig.pass(millis(1));
    let beats = rig.take("TASK_HEARTBEAT");
    assert!(beats.len() < 10, "{} datagrams", beats.len());
    let leases = beats.iter().flat_map(|beat| beat.message["data"]["leases"].as_array().unwrap());
    assert!(leases.into_iter().all(|lease| lease["progress"] == json!({"fraction": 0.5})));
}
