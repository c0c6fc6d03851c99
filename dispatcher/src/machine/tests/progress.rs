//! What handlers tell of their progress, on its way to whoever looks (R16).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};

const WORKER: &str = "127.0.0.1:6000";
const OTHER: &str = "127.0.0.1:6001";
const STRANGER: &str = "203.0.113.9:9000";

/// A heartbeat of a worker for one attempt.
fn tell(grid: &mut Grid, worker: &str, task: &Value, progress: Option<Value>) -> Value {
    let mut lease = json!({"task_id": task["data"]["id"], "lease": task["lease"]});
    if let Some(progress) = progress {
        lease["progress"] = progress;
    }
    grid.take(worker);
    grid.ask(worker, json!({"type": "TASK_HEARTBEAT", "id": 5, "data": {"leases": [lease]}}))["data"].clone()
}

fn show(grid: &mut Grid, task: i64) -> Value {
    grid.ask(CLIENT, json!({"type": "GET_TASK", "id": 7, "data": {"task_id": task}}))["data"].clone()
}

/// A worker, and a task that it runs.
fn running() -> (Grid, i64, Value) {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    (grid, id, task)
}

fn half() -> Value {
    json!({"fraction": 0.5, "note": "half"})
}

#[test]
fn a_running_task_shows_what_its_handler_told_last() {
    let (mut grid, id, task) = running();
    assert_eq!(show(&mut grid, id)["progress"], Value::Null);
    assert_eq!(tell(&mut grid, WORKER, &task, Some(json!({"fraction": 0.25}))), json!({}));
    tell(&mut grid, WORKER, &task, Some(half()));
    assert_eq!(show(&mut grid, id)["progress"], half());
    // A worker that has no room for it in one heartbeat has not taken it back.
    tell(&mut grid, WORKER, &task, None);
    assert_eq!(show(&mut grid, id)["progress"], half());
    grid.return_result(WORKER, &task, json!({"result": 1}));
    let shown = show(&mut grid, id);
    assert_eq!((&shown["task"]["status"], &shown["progress"]), (&json!("done"), &Value::Null));
}

#[test]
fn who_asks_for_the_result_too_early_is_told_how_far_it_is() {
    let (mut grid, id, task) = running();
    assert_eq!(grid.result_of(id)["progress"], Value::Null);
    tell(&mut grid, WORKER, &task, Some(half()));
    let reply = grid.result_of(id);
    assert_eq!((&reply["code"], &reply["progress"]), (&json!("NOT_READY"), &half()));
    grid.send(CLIENT, json!({"type": "GET_RESULT", "id": 8, "data": {"task_id": id, "wait_s": 5}}));
    tell(&mut grid, WORKER, &task, Some(json!({"fraction": 0.75})));
    grid.advance(Duration::from_secs(5));
    let reply = grid.take(CLIENT).remove(0);
    assert_eq!((&reply["data"]["code"], &reply["data"]["progress"]), (&json!("NOT_READY"), &json!({"fraction": 0.75})));
}

/// R37: the answer would be longer than three times so short a request.
#[test]
fn a_stranger_who_asks_for_a_result_is_told_not_ready_and_no_more() {
    let (mut grid, id, task) = running();
    tell(&mut grid, WORKER, &task, Some(json!({"fraction": 0.5, "note": "x".repeat(200)})));
    let reply = grid.ask(STRANGER, json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": id}}));
    assert_eq!((&reply["data"]["code"], &reply["data"]["progress"]), (&json!("NOT_READY"), &Value::Null));
}

#[test]
fn a_new_attempt_begins_without_progress_and_an_older_one_does_not_speak_for_it() {
    let (mut grid, id, first) = running();
    tell(&mut grid, WORKER, &first, Some(half()));
    grid.worker(OTHER, &["reverse"], 1);
    grid.advance(Duration::from_secs(32));
    let second = grid.task(OTHER);
    assert_eq!(show(&mut grid, id)["progress"], Value::Null);
    assert_eq!(tell(&mut grid, WORKER, &first, Some(half()))["unknown"][0], first["lease"]);
    assert_eq!(show(&mut grid, id)["progress"], Value::Null);
    tell(&mut grid, OTHER, &second, Some(json!({"fraction": 0.1})));
    assert_eq!(show(&mut grid, id)["progress"], json!({"fraction": 0.1}));
}

/// R22: one run serves both attempts.
#[test]
fn an_older_run_that_stands_for_the_attempt_tells_its_progress() {
    let (mut grid, id, first) = running();
    grid.send(
        WORKER,
        json!({"type": "TASK_ACK", "lease": first["lease"], "data": {"task_id": id, "state": "running"}}),
    );
    grid.advance(Duration::from_secs(35));
    let second = grid.tasks(WORKER).pop().unwrap();
    let reject = json!({"task_id": id, "reason": "already_running", "holds": first["lease"]});
    grid.send(WORKER, json!({"type": "TASK_REJECT", "lease": second["lease"], "data": reject}));
    tell(&mut grid, WORKER, &first, Some(half()));
    assert_eq!(show(&mut grid, id)["progress"], half());
}

#[test]
fn a_task_that_waits_for_its_next_attempt_shows_no_progress() {
    let (mut grid, id, task) = running();
    tell(&mut grid, WORKER, &task, Some(half()));
    grid.return_result(WORKER, &task, json!({"error": {"message": "no", "retry_after_s": 60}}));
    let shown = show(&mut grid, id);
    assert_eq!((&shown["task"]["status"], &shown["progress"]), (&json!("pending"), &Value::Null));
    assert_eq!(grid.result_of(id)["progress"], Value::Null);
}

#[test]
fn a_restart_forgets_the_progress_until_the_next_heartbeat() {
    let (mut grid, id, task) = running();
    tell(&mut grid, WORKER, &task, Some(half()));
    let mut grid = grid.restart();
    assert_eq!(show(&mut grid, id)["progress"], Value::Null);
    tell(&mut grid, WORKER, &task, Some(half()));
    assert_eq!(show(&mut grid, id)["progress"], half());
}

/// A handler's sums are not worth a lease.
#[test]
fn a_fraction_out_of_bounds_and_a_long_note_renew_the_lease_like_any_other() {
    let (mut grid, id, task) = running();
    for (fraction, shown) in [(7.0, 1.0), (-3.0, 0.0)] {
        grid.advance(Duration::from_secs(20));
        let progress = json!({"fraction": fraction, "note": "é".repeat(1_000)});
        assert_eq!(tell(&mut grid, WORKER, &task, Some(progress)), json!({}));
        assert_eq!(show(&mut grid, id)["progress"], json!({"fraction": shown, "note": "é".repeat(100)}));
    }
    assert_eq!(show(&mut grid, id)["task"]["attempt"], 1);
}
