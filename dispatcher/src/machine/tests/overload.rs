//! Queues and their limits (R34).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};
use crate::machine::{Config, Event};

const WORKER: &str = "127.0.0.1:6000";

fn post(number: usize) -> Value {
    json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": number}})
}

#[test]
fn no_more_tasks_are_taken_than_may_be_pending() {
    let mut grid = Grid::with(Config { max_pending: Some(2), ..Config::default() });
    grid.disk_is_slow = true;
    for number in 0..3 {
        grid.send(CLIENT, post(number));
    }
    assert_eq!(grid.take(CLIENT)[0]["code"], "QUEUE_FULL", "what is on its way to the table counts");
    grid.disk_catches_up();
    grid.take(CLIENT);
    let refused = grid.ask(CLIENT, post(3));
    assert_eq!((&refused["code"], refused["retry_after_ms"].as_u64()), (&json!("QUEUE_FULL"), Some(1_000)));
    grid.worker(WORKER, &["reverse"], 1);
    let task = grid.task(WORKER);
    grid.post("one is running now");
    assert_eq!(grid.ask(CLIENT, post(4))["code"], "QUEUE_FULL");
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
}

#[test]
fn tasks_that_run_at_once_do_not_count_as_pending() {
    let mut grid = Grid::with(Config { max_pending: Some(1), ..Config::default() });
    grid.worker(WORKER, &["reverse"], 8);
    grid.post("a claim looks whether older ones wait");
    grid.advance(Duration::from_secs(1));
    grid.disk_is_slow = true;
    for number in 0..9 {
        grid.send(CLIENT, post(number));
    }
    let refused = grid.take(CLIENT).len();
    grid.disk_catches_up();
    assert_eq!((refused, grid.tasks(WORKER).len()), (1, 8), "seven slots are left, and one may be pending");
}

/// R31: what was given up is not worth asking for again and again.
#[test]
fn a_question_that_takes_too_long_is_refused_for_good() {
    let mut grid = Grid::new();
    grid.reads_are_slow = true;
    let refused = grid.ask(CLIENT, json!({"type": "LIST_TASKS", "data": {"type": "reverse"}}));
    assert_eq!((&refused["code"], &refused["retry_after_ms"]), (&json!("BAD_REQUEST"), &Value::Null));
}

/// Results that wait for the disk: at a quarter of their room new tasks are refused, at half of it reads, and
/// results themselves only when it is full.
#[test]
fn new_tasks_are_shed_first_then_reads_and_results_last() {
    let mut grid = Grid::new();
    grid.disk_is_slow = true;
    grid.send(CLIENT, post(0));
    let result = "x".repeat(48 * 1024 - 2);
    let message =
        json!({"type": "RESULT_RETURN", "id": 1, "lease": "unknown", "data": {"task_id": 1, "result": result}});
    let bytes = message.to_string().into_bytes();
    let mut shed = Vec::new();
    for number in 1..1_500 {
        grid.send_bytes(WORKER, &bytes);
        let results = grid.take(WORKER).iter().any(|reply| reply["data"]["code"] == "OVERLOADED");
        grid.send("127.0.0.1:9001", post(1));
        let posts = grid.take("127.0.0.1:9001").iter().any(|reply| reply["code"] == "OVERLOADED");
        grid.send("127.0.0.1:9002", json!({"type": "GET_RESULT", "data": {"task_id": 1}}));
        let reads = grid.take("127.0.0.1:9002")[0]["code"] == "OVERLOADED";
        for (kind, is_shed) in [("post", posts), ("read", reads), ("result", results)] {
            if is_shed && !shed.iter().any(|(known, _)| *known == kind) {
                shed.push((kind, number));
            }
        }
    }
    let fit = 64 * 1024 / 48;
    assert_eq!(shed.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["post", "read", "result"]);
    assert!(shed[0].1 >= fit / 4 && shed[1].1 >= fit / 2 && shed[2].1 >= fit, "{shed:?}");
    grid.disk_catches_up();
    assert!(grid.take(WORKER).len() >= fit, "all that were taken are answered");
    assert!(grid.largest_batch <= 86, "one transaction takes four megabytes: {}", grid.largest_batch);
}

/// A lease that is lost while its result waits for the disk ends after the result.
#[test]
fn an_attempt_is_not_ended_before_its_result_that_waits() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    grid.disk_is_slow = true;
    grid.send(CLIENT, json!({"type": "CANCEL_TASK", "id": 1, "data": {"task_id": 99}}));
    let filler = json!({"task_id": 99, "result": "x".repeat(48 * 1024 - 2)});
    for _ in 0..200 {
        grid.send(
            "127.0.0.1:7777",
            json!({"type": "RESULT_RETURN", "id": 1, "lease": "unknown", "data": filler.clone()}),
        );
    }
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), Value::Null);
    grid.advance(Duration::from_secs(40));
    grid.disk_catches_up();
    grid.take(CLIENT);
    assert_eq!(grid.status_of(id), "done");
    let attempts = grid.ask(CLIENT, json!({"type": "GET_TASK", "data": {"task_id": id}}))["attempts"].clone();
    assert_eq!(attempts, json!([]), "the lease was not lost first");
}

/// Its task is stored, so nothing may be said to the contrary; and it still waits for the end.
#[test]
fn who_waits_is_not_shed_with_the_reads() {
    let mut grid = Grid::new();
    let post = json!({"type": "reverse", "payload": 1, "expires_s": 5, "wait_s": 60});
    let stored = grid.ask(CLIENT, json!({"type": "POST_TASK", "id": 7, "data": post}));
    assert_eq!(stored["data"]["task_id"], 1);
    grid.disk_is_slow = true;
    grid.advance(Duration::from_secs(6));
    let result = r#"{"type":"RESULT_RETURN","id":1,"lease":"l","data":{"task_id":9,"result":1}}"#;
    // Half of the room for results, and one batch that is handed out first.
    for _ in 0..37 {
        let many = format!("[{}]", vec![result; 1_000].join(","));
        grid.send_bytes(WORKER, many.as_bytes());
    }
    grid.disk_catches_up();
    assert!(grid.take(CLIENT).is_empty(), "there was no room to look");
    let again = json!({"type": "GET_RESULT", "id": 7, "data": {"task_id": 1, "wait_s": 60}});
    assert_eq!(grid.ask(CLIENT, again)["data"]["code"], "TASK_FAILED");
}

/// Nothing is committed during a checkpoint, so the longest one is worth a look where answers were late.
#[test]
fn statistics_tell_the_longest_checkpoint_and_none_before_the_first() {
    let mut grid = Grid::new();
    let stats = grid.ask(CLIENT, json!({"type": "GET_STATS", "data": {}}));
    assert_eq!(stats.get("checkpoint_max_ms"), None);
    for (micros, expected) in [(11_001, 12), (900, 12), (40_000, 40)] {
        grid.event(Event::Checkpointed(Duration::from_micros(micros)));
        let stats = grid.ask(CLIENT, json!({"type": "GET_STATS", "data": {}}));
        assert_eq!(stats["checkpoint_max_ms"], expected);
    }
}
