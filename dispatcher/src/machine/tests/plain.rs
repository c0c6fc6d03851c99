//! Workers that know TASK and RESULT_RETURN only (R15).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::grid::{CLIENT, Grid};
use crate::machine::Event;
use crate::store::Proof;

const WORKER: &str = "127.0.0.1:6000";
const NAMED: &str = "worker-reverse:6000";
const RESOLVED: &str = "172.18.0.5:6000";

fn result(task: i64) -> serde_json::Value {
    json!({"type": "RESULT_RETURN", "data": {"task_id": task, "result": "IAnepO"}})
}

#[test]
fn task_goes_out_once_and_as_workflow_md_shows_it() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    grid.post("OpenAI");
    grid.advance(Duration::from_secs(300));
    let sent = grid.take(WORKER);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let task = &sent[0];
    let beside: Vec<&String> = task.as_object().unwrap().keys().collect();
    assert_eq!(beside, ["data", "type"], "nothing stands beside data");
}

#[test]
fn its_result_counts_from_any_port_of_its_host() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let id = grid.post("OpenAI");
    let stranger = grid.ask("127.0.0.9:4444", result(id));
    assert_eq!(stranger["code"], "LEASE_REQUIRED");
    let stored = grid.ask("127.0.0.1:4444", result(id));
    assert_eq!(stored["message"], "Result stored");
    assert_eq!(grid.result_of(id)["result"], "IAnepO");
    assert_eq!(grid.ask("127.0.0.1:4444", result(id))["duplicate"], true);
}

/// R28: a DNS name is looked up at hand-over, and TASK waits for the answer.
#[test]
fn a_name_is_looked_up_before_its_only_task_is_sent() {
    let mut grid = Grid::new();
    grid.dns = vec![(NAMED.to_owned(), Some(RESOLVED.parse().unwrap()))];
    grid.plain_worker(NAMED, &["reverse"]);
    let id = grid.post("OpenAI");
    assert_eq!(grid.task(RESOLVED)["data"]["assigned_worker"], NAMED);
    grid.ask("172.18.0.5:51000", result(id));
    // The container comes back with another address.
    grid.dns = vec![(NAMED.to_owned(), Some("172.18.0.9:6000".parse().unwrap()))];
    grid.advance(Duration::from_secs(6));
    let id = grid.post("again");
    assert_eq!(grid.task("172.18.0.9:6000")["data"]["id"], id);
}

/// R28: what is not answered may have moved; waiting for the cache to grow old would cost seconds.
#[test]
fn a_leasing_worker_that_has_moved_is_found_within_seconds() {
    let mut grid = Grid::new();
    grid.dns = vec![(NAMED.to_owned(), Some(RESOLVED.parse().unwrap()))];
    grid.worker(NAMED, &["reverse"], 1);
    grid.post("x");
    grid.advance(Duration::from_millis(100));
    assert!(!grid.take(RESOLVED).is_empty());
    grid.dns = vec![(NAMED.to_owned(), Some("172.18.0.9:6000".parse().unwrap()))];
    grid.advance(Duration::from_millis(1_100));
    assert_eq!(grid.tasks("172.18.0.9:6000").len(), 1);
}

/// R28: a failed look-up means "unreachable now", never "task failed".
#[test]
fn a_name_that_cannot_be_resolved_is_tried_again() {
    let mut grid = Grid::new();
    grid.plain_worker(NAMED, &["reverse"]);
    let id = grid.post("OpenAI");
    grid.advance(Duration::from_secs(20));
    assert_eq!(grid.status_of(id), "running");
    grid.dns = vec![(NAMED.to_owned(), Some(RESOLVED.parse().unwrap()))];
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task(RESOLVED)["data"]["id"], id);
}

/// The address came while the release of the attempt was being committed, and TASK was sent for a task that was pending
/// again.
#[test]
fn an_attempt_whose_end_waits_for_the_disk_is_not_handed_over_any_more() {
    let mut grid = Grid::new();
    grid.worker(NAMED, &["reverse"], 1);
    let id = grid.post("x");
    grid.disk_is_slow = true;
    grid.advance(Duration::from_secs(31));
    grid.event(Event::Resolved { name: NAMED.to_owned(), addr: Some(RESOLVED.parse().unwrap()) });
    assert!(grid.take(RESOLVED).is_empty(), "its lease is over");
    grid.disk_catches_up();
    grid.advance(Duration::from_secs(60));
    assert_eq!(grid.task(RESOLVED)["data"]["id"], id, "the next attempt");
}

#[test]
fn its_silence_frees_the_slot_but_not_the_task() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let first = grid.post("a");
    grid.task(WORKER);
    grid.post("b");
    grid.advance(Duration::from_secs(29));
    assert!(grid.tasks(WORKER).is_empty());
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task(WORKER)["data"]["payload"], "b");
    assert_eq!(grid.status_of(first), "running");
    grid.advance(Duration::from_secs(600));
    assert_ne!(grid.status_of(first), "done");
}

