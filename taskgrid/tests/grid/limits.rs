//! Limits that whoever starts the programs sets for them, as `ulimit` and systemd do.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::processes::{ANY_PORT, Daemon, Grid, Process, eventually, is_installed, post, skipped};

const PROGRAM: &str = env!("CARGO_BIN_EXE_taskgrid");

/// A program that may write no file beyond so many blocks of 512 bytes.
fn limited(blocks: u32, arguments: &str) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("ulimit -S -f {blocks}; exec {PROGRAM} {arguments}")]);
    shell
}

/// Sends a request until it is answered: a task that did not fit is not, since only asking again can tell (R8).
fn ask_again_and_again(to: SocketAddr, request: &Value) -> Value {
    let socket = UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut buffer = vec![0; 65_536];
    eventually("an answer", || {
        socket.send_to(request.to_string().as_bytes(), to).unwrap();
        let length = socket.recv(&mut buffer).ok()?;
        Some(serde_json::from_slice(&buffer[..length]).unwrap())
    })
}

/// SIGXFSZ ended the dispatcher; without that, SQLite took what it said for a failed disk.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_file_sizes_is_a_full_disk_and_not_the_end() {
    if !is_installed("prlimit") {
        return skipped("prlimit");
    }
    let mut grid = Grid::without_workers();
    assert_eq!(grid.dispatcher.process.terminate(), Some(0));
    let (database, nameservice) = (grid.database(), grid.nameservice.addr);
    let dispatcher =
        format!("dispatcher --listen {ANY_PORT} --database {} --nameservice {nameservice}", database.display());
    grid.dispatcher = Daemon::spawn(&mut limited(4_096, &dispatcher));
    let kept: Vec<String> = (0..20).map(|n| grid.submit("reverse", &format!("{n}"))).collect();

    let large = "x".repeat(40_000);
    let refused = eventually("a refusal", || {
        let answer = ask_again_and_again(grid.dispatcher.addr, &post("nobody-serves-this", large.as_str()));
        answer["task_id"].is_null().then_some(answer)
    });
    assert_eq!(refused["code"], "DISK_LOW", "{refused}");
    let line = grid.dispatcher.process.line_with("the disk is full");
    assert!(line.contains("File too large") && line.contains("LimitFSIZE="), "{line}");
    assert!(grid.run(&["show", &kept[0]]).status.success());

    // Nothing but the limit is changed.
    let pid = grid.dispatcher.process.child.id().to_string();
    let raised = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.unwrap().success());
    grid.add_worker(&[]);
    for (n, task) in kept.iter().enumerate() {
        assert_eq!(grid.result(task), n.to_string().chars().rev().collect::<String>());
    }
    eventually("that tasks are taken again", || {
        let answer = ask_again_and_again(grid.dispatcher.addr, &post("nobody-serves-this", large.as_str()));
        answer["task_id"].is_number().then_some(())
    });
    assert_eq!(grid.dispatcher.process.terminate(), Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_reaches_a_limit_of_file_sizes_ends_no_program() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let command = format!("nameservice --listen 127.0.0.1:0 2>{}", log.display());
    let mut nameservice = Process::start(limited(0, &command).env("TASKGRID_LOG", "debug"));
    assert_eq!(terminated(&mut nameservice), Some(0));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "", "it may not get a byte");
}

/// A program that has not come so far as to listen for signals is ended by them.
fn terminated(process: &mut Process) -> Option<i32> {
    eventually("a program that listens for SIGTERM", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        (u64::from_str_radix(caught.trim(), 16).unwrap() >> 14 & 1 == 1).then_some(())
    });
    process.terminate()
}

#[test]
#[cfg(target_os = "linux")]
fn a_verb_whose_output_reaches_a_limit_of_file_sizes_says_so() {
    let grid = Grid::without_workers();
    grid.submit("nobody-serves-this", "x");
    let file = grid.dir.path().join("output");
    let command = format!("list --dispatcher {} >{}", grid.dispatcher.addr, file.display());
    let output = limited(0, &command).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"), "{output:?}");
}

/// What a program of ours changes about signals is for itself alone.
#[test]
#[cfg(target_os = "linux")]
fn a_handler_has_the_limit_that_its_worker_was_given_and_signals_as_they_are_by_default() {
    let mut grid = Grid::without_workers();
    let handlers = tempfile::tempdir().unwrap();
    let file = handlers.path().join("inherited");
    std::fs::write(&file, "#!/bin/sh\nulimit -f\nexec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let command = format!(
        "worker --listen {ANY_PORT} --nameservice {} --handlers {}",
        grid.nameservice.addr,
        handlers.path().display()
    );
    grid.workers.push(Daemon::spawn(&mut limited(100, &command)));
    let inherited = grid.submit_and_wait("inherited", "x");
    let mut lines = inherited.lines();
    assert_eq!(lines.next(), Some("100"), "{inherited}");
    let masks: Vec<u64> =
        lines.map(|line| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()).collect();
    let (pipe, file_size) = (1 << (13 - 1), 1 << (25 - 1));
    assert!(masks.len() == 3 && masks.iter().all(|mask| mask & (pipe | file_size) == 0), "{inherited}");
    assert_eq!(terminated(&mut grid.workers[0].process), Some(0));
}
