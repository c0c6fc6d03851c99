//! The store of production on a machine whose power goes and whose disk fails, beside a model of it.
//!
//! Whatever happens, a batch that was answered with `Ok` is there afterwards, exactly; the one under way is there as
//! a whole or not at all; and the file is sound.

mod rig;
mod work;

use std::fmt;
use std::ops::AddAssign;

use taskgrid_dispatcher::store::StoreError;

use crate::dice::Dice;
use crate::vfs::{Fault, Habit, Trouble};
use rig::{Done, Rig};

/// Losses of power that one table lives through. More would spend the time on reading ever longer tables.
pub const LOSSES_MAX: u64 = 8;

/// What a life does at most before the power goes.
const STEPS_MAX: u64 = 40;

/// The farthest operation at which the power goes; most lives have about as many.
const REACH: u64 = 200;

/// What is worth counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches and checkpoints.
    pub steps: u64,
    /// Losses of power.
    pub losses: u64,
    /// Those of them that came during an operation; the others, between two batches.
    pub losses_amid: u64,
    /// Tables whose disk was to fail at a certain operation.
    pub points: u64,
    /// Operations of the disk that failed.
    pub failures: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, losses, losses_amid, failures, points } = self;
        write!(
            f,
            "{steps} steps, {losses} losses of power ({losses_amid} amid an operation), {failures} failed operations at {points} points"
        )
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.steps += other.steps;
        self.losses += other.losses;
        self.losses_amid += other.losses_amid;
        self.points += other.points;
        self.failures += other.failures;
    }
}

/// A table that lives through [`LOSSES_MAX`] losses of power. An error is a broken promise.
pub fn lose_power(seed: u64, habit: Habit) -> Result<Tally, String> {
    let dice = &mut Dice::new(seed);
    let mut tally = Tally::default();
    let mut rig = Rig::new(seed, habit)?;
    while tally.losses < LOSSES_MAX {
        live(&mut rig, dice, &mut tally)?;
        count_loss(&rig, &mut tally);
        rig.drive.lose_power(dice);
        rig.start()?;
    }
    Ok(tally)
}

/// A table whose power goes at operation `at` of the very first start. `Ok(false)`: the start has fewer.
pub fn lose_power_at_birth(seed: u64, at: u64) -> Result<bool, String> {
    let dice = &mut Dice::new(seed);
    let mut rig = Rig::unborn(seed, Habit::Honest);
    fail_in(&rig, at, Trouble::PowerLoss, false);
    if rig.start()? {
        return Ok(false);
    }
    rig.drive.lose_power(dice);
    rig.start()?;
    rig.step()?;
    rig.drive.lose_power(dice);
    rig.start()
}

/// Works until the power goes: mostly amid an operation, sometimes between two.
fn live(rig: &mut Rig, dice: &mut Dice, tally: &mut Tally) -> Result<(), String> {
    if dice.chance(0.8) {
        fail_in(rig, dice.range(1, REACH), Trouble::PowerLoss, false);
    }
    for _ in 0..dice.range(1, STEPS_MAX) {
        tally.steps += 1;
        match rig.step()? {
            _ if !rig.drive.is_on() => break,
            Done::Well => {}
            Done::Failed(error) => return Err(format!("a healthy disk failed: {error}")),
        }
    }
    Ok(())
}

fn count_loss(rig: &Rig, tally: &mut Tally) {
    tally.losses += 1;
    tally.losses_amid += u64::from(!rig.drive.is_on());
}

fn fail_in(rig: &Rig, operations: u64, trouble: Trouble, lasts: bool) {
    rig.drive.set_fault(Some(Fault { trouble, at: rig.drive.operations() + operations, lasts }));
}

/// Operations of a workload in which nothing fails.
pub fn operations(seed: u64, steps: u64) -> Result<u64, String> {
    let mut rig = Rig::new(seed, Habit::Honest)?;
    let before = rig.drive.operations();
    for _ in 0..steps {
        rig.step()?;
    }
    Ok(rig.drive.operations() - before)
}

