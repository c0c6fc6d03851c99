//! Processes die; tasks do not.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::processes::{Grid, eventually, post, skipped};
use crate::relay::Relay;

#[test]
fn pending_tasks_survive_kill_9_of_the_dispatcher() {
    let mut grid = Grid::without_workers();
    let ids: Vec<String> = (0..20).map(|n| grid.submit("reverse", &format!("task {n}"))).collect();
    grid.kill_and_restart_dispatcher();
    grid.add_worker(&[]);
    for (n, id) in ids.iter().enumerate() {
        let expected: String = format!("task {n}").chars().rev().collect();
        assert_eq!(grid.result(id), expected);
    }
}

#[test]
fn every_acknowledged_task_is_done_after_kills_under_load() {
    let mut grid = Grid::start();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let batch: Vec<Value> = (0..100).map(|n| keyed(&format!("{round}-{n}"))).collect();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(5))).unwrap();
        for request in &batch {
            socket.send_to(request.to_string().as_bytes(), grid.dispatcher.addr).unwrap();
            acknowledged.extend(answer(&socket));
        }
        // Whatever has not been answered by now is unknown to the client.
        grid.kill_and_restart_dispatcher();
    }
    assert!(!acknowledged.is_empty(), "no task was acknowledged before its dispatcher was killed");
    for reply in &acknowledged {
        let id = reply["data"]["task_id"].to_string();
        let key = reply["id"].as_str().unwrap();
        assert_eq!(grid.result(&id), key.chars().rev().collect::<String>());
    }
}

fn keyed(key: &str) -> Value {
    json!({"type": "POST_TASK", "id": key, "data": {"type": "reverse", "payload": key, "key": key}})
}

fn answer(socket: &std::net::UdpSocket) -> Option<Value> {
    let mut buffer = [0; 2_048];
    let length = socket.recv(&mut buffer).ok()?;
    let reply: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    reply["data"]["task_id"].is_number().then_some(reply)
}

#[test]
fn a_task_whose_worker_is_killed_runs_at_another_one() {
    let mut grid = Grid::start();
    let id = grid.submit("wait", "2");
    eventually("the start of the task", || grid.run(&["show", &id]).stdout_has("running").then_some(()));
    grid.workers[0].process.kill();
    grid.add_worker(&[]);
    assert_eq!(grid.result(&id), "Waited for 2.0 seconds");
    let Some(attempts) = grid.sqlite3("select count(*) from task_attempts") else {
        return skipped("sqlite3");
    };
    assert_eq!(attempts, "1", "the lost attempt is on record");
}

trait Says {
    fn stdout_has(&self, needle: &str) -> bool;
}

impl Says for std::process::Output {
    fn stdout_has(&self, needle: &str) -> bool {
        String::from_utf8_lossy(&self.stdout).contains(needle)
    }
}

