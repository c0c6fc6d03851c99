//! Each operation of a workload fails on the disk, one after the other: the store stops, or undoes the batch, and is
//! right afterwards.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use taskgrid_sim::outage::{Tally, fail_disk, fill_disk, operations};
use taskgrid_sim::vfs::Trouble;

/// Steps of each workload; they make some ten times as many operations. Long runs have
/// `cargo run --release -p taskgrid-sim -- --disk-faults 100`.
const STEPS: u64 = 12;

#[test]
fn the_store_stops_at_an_error_of_the_disk_and_is_right_at_its_next_start() {
    each_operation(1, |at| fail_disk(1, STEPS, at, Trouble::Error, false));
}

#[test]
fn the_store_stops_when_all_operations_of_the_disk_fail() {
    each_operation(2, |at| fail_disk(2, STEPS, at, Trouble::Error, true));
}

#[test]
fn a_batch_without_space_is_undone_and_the_same_store_goes_on() {
    each_operation(3, |at| fill_disk(3, STEPS, at, false));
}

#[test]
fn a_disk_that_stays_full_takes_nothing_and_harms_nothing() {
    each_operation(4, |at| fill_disk(4, STEPS, at, true));
}

/// A sync failed, the dispatcher stopped and started again, and went on behind what had never reached the disk. When
/// the power went days later, all that was stored since was gone, or the file was damaged.
#[test]
fn what_follows_a_lost_sync_outlasts_a_loss_of_power() {
    each_operation(7, |at| fail_disk(7, STEPS, at, Trouble::LostSync, false));
}

fn each_operation(seed: u64, fails: impl Fn(u64) -> Result<Tally, String>) {
    let operations = operations(seed, STEPS).unwrap();
    let mut tally = Tally::default();
    for at in 1..=operations {
        tally += &fails(at).unwrap_or_else(|why| panic!("operation {at} of {operations}: {why}"));
    }
    assert!(operations > 80 && tally.failures > 5, "{operations} operations: {tally:?}");
}
