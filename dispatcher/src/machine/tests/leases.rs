//! Hand-over to workers that understand leases.

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid};

const WORKER: &str = "127.0.0.1:6000";
const OTHER: &str = "127.0.0.1:6001";

fn heartbeat(task: &Value, free_slots: u32) -> Value {
    json!({"type": "TASK_HEARTBEAT", "id": 5, "free_slots": free_slots,
        "data": {"leases": [{"task_id": task["data"]["id"], "lease": task["lease"]}]}})
}

fn about(kind: &str, task: &Value, mut data: Value) -> Value {
    data["task_id"] = task["data"]["id"].clone();
    json!({"type": kind, "lease": task["lease"], "data": data})
}

/// R13: TASK is sent again until it is answered, and not once more.
#[test]
fn task_is_sent_again_until_it_is_acknowledged() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    grid.advance(Duration::from_secs(5));
    let copies = grid.take(WORKER);
    assert!(copies.len() > 4, "{} copies", copies.len());
    assert!(copies.iter().all(|copy| copy == &copies[0]));
    grid.send(WORKER, about("TASK_ACK", &copies[0], json!({"state": "running"})));
    grid.advance(Duration::from_secs(20));
    assert!(grid.take(WORKER).is_empty());
}

/// R16: heartbeats keep an attempt for as long as they come.
#[test]
fn a_running_handler_keeps_its_lease() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker(OTHER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    for _ in 0..20 {
        grid.advance(Duration::from_secs(10));
        grid.send(WORKER, heartbeat(&task, 0));
    }
    assert!(grid.tasks(OTHER).is_empty());
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1}))["message"], "Result stored");
    assert_eq!(grid.status_of(id), "done");
}

/// R17, R19: a silent worker loses its lease; the first result wins, whoever brings it.
#[test]
fn a_lost_lease_goes_to_another_worker_and_the_first_result_stays() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker(OTHER, &["reverse"], 1);
    let id = grid.post("x");
    let first = grid.task(WORKER);
    grid.send(WORKER, about("TASK_ACK", &first, json!({"state": "running"})));
    grid.advance(Duration::from_secs(32));
    let second = grid.task(OTHER);
    assert_eq!(second["attempt"], 2);
    grid.send(WORKER, heartbeat(&first, 0));
    let answers = grid.take(WORKER);
    assert_eq!(answers[0]["data"]["unknown"][0], first["lease"], "only the current lease is renewed");
    assert_eq!(grid.return_result(WORKER, &first, json!({"result": "first"})), json!({"message": "Result stored"}));
    let told: Vec<Value> = grid.take(OTHER).into_iter().filter(|sent| sent["type"] == "TASK_CANCEL").collect();
    assert_eq!(told[0]["lease"], second["lease"], "the current holder is told to stop");
    let late = grid.return_result(OTHER, &second, json!({"result": "second"}));
    assert_eq!((&late["message"], &late["duplicate"]), (&json!("Result stored"), &json!(true)));
    assert_eq!(grid.result_of(id)["result"], "first");
}

/// R19: a failure counts only from the current lease, and a stranger's lease not at all.
#[test]
fn old_failures_and_strange_leases_change_nothing() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.worker(OTHER, &["reverse"], 1);
    let id = grid.post("x");
    let first = grid.task(WORKER);
    grid.send(WORKER, about("TASK_ACK", &first, json!({"state": "running"})));
    grid.advance(Duration::from_secs(32));
    grid.task(OTHER);
    let late = grid.return_result(WORKER, &first, json!({"error": {"message": "late", "retry": false}}));
    assert_eq!(late["duplicate"], true);
    assert_eq!(grid.status_of(id), "running");
    let strange = json!({"data": {"id": id}, "lease": "guessed"});
    assert_eq!(grid.return_result(OTHER, &strange, json!({"result": 1}))["code"], "LEASE_UNKNOWN");
    let bare = json!({"data": {"id": id}});
    assert_eq!(grid.return_result(OTHER, &bare, json!({"result": 1}))["code"], "LEASE_REQUIRED");
    let nowhere = json!({"data": {"id": 99}, "lease": first["lease"]});
    assert_eq!(grid.return_result(OTHER, &nowhere, json!({"result": 1}))["error"], "Task ID not found");
}

