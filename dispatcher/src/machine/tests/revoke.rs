//! Attempts that are moved before their lease ends (R13).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::Grid;

const WORKER: &str = "127.0.0.1:6000";
const OTHER: &str = "127.0.0.1:6001";

fn about(kind: &str, task: &Value, mut data: Value) -> Value {
    data["task_id"] = task["data"]["id"].clone();
    json!({"type": kind, "lease": task["lease"], "data": data})
}

/// A grid in which WORKER does not answer the TASK that it was sent, while OTHER is free.
fn silent() -> (Grid, Value) {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    let task = grid.task(WORKER);
    grid.register_quietly(json!({"address": OTHER, "types": ["reverse"], "capacity": 1, "instance": OTHER}));
    (grid, task)
}

fn question(sent: &[Value]) -> Option<&Value> {
    sent.iter().find(|message| message["type"] == "TASK_CANCEL")
}

#[test]
fn a_silent_attempt_moves_when_its_worker_has_forgotten_it() {
    let (mut grid, task) = silent();
    grid.advance(Duration::from_millis(3_500));
    let sent = grid.take(WORKER);
    let asked = question(&sent).unwrap_or_else(|| panic!("not asked: {sent:?}"));
    assert_eq!((&asked["lease"], &asked["data"]["unless_started"]), (&task["lease"], &json!(true)));
    assert!(grid.tasks(OTHER).is_empty(), "it may have started");
    grid.send(WORKER, about("TASK_REJECT", &task, json!({"reason": "cancelled"})));
    let moved = grid.task(OTHER);
    assert_eq!((&moved["attempt"], &moved["data"]["id"]), (&json!(1), &task["data"]["id"]));
    grid.advance(Duration::from_secs(5));
    assert!(grid.take(WORKER).is_empty(), "nothing more is asked");
}

#[test]
fn an_attempt_that_has_started_stays() {
    for state in ["running", "done"] {
        let (mut grid, task) = silent();
        grid.advance(Duration::from_secs(5));
        assert!(question(&grid.take(WORKER)).is_some());
        grid.send(WORKER, about("TASK_ACK", &task, json!({"state": state})));
        grid.advance(Duration::from_secs(24));
        assert!(grid.take(WORKER).is_empty(), "it is neither asked nor handed over again");
        assert!(grid.tasks(OTHER).is_empty());
        assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
    }
}

#[test]
fn nobody_is_asked_while_nobody_else_is_free() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker(OTHER, &["other"], 1);
    grid.post("x");
    grid.advance(Duration::from_secs(10));
    assert!(grid.take(WORKER).iter().all(|sent| sent["type"] == "TASK"));
    grid.worker("127.0.0.1:6002", &["reverse"], 1);
    grid.advance(Duration::from_secs(2));
    assert!(question(&grid.take(WORKER)).is_some(), "now somebody is");
}

#[test]
fn who_answers_nothing_at_all_keeps_the_attempt_for_its_lease() {
    let (mut grid, task) = silent();
    grid.advance(Duration::from_secs(29));
    assert!(grid.tasks(OTHER).is_empty());
    let asked = grid.take(WORKER).iter().filter(|sent| sent["type"] == "TASK_CANCEL").count();
    assert!(asked > 10, "asked {asked} times");
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task(OTHER)["data"]["id"], task["data"]["id"]);
}
