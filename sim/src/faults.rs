//! What can go wrong, apart from what the network does to each datagram.

use crate::dice::Dice;
use crate::options::{MILLI, Micros, SECOND};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kill -9.
    KillDispatcher,
    /// Power loss at the dispatcher's machine.
    PowerLoss,
    /// kill -9.
    KillWorker,
    /// kill -9.
    KillNameService,
    /// kill -9.
    KillClient,
    /// All at once.
    KillAll,
    /// SIGTERM.
    StopDispatcher,
    /// SIGTERM.
    StopWorker,
    /// SIGSTOP, and SIGCONT later.
    PauseDispatcher,
    /// The same.
    PauseWorker,
    /// The same.
    PauseNameService,
    /// Two groups of processes cannot talk.
    Partition,
    /// One group does not hear the other.
    OneWay,
    /// A worker comes back at another IP.
    MoveWorker,
    /// The dispatcher comes back at another IP.
    MoveDispatcher,
    /// The dispatcher's wall clock jumps.
    JumpClock,
    /// No space is left, for a while.
    FillDisk,
    /// The next write fails, with an unknown outcome.
    BreakDisk,
    /// Another program holds the lock, for a while.
    LockDisk,
    /// Every sync takes long, for a while.
    SlowDisk,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::KillDispatcher,
        Self::PowerLoss,
        Self::KillWorker,
        Self::KillNameService,
        Self::KillClient,
        Self::KillAll,
        Self::StopDispatcher,
        Self::StopWorker,
        Self::PauseDispatcher,
        Self::PauseWorker,
        Self::PauseNameService,
        Self::Partition,
        Self::OneWay,
        Self::MoveWorker,
        Self::MoveDispatcher,
        Self::JumpClock,
        Self::FillDisk,
        Self::BreakDisk,
        Self::LockDisk,
        Self::SlowDisk,
    ];

    /// A kind, as often as its weight says.
    pub fn draw(weights: &[u64], dice: &mut Dice) -> Option<Self> {
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return None;
        }
        let mut left = dice.range(0, total);
        Self::ALL.into_iter().zip(weights).find_map(|(kind, weight)| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit.then_some(kind)
        })
    }
}

/// How long something is gone: often a moment, at times longer than any lease.
pub fn absence(dice: &mut Dice) -> Micros {
    let longest = *dice.pick(&[50 * MILLI, SECOND, 5 * SECOND, 30 * SECOND]);
    dice.range(MILLI, longest)
}

/// How far a wall clock jumps, in milliseconds.
pub fn jump(dice: &mut Dice) -> i64 {
    let span = *dice.pick(&[2_000, 60_000, 3_600_000, 31_536_000_000]);
    let span = i64::try_from(dice.range(1, span)).expect("a year is not that long");
    if dice.chance(0.5) { -span } else { span }
}
