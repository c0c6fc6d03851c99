//! What was acknowledged outlasts every loss of power, and the test would notice if it did not.

use taskgrid_sim::outage::{LOSSES_MAX, Tally, lose_power, lose_power_at_birth};
use taskgrid_sim::vfs::Habit;

/// More operations than the first start has.
const BIRTH_MAX: u64 = 120;

/// Tables in the smoke test; long runs have `cargo run --release -p taskgrid-sim -- --power-losses 10000`.
const TABLES: u64 = 40;

#[test]
fn what_was_acknowledged_outlasts_every_loss_of_power() {
    let mut tally = Tally::default();
    for seed in 0..TABLES {
        tally += &lose_power(seed, Habit::Honest).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(tally.losses >= TABLES * LOSSES_MAX && tally.losses_amid > tally.losses / 2, "{tally:?}");
}

/// At each operation, all at the same time: where the file cannot be opened, the store tries for seconds.
#[test]
fn a_first_start_that_loses_its_power_is_made_good_by_the_next() {
    let lost = std::thread::scope(|scope| {
        let starts = (1..=BIRTH_MAX).map(|at| scope.spawn(move || lose_power_at_birth(at, at)));
        let starts: Vec<_> = starts.collect();
        let results = starts.into_iter().zip(1..).map(|(start, at)| (at, start.join().unwrap()));
        results.filter(|(at, lost)| *lost.as_ref().unwrap_or_else(|why| panic!("operation {at}: {why}"))).count()
    });
    assert!(lost > 20 && lost < BIRTH_MAX as usize, "it has {lost} operations");
}

#[test]
fn a_seed_is_a_table() {
    for seed in 0..3 {
        assert_eq!(lose_power(seed, Habit::Honest).unwrap(), lose_power(seed, Habit::Honest).unwrap());
    }
}

#[test]
fn a_disk_that_does_not_sync_is_noticed() {
    is_noticed(Habit::IgnoresSync);
}

#[test]
fn a_commit_that_is_not_synced_until_the_next_checkpoint_is_noticed() {
    is_noticed(Habit::SyncsAtCheckpoints);
}

/// Each table that loses its power [`LOSSES_MAX`] times over shows it, but for a few lucky ones.
fn is_noticed(habit: Habit) {
    let noticed = (0..10).filter(|seed| lose_power(*seed, habit).is_err()).count();
    assert!(noticed >= 8, "{habit:?} was noticed in {noticed} of 10 tables");
}
