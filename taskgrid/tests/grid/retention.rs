//! Ended tasks that are no longer kept.

use rusqlite::Connection;
use serde_json::json;

use crate::processes::{ANY_PORT, Daemon, Grid, eventually, taskgrid};

/// Makes it look as if all of this had happened days ago.
fn age(grid: &Grid, days: u32) {
    let back = |column| format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-{days} days')");
    let columns = ["timestamp_created", "timestamp_scheduled", "timestamp_dispatched", "timestamp_completed"].map(back);
    let database = Connection::open(grid.database()).unwrap();
    database.execute_batch(&format!("UPDATE tasks SET {}", columns.join(", "))).unwrap();
}

fn restart(grid: &mut Grid, flags: &[&str]) {
    let (addr, nameservice) = (grid.dispatcher.addr.to_string(), grid.nameservice.addr.to_string());
    let database = grid.database();
    let mut args = vec!["dispatcher", "--listen", &addr, "--nameservice", &nameservice];
    args.extend(["--database", database.to_str().unwrap()]);
    args.extend(flags);
    grid.dispatcher = Daemon::start(&args);
}

fn id_with_key(grid: &Grid, key: &str) -> i64 {
    let reply = grid.ask(&json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x", "key": key}}));
    reply["task_id"].as_i64().unwrap_or_else(|| panic!("not posted: {reply}"))
}

#[test]
fn tasks_that_ended_long_ago_are_deleted_and_their_keys_and_statistics_with_them() {
    let mut grid = Grid::start();
    let (done, failed) = (id_with_key(&grid, "k"), grid.submit("sum", "apples"));
    assert_eq!(grid.result(&done.to_string()), "x");
    eventually("the failure", || (grid.run(&["result", &failed]).status.code() == Some(1)).then_some(()));
    assert_eq!(grid.dispatcher.process.terminate(), Some(0));
    age(&grid, 3);
    restart(&mut grid, &["--retain-done", "4d"]);
    let ask = |grid: &Grid| grid.ask(&json!({"type": "GET_RESULT", "data": {"task_id": done}}));
    assert_eq!(ask(&grid)["result"], "x", "four days have not passed");
    assert_eq!(id_with_key(&grid, "k"), done);
    let young = grid.submit_and_wait("reverse", "young");
    assert_eq!(young, "gnuoy");
    assert_eq!(grid.dispatcher.process.terminate(), Some(0));
    restart(&mut grid, &["--retain-done", "2d"]);
    eventually("the deletion", || (ask(&grid)["code"] == "NOT_FOUND").then_some(()));
    grid.dispatcher.process.line_with("ended tasks deleted by --retain-done and --retain-failed: 1");
    assert_eq!(grid.run(&["result", &failed]).status.code(), Some(1), "failed tasks have a time of their own");
    let stats = grid.ask(&json!({"type": "GET_STATS", "data": {}}));
    assert_eq!((&stats["tasks"]["done"], &stats["tasks"]["failed"]), (&json!(1), &json!(1)), "{stats}");
    assert!(id_with_key(&grid, "k") > done + 1, "the key makes a new task, with a number of its own");
}

#[test]
fn a_time_that_is_too_short_or_makes_no_sense_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("tasks.db");
    let refused = |verb: &str, flags: [&str; 2]| {
        let mut command = taskgrid();
        command.args([verb, "--database", database.to_str().unwrap()]).args(flags);
        if verb == "up" {
            command.args(["--dispatcher-listen", ANY_PORT, "--nameservice-listen", ANY_PORT]);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for verb in ["dispatcher", "up"] {
        let said = refused(verb, ["--retain-done", "23h"]);
        assert!(said.contains("at least 24h") && said.lines().count() == 1, "{said}");
        assert!(refused(verb, ["--retain-failed", "1h"]).contains("--retain-failed"));
        assert!(refused(verb, ["--retain-done", "week"]).contains("7d"));
    }
    assert!(!database.exists());
}
