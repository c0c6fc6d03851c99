//! Handlers that take more than they may.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use taskgrid_protocol::Lease;
use taskgrid_protocol::body::Failure;
use tempfile::TempDir;

use crate::handlers::executable::{Executable, Speech};
use crate::handlers::process::{Bounds, Warden};
use crate::machine::{Outcome, Task};

use super::{run, task};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Runs a shell script under a warden with these bounds.
async fn script(text: &str, bounds: Bounds) -> (TempDir, Outcome) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("it");
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let warden = Warden::new(bounds);
    let watching = tokio::spawn(warden.clone().watch());
    // By their names the wardens of other tests tell their processes from these.
    let lease = Lease::new(&format!("lease-{}", NEXT.fetch_add(1, Ordering::Relaxed))).ok();
    let outcome = run(&Executable { file, speech: Speech::Json, warden }, Task { lease, ..task("it", "null") }).await;
    watching.abort();
    (dir, outcome)
}

async fn exceeds(text: &str, bounds: Bounds) -> Failure {
    let failure = script(text, bounds).await.1.unwrap_err();
    assert_eq!(failure.code, "LIMIT_EXCEEDED", "{}", failure.message);
    failure
}

const MIB: u64 = 1024 * 1024;

#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_takes_too_much_memory_is_killed() {
    // A variable that doubles until it is stopped.
    let hog = "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done";
    let failure = exceeds(hog, Bounds { memory: 64 * MIB, processes: 100 }).await;
    assert!(failure.message.contains("more than 64 MiB") && failure.message.contains("--handler-memory"));
    assert!(failure.retry);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_forks_for_ever_is_killed() {
    let failure = exceeds("while :; do sleep 600 & done", Bounds { memory: 1 << 40, processes: 20 }).await;
    assert!(failure.message.contains("more than 20 processes"));
}

#[tokio::test]
async fn what_stays_within_its_bounds_is_left_alone() {
    let (_dir, outcome) = script("sleep 0.6 | sleep 0.6; echo done", Bounds { memory: 256 * MIB, processes: 20 }).await;
    assert_eq!(outcome.unwrap().get(), r#""done""#);
}

/// A child that begins a session of its own escaped every bound.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_leaves_the_group_is_counted_too() {
    let text = "setsid -w sh -c 'x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done'";
    exceeds(text, Bounds { memory: 64 * MIB, processes: 100 }).await;
}