/// Fails each operation of a workload in each way, one after the other.
pub fn fail_each_operation(seed: u64, steps: u64) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for at in 1..=operations(seed, steps)? {
        let in_each_way = [
            ("an error", fail_disk(seed, steps, at, Trouble::Error, false)),
            ("errors", fail_disk(seed, steps, at, Trouble::Error, true)),
            ("a lost sync", fail_disk(seed, steps, at, Trouble::LostSync, false)),
            ("no space once", fill_disk(seed, steps, at, false)),
            ("no space", fill_disk(seed, steps, at, true)),
        ];
        for (way, result) in in_each_way {
            tally += &result.map_err(|why| format!("{way} at operation {at}: {why}"))?;
        }
    }
    Ok(tally)
}

/// A table whose disk fails at operation `at` of the workload, counted from 1. The store must stop, and be right at
/// its next start, whether the power goes in between or some time later.
pub fn fail_disk(seed: u64, steps: u64, at: u64, trouble: Trouble, lasts: bool) -> Result<Tally, String> {
    let dice = &mut Dice::new(seed ^ at);
    let mut tally = Tally { points: 1, ..Tally::default() };
    let mut rig = Rig::new(seed, Habit::Honest)?;
    fail_in(&rig, at, trouble, lasts);
    for _ in 0..steps {
        tally.steps += 1;
        let done = rig.step()?;
        match (rig.drive.struck(), done) {
            (0, Done::Well) => continue,
            (1.., Done::Failed(StoreError::Unavailable(_))) => {
                rig.is_suspect = true;
                break;
            }
            (struck, done) => return Err(format!("after {struck} failures of the disk: {done:?}")),
        }
    }
    if dice.chance(0.5) {
        // The process ends in order, as far as the disk lets it.
        rig.store = None;
    }
    tally.failures += rig.drive.struck();
    rig.drive.set_fault(None);
    if trouble == Trouble::Error && dice.chance(0.5) {
        count_loss(&rig, &mut tally);
        rig.drive.lose_power(dice);
    } else {
        rig.drive.kill();
    }
    rig.start()?;
    for _ in 0..steps / 4 {
        tally.steps += 1;
        if let Done::Failed(error) = rig.step()? {
            return Err(format!("a healed disk failed: {error}"));
        }
    }
    count_loss(&rig, &mut tally);
    rig.drive.lose_power(dice);
    rig.start()?;
    Ok(tally)
}

/// A table whose disk has no space from operation `at` on, or for that one only. The open store must undo the batch,
/// say so, and go on with it once there is space.
pub fn fill_disk(seed: u64, steps: u64, at: u64, lasts: bool) -> Result<Tally, String> {
    let dice = &mut Dice::new(seed ^ at);
    let mut tally = Tally { points: 1, ..Tally::default() };
    let mut rig = Rig::new(seed, Habit::Honest)?;
    fail_in(&rig, at, Trouble::Full, lasts);
    for _ in 0..steps {
        tally.steps += 1;
        let before = rig.drive.struck();
        let done = rig.step()?;
        match (rig.drive.struck() - before, done) {
            (0, Done::Well) => continue,
            (1.., Done::Failed(StoreError::Full(_))) => {}
            (struck, done) => return Err(format!("after {struck} writes without space: {done:?}")),
        }
        rig.compare().map_err(|why| format!("a batch for which there was no space was not undone: {why}"))?;
        if dice.chance(0.3) {
            tally.failures += rig.drive.struck();
            rig.drive.set_fault(None);
        }
    }
    tally.failures += rig.drive.struck();
    rig.drive.set_fault(None);
    for _ in 0..steps / 4 {
        tally.steps += 1;
        if let Done::Failed(error) = rig.step()? {
            return Err(format!("there is space again, and yet: {error}"));
        }
    }
    rig.compare()?;
    count_loss(&rig, &mut tally);
    rig.drive.lose_power(dice);
    rig.start()?;
    Ok(tally)
}