#[test]
fn a_handler_that_outlives_several_leases_keeps_its_task() {
    let mut grid = Grid::without_workers();
    grid.add_worker(&["--lease", "3"]);
    grid.add_worker(&["--lease", "3"]);
    let id = grid.submit("wait", "10");
    assert_eq!(grid.result(&id), "Waited for 10.0 seconds");
    if let Some(attempts) = grid.sqlite3("select count(*) from task_attempts") {
        assert_eq!(attempts, "0", "it ran once");
    }
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_what_it_runs() {
    let mut grid = Grid::start();
    let id = grid.submit("wait", "1");
    eventually("the start of the task", || grid.run(&["show", &id]).stdout_has("running").then_some(()));
    assert_eq!(grid.workers[0].process.terminate(), Some(0));
    let reply = grid.ask(&json!({"type": "GET_RESULT", "data": {"task_id": id.parse::<i64>().unwrap()}}));
    assert_eq!(reply["result"], "Waited for 1.0 seconds");
}

#[test]
fn a_dispatcher_that_is_told_to_stop_leaves_nothing_behind() {
    let mut grid = Grid::without_workers();
    grid.submit("reverse", "OpenAI");
    assert_eq!(grid.dispatcher.process.terminate(), Some(0));
    let log = grid.database().with_extension("db-wal");
    assert!(std::fs::metadata(&log).map_or(0, |data| data.len()) == 0, "the log was written back");
    let addr = grid.dispatcher.addr.to_string();
    grid.dispatcher = crate::processes::start_dispatcher(grid.dir.path(), &addr, grid.nameservice.addr);
    grid.add_worker(&[]);
    assert_eq!(grid.result("1"), "IAnepO");
}

/// A shell that reads all the time neither fails nor stops anybody.
#[test]
fn the_table_can_be_read_with_sqlite3_at_full_load() {
    let grid = Grid::start();
    if grid.sqlite3("select 1").is_none() {
        return skipped("sqlite3");
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let counts = grid.sqlite3("select count(*), sum(status = 'done') from tasks").unwrap();
                assert!(counts.contains('|'), "{counts}");
                reads += 1;
            }
            reads
        });
        let bench = grid.run(&["bench", "--tasks", "5000", "--in-flight", "64"]);
        done.store(true, Ordering::Relaxed);
        assert!(bench.status.success(), "{bench:?}");
        assert!(reader.join().unwrap() > 0);
    });
    let all_done = "select count(*) >= 5000, count(*) = sum(status = 'done') from tasks";
    assert_eq!(grid.sqlite3(all_done).unwrap(), "1|1");
}

/// The same key twice, also in one datagram, is one row.
#[test]
fn a_key_in_one_array_twice_is_one_task() {
    let grid = Grid::start();
    let mut request = post("reverse", "x");
    request["data"]["key"] = json!("k");
    request["id"] = json!(1);
    let mut again = request.clone();
    again["id"] = json!(2);
    let reply = grid.ask(&json!([request, again]));
    let replies = reply.as_array().unwrap_or_else(|| panic!("an array is answered by an array: {reply}"));
    assert_eq!(replies[0]["data"]["task_id"], replies[1]["data"]["task_id"]);
    assert_eq!(grid.run(&["stats", "--output", "json"]).status.code(), Some(0));
    if let Some(rows) = grid.sqlite3("select count(*) from tasks") {
        assert_eq!(rows, "1");
    }
}

/// A row is all that a task is.
#[test]
fn a_row_that_is_inserted_with_sqlite3_is_a_task() {
    let grid = Grid::start();
    let insert = "insert into tasks (type, payload) values ('reverse', '\"OpenAI\"')";
    let command = std::process::Command::new("sqlite3").arg(grid.database()).arg(insert).status();
    if command.is_err() {
        return skipped("sqlite3");
    }
    assert!(command.unwrap().success());
    assert_eq!(grid.result("1"), "IAnepO");
}

/// After a restart no stored worker address is trusted: each type with pending tasks is looked up, over UDP.
#[test]
fn a_restarted_dispatcher_looks_each_pending_type_up() {
    let mut grid = Grid::without_workers();
    for task_type in ["apples", "pears", "apples", "plums"] {
        grid.submit(task_type, "x");
    }
    let relay = Relay::before(grid.nameservice.addr);
    grid.dispatcher.process.kill();
    grid.dispatcher = crate::processes::start_dispatcher(grid.dir.path(), "127.0.0.1:0", relay.addr);
    let mut looked_up = std::collections::BTreeSet::new();
    eventually("the look-ups", || {
        let lookups = relay.take();
        let types = lookups.iter().filter(|message| message["type"] == "LOOKUP_WORKER");
        looked_up.extend(types.filter_map(|lookup| lookup["data"]["type"].as_str().map(str::to_owned)));
        (looked_up.len() == 3).then_some(())
    });
    assert_eq!(looked_up.into_iter().collect::<Vec<_>>(), ["apples", "pears", "plums"]);
}
