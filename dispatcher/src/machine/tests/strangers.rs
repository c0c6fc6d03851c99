//! Answers to sources that are on no private network (R37).

use std::time::Duration;

use serde_json::json;

use super::grid::{CLIENT, Grid};

const STRANGER: &str = "203.0.113.9:9000";
const WORKER: &str = "127.0.0.1:6000";

/// A grid in which task 1 has a long result.
fn with_result() -> Grid {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    let task = grid.task(WORKER);
    grid.return_result(WORKER, &task, json!({"result": "y".repeat(3_000)}));
    grid
}

#[test]
fn a_long_answer_needs_a_long_request() {
    let mut grid = with_result();
    let short = json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": 1}}).to_string();
    grid.send_bytes(STRANGER, short.as_bytes());
    let asked = grid.take(STRANGER).remove(0);
    assert_eq!(asked["data"]["code"], "PAD_REQUEST");
    assert!(asked.to_string().len() <= 3 * short.len());
    let need = usize::try_from(asked["data"]["need_bytes"].as_u64().unwrap()).unwrap();
    let field = json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": 1}, "pad": "x".repeat(need)}).to_string();
    for padded in [format!("{short:need$}"), field] {
        grid.send_bytes(STRANGER, padded.as_bytes());
        assert_eq!(grid.take(STRANGER)[0]["data"]["result"].as_str().map(str::len), Some(3_000));
    }
    for friend in [CLIENT, "192.168.7.7:9000", "10.0.0.1:9000", "[fd00::1]:9000", "[::ffff:10.0.0.1]:9000"] {
        grid.send_bytes(friend, short.as_bytes());
        assert!(grid.take(friend)[0]["data"]["result"].is_string(), "{friend} is near");
    }
}

#[test]
fn the_copies_of_a_request_that_waits_are_one_waiter_however_long_they_are() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let post =
        json!({"type": "POST_TASK", "id": 1, "data": {"type": "reverse", "payload": "x", "key": "k", "wait_s": 60}});
    grid.send(STRANGER, post);
    let again = json!({"type": "GET_RESULT", "id": 1, "data": {"task_id": 1, "wait_s": 60}});
    grid.send_bytes(STRANGER, format!("{:1200}", again.to_string()).as_bytes());
    grid.take(STRANGER);
    let task = grid.task(WORKER);
    grid.return_result(WORKER, &task, json!({"result": "y".repeat(3_000)}));
    grid.advance(Duration::from_secs(1));
    let answers = grid.take(STRANGER);
    assert_eq!(answers.len(), 1);
    assert!(answers[0]["data"]["result"].is_string(), "the last copy was long enough");
}
