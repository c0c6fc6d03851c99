//! POST_TASK, GET_RESULT and their like.

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};
use crate::machine::Event;
use crate::store::{Batch, Store};

const WORKER: &str = "127.0.0.1:6000";
const OTHER_CLIENT: &str = "127.0.0.1:9001";

fn post(data: Value) -> Value {
    json!({"type": "POST_TASK", "data": data})
}

/// R7: the answer follows the commit.
#[test]
fn nothing_is_acknowledged_before_it_is_committed() {
    let mut grid = Grid::new();
    grid.disk_is_slow = true;
    grid.send(CLIENT, post(json!({"type": "reverse", "payload": "OpenAI"})));
    grid.advance(Duration::from_secs(10));
    assert!(grid.take(CLIENT).is_empty());
    grid.disk_catches_up();
    let reply = grid.take(CLIENT).remove(0);
    assert_eq!(reply["message"], "Task received, ID = 1");
    assert_eq!(reply["data"]["task_id"], 1);
    assert_eq!(reply["status"], "pending");
}

/// R12: the claim is committed before TASK leaves.
#[test]
fn nothing_is_handed_over_before_its_claim_is_committed() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.disk_is_slow = true;
    grid.send(CLIENT, post(json!({"type": "reverse", "payload": "OpenAI"})));
    grid.advance(Duration::from_secs(1));
    assert!(grid.tasks(WORKER).is_empty());
    grid.disk_catches_up();
    let task = grid.task(WORKER);
    assert_eq!(task["data"]["payload"], "OpenAI");
    assert_eq!(task["attempt"], 1);
    assert_eq!(grid.take(CLIENT)[0]["status"], "running");
}

/// The whole trip of WORKFLOW.md, byte for byte where it counts.
#[test]
fn a_task_runs_and_its_result_is_read() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 4);
    let id = grid.post("OpenAI");
    assert_eq!(grid.result_of(id)["error"], "Result not ready");
    let task = grid.task(WORKER);
    let keys: Vec<&String> = task["data"].as_object().unwrap().keys().collect();
    let expected =
        ["assigned_worker", "id", "payload", "result", "status", "timestamp_completed", "timestamp_created", "type"];
    assert_eq!(keys, expected, "the task object has exactly these fields");
    let stored = grid.return_result(WORKER, &task, json!({"result": "IAnepO"}));
    assert_eq!(stored, json!({"message": "Result stored"}));
    let reply = grid.result_of(id);
    assert_eq!((&reply["result"], &reply["status"]), (&json!("IAnepO"), &json!("done")));
}

/// R2, R3: one key, one task; also inside one batch.
#[test]
fn a_key_sent_twice_names_one_task() {
    let mut grid = Grid::new();
    grid.disk_is_slow = true;
    let request = post(json!({"type": "reverse", "payload": "x", "key": "k"}));
    grid.send(CLIENT, json!({"type": "PING", "data": {}}));
    grid.take(CLIENT);
    // The first commit is under way, so the next three share a batch.
    grid.send(CLIENT, post(json!({"type": "reverse", "payload": "other"})));
    grid.send(CLIENT, request.clone());
    grid.send(OTHER_CLIENT, request.clone());
    grid.send(OTHER_CLIENT, post(json!({"type": "reverse", "payload": "y", "key": "k"})));
    grid.disk_catches_up();
    let first = grid.take(CLIENT).remove(1);
    let others = grid.take(OTHER_CLIENT);
    assert_eq!(first["task_id"], 2);
    assert_eq!((&others[0]["task_id"], &others[0]["duplicate"]), (&json!(2), &json!(true)));
    assert_eq!(others[1]["code"], "KEY_CONFLICT");
    assert_eq!(grid.ask(CLIENT, request)["task_id"], 2);
}

/// R9: a failed and a cancelled task say so; "not ready" only while it may still come.
#[test]
fn ends_without_a_result_are_told_apart() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 4);
    let failed = grid.post("a");
    let task = grid.task(WORKER);
    let error = json!({"error": {"code": "BAD_PAYLOAD", "message": "no", "retry": false}});
    assert_eq!(grid.return_result(WORKER, &task, error)["message"], "Result stored");
    let reply = grid.result_of(failed);
    assert_eq!(reply["error"], "Task failed: no");
    assert_eq!((&reply["code"], &reply["attempts"]), (&json!("TASK_FAILED"), &json!(1)));
    let cancelled = grid.post("b");
    let reply = grid.ask(CLIENT, json!({"type": "CANCEL_TASK", "data": {"task_id": cancelled}}));
    assert_eq!(reply["status"], "cancelled");
    assert_eq!(grid.result_of(cancelled)["code"], "TASK_CANCELLED");
    assert_eq!(grid.result_of(99)["error"], "Task not found");
    let again = grid.ask(CLIENT, json!({"type": "CANCEL_TASK", "data": {"task_id": failed}}));
    assert_eq!((&again["code"], &again["status"]), (&json!("ALREADY_ENDED"), &json!("failed")));
}

