//! What a program says when it cannot start.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::processes::{ANY_PORT, Daemon, Grid, ask_bytes, eventually, taskgrid};

/// Starts a daemon that is expected to refuse; returns its exit code and what it said.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = taskgrid().args(args).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn dispatcher_on(database: &Path) -> (Option<i32>, String) {
    refused(&["dispatcher", "--listen", ANY_PORT, "--database", database.to_str().unwrap()])
}

#[test]
fn a_second_dispatcher_names_the_database_and_exits_75() {
    let grid = Grid::without_workers();
    let (code, said) = dispatcher_on(&grid.database());
    assert_eq!(code, Some(75));
    assert!(said.contains("tasks.db") && said.contains("in use"), "{said}");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT]);
    let (code, said) = refused(&["nameservice", "--listen", &nameservice.addr.to_string()]);
    assert_eq!(code, Some(75));
    assert!(said.contains(&nameservice.addr.to_string()) && said.lines().count() == 1, "{said}");
}

#[test]
fn an_address_that_does_not_parse_is_a_usage_error() {
    for args in [["nameservice", "--listen", "here"], ["dispatcher", "--nameservice", "nowhere"]] {
        let (code, said) = refused(&args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(args[2]), "{said}");
    }
}

/// At the start of a machine names may not be there yet: a supervisor should try that again, and no wrong flag.
#[test]
fn a_name_that_cannot_be_looked_up_now_is_no_usage_error() {
    let (code, said) = refused(&["worker", "--listen", "0.0.0.0:0", "--nameservice", "nowhere.invalid:5001"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("nowhere.invalid:5001") && said.contains("--advertise"), "{said}");
}

/// The variables in the help of `verb`.
fn variables(verb: &str) -> Vec<String> {
    let help = String::from_utf8(taskgrid().args([verb, "--help"]).output().unwrap().stdout).unwrap();
    let names = help.split("[env:").skip(1).filter_map(|rest| rest.trim_start().split(['=', ']']).next());
    names.map(str::to_owned).collect()
}

/// `TASKGRID_LEASE: ${LEASE:-}` in a compose file, without LEASE, stopped every program.
#[test]
fn a_variable_that_is_empty_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["nameservice", "dispatcher", "worker"] {
        let variables = variables(verb);
        assert!(variables.iter().any(|name| name == "TASKGRID_LISTEN"), "{variables:?}");
        let mut command = taskgrid();
        command.args([verb, "--listen", ANY_PORT]).current_dir(&dir);
        let daemon = Daemon::spawn(command.envs(variables.iter().map(|name| (name, ""))));
        let mut ping = taskgrid();
        let empty = ["TASKGRID_DISPATCHER", "TASKGRID_DEADLINE", "TASKGRID_OUTPUT", "TASKGRID_PING_DEADLINE"];
        ping.args(["ping", &daemon.addr.to_string()]).envs(empty.map(|name| (name, "")));
        let Output { status, stderr, .. } = ping.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    }
}

#[test]
fn a_list_takes_spaces_and_a_comma_at_its_end() {
    let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT, "--static", "a=one:6000, b=two:6000,"]);
    let address = nameservice.addr.to_string();
    let mut worker = taskgrid();
    worker.args(["worker", "--listen", ANY_PORT, "--types", "upper, hash,", "--types", "sum"]);
    let worker = Daemon::spawn(worker.env("TASKGRID_NAMESERVICE", format!(" {address}, ")));
    for (task_type, expected) in [("a", "one:6000"), ("b", "two:6000"), ("upper", ""), ("hash", ""), ("sum", "")] {
        let address = if expected.is_empty() { worker.addr.to_string() } else { expected.to_owned() };
        eventually(&format!("a worker for {task_type}"), || {
            let request = json!({"type": "LOOKUP_WORKER", "data": {"type": task_type}});
            let reply = ask_bytes(nameservice.addr, request.to_string().as_bytes());
            (reply["address"] == *address).then_some(())
        });
    }
    let (code, said) = refused(&["worker", "--types", " , "]);
    assert!(code == Some(2) && said.contains("the list is empty"), "{code:?} {said}");
}

#[test]
fn a_mistyped_flag_or_verb_gets_the_nearest_right_one() {
    assert!(refused(&["dispatcher", "--databse", "x"]).1.contains("--database"));
    assert!(refused(&["submti", "reverse", "x"]).1.contains("submit"));
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("letters.db");
    std::fs::write(&database, "Dear Sir or Madam, ".repeat(500)).unwrap();
    let before = std::fs::read(&database).unwrap();
    let (code, said) = dispatcher_on(&database);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("letters.db"), "{said}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
    assert!(!dir.path().join("letters.db-wal").exists());
}