#[test]
fn the_end_of_its_registration_ends_its_attempts() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let id = grid.post("a");
    grid.task(WORKER);
    grid.deregister(WORKER);
    assert_eq!(grid.status_of(id), "pending");
    grid.plain_worker("127.0.0.1:6001", &["reverse"]);
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task("127.0.0.1:6001")["data"]["id"], id);
    // The first one answers after all.
    assert_eq!(grid.ask("127.0.0.1:5555", result(id))["message"], "Result stored");
}

/// R15: its host is what it is known by, also when it has left.
#[test]
fn its_result_counts_after_it_has_left() {
    let mut grid = Grid::new();
    grid.plain_worker("127.0.0.5:6000", &["reverse"]);
    let id = grid.post("a");
    grid.task("127.0.0.5:6000");
    grid.deregister("127.0.0.5:6000");
    assert_eq!(grid.status_of(id), "pending");
    assert_eq!(grid.ask("127.0.0.6:4444", result(id))["code"], "LEASE_REQUIRED");
    assert_eq!(grid.ask("127.0.0.5:4444", result(id))["message"], "Result stored");
}

#[test]
fn a_task_that_it_cannot_take_fails_with_a_reason() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    let payload = "x".repeat(5_000);
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": payload}}));
    assert!(grid.tasks(WORKER).is_empty());
    assert_eq!(grid.result_of(1)["task_error"]["code"], "TOO_LARGE_FOR_WORKER");
}

/// A bare string is an error too.
#[test]
fn it_may_fail_in_its_own_words() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": 1, "max_attempts": 1}}));
    grid.ask("127.0.0.1:4444", json!({"type": "RESULT_RETURN", "data": {"task_id": 1, "error": "no string"}}));
    assert_eq!(grid.result_of(1)["error"], "Task failed: no string");
}

/// Its slot was free again, so the roster had forgotten it when its registration ended, and nobody ended its attempt:
/// the task waited for ten minutes.
#[test]
fn a_plain_worker_that_is_gone_gives_its_task_back_also_after_its_slot_was_freed() {
    let mut grid = Grid::new();
    grid.plain_worker(WORKER, &["reverse"]);
    grid.post("a");
    grid.task(WORKER);
    grid.advance(Duration::from_secs(35));
    grid.deregister(WORKER);
    grid.plain_worker("127.0.0.1:6001", &["reverse"]);
    grid.advance(Duration::from_secs(60));
    assert_eq!(grid.tasks("127.0.0.1:6001").len(), 1);
}

/// Each result carried all plain workers of its host: with ten thousand registered there, which anybody can do, 175 kB
/// for a result of 60 bytes, of which tens of thousands may wait for the disk.
#[test]
fn results_that_wait_share_what_is_known_of_their_host() {
    let mut grid = Grid::new();
    for port in 0..100 {
        grid.register_quietly(
            json!({"address": format!("127.0.0.1:{}", 7000 + port), "types": ["reverse"], "capacity": 1}),
        );
    }
    grid.plain_worker(WORKER, &["reverse"]);
    grid.disk_is_full = true;
    let many = format!("[{}]", vec![result(1).to_string(); 10].join(","));
    grid.send_bytes("127.0.0.1:4444", many.as_bytes());
    let batch = grid.refused.iter().max_by_key(|batch| batch.finishes.len()).unwrap();
    let lists: Vec<_> = batch.finishes.iter().map(|finish| &finish.proof).collect();
    assert_eq!(lists.len(), 10);
    for list in lists {
        let (Proof::Sender(list), Proof::Sender(first)) = (list, &batch.finishes[0].proof) else { panic!("no lease") };
        assert_eq!(list.len(), 101);
        assert!(Arc::ptr_eq(list, first));
    }
}

/// Another host's list is another one, and it follows who comes, moves and leaves.
#[test]
fn a_result_counts_from_where_its_worker_lives_now() {
    let mut grid = Grid::new();
    grid.dns = vec![(NAMED.to_owned(), Some(RESOLVED.parse().unwrap()))];
    grid.plain_worker(NAMED, &["reverse"]);
    grid.plain_worker("172.18.0.9:6000", &["upper"]);
    let id = grid.post("a");
    assert_eq!(grid.ask("172.18.0.9:4444", result(id))["code"], "LEASE_REQUIRED");
    grid.dns = vec![(NAMED.to_owned(), Some("172.18.0.7:6000".parse().unwrap()))];
    grid.advance(Duration::from_secs(6));
    grid.send("172.18.0.7:4444", result(id));
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.status_of(id), "done");
}
