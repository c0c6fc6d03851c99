//! What is missing at a start, and with which exit code it ends: that is what a supervisor goes by.

use std::path::Path;
use std::process::{Command, Output};

use taskgrid_runtime::Exit;

use crate::processes::{ANY_PORT, Daemon, is_installed, skipped, taskgrid};

/// A daemon that is expected to refuse.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn assert_refused(command: &mut Command, exit: Exit, named: &str) {
    let (code, said) = refusal(command);
    assert_eq!(code, Some(i32::from(exit as u8)), "{named}: {said}");
    assert!(said.contains(named) && said.lines().count() == 1, "{named}: {said}");
}

fn dispatcher_on(database: &Path) -> Command {
    let mut command = taskgrid();
    command.args(["dispatcher", "--listen", ANY_PORT, "--nameservice", "127.0.0.1:9", "--database"]).arg(database);
    command
}

fn worker_with(handlers: &Path) -> Command {
    let mut command = taskgrid();
    command.args(["worker", "--listen", ANY_PORT, "--nameservice", "127.0.0.1:9", "--handlers"]).arg(handlers);
    command
}

/// A VPN, a virtual address or DHCP may bring it. 192.0.2.0/24 is for examples in documents, and on no machine.
#[test]
fn an_address_that_this_machine_has_not_yet_is_tried_again_by_a_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("tasks.db");
    let verbs: [&[&str]; 3] =
        [&["nameservice"], &["dispatcher", "--database", database.to_str().unwrap()], &["worker"]];
    for verb in verbs {
        let mut command = taskgrid();
        assert_refused(command.args(verb).args(["--listen", "192.0.2.7:4000"]), Exit::Unavailable, "192.0.2.7:4000");
    }
    let mut up = taskgrid();
    up.args(["up", "--database"]).arg(&database).args(["--dispatcher-listen", "192.0.2.7:4000"]);
    assert_refused(&mut up, Exit::Unavailable, "192.0.2.7:4000");
}

#[test]
fn a_directory_that_is_not_mounted_yet_is_tried_again_by_a_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("srv");
    let named = missing.to_str().unwrap();
    let database = missing.join("tasks.db");
    assert_refused(&mut dispatcher_on(&database), Exit::Unavailable, named);
    assert_refused(&mut worker_with(&missing), Exit::Unavailable, named);
    // The place is there, and what is mounted on it is not: its files are missing.
    std::fs::create_dir(&missing).unwrap();
    assert_refused(worker_with(&missing).args(["--types", "report"]), Exit::Unavailable, "report");
    Daemon::spawn(&mut dispatcher_on(&database));
    Daemon::spawn(&mut worker_with(&missing));
}

/// As root the test has a file system of its own; `mounted` is made in it by the shell, with these options.
fn on_a_small_file_system(mounted: &Path, prepare: &str, command: &Command) -> Command {
    let mut shell = Command::new("unshare");
    let script = format!("mount -t tmpfs tmpfs \"$0\" && cd \"$0\" && {prepare} && exec \"$@\"");
    shell.args(["--mount", "sh", "-c", &script]).arg(mounted).arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn a_read_only_disk_and_one_without_inodes_are_tried_again_by_a_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    if !on_a_small_file_system(dir.path(), "true", &Command::new("true")).status().is_ok_and(|ran| ran.success()) {
        return skipped("mount for this user");
    }
    let database = dir.path().join("tasks.db");
    let fresh = dispatcher_on(&database);
    let full = "mount -o remount,nr_inodes=1 .";
    assert_refused(&mut on_a_small_file_system(dir.path(), full, &fresh), Exit::Disk, "tasks.db");
    let read_only = "mount -o remount,ro .";
    assert_refused(&mut on_a_small_file_system(dir.path(), read_only, &fresh), Exit::Unavailable, "tasks.db");
    // A database that is there, and its lock: now it is SQLite that cannot make its log.
    Daemon::spawn(&mut dispatcher_on(&database)).process.terminate();
    let kept = tempfile::tempdir().unwrap();
    for name in ["tasks.db", "tasks.db.lock"] {
        std::fs::copy(dir.path().join(name), kept.path().join(name)).unwrap();
    }
    let copied = format!("cp {}/* .", kept.path().display());
    let full = format!("{copied} && mount -o remount,nr_inodes=3 .");
    assert_refused(&mut on_a_small_file_system(dir.path(), &full, &fresh), Exit::Disk, "tasks.db");
    let read_only = format!("{copied} && mount -o remount,ro .");
    assert_refused(&mut on_a_small_file_system(dir.path(), &read_only, &fresh), Exit::Unavailable, "tasks.db");
}

/// Each error number at the call itself.
fn injected(call: &str, error: &str, path: Option<&Path>, command: &Command) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    if let Some(path) = path {
        strace.arg("-P").arg(path);
    }
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}")]);
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

#[test]
fn every_error_number_of_bind_and_open_ends_as_the_table_says() {
    let is_traced = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).status();
    if !is_installed("strace") || !is_traced.is_ok_and(|ran| ran.success()) {
        return skipped("strace that may trace");
    }
    let mut nameservice = taskgrid();
    nameservice.args(["nameservice", "--listen", ANY_PORT]);
    for (exit, errors) in [
        (Exit::Unavailable, "EADDRNOTAVAIL ENETDOWN ENETUNREACH ENODEV ENOMEM ENOBUFS"),
        (Exit::Configuration, "EACCES EPERM EINVAL EAFNOSUPPORT"),
        (Exit::InUse, "EADDRINUSE"),
    ] {
        for error in errors.split(' ') {
            assert_refused(&mut injected("bind", error, None, &nameservice), exit, ANY_PORT);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("tasks.db");
    let (lock, handlers) = (dir.path().join("tasks.db.lock"), dir.path().join("handlers"));
    std::fs::create_dir(&handlers).unwrap();
    let places = [(&lock, dispatcher_on(&database)), (&handlers, worker_with(&handlers))];
    for (exit, errors) in [
        (Exit::Unavailable, "ENOENT EROFS ENODEV EBUSY ESTALE ENOTCONN ETIMEDOUT EMFILE ENFILE ENOMEM EAGAIN"),
        (
            Exit::Configuration,
            "EACCES EPERM ENOTDIR EISDIR ELOOP ENAMETOOLONG ENXIO EINVAL EOPNOTSUPP EOVERFLOW ETXTBSY",
        ),
        (Exit::Disk, "ENOSPC EDQUOT EFBIG EIO"),
    ] {
        for error in errors.split(' ') {
            for (path, command) in &places {
                assert_refused(&mut injected("openat", error, Some(path), command), exit, path.to_str().unwrap());
            }
        }
    }
}