/// R14: an attempt that its living worker never acknowledged is not charged.
#[test]
fn an_attempt_that_never_started_is_given_back() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    grid.tasks(WORKER);
    grid.advance(Duration::from_secs(31));
    let again = grid.tasks(WORKER);
    assert_eq!(again.last().unwrap()["attempt"], 1);
}

/// R13: a busy worker is left alone for as long as it asked; nothing is charged.
#[test]
fn a_busy_worker_gets_its_pause() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    grid.post("x");
    let task = grid.task(WORKER);
    grid.send(WORKER, about("TASK_REJECT", &task, json!({"reason": "busy", "retry_after_ms": 5000})));
    grid.advance(Duration::from_millis(4_900));
    assert!(grid.tasks(WORKER).is_empty());
    grid.advance(Duration::from_millis(200));
    let again = grid.task(WORKER);
    assert_eq!(again["attempt"], 1);
    assert_ne!(again["lease"], task["lease"]);
}

/// R13: after `unknown_type` the type goes elsewhere until the worker registers anew.
#[test]
fn a_worker_without_the_handler_is_not_asked_again() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 4);
    grid.post("x");
    let task = grid.task(WORKER);
    grid.send(WORKER, about("TASK_REJECT", &task, json!({"reason": "unknown_type"})));
    grid.advance(Duration::from_secs(1));
    assert!(grid.tasks(WORKER).is_empty());
    grid.worker(OTHER, &["reverse"], 4);
    assert_eq!(grid.task(OTHER)["attempt"], 1);
}

/// R22: a worker that still runs an older attempt speaks for the new one.
#[test]
fn an_attempt_that_still_runs_is_adopted() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let first = grid.task(WORKER);
    grid.send(WORKER, about("TASK_ACK", &first, json!({"state": "running"})));
    grid.advance(Duration::from_secs(35));
    let second = grid.tasks(WORKER).pop().unwrap();
    assert_ne!(first["lease"], second["lease"]);
    let reject = json!({"reason": "already_running", "holds": first["lease"]});
    grid.send(WORKER, about("TASK_REJECT", &second, reject));
    for _ in 0..10 {
        grid.advance(Duration::from_secs(10));
        grid.send(WORKER, heartbeat(&first, 0));
    }
    assert!(grid.tasks(WORKER).is_empty(), "the old lease is renewed as the new one");
    assert_eq!(grid.return_result(WORKER, &first, json!({"result": "y"})), json!({"message": "Result stored"}));
    assert_eq!(grid.status_of(id), "done");
}

/// What a run from before RETRY_TASK brings does not count any more, also when it stands for a newer attempt.
/// Nobody noticed, and the task waited for a whole lease.
#[test]
fn an_adopted_run_that_comes_to_nothing_makes_room() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let first = grid.task(WORKER);
    for order in ["CANCEL_TASK", "RETRY_TASK"] {
        grid.ask(CLIENT, json!({"type": order, "data": {"task_id": id}}));
    }
    let second = grid.task(WORKER);
    let reject = json!({"reason": "already_running", "holds": first["lease"]});
    grid.send(WORKER, about("TASK_REJECT", &second, reject));
    grid.send(WORKER, about("RESULT_RETURN", &first, json!({"result": "y"})));
    let third = grid.task(WORKER);
    assert_eq!((&third["data"]["id"], &third["attempt"]), (&second["data"]["id"], &second["attempt"]));
    grid.return_result(WORKER, &third, json!({"result": "z"}));
    assert_eq!(grid.result_of(id)["result"], "z");
}

/// "I am stopping" was long under way and came when the worker's next process had registered. That one was taken
/// for it, and got no task as long as it ran.
#[test]
fn a_worker_that_said_to_be_stopping_and_stays_gets_tasks_again() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    grid.send(WORKER, about("TASK_REJECT", &task, json!({"reason": "draining"})));
    grid.advance(Duration::from_secs(25));
    assert!(grid.tasks(WORKER).is_empty());
    grid.advance(Duration::from_secs(10));
    assert_eq!(grid.task(WORKER)["data"]["id"], id);
}

