//! Ended tasks that are no longer kept (R4).

use std::time::Duration;

use serde_json::json;

use super::grid::{CLIENT, Grid};
use crate::machine::{Config, Event};
use crate::store::{PRUNE_MAX, Retention};

const WORKER: &str = "127.0.0.1:6000";
const MINUTE: Duration = Duration::from_secs(60);
/// Less than an operator may say, which is looked at elsewhere.
const KEPT: Duration = Duration::from_secs(2 * 3_600);

fn keeping(done: Option<Duration>, failed: Option<Duration>) -> Config {
    Config { retention: Retention { done, failed }, ..Config::default() }
}

fn done(grid: &mut Grid) -> i64 {
    let id = grid.post("a");
    let task = grid.task(WORKER);
    grid.return_result(WORKER, &task, json!({"result": 1}));
    id
}

#[test]
fn a_done_task_is_not_found_once_its_time_has_passed() {
    let mut grid = Grid::with(keeping(Some(KEPT), None));
    grid.worker(WORKER, &["reverse"], 1);
    let id = done(&mut grid);
    let cancelled = grid.post("b");
    grid.send(CLIENT, json!({"type": "CANCEL_TASK", "id": 1, "data": {"task_id": cancelled}}));
    grid.take(CLIENT);
    grid.advance(KEPT - MINUTE);
    assert_eq!(grid.result_of(id)["result"], 1);
    grid.advance(2 * MINUTE);
    assert_eq!(grid.result_of(id)["code"], "NOT_FOUND");
    assert_eq!(grid.status_of(cancelled), "cancelled", "somebody may want to retry it");
    grid.advance(KEPT);
    assert_eq!(grid.status_of(cancelled), "cancelled");
    assert_eq!(grid.deleted.iter().sum::<usize>(), 1);
}

#[test]
fn nothing_is_deleted_unless_the_operator_says_so() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = done(&mut grid);
    grid.advance(KEPT);
    assert_eq!(grid.result_of(id)["result"], 1);
    assert!(grid.deleted.is_empty());
}

#[test]
fn many_are_deleted_in_small_batches_and_others_are_served_between() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1_024);
    let ids: Vec<i64> = (0..3 * PRUNE_MAX).map(|_| done(&mut grid)).collect();
    grid.advance(KEPT);
    let mut grid = grid.restart_with(keeping(Some(KEPT), None));
    grid.advance(Duration::ZERO);
    assert_eq!(grid.deleted, [PRUNE_MAX], "no more at once");
    let new = grid.post("b");
    assert_eq!(grid.deleted, [PRUNE_MAX], "nor with every batch");
    grid.advance(Duration::from_millis(200));
    assert_eq!(grid.deleted, [PRUNE_MAX, PRUNE_MAX, PRUNE_MAX, 0]);
    assert!(ids.iter().all(|id| grid.result_of(*id)["code"] == "NOT_FOUND"));
    assert!(new > ids[ids.len() - 1]);
    grid.advance(5 * MINUTE);
    assert_eq!(grid.deleted.len(), 9, "with nothing to do it looks once a minute");
}

/// It was created before others, and ended after them: the walk had passed it.
#[test]
fn a_task_that_took_long_is_deleted_within_an_hour_too() {
    let mut grid = Grid::with(keeping(Some(KEPT), None));
    grid.worker(WORKER, &["reverse"], 2);
    let long = grid.post("long");
    let task = grid.task(WORKER);
    let short = done(&mut grid);
    for _ in 0..60 {
        let lease = json!({"task_id": long, "lease": task["lease"]});
        grid.send(WORKER, json!({"type": "TASK_HEARTBEAT", "id": 1, "data": {"leases": [lease]}}));
        grid.advance(Duration::from_secs(20));
    }
    grid.return_result(WORKER, &task, json!({"result": 1}));
    grid.advance(KEPT - 10 * MINUTE);
    assert_eq!((grid.status_of(long), grid.status_of(short)), ("done".to_owned(), "none".to_owned()));
    grid.advance(71 * MINUTE);
    assert_eq!(grid.result_of(long)["code"], "NOT_FOUND");
}

#[test]
fn a_full_disk_puts_it_off() {
    let mut grid = Grid::new();
    grid.worker(WORKER, &["reverse"], 1);
    let id = done(&mut grid);
    grid.advance(KEPT);
    grid.disk_is_full = true;
    let mut grid = grid.restart_with(keeping(Some(KEPT), None));
    grid.disk_is_full = true;
    grid.advance(2 * MINUTE);
    assert!(grid.refused.len() > 1, "it is tried again");
    grid.disk_is_full = false;
    grid.advance(2 * MINUTE);
    assert_eq!(grid.result_of(id)["code"], "NOT_FOUND");
    assert_eq!(
        grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "x", "payload": 1}}))["status"],
        "pending"
    );
}

#[test]
fn a_dispatcher_that_stops_does_not_wait_for_it() {
    let mut grid = Grid::with(keeping(Some(KEPT), None));
    grid.disk_is_slow = true;
    grid.advance(MINUTE);
    grid.event(Event::Drain);
    assert!(!grid.exited, "a batch is under way");
    grid.disk_catches_up();
    assert!(grid.exited);
}
