//! The workflow as its author wrote it, with clients and workers that know nothing more.

use std::process::Output;

use serde_json::{Value, json};

use crate::processes::{Grid, ask, ask_bytes, eventually, is_installed, skipped};

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_plain_client_and_a_plain_worker_do_the_whole_of_it() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = Grid::without_workers();
    let _worker = grid.plain_worker(&["reverse"]);
    let output = grid.plain_client(&["run", "reverse", "OpenAI"]);
    assert!(output.status.success(), "{output:?}");
    let printed = lines(&output);
    assert_eq!(printed[0], json!({"task_id": 1}));
    assert_eq!(printed[1]["result"], "IAnepO");
    let Some(row) =
        grid.sqlite3("select id, type, payload, status, result, timestamp_completed is not null from tasks")
    else {
        return skipped("sqlite3");
    };
    assert_eq!(row, r#"1|reverse|"OpenAI"|done|"IAnepO"|1"#);
}

/// The very bytes of the description, white space and all.
#[test]
fn the_requests_of_the_description_work_byte_for_byte() {
    let grid = Grid::start();
    let post = b"{\n  \"type\": \"POST_TASK\",\n  \"data\": {\n    \"type\": \"reverse\",\n    \"payload\": \"OpenAI\"\n  }\n}\n";
    assert_eq!(ask_bytes(grid.dispatcher.addr, post)["message"], "Task received, ID = 1");
    let get = b"{\n  \"type\": \"GET_RESULT\",\n  \"data\": {\n    \"task_id\": 1\n  }\n}\n";
    let reply = eventually("the result", || {
        Some(ask_bytes(grid.dispatcher.addr, get)).filter(|reply| reply["error"] != "Result not ready")
    });
    assert_eq!(reply["result"], "IAnepO");
    let lookup = b"{\n  \"type\": \"LOOKUP_WORKER\",\n  \"data\": {\n    \"type\": \"reverse\"\n  }\n}\n";
    assert_eq!(ask_bytes(grid.nameservice.addr, lookup)["address"], grid.workers[0].addr.to_string());
}

#[test]
fn sorted_keys_work_too() {
    let grid = Grid::start();
    let post = br#"{"data":{"payload":"OpenAI","type":"reverse"},"id":"x","type":"POST_TASK"}"#;
    let reply = ask_bytes(grid.dispatcher.addr, post);
    assert_eq!((&reply["id"], &reply["data"]["task_id"]), (&json!("x"), &json!(1)));
    assert_eq!(grid.result("1"), "IAnepO");
}

#[test]
fn a_plain_client_sees_a_failure_and_a_long_result() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = Grid::start();
    let failed = grid.plain_client(&["--json", "run", "sum", "\"apples\""]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let reply = lines(&failed).remove(1);
    assert!(reply["error"].as_str().unwrap().starts_with("Task failed: "), "{reply}");
    let long = "ab".repeat(20 * 1024);
    let output = grid.plain_client(&["run", "reverse", &long]);
    assert_eq!(lines(&output)[1]["result"], "ba".repeat(20 * 1024).as_str());
}

#[test]
fn a_worker_that_comes_after_the_task_gets_it() {
    let mut grid = Grid::without_workers();
    let id = grid.submit("reverse", "OpenAI");
    grid.add_worker(&["--types", "reverse"]);
    assert_eq!(grid.result(&id), "IAnepO");
}

#[test]
fn a_restarted_name_service_knows_plain_workers_again_by_their_heartbeats() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let mut grid = Grid::without_workers();
    let mut worker = grid.plain_worker(&["reverse", "--heartbeat", "1"]);
    let addr = grid.nameservice.addr.to_string();
    grid.nameservice.process.kill();
    grid.nameservice = crate::processes::Daemon::start(&["nameservice", "--listen", &addr]);
    let lookup = json!({"type": "LOOKUP_WORKER", "data": {"type": "reverse"}});
    eventually("the worker's return to the name service", || {
        ask(grid.nameservice.addr, &lookup)["address"].as_str().map(str::to_owned)
    });
    assert!(grid.plain_client(&["run", "reverse", "OpenAI"]).status.success());
    assert!(worker.line_with("returned").contains("IAnepO"));
}

#[test]
fn a_file_in_the_directory_is_a_task_type() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let mut grid = Grid::without_workers();
    let handlers = grid.dir.path().join("handlers");
    std::fs::create_dir(&handlers).unwrap();
    std::fs::write(handlers.join("shout.py"), "def handle(payload):\n    return payload.upper() + '!'\n").unwrap();
    let directory = handlers.to_str().unwrap().to_owned();
    grid.add_worker(&["--handlers", &directory]);
    assert_eq!(grid.submit_and_wait("shout", "hello"), "HELLO!");
    // And one that is dropped in while the worker runs.
    std::fs::write(handlers.join("twice.py"), "def handle(payload):\n    return payload * 2\n").unwrap();
    assert_eq!(grid.submit_and_wait("twice", "ab"), "abab");
}

/// What the README shows of handlers, with the files that come with the program.
#[test]
fn the_handlers_that_come_with_it_do_what_the_readme_shows() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let mut grid = Grid::without_workers();
    grid.add_worker(&["--handlers", concat!(env!("CARGO_MANIFEST_DIR"), "/../worker_types")]);
    grid.workers[0].process.line_with("in place of the built-in handler");
    assert_eq!(grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
    let report = grid.submit_and_wait("sales", "country,amount\nPeru,20\nMali,70.5\nPeru,22\n");
    assert_eq!(report, r#"{"Mali":70.5,"Peru":42.0}"#);
    assert_eq!(grid.submit_and_wait("wordcount", "to be or not to be"), "6");
}

/// The first program in Python behind a text, as it stands there, with the ports of this grid.
fn program(document: &str, behind: &str, ports: &[(&str, u16)]) -> String {
    let from = document.split_once(behind).unwrap().1.split_once("```python\n").unwrap().1;
    let program = from.split_once("```").unwrap().0.to_owned();
    ports.iter().fold(program, |program, (shown, port)| program.replace(shown, &port.to_string()))
}

#[test]
fn the_ten_line_client_of_the_readme_works() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = Grid::start();
    let readme = include_str!("../../../README.md");
    let client = program(readme, "## A client in ten lines", &[("4000", grid.dispatcher.addr.port())]);
    let output = std::process::Command::new("python3").args(["-c", &client]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "IAnepO", "{output:?}");
}

#[test]
fn the_plain_worker_of_the_protocol_document_works() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = Grid::without_workers();
    let document = include_str!("../../../docs/PROTOCOL.md");
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [("5001", grid.nameservice.addr.port()), ("6001", port)];
    let _worker = crate::processes::start_python(&program(document, "A plain worker registers", &ports));
    assert_eq!(grid.submit_and_wait("shout", "hello"), "HELLO");
}
