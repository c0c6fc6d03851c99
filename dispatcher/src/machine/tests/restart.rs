//! What a dispatcher makes of what its predecessor left (R26), and of its name services (R27).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid, NAMESERVICE};

const WORKER: &str = "127.0.0.1:6000";
const OTHER: &str = "127.0.0.1:6001";

fn types_looked_up(grid: &mut Grid) -> Vec<String> {
    let asked = grid.lookups();
    asked.iter().filter_map(|lookup| lookup["data"]["type"].as_str().map(str::to_owned)).collect()
}

#[test]
fn each_type_with_pending_tasks_is_looked_up_anew() {
    let mut grid = Grid::new();
    for task_type in ["a", "b", "a", "c"] {
        grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": task_type, "payload": 1}}));
    }
    let mut grid = grid.restart();
    assert_eq!(types_looked_up(&mut grid), ["a", "b", "c"]);
    grid.worker(WORKER, &["a", "b", "c"], 8);
    assert_eq!(grid.tasks(WORKER).len(), 4);
}

/// A dispatcher that starts knows the types that have pending tasks, and hears of workers of others too.
#[test]
fn a_retried_task_of_a_type_that_nobody_has_asked_for_finds_its_worker() {
    let mut grid = Grid::new();
    let id = grid.post("x");
    grid.ask(CLIENT, json!({"type": "CANCEL_TASK", "data": {"task_id": id}}));
    let mut grid = grid.restart();
    grid.worker(WORKER, &["reverse"], 1);
    grid.ask(CLIENT, json!({"type": "RETRY_TASK", "data": {"task_id": id}}));
    grid.advance(Duration::from_secs(1));
    assert_eq!(grid.task(WORKER)["data"]["id"], id);
}

#[test]
fn a_running_attempt_is_left_to_its_worker_for_one_lease() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker(OTHER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    let mut grid = grid.restart();
    let again = grid.task(WORKER);
    assert_eq!((&again["lease"], &again["data"]), (&task["lease"], &task["data"]));
    grid.advance(Duration::from_secs(29));
    assert!(grid.tasks(OTHER).is_empty());
    assert_eq!(grid.status_of(id), "running");
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1}))["message"], "Result stored");
    assert_eq!(grid.status_of(id), "done");
}

/// The worker has taken long datagrams all along, only its new dispatcher has not heard of it.
#[test]
fn a_long_task_survives_a_restart() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let request = json!({"type": "reverse", "payload": "x".repeat(20_000)});
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": request}));
    grid.task(WORKER);
    let mut grid = grid.restart();
    assert_eq!(grid.task(WORKER)["data"]["id"], 1);
    assert_eq!(grid.status_of(1), "running");
}

#[test]
fn a_heartbeat_adopts_the_run() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    let task = grid.task(WORKER);
    let mut grid = grid.restart();
    for _ in 0..10 {
        grid.send(
            WORKER,
            json!({"type": "TASK_HEARTBEAT", "id": 1,
            "data": {"leases": [{"task_id": task["data"]["id"], "lease": task["lease"]}]}}),
        );
        grid.take(WORKER);
        grid.advance(Duration::from_secs(10));
    }
    assert!(grid.tasks(WORKER).is_empty());
    assert_eq!(grid.status_of(1), "running");
}

#[test]
fn an_attempt_whose_worker_is_gone_runs_elsewhere_after_one_lease() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    grid.task(WORKER);
    grid.deregister(WORKER);
    let mut grid = grid.restart();
    grid.worker(OTHER, &["reverse"], 1);
    grid.advance(Duration::from_secs(33));
    assert_eq!(grid.task(OTHER)["data"]["id"], id);
}

#[test]
fn a_plain_attempt_is_not_sent_again() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let id = grid.post("x");
    grid.task(WORKER);
    let mut grid = grid.restart();
    grid.advance(Duration::from_secs(300));
    assert!(grid.tasks(WORKER).is_empty());
    let result = json!({"type": "RESULT_RETURN", "data": {"task_id": id, "result": 1}});
    assert_eq!(grid.ask("127.0.0.1:4444", result)["message"], "Result stored");
}

#[test]
fn a_plain_result_waits_for_the_name_of_its_worker() {
    let mut grid = Grid::new();
    let name = "worker-reverse:6000";
    grid.dns = vec![(name.to_owned(), Some("172.18.0.5:6000".parse().unwrap()))];
    grid.plain_worker(name, &["reverse"]);
    let id = grid.post("x");
    // The new dispatcher has not looked the name up when the result comes, and DNS is down.
    let mut grid = grid.restart();
    grid.dns = vec![(name.to_owned(), Some("172.18.0.5:6000".parse().unwrap()))];
    let result = json!({"type": "RESULT_RETURN", "data": {"task_id": id, "result": 1}});
    grid.send("172.18.0.5:4444", result);
    assert!(grid.take("172.18.0.5:4444").is_empty());
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.take("172.18.0.5:4444")[0]["message"], "Result stored");
}

#[test]
fn a_task_that_waits_for_a_worker_starts_within_a_second_of_its_registration() {
    let mut grid = Grid::new();
    grid.post("x");
    grid.advance(Duration::from_secs(60));
    grid.register_quietly(json!({"address": WORKER, "types": ["reverse"], "capacity": 1, "instance": "i"}));
    grid.advance(Duration::from_secs(1));
    assert_eq!(grid.tasks(WORKER).len(), 1);
}

#[test]
fn a_silent_name_service_stops_no_dispatch_to_known_workers() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 9);
    grid.nameservice_up = false;
    grid.advance(Duration::from_secs(250));
    grid.post("x");
    assert_eq!(grid.task(WORKER)["data"]["payload"], "x");
    let asked: Vec<Value> = grid.take(NAMESERVICE);
    assert!(asked.len() < 4 * 250, "{} questions in 250 s", asked.len());
}
