//! A disk that fills up (R8, R33).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};
use crate::machine::Event;

const WORKER: &str = "127.0.0.1:6000";
const MIB: u64 = 1024 * 1024;

fn post(payload: u32) -> Value {
    json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": payload}})
}

#[test]
fn with_little_space_only_new_tasks_are_refused_and_later_taken_again() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("a");
    let task = grid.task(WORKER);
    grid.event(Event::FreeSpace(64 * MIB - 1));
    let refused = grid.ask(CLIENT, post(1));
    assert_eq!(refused["code"], "DISK_LOW");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0));
    grid.advance(Duration::from_secs(20));
    assert_eq!(grid.ask(CLIENT, post(1))["code"], "DISK_LOW", "for as long as it lasts");
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
    assert_eq!(grid.result_of(1)["result"], 1, "reads go on");
    assert_eq!(grid.result_of(2)["code"], "NOT_FOUND", "a refusal is definite");
    grid.event(Event::FreeSpace(64 * MIB));
    assert_eq!(grid.ask(CLIENT, post(1))["task_id"], 2);
}

#[test]
fn on_a_full_disk_results_go_alone_and_are_answered_once_they_are_stored() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("a");
    let task = grid.task(WORKER);
    grid.post("b");
    grid.disk_is_slow = true;
    grid.send("127.0.0.1:9001", json!({"type": "CANCEL_TASK", "id": 1, "data": {"task_id": 99}}));
    grid.send("127.0.0.1:9002", post(7));
    grid.disk_is_full = true;
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), Value::Null);
    grid.disk_catches_up();
    grid.advance(Duration::from_secs(3));
    let answered = |sent: Vec<Value>| sent.into_iter().filter(|sent| sent["type"] == "RESPONSE").collect::<Vec<_>>();
    assert!(answered(grid.take(WORKER)).is_empty() && grid.take("127.0.0.1:9002").is_empty(), "nobody is answered");
    assert_eq!(grid.ask("127.0.0.1:9003", post(8))["code"], "DISK_LOW");
    let retried = std::mem::take(&mut grid.refused);
    assert!(retried.len() > 3, "it is tried again and again");
    assert!(retried[1..].iter().all(|batch| batch.inserts.is_empty() && batch.claims.is_empty()), "{retried:?}");
    assert!(retried[1..].iter().all(|batch| batch.finishes.len() == 1), "{retried:?}");
    grid.disk_is_full = false;
    grid.advance(Duration::from_secs(1));
    assert_eq!(answered(grid.take(WORKER))[0]["data"], json!({"message": "Result stored"}));
    assert_eq!(grid.status_of(1), "done");
    assert_eq!(grid.ask(CLIENT, post(9))["status"], "pending", "it goes on without a restart");
}

#[test]
fn a_full_disk_that_has_nothing_to_store_takes_tasks_again_when_there_is_space() {
    let mut grid = Grid::new();
    grid.disk_is_full = true;
    grid.send(CLIENT, post(1));
    grid.advance(Duration::from_secs(5));
    assert!(grid.take(CLIENT).is_empty(), "whether it is stored its re-send finds out");
    grid.disk_is_full = false;
    assert_eq!(grid.ask(CLIENT, post(1))["status"], "pending");
}

/// A dispatcher that was told to stop took "not yet" for "nothing", and left with results that it had been given. A
/// plain worker sends its result once, so its task ran again.
#[test]
fn a_dispatcher_that_stops_stores_what_it_was_given_when_there_is_room() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let id = grid.post("a");
    grid.task(WORKER);
    grid.disk_is_full = true;
    grid.send("127.0.0.1:4444", json!({"type": "RESULT_RETURN", "data": {"task_id": id, "result": 1}}));
    grid.event(Event::Drain);
    assert!(!grid.exited);
    grid.disk_is_full = false;
    grid.advance(Duration::from_secs(1));
    assert!(grid.exited);
    assert_eq!(grid.restart().status_of(id), "done");
}

/// On a disk that stays full it stops all the same: what it was given comes again.
#[test]
fn a_dispatcher_that_stops_does_not_wait_for_room_for_ever() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("a");
    let task = grid.task(WORKER);
    grid.disk_is_full = true;
    grid.return_result(WORKER, &task, json!({"result": 1}));
    grid.event(Event::Drain);
    grid.advance(Duration::from_secs(5));
    assert!(grid.exited);
}
