//! The command line against a real grid.

use std::process::Output;

use serde_json::Value;

use crate::processes::{Grid, eventually, taskgrid};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_built_in_types_do_what_they_say() {
    let grid = Grid::start();
    assert_eq!(grid.submit_and_wait("reverse", "äöü€"), "€üöä");
    assert_eq!(grid.submit_and_wait("upper", "straße"), "STRASSE");
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(grid.submit_and_wait("hash", "abc"), hash);
    assert_eq!(grid.submit_and_wait("sum", "1,2,3.5"), "6.5");
    assert_eq!(grid.submit_and_wait("wait", "0.5"), "Waited for 0.5 seconds");
    let output = grid.run(&["submit", "sum", "[1, 2, 3]", "--json", "--wait"]);
    assert_eq!(out(&output), "6");
}

#[test]
fn exit_codes_tell_the_outcomes_apart() {
    let grid = Grid::start();
    let failed = grid.run(&["submit", "sum", "apples", "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(err(&failed).contains("apples") || err(&failed).contains("number"), "{failed:?}");
    assert_eq!(grid.run(&["result", "999"]).status.code(), Some(3));
    let slow = grid.submit("wait", "60");
    assert_eq!(grid.run(&["result", &slow]).status.code(), Some(4));
    assert_eq!(grid.run(&["cancel", &slow]).status.code(), Some(0));
    assert_eq!(grid.run(&["result", &slow]).status.code(), Some(1));
    assert_eq!(grid.run(&["submit", "reverse"]).status.code(), Some(2));
    let long = "x".repeat(60_000);
    assert_eq!(grid.run(&["submit", "reverse", &long]).status.code(), Some(3));
}

#[test]
fn an_unknown_outcome_names_the_key_to_ask_again_with() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = nobody.local_addr().unwrap().to_string();
    let args = ["submit", "reverse", "x", "--dispatcher", &addr, "--deadline", "1"];
    let output = taskgrid().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(err(&output).contains("--key"), "{output:?}");
}

#[test]
fn a_type_that_nobody_serves_is_said_at_once() {
    let grid = Grid::start();
    let id = grid.submit("reverse", "x");
    grid.result(&id);
    let mut command = taskgrid();
    command.args(["submit", "revrese", "x", "--dispatcher", &grid.dispatcher.addr.to_string()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(err(&output).contains("revrese") && err(&output).contains("reverse"), "{output:?}");
    let note = out(&grid.run(&["show", &out(&output)]));
    assert!(note.to_lowercase().contains("no worker serves type 'revrese'"), "{note}");
}

#[test]
fn a_key_given_twice_prints_one_number() {
    let grid = Grid::start();
    let first = grid.run(&["submit", "reverse", "x", "--key", "order 7"]);
    let second = grid.run(&["submit", "reverse", "x", "--key", "order 7"]);
    assert_eq!(out(&first), out(&second));
    assert_eq!(grid.run(&["submit", "reverse", "y", "--key", "order 7"]).status.code(), Some(3));
}

#[test]
fn retry_runs_a_failed_task_again() {
    let grid = Grid::start();
    let id = grid.submit("sum", "apples");
    eventually("the failure", || (grid.run(&["result", &id]).status.code() == Some(1)).then_some(()));
    assert_eq!(grid.run(&["retry", &id]).status.code(), Some(0));
    let shown = eventually("the second failure", || {
        let shown: Value = serde_json::from_slice(&grid.run(&["show", &id, "--output", "json"]).stdout).unwrap();
        (shown["attempts"].as_array().is_some_and(|attempts| attempts.len() == 2)).then_some(shown)
    });
    assert_eq!(shown["task"]["status"], "failed");
}

#[test]
fn the_grid_can_be_looked_at() {
    let grid = Grid::start();
    let id = grid.submit("reverse", "OpenAI");
    grid.result(&id);
    let list = out(&grid.run(&["list", "--type", "reverse"]));
    assert!(list.contains("done") && list.contains("reverse"), "{list}");
    let workers: Value = serde_json::from_slice(&grid.run(&["workers", "--output", "json"]).stdout).unwrap();
    assert_eq!(workers["workers"][0]["address"], grid.workers[0].addr.to_string());
    let stats: Value = serde_json::from_slice(&grid.run(&["stats", "--output", "json"]).stdout).unwrap();
    assert_eq!(stats["tasks"]["done"], 1);
    assert!(out(&grid.run(&["ping"])).contains(env!("CARGO_PKG_VERSION")));
    eventually("a checkpoint", || out(&grid.run(&["stats"])).contains("longest checkpoint").then_some(()));
}