/// R10a: a waiting POST_TASK is answered twice under one id; waiting ends by the end or by the clock.
#[test]
fn a_client_may_wait_for_the_end() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 4);
    let request = json!({"type": "POST_TASK", "id": "p", "data":
        {"type": "reverse", "payload": "ab", "wait_s": 20, "key": "k"}});
    grid.send(CLIENT, request.clone());
    let receipt = grid.take(CLIENT).remove(0);
    assert_eq!(receipt["data"]["message"], "Task received, ID = 1");
    grid.send(OTHER_CLIENT, json!({"type": "GET_RESULT", "id": 7, "data": {"task_id": 1, "wait_s": 2}}));
    assert!(grid.take(OTHER_CLIENT).is_empty());
    grid.advance(Duration::from_secs(3));
    assert_eq!(grid.take(OTHER_CLIENT)[0]["data"]["code"], "NOT_READY");
    let task = grid.tasks(WORKER).remove(0);
    grid.return_result(WORKER, &task, json!({"result": null}));
    let end = grid.take(CLIENT);
    assert_eq!(
        end[0],
        json!({"type": "RESPONSE", "id": "p", "data":
        {"result": null, "status": "done", "file_id": receipt["data"]["file_id"]}})
    );
    // The re-send by key is answered with the end at once.
    grid.send(CLIENT, request);
    let replies = grid.take(CLIENT);
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!(replies[1]["data"]["status"], "done");
}

/// R25: another attempt after a back-off, by another worker; the budget is `max_attempts`.
#[test]
fn failures_are_tried_again_elsewhere_until_the_budget_is_spent() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker("127.0.0.1:6001", &["reverse"], 1);
    grid.ask(CLIENT, post(json!({"type": "reverse", "payload": "x", "max_attempts": 2})));
    let first = grid.task(WORKER);
    let failure = json!({"error": {"code": "BOOM", "message": "no luck", "retry": true}});
    assert_eq!(grid.return_result(WORKER, &first, failure.clone())["message"], "Result stored");
    assert_eq!(grid.status_of(1), "pending");
    grid.advance(Duration::from_secs(2));
    let second = grid.task("127.0.0.1:6001");
    assert_eq!(second["attempt"], 2);
    assert_ne!(second["lease"], first["lease"]);
    grid.return_result("127.0.0.1:6001", &second, failure);
    assert_eq!(grid.result_of(1)["error"], "Task failed: no luck");
}

/// R24a: RETRY_TASK gives a failed task its budget again.
#[test]
fn a_failed_task_can_be_retried_by_hand() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    grid.return_result(WORKER, &task, json!({"error": {"retry": false, "message": "no"}}));
    assert_eq!(grid.ask(CLIENT, json!({"type": "RETRY_TASK", "data": {"task_id": id}}))["status"], "pending");
    let again = grid.task(WORKER);
    assert_eq!(again["attempt"], 2);
    grid.return_result(WORKER, &again, json!({"result": "y"}));
    assert_eq!(grid.status_of(id), "done");
    let refused = grid.ask(CLIENT, json!({"type": "RETRY_TASK", "data": {"task_id": id}}));
    assert_eq!((&refused["code"], &refused["status"]), (&json!("NOT_RETRYABLE"), &json!("done")));
}

/// The higher priority goes first; a delayed task waits for its time.
#[test]
fn priority_and_delay_decide_the_order() {
    let mut grid = Grid::new();
    for data in [
        json!({"type": "reverse", "payload": "low"}),
        json!({"type": "reverse", "payload": "high", "priority": 9}),
        json!({"type": "reverse", "payload": "later", "priority": 50, "delay_s": 60}),
    ] {
        grid.ask(CLIENT, post(data));
    }
    grid.worker(WORKER, &["reverse"], 1);
    for expected in ["high", "low"] {
        let task = grid.tasks(WORKER).remove(0);
        assert_eq!(task["data"]["payload"], expected);
        let message = json!({"type": "RESULT_RETURN", "lease": task["lease"],
            "data": {"task_id": task["data"]["id"], "result": 1}});
        grid.send(WORKER, message);
    }
    grid.advance(Duration::from_secs(50));
    assert!(grid.tasks(WORKER).is_empty());
    grid.advance(Duration::from_secs(10));
    assert_eq!(grid.tasks(WORKER)[0]["data"]["payload"], "later");
}

