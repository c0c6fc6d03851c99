//! What an attempt costs (R14), and what is poison (R25).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};

const WORKER: &str = "127.0.0.1:6000";

/// Lets a task be handed over and acknowledged `times` times, and each time nothing more be heard of it.
fn lose(grid: &mut Grid, times: usize) {
    for _ in 0..times {
        let task = grid.tasks(WORKER).pop().expect("it is handed over again");
        let ack = json!({"task_id": task["data"]["id"], "state": "running"});
        grid.send(WORKER, json!({"type": "TASK_ACK", "lease": task["lease"], "data": ack}));
        grid.advance(Duration::from_secs(30));
        grid.advance(Duration::from_secs(20));
    }
}

fn post(grid: &mut Grid, max_attempts: u32) {
    let request = json!({"type": "reverse", "payload": "x", "max_attempts": max_attempts});
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": request}));
}

fn outcomes(grid: &mut Grid) -> Vec<Value> {
    let reply = grid.ask(CLIENT, json!({"type": "GET_TASK", "data": {"task_id": 1}}));
    reply["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].clone()).collect()
}

#[test]
fn a_worker_that_the_name_service_lists_makes_no_poison() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    post(&mut grid, 5);
    lose(&mut grid, 4);
    assert_eq!(outcomes(&mut grid), ["lease_lost"; 4]);
    assert_eq!(grid.status_of(1), "running", "the fifth attempt, each of the four was charged");
    lose(&mut grid, 1);
    assert_eq!(grid.result_of(1)["task_error"]["code"], "LEASE_LOST");
}

#[test]
fn a_name_service_that_cannot_be_asked_makes_no_poison() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    post(&mut grid, 20);
    grid.nameservice_up = false;
    lose(&mut grid, 4);
    assert_eq!(outcomes(&mut grid), ["lease_lost"; 4]);
}

#[test]
fn neither_does_one_that_a_new_dispatcher_has_not_heard_yet() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    post(&mut grid, 20);
    grid.task(WORKER);
    let mut grid = grid.restart_alone();
    grid.advance(Duration::from_secs(32));
    assert_eq!(outcomes(&mut grid), ["lease_lost"]);
}

#[test]
fn a_worker_that_is_on_no_list_when_its_lease_ends_was_lost() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    post(&mut grid, 20);
    grid.task(WORKER);
    grid.deregister(WORKER);
    grid.advance(Duration::from_secs(30));
    assert_eq!(outcomes(&mut grid), ["worker_lost"], "though it never acknowledged");
    grid.worker("127.0.0.1:6001", &["reverse"], 1);
    assert_eq!(grid.task("127.0.0.1:6001")["attempt"], 2, "it was charged");
}

#[test]
fn a_worker_that_refuses_a_type_is_not_lost() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 2);
    post(&mut grid, 20);
    let running = grid.task(WORKER);
    let ack = json!({"task_id": 1, "state": "running"});
    grid.send(WORKER, json!({"type": "TASK_ACK", "lease": running["lease"], "data": ack}));
    post(&mut grid, 20);
    let other = grid.task(WORKER);
    let reject = json!({"task_id": 2, "reason": "unknown_type"});
    grid.send(WORKER, json!({"type": "TASK_REJECT", "lease": other["lease"], "data": reject}));
    grid.advance(Duration::from_secs(31));
    assert_eq!(outcomes(&mut grid), ["lease_lost"]);
}

#[test]
fn what_was_running_before_a_restart_is_charged_when_nothing_is_heard_of_it() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    post(&mut grid, 20);
    grid.task(WORKER);
    let mut grid = grid.restart();
    grid.advance(Duration::from_secs(33));
    assert_eq!(grid.tasks(WORKER).pop().unwrap()["attempt"], 2);
}
