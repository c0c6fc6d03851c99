//! The units for systemd: it accepts them, and they fit what the daemons do.

use std::path::{Path, PathBuf};
use std::process::Command;

use taskgrid_runtime::Exit;

use crate::processes::{is_installed, skipped, taskgrid};

const UNITS: [&str; 3] = ["taskgrid-nameservice.service", "taskgrid-dispatcher.service", "taskgrid-worker.service"];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(packaging().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The value of a setting that stands there once.
fn setting(unit: &str, name: &str) -> String {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(values.next(), None, "{name} stands there twice");
    value.to_owned()
}

#[test]
fn systemd_accepts_the_units() {
    if !is_installed("systemd-analyze") {
        return skipped("systemd-analyze");
    }
    let dir = tempfile::tempdir().unwrap();
    // As they will be, with a program that is there: that of the test.
    let program = env!("CARGO_BIN_EXE_taskgrid");
    let as_installed = UNITS.map(|name| (name, name));
    for (source, name) in as_installed.into_iter().chain([("taskgrid-worker.service", "taskgrid-worker@.service")]) {
        let text = unit(source).replace("/usr/local/bin/taskgrid", program);
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    for name in UNITS.into_iter().chain(["taskgrid-worker@a.service"]) {
        let mut verify = Command::new("systemd-analyze");
        // The pages of the manual are not installed here.
        let output = verify.args(["verify", "--man=no"]).arg(dir.path().join(name)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("taskgrid"), "{name}: {said}");
    }
}

#[test]
fn what_passes_by_itself_is_started_again_without_end_and_what_needs_a_person_is_not() {
    // A worker's address in use means that another worker has taken it. The two must not replace each other for ever.
    let lasting =
        [vec![Exit::Configuration], vec![Exit::Configuration, Exit::Corrupt], vec![Exit::Configuration, Exit::InUse]];
    for (name, lasting) in UNITS.into_iter().zip(lasting) {
        let lasting = lasting.into_iter().map(|exit| (exit as u8).to_string()).collect::<Vec<_>>().join(" ");
        let unit = unit(name);
        assert_eq!(setting(&unit, "Restart"), "on-failure", "{name}");
        assert_eq!(setting(&unit, "RestartPreventExitStatus"), lasting, "{name}");
        assert_eq!(setting(&unit, "StartLimitIntervalSec"), "0", "{name}");
        assert_eq!(setting(&unit, "Type"), "notify", "{name}");
        let verb = name.trim_start_matches("taskgrid-").trim_end_matches(".service");
        assert_eq!(setting(&unit, "ExecStart"), format!("/usr/local/bin/taskgrid {verb}"));
    }
}

/// Docker knows no exit codes, and starts nothing again after a reboot with another policy than this.
#[test]
fn the_compose_file_starts_all_but_the_client_again() {
    let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let text = std::fs::read_to_string(compose).unwrap();
    let policies: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("restart: ")).collect();
    assert_eq!(policies, ["unless-stopped", "\"no\""]);
}

/// Else systemd kills handlers that the worker has promised to let finish.
#[test]
fn a_worker_has_more_time_to_stop_than_its_handlers() {
    let help = String::from_utf8(taskgrid().args(["worker", "--help"]).output().unwrap().stdout).unwrap();
    let grace = help.split("--drain-grace").nth(1).and_then(|rest| rest.split("[default: ").nth(1)).unwrap();
    let grace: u32 = grace.split(']').next().unwrap().parse().unwrap();
    let worker = unit("taskgrid-worker.service");
    let time: u32 = setting(&worker, "TimeoutStopSec").parse().unwrap();
    assert!(time >= grace + 10, "{time} s to stop, and handlers may take {grace} s");
    assert_eq!(setting(&worker, "KillMode"), "mixed", "handlers are to get no signal of systemd's");
}

#[test]
fn the_users_of_the_units_are_made() {
    let users = unit("taskgrid.sysusers");
    for name in UNITS {
        let unit = unit(name);
        if !unit.contains("DynamicUser=yes") {
            let user = setting(&unit, "User");
            assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{name}: no {user}");
        }
    }
}
