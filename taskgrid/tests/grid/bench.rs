//! `taskgrid bench` on a grid of its own, of which nothing is left.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{Grid, Process, eventually, taskgrid};

/// Programs at home in a directory, by number, as Linux tells.
fn programs_in(directory: &Path) -> Vec<String> {
    let is_in =
        |process: &PathBuf| std::fs::read_link(process.join("cwd")).is_ok_and(|home| home.starts_with(directory));
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.filter(is_in).map(|process| process.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The one of them that runs this verb.
fn program(directory: &Path, verb: &str) -> Option<String> {
    let runs_it = |id: &String| {
        let line = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split('\0').nth(1) == Some(verb)
    };
    programs_in(directory).into_iter().find(runs_it)
}

fn assert_nothing_is_left(directory: &TempDir) {
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(programs_in(directory.path()), [] as [&str; 0]);
}

/// With the real path, since that is what Linux tells of processes.
fn bench(directory: &TempDir, args: &[&str]) -> std::process::Command {
    let mut command = taskgrid();
    command.arg("bench").args(args).arg("--directory").arg(directory.path().canonicalize().unwrap());
    command
}

fn report(directory: &TempDir, args: &[&str]) -> Value {
    let output = bench(directory, args).args(["--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_nothing_is_left(directory);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_benchmark_brings_its_own_grid_and_takes_it_away() {
    let directory = tempfile::tempdir().unwrap();
    let report = report(&directory, &["--tasks", "200"]);
    assert_eq!((&report["right"], &report["missing"]), (&200.into(), &0.into()), "{report}");
    assert_eq!((&report["acknowledged"]["count"], &report["result"]["count"]), (&200.into(), &200.into()));
    for program in ["dispatcher", "worker", "nameservice", "bench"] {
        let memory = &report["processes"][program]["memory_bytes"];
        assert_eq!(memory.is_u64(), cfg!(target_os = "linux"), "{program}: {report}");
    }
    let datagrams = report["datagrams_per_task"].as_f64().unwrap();
    assert!(datagrams >= 2.0, "a question and its answer: {datagrams}");
}

#[test]
fn a_benchmark_measures_beside_a_backlog() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--tasks", "50", "--preload", "pending:500", "--keys", "off", "--payload-bytes", "300", "--arrays"];
    let report = report(&directory, &flags);
    assert_eq!(report["right"], 50, "{report}");
    assert_eq!((&report["preload"]["tasks"], &report["preload"]["status"]), (&500.into(), &"pending".into()));
    assert!(report["preload"]["first_answer_ms"].is_number(), "{report}");
}

#[test]
fn an_interrupted_benchmark_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    for signal in ["INT", "TERM", "HUP"] {
        let mut process = Process::start(&mut bench(&directory, &["--seconds", "3600", "--in-flight", "4"]));
        eventually("three programs", || (programs_in(directory.path()).len() == 3).then_some(()));
        process.signal(signal);
        assert_eq!(process.end().code(), Some(130), "{process}");
        assert_nothing_is_left(&directory);
    }
}

/// It cannot remove the directory, and its programs end all the same.
#[test]
fn a_benchmark_that_is_killed_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&mut bench(&directory, &["--seconds", "3600", "--in-flight", "4"]));
    eventually("three programs", || (programs_in(directory.path()).len() == 3).then_some(()));
    process.kill();
    eventually("their end", || programs_in(directory.path()).is_empty().then_some(()));
}

#[test]
fn a_benchmark_whose_dispatcher_dies_says_so_with_its_last_words() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&mut bench(&directory, &["--seconds", "3600", "--in-flight", "4"]));
    let home = directory.path().canonicalize().unwrap();
    let dispatcher = eventually("a dispatcher", || program(&home, "dispatcher"));
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &dispatcher]).status().unwrap().success());
    assert_eq!(process.end().code(), Some(69), "{process}");
    eventually("its last words", || process.has_said("the dispatcher has ended with ").then_some(()));
    assert_nothing_is_left(&directory);
}

/// It waited for ever.
#[test]
fn a_benchmark_of_a_type_that_nobody_serves_says_so_and_leaves_no_task() {
    let grid = Grid::start();
    let output = grid.run(&["bench", "--type", "unserved"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Nobody serves the type 'unserved'") && said.contains("reverse"), "{said}");
    let stats: Value = serde_json::from_slice(&grid.run(&["stats", "--output", "json"]).stdout).unwrap();
    assert_eq!((&stats["tasks"]["pending"], &stats["tasks"]["cancelled"]), (&0.into(), &1.into()));
}