/// R24: `expires_s` is final and stops a running attempt.
#[test]
fn an_expired_task_fails_wherever_it_is() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    for _ in 0..2 {
        grid.ask(CLIENT, post(json!({"type": "reverse", "payload": "x", "expires_s": 5})));
    }
    let task = grid.task(WORKER);
    grid.advance(Duration::from_secs(6));
    for id in [1, 2] {
        let reply = grid.result_of(id);
        assert_eq!((&reply["code"], &reply["task_error"]["code"]), (&json!("TASK_FAILED"), &json!("EXPIRED")));
    }
    let cancels: Vec<Value> = grid.take(WORKER).into_iter().filter(|sent| sent["type"] == "TASK_CANCEL").collect();
    assert_eq!(cancels[0]["lease"], task["lease"]);
}

/// Rows that other programs insert are found, though the type was known to be empty.
#[test]
fn rows_that_somebody_inserts_by_hand_are_handed_over() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 2);
    let first = grid.post("a");
    let task = grid.task(WORKER);
    assert_eq!(task["data"]["id"], first);
    let mut by_hand = Batch::default();
    by_hand.inserts.push(crate::store::Insert {
        task_type: "reverse".parse().unwrap(),
        payload: taskgrid_protocol::Json::string("by hand"),
        key: None,
        priority: taskgrid_protocol::body::Priority::default(),
        max_attempts: 5,
        timeout_s: 60,
        not_before: None,
        delay: None,
        expires: None,
        slot: None,
    });
    grid.store.apply(taskgrid_protocol::WallTime::from_millis(1_700_000_100_000), &by_hand).unwrap();
    grid.event(Event::Added(["reverse".parse().unwrap()].into()));
    assert_eq!(grid.tasks(WORKER)[0]["data"]["payload"], "by hand");
}

/// R39: a stopping dispatcher refuses posts, answers what it has, and exits.
#[test]
fn a_stopping_dispatcher_answers_what_it_has_taken() {
    let mut grid = Grid::new();
    grid.disk_is_slow = true;
    grid.send(CLIENT, post(json!({"type": "reverse", "payload": "a"})));
    grid.event(Event::Drain);
    assert!(!grid.exited);
    let refused = grid.ask(OTHER_CLIENT, post(json!({"type": "reverse", "payload": "b"})));
    assert_eq!(refused["code"], "SHUTTING_DOWN");
    grid.disk_catches_up();
    assert_eq!(grid.take(CLIENT)[0]["task_id"], 1);
    assert!(grid.exited);
}

/// R35, R36: what cannot be used is refused by code, and an answer is never answered.
#[test]
fn bad_requests_are_refused_and_answers_get_silence() {
    let mut grid = Grid::new();
    let long = "x".repeat(48 * 1024);
    let cases = [
        (post(json!({"type": "reverse", "payload": long})), "TOO_LARGE"),
        (post(json!({"type": "../../bin/sh", "payload": 1})), "BAD_REQUEST"),
        (post(json!({"type": "reverse", "payload": 1, "colour": "red"})), "BAD_REQUEST"),
        (json!({"type": "GET_RESULT", "data": {"task_id": 1e30}}), "BAD_REQUEST"),
        (json!({"type": "REGISTER_WORKER", "data": {"type": "reverse", "address": "a:1"}}), "UNKNOWN_MESSAGE"),
        (json!({"type": "MAKE_COFFEE"}), "UNKNOWN_MESSAGE"),
    ];
    for (request, code) in cases {
        assert_eq!(grid.ask(CLIENT, request.clone())["code"], code, "{request}");
    }
    for silent in [json!({"type": "RESPONSE", "data": {}}), json!({"type": "GET_STATS", "error": "x"}), json!({"a": 1})]
    {
        grid.send(CLIENT, silent.clone());
        assert!(grid.take(CLIENT).is_empty(), "{silent}");
    }
}

/// Ten clients, one worker: every slot is used and none twice.
#[test]
fn a_worker_is_never_given_more_than_it_takes() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse", "upper"], 3);
    for n in 0..10 {
        let task_type = if n % 2 == 0 { "reverse" } else { "upper" };
        grid.ask(CLIENT, post(json!({"type": task_type, "payload": n})));
    }
    let mut done = 0;
    let mut running = grid.tasks(WORKER);
    while let Some(task) = running.pop() {
        assert!(running.len() < 3, "more than its three slots");
        let message = json!({"type": "RESULT_RETURN", "lease": task["lease"],
            "data": {"task_id": task["data"]["id"], "result": task["data"]["payload"]}});
        grid.send(WORKER, message);
        running.extend(grid.tasks(WORKER));
        done += 1;
    }
    assert_eq!(done, 10);
}
