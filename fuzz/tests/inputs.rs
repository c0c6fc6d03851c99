//! Inputs that were found once, and inputs that nobody has seen before.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use taskgrid_fuzz::{Reached, Target, random_input};

fn files(directory: &str, target: Target) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join(target.name());
    let mut files: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs every file and says what was reached by any.
fn run_files(directory: &str, target: Target) -> Reached {
    let mut reached = Reached::new();
    let mut failed = Vec::new();
    for file in files(directory, target) {
        let input = fs::read(&file).unwrap();
        match panic::catch_unwind(|| target.run(&input)) {
            Ok(more) => reached.extend(more),
            Err(_) => failed.push(file),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    reached
}

/// What a corpus must lead to, lest it runs into the first wall and nobody notices.
const REACHED: [(Target, &[&str]); 5] = [
    (Target::Decode, &["POST_TASK", "RESPONSE", "TASK", "RESULT_RETURN", "BadRequest", "UnknownMessage"]),
    (
        Target::Dispatcher,
        &[
            "TASK",
            "TASK_CANCEL",
            "LOOKUP_WORKER",
            "pending",
            "running",
            "done",
            "failed",
            "cancelled",
            "restart",
            "SHUTTING_DOWN",
            "DISK_LOW",
            "TASK_FAILED",
            "TASK_CANCELLED",
            "LEASE_UNKNOWN",
            "KEY_CONFLICT",
        ],
    ),
    (
        Target::Worker,
        &[
            "REGISTER_WORKER",
            "HEARTBEAT",
            "DEREGISTER_WORKER",
            "TASK_ACK",
            "TASK_REJECT",
            "TASK_HEARTBEAT",
            "RESULT_RETURN",
            "run",
            "stop",
            "Drained",
            "AddressInUse",
        ],
    ),
    (Target::NameService, &["RESPONSE", "ADDRESS_IN_USE", "NOT_REGISTERED", "NO_WORKER", "BAD_REQUEST"]),
    (Target::Client, &["POST_TASK", "GET_RESULT", "stored", "receipt", "data", "progress", "rejected", "unknown"]),
];

#[test]
fn the_corpus_goes_everywhere() {
    for (target, expected) in REACHED {
        let reached = run_files("corpus", target);
        let missed: Vec<_> = expected.iter().filter(|name| !reached.contains(**name)).collect();
        assert!(missed.is_empty(), "{missed:?} by the {}; {reached:?}", target.name());
    }
}

#[test]
fn what_was_found_once_is_not_found_again() {
    for target in Target::ALL {
        run_files("finds", target);
    }
}

/// As many seeds as take about a second.
fn run_random(target: Target, seeds: u64) {
    for seed in 0..seeds {
        let outcome = panic::catch_unwind(|| target.run(&random_input(seed)));
        assert!(outcome.is_ok(), "the {} fails with seed {seed}", target.name());
    }
}

#[test]
fn random_datagrams_break_no_decoder() {
    run_random(Target::Decode, 5_000);
}

#[test]
fn random_events_break_no_dispatcher() {
    run_random(Target::Dispatcher, 60);
}

#[test]
fn random_events_break_no_worker() {
    run_random(Target::Worker, 200);
}

#[test]
fn random_events_break_no_name_service() {
    run_random(Target::NameService, 60);
}

#[test]
fn random_events_break_no_client() {
    run_random(Target::Client, 200);
}