#[test]
fn a_damaged_database_is_refused_with_the_way_out_and_stays_as_it_was() {
    let mut grid = Grid::without_workers();
    let bytes = grid.stop_and_damage();
    let (code, said) = dispatcher_on(&grid.database());
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("tasks.db") && said.contains(".recover"), "{said}");
    assert_eq!(std::fs::read(grid.database()).unwrap(), bytes);
}

/// SQLite reads a file with a spoilt schema, and fails when it is to use what is spoilt.
#[test]
fn damage_to_the_schema_is_damage_too() {
    for (text, spoilt) in [("CHECK (priority BETWEEN", "CHECK (prioripy BETWEEN"), (" name VARCHAR", " nime VARCHAR")] {
        let mut grid = Grid::without_workers();
        grid.submit("reverse", "OpenAI");
        grid.dispatcher.process.terminate();
        let mut bytes = std::fs::read(grid.database()).unwrap();
        // Pages that are no longer used may hold it too.
        let is_there = |at: &usize| bytes[*at..].starts_with(text.as_bytes());
        for at in (0..bytes.len()).filter(is_there).collect::<Vec<_>>() {
            bytes[at..at + text.len()].copy_from_slice(spoilt.as_bytes());
        }
        std::fs::write(grid.database(), &bytes).unwrap();
        let (code, said) = dispatcher_on(&grid.database());
        assert_eq!(code, Some(65), "{spoilt}: {said}");
        assert!(said.contains("tasks.db") && said.contains(".recover"), "{spoilt}: {said}");
        assert_eq!(std::fs::read(grid.database()).unwrap(), bytes);
    }
}

/// Supervisors keep what a daemon says in files, for people and for `grep`.
#[test]
fn a_log_that_no_terminal_shows_is_plain_text() {
    let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT]).process;
    assert!(!nameservice.has_said("\u{1b}"), "{nameservice}");
}

/// The library that brings the schema up to date told of every start that it had nothing to do, in lines that
/// were empty in part. The log of a start now holds what the dispatcher itself has to say.
#[test]
fn the_log_of_a_start_says_only_what_the_dispatcher_has_to_say() {
    let mut grid = Grid::without_workers();
    for start in ["a new database", "one that is there"] {
        let dispatcher = &grid.dispatcher.process;
        assert!(!dispatcher.has_said("migration") && !dispatcher.has_said("version"), "{start}: {dispatcher}");
        let said = dispatcher.to_string();
        assert!(!said.lines().any(|line| line.trim_end().ends_with("INFO")), "{start}, an empty line: {said}");
        grid.kill_and_restart_dispatcher();
    }
}

#[test]
fn a_missing_name_service_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT]).addr;
    // It is gone again: only its port was needed.
    let dispatcher = crate::processes::start_dispatcher(dir.path(), ANY_PORT, nameservice);
    let at = nameservice.to_string();
    let _worker = Daemon::start(&["worker", "--listen", ANY_PORT, "--nameservice", &at]);
    let _nameservice = Daemon::start(&["nameservice", "--listen", &at]);
    let dispatcher = dispatcher.addr.to_string();
    let args = ["submit", "reverse", "OpenAI", "--wait", "--dispatcher", &dispatcher];
    let output = taskgrid().args(args).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "IAnepO", "{output:?}");
}

#[test]
fn up_starts_everything_and_stops_it_cleanly() {
    // For this machine alone, and for others too.
    for listen in [ANY_PORT, "0.0.0.0:0"] {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("tasks.db");
        let args = [
            "up",
            "--database",
            database.to_str().unwrap(),
            "--dispatcher-listen",
            listen,
            "--nameservice-listen",
            listen,
            "--worker-listen",
            ANY_PORT,
        ];
        let mut up = crate::processes::start(&args);
        let line = up.line_with("dispatcher on ");
        let addr = line.split("dispatcher on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let addr = addr.replace("0.0.0.0", "127.0.0.1");
        let output =
            taskgrid().args(["submit", "reverse", "OpenAI", "--wait", "--dispatcher", &addr]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "IAnepO", "{output:?}");
        eventually("the greeting", || up.has_said("Ctrl-C").then_some(()));
        assert_eq!(up.terminate(), Some(0), "{up}");
    }
}
