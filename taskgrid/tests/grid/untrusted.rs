//! What a peer that nobody trusts learns and can do without keys.

use serde_json::{Value, json};

use crate::processes::{Grid, ask, eventually, is_installed, post, skipped};

/// Requests of every kind, as anybody may send them.
fn requests(task: &Value, address: &str) -> Vec<Value> {
    let of_task = json!({"task_id": task});
    let address = json!({"address": address});
    [
        ("POST_TASK", json!({"type": "wait", "payload": 1, "key": "k"})),
        ("GET_RESULT", of_task.clone()),
        ("GET_TASK", of_task.clone()),
        ("LIST_TASKS", json!({})),
        ("GET_STATS", json!({})),
        ("LIST_WORKERS", json!({})),
        ("PING", json!({})),
        ("HEARTBEAT", address.clone()),
        ("DEREGISTER_WORKER", json!({"address": address["address"], "instance": "guessed"})),
        ("TASK_HEARTBEAT", json!({"leases": [{"task_id": task, "lease": "guessed"}]})),
        ("RESULT_RETURN", json!({"task_id": task, "result": "forged"})),
        ("RETRY_TASK", of_task.clone()),
        ("CANCEL_TASK", of_task),
    ]
    .map(|(kind, data)| json!({"type": kind, "id": 1, "data": data}))
    .to_vec()
}

/// Three datagrams were enough: GET_TASK answered with the lease, and who has the lease may finish the attempt.
#[test]
fn nobody_learns_a_lease_or_finishes_an_attempt_of_another() {
    if !is_installed("sqlite3") {
        return skipped("sqlite3");
    }
    let grid = Grid::start();
    let task = grid.ask(&post("wait", 600))["task_id"].clone();
    let lease = eventually("the lease", || grid.sqlite3("select lease from tasks").filter(|lease| !lease.is_empty()));
    let address = grid.workers[0].addr.to_string();
    let lookup = json!({"type": "LOOKUP_WORKER", "data": {"type": "wait"}});
    let instance = eventually("the instance", || {
        ask(grid.nameservice.addr, &lookup)["workers"][0]["instance"].as_str().map(str::to_owned)
    });

    let shown = &grid.ask(&json!({"type": "GET_TASK", "data": {"task_id": task}}))["task"]["lease"];
    assert_eq!(*shown, lease[..4]);
    let forged = json!({"type": "RESULT_RETURN", "lease": shown, "data": {"task_id": task, "result": "forged"}});
    assert_eq!(grid.ask(&forged)["code"], "LEASE_UNKNOWN");
    for request in requests(&task, &address) {
        for server in [&grid.dispatcher, &grid.nameservice, &grid.workers[0]] {
            let reply = ask(server.addr, &request).to_string();
            assert!(!reply.contains(&lease[..5]), "{request} was answered with the lease: {reply}");
            // A worker proves to a name service by PING that it is the process it has registered as (R18).
            let is_proof = server.addr == grid.workers[0].addr && request["type"] == "PING";
            assert!(is_proof || !reply.contains(&instance[..5]), "{request} was answered with the instance: {reply}");
        }
    }
    assert_eq!(grid.sqlite3("select status from tasks where request_key is null").as_deref(), Some("cancelled"));
}
