//! Attempts that their worker has, and has not started (R13, R24).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};

const WORKER: &str = "127.0.0.1:6000";

/// A worker with a task whose time limit is a minute.
fn handed_over() -> (Grid, Value) {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x", "timeout_s": 60}}));
    let task = grid.task(WORKER);
    (grid, task)
}

fn acknowledge(grid: &mut Grid, task: &Value, waiting: bool) {
    let data = json!({"task_id": task["data"]["id"], "state": "running", "waiting": waiting});
    grid.send(WORKER, json!({"type": "TASK_ACK", "lease": task["lease"], "data": data}));
}

fn beat(grid: &mut Grid, task: &Value, waiting: bool) {
    let beat = json!({"task_id": task["data"]["id"], "lease": task["lease"], "waiting": waiting});
    grid.send(WORKER, json!({"type": "TASK_HEARTBEAT", "id": 5, "data": {"leases": [beat]}}));
}

/// Two minutes, in which the worker says every ten seconds that it has the task.
fn two_minutes(grid: &mut Grid, task: &Value, waiting: bool) {
    for _ in 0..12 {
        grid.advance(Duration::from_secs(10));
        beat(grid, task, waiting);
    }
}

fn ended(grid: &mut Grid) -> Vec<(String, Value)> {
    let reply = grid.ask(CLIENT, json!({"type": "GET_TASK", "data": {"task_id": 1}}));
    let attempts = reply["attempts"].as_array().unwrap().iter();
    attempts.map(|ended| (ended["outcome"].as_str().unwrap().to_owned(), ended["attempt"].clone())).collect()
}

#[test]
fn what_waits_has_no_time_limit() {
    let (mut grid, task) = handed_over();
    acknowledge(&mut grid, &task, true);
    two_minutes(&mut grid, &task, true);
    assert!(grid.take(WORKER).iter().all(|sent| sent["type"] == "RESPONSE"), "neither sent again nor cancelled");
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
}

#[test]
fn once_it_has_started_it_has_one_whatever_an_old_word_says() {
    for by_heartbeat in [false, true] {
        let (mut grid, task) = handed_over();
        acknowledge(&mut grid, &task, true);
        two_minutes(&mut grid, &task, true);
        if by_heartbeat {
            beat(&mut grid, &task, false);
        } else {
            acknowledge(&mut grid, &task, false);
        }
        grid.take(WORKER);
        for _ in 0..6 {
            acknowledge(&mut grid, &task, true);
            grid.advance(Duration::from_secs(10));
        }
        assert!(grid.take(WORKER).is_empty());
        grid.advance(Duration::from_secs(10));
        assert!(grid.take(WORKER).iter().any(|sent| sent["type"] == "TASK_CANCEL"));
        assert_eq!(ended(&mut grid)[0].0, "timeout");
    }
}

/// R14: nobody has said that it had started.
#[test]
fn what_waited_at_a_listed_worker_that_fell_silent_is_not_charged() {
    let (mut grid, task) = handed_over();
    acknowledge(&mut grid, &task, true);
    grid.advance(Duration::from_secs(31));
    assert_eq!(ended(&mut grid), [("lease_lost".to_owned(), json!(1))]);
    assert_eq!(grid.tasks(WORKER).last().unwrap()["attempt"], 1);
}

/// R18: the process that has it may live elsewhere, and start it yet.
#[test]
fn what_waits_at_a_process_that_was_replaced_is_left_to_it_for_a_while() {
    let (mut grid, task) = handed_over();
    acknowledge(&mut grid, &task, true);
    grid.register(json!({"address": WORKER, "types": ["reverse"], "capacity": 1, "instance": "another"}));
    let denied = json!({"task_id": 1, "reason": "replaced"});
    grid.send(WORKER, json!({"type": "TASK_REJECT", "lease": task["lease"], "instance": "another", "data": denied}));
    grid.advance(Duration::from_secs(6));
    assert!(ended(&mut grid).is_empty());
    grid.advance(Duration::from_secs(3));
    assert_eq!(ended(&mut grid), [("worker_lost".to_owned(), json!(1))]);
}