/// The worker was busy for five seconds, and within them said how many slots are free, which stands for one. When the
/// second was over it was still pausing, and nothing looked again: it got no task for as long as the dispatcher ran.
#[test]
fn a_worker_whose_pause_outlasts_its_word_on_free_slots_gets_tasks_again() {
    for pause in [json!("busy"), json!("draining")] {
        let mut grid = Grid::new();
        grid.worker(WORKER, &["reverse"], 3);
        grid.post("runs");
        let runs = grid.task(WORKER);
        grid.post("comes too early");
        let refused = grid.task(WORKER);
        grid.send(WORKER, about("TASK_REJECT", &refused, json!({"reason": pause, "retry_after_ms": 5000})));
        grid.send(WORKER, heartbeat(&runs, 0));
        grid.advance(Duration::from_secs(2));
        grid.return_result(WORKER, &runs, json!({"result": 1}));
        assert!(grid.tasks(WORKER).is_empty(), "it pauses");
        grid.advance(Duration::from_secs(60));
        assert!(!grid.tasks(WORKER).is_empty(), "after its pause ({pause}) it is offered the task");
    }
}

/// R24: the dispatcher ends an attempt that its worker does not.
#[test]
fn a_handler_that_its_worker_does_not_stop_times_out() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let request = json!({"type": "reverse", "payload": "x", "timeout_s": 20, "max_attempts": 1});
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": request}));
    let task = grid.task(WORKER);
    assert_eq!(task["timeout_s"], 20);
    for _ in 0..4 {
        grid.send(WORKER, heartbeat(&task, 0));
        grid.advance(Duration::from_secs(8));
    }
    let reply = grid.result_of(1);
    assert_eq!(reply["task_error"]["code"], "TIMEOUT");
    assert!(grid.take(WORKER).iter().any(|sent| sent["type"] == "TASK_CANCEL"));
}

/// R25: three lost worker processes end a task, whatever attempts are left.
#[test]
fn a_task_that_kills_its_workers_is_poison() {
    let mut grid = Grid::new();
    let request = json!({"type": "reverse", "payload": "x", "max_attempts": 20});
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": request}));
    for process in 0..3 {
        grid.register(json!({"address": WORKER, "types": ["reverse"], "capacity": 1,
            "instance": format!("process {process}")}));
        grid.advance(Duration::from_secs(5));
        let task = grid.tasks(WORKER).pop().unwrap();
        grid.send(WORKER, about("TASK_ACK", &task, json!({"state": "running"})));
        grid.deregister(WORKER);
        grid.advance(Duration::from_secs(40));
    }
    assert_eq!(grid.result_of(1)["task_error"]["code"], "WORKER_LOST");
}

/// R24a: the holder of a cancelled task is told until it answers.
#[test]
fn cancelling_reaches_the_worker() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = grid.post("x");
    let task = grid.task(WORKER);
    grid.send(WORKER, about("TASK_ACK", &task, json!({"state": "running"})));
    grid.ask(CLIENT, json!({"type": "CANCEL_TASK", "data": {"task_id": id}}));
    grid.advance(Duration::from_secs(2));
    let told = grid.take(WORKER);
    assert!(told.len() > 2 && told.iter().all(|sent| sent["type"] == "TASK_CANCEL"), "{told:?}");
    grid.send(WORKER, heartbeat(&task, 0));
    assert_eq!(grid.take(WORKER)[0]["data"]["cancel"][0], task["lease"]);
    grid.send(WORKER, about("TASK_REJECT", &task, json!({"reason": "cancelled"})));
    grid.advance(Duration::from_secs(10));
    assert!(grid.take(WORKER).is_empty());
    grid.post("y");
    assert_eq!(grid.task(WORKER)["data"]["payload"], "y", "its slot is free again");
}

/// A worker's own count of free slots holds back what ours would send.
#[test]
fn the_smaller_count_of_free_slots_rules() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 2);
    grid.post("x");
    let task = grid.task(WORKER);
    let mut beat = heartbeat(&task, 0);
    grid.send(WORKER, beat.clone());
    grid.take(WORKER);
    grid.post("y");
    assert!(grid.tasks(WORKER).is_empty());
    beat["free_slots"] = json!(1);
    grid.send(WORKER, beat);
    assert_eq!(grid.tasks(WORKER).len(), 1);
}

/// TASK travels in arrays only to those who have said that they understand them.
#[test]
fn only_workers_that_say_so_get_arrays() {
    for batch in [false, true] {
        let mut grid = Grid::new();
        grid.register(json!({"address": WORKER, "types": ["reverse"], "capacity": 1, "instance": "i", "batch": batch}));
        grid.post("x");
        assert_eq!(grid.packable(WORKER), [batch]);
    }
}
