//! Numbers that another database has given (R32).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};
use crate::store::MemoryStore;

const WAYS: [&str; 4] = ["GET_RESULT", "GET_TASK", "CANCEL_TASK", "RETRY_TASK"];

fn ask(grid: &mut Grid, kind: &str, task: i64, file_id: &Value) -> Value {
    let answer = grid.ask(CLIENT, json!({"type": kind, "id": 1, "data": {"task_id": task, "file_id": file_id}}));
    answer["data"].clone()
}

fn post(grid: &mut Grid) -> (i64, Value) {
    let posted = grid.ask(CLIENT, json!({"type": "POST_TASK", "id": 1, "data": {"type": "reverse", "payload": "x"}}));
    (posted["data"]["task_id"].as_i64().unwrap(), posted["data"]["file_id"].clone())
}

/// A database was lost and begun anew: its first task has the number of the lost one's first.
#[test]
fn a_number_that_another_database_gave_is_not_found_whatever_is_asked() {
    let (task, lost) = post(&mut Grid::new());
    let mut grid = Grid::over(MemoryStore::default(), taskgrid_protocol::Timestamp::from_micros(5));
    let (same, own) = post(&mut grid);
    assert_eq!(same, task);
    assert_ne!(own, lost);
    for kind in WAYS {
        let answer = ask(&mut grid, kind, task, &lost);
        assert_eq!(answer["code"], "NOT_FOUND", "{kind}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("another database"), "{answer}");
    }
    let wait = json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": task, "file_id": lost, "wait_s": 10}});
    assert_eq!(grid.ask(CLIENT, wait)["data"]["code"], "NOT_FOUND", "it is answered at once");
    assert_eq!(grid.status_of(task), "pending", "nothing was done to the task of that number");
    assert_eq!(ask(&mut grid, "CANCEL_TASK", task, &own)["status"], "cancelled");
    assert_eq!(ask(&mut grid, "RETRY_TASK", task, &own)["status"], "pending");
}

#[test]
fn a_restored_database_finds_what_was_in_the_backup_and_not_what_came_later() {
    let mut grid = Grid::new();
    let (kept, before) = post(&mut grid);
    let copy = grid.store.copy();
    let (lost, _) = post(&mut grid);
    grid.advance(Duration::from_secs(1));
    let mut grid = Grid::over(copy, grid.now);
    let (new, after) = post(&mut grid);
    assert_eq!(new, 1_000_002);
    assert_ne!(after, before);
    assert_eq!(ask(&mut grid, "GET_TASK", kept, &before)["task"]["id"], kept);
    assert_eq!(ask(&mut grid, "GET_RESULT", kept, &before)["code"], "NOT_READY");
    for (task, file) in [(lost, &before), (lost, &after), (new, &before)] {
        assert_eq!(ask(&mut grid, "GET_RESULT", task, file)["code"], "NOT_FOUND", "{task} {file}");
    }
}

#[test]
fn answers_name_the_database_to_who_sends_an_id_and_plain_ones_are_as_ever() {
    let mut grid = Grid::new();
    let (task, own) = post(&mut grid);
    let asks = [
        json!({"type": "GET_RESULT", "data": {"task_id": task}}),
        json!({"type": "GET_TASK", "data": {"task_id": task}}),
        json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x"}}),
    ];
    for mut message in asks {
        assert_eq!(grid.ask(CLIENT, message.clone())["data"].get("file_id"), None, "{message}");
        message["id"] = json!(7);
        assert_eq!(grid.ask(CLIENT, message.clone())["data"]["file_id"], own, "{message}");
    }
    assert_eq!(grid.ask(CLIENT, json!({"type": "PING", "data": {}}))["data"]["file_id"], own);
    ask(&mut grid, "CANCEL_TASK", task, &own);
    let ended = grid.ask(CLIENT, json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": task}}));
    assert_eq!((&ended["data"]["status"], &ended["data"]["file_id"]), (&json!("cancelled"), &own));
}
