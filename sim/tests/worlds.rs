//! Worlds that must hold: some new ones at every commit, and those that have broken before.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::process::Command;

use taskgrid_sim::options::{Options, StoreKind};
use taskgrid_sim::run;

/// Worlds that have shown a bug. Each bug has a test of its own beside the code that it was in; the world stays
/// for what the same faults may show tomorrow.
const BROKEN_BEFORE: &[(u64, &str)] = &[
    (136, "a long task was failed by a restart: its worker was taken for a plain one"),
    (412, "a failure that was stored, but not acknowledged, kept the next attempt waiting for a lease"),
    (649, "answers to a dispatcher before this one were taken for its own"),
    (218, "a back-off that began under a wrong clock lasted until that time came"),
    (1_972, "a worker that restarted together with the dispatcher was taken for stopping"),
    (3_268, "a task that was retried after a restart found no worker"),
    (17_080, "a run from before a retry stood for the new attempt, and its result did not count"),
    (45_925, "an old \"I am stopping\" stopped the work of the next process"),
    (49_665, "an old answer of the name service replaced a newer one"),
];

/// New worlds in the smoke test; long runs have `cargo run --release -p taskgrid-sim`.
const FRESH: u64 = 200;

#[test]
fn worlds_that_have_broken_before_hold() {
    for (seed, story) in BROKEN_BEFORE {
        holds(Options::draw(*seed), story);
    }
}

#[test]
fn new_worlds_hold() {
    let from = first_fresh_seed();
    for seed in from..from + FRESH {
        holds(Options::draw(seed), "a new world");
    }
}

/// The real file, where the model stood before.
#[test]
fn worlds_on_a_file_hold() {
    let from = first_fresh_seed();
    for seed in from..from + FRESH / 50 {
        holds(Options { store: StoreKind::Sqlite, ..Options::draw(seed) }, "a new world on a file");
    }
}

#[test]
fn a_seed_is_a_world() {
    let trace = |seed| run(Options::draw(seed), None, false).hash;
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed} went two ways");
    }
    assert_ne!(trace(0), trace(1));
    let on_a_file = |seed| run(Options { store: StoreKind::Sqlite, ..Options::draw(seed) }, None, false).hash;
    assert_eq!(on_a_file(3), on_a_file(3));
}

fn holds(options: Options, story: &str) {
    let seed = options.seed;
    if let Some(violation) = run(options, None, false).violation {
        panic!(
            "seed {seed} ({story}): {violation}\nagain: cargo run --release -p taskgrid-sim -- --seed {seed} --trace"
        );
    }
}

/// Each commit has worlds of its own. Without git it is always the same ones.
fn first_fresh_seed() -> u64 {
    let output = Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).output();
    let commit = output.ok().filter(|output| output.status.success());
    let text = commit.map(|output| String::from_utf8(output.stdout).unwrap());
    text.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(1_000_000)
}
