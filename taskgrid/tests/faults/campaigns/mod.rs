//! The campaigns, each in a file of its own.

mod clock;
mod disk;
mod flips;
mod full_load;
mod kills;
mod network;
pub(crate) mod order;
mod pauses;
mod reader;
mod recovery;
mod second;
mod syscalls;

use std::path::Path;

use crate::scene::Report;

pub(crate) struct Campaign {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// How many faults where time is short, and where it is not.
    pub(crate) brief: usize,
    pub(crate) long: usize,
    pub(crate) run: fn(&Path, &Order) -> Outcome,
}

/// How a campaign is to run.
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) count: usize,
    /// A few minutes for all campaigns together.
    pub(crate) brief: bool,
}

/// A broken invariant is a panic, as in any test.
pub(crate) enum Outcome {
    Held(Report),
    Skipped(String),
}

pub(crate) const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "kills",
        about: "kill -9 of each program, and of all at once",
        brief: 100,
        long: 500,
        run: kills::run,
    },
    Campaign {
        name: "network",
        about: "loss, duplication, reordering and delay on every link",
        brief: 4,
        long: 4,
        run: network::run,
    },
    Campaign {
        name: "pauses",
        about: "SIGSTOP of a worker beyond its lease, of the dispatcher, of the name service",
        brief: 3,
        long: 30,
        run: pauses::run,
    },
    Campaign { name: "disk", about: "a full disk, and space again", brief: 1, long: 5, run: disk::run },
    Campaign {
        name: "syscalls",
        about: "the n-th fsync or write of the dispatcher fails, or is its last",
        brief: 4,
        long: 40,
        run: syscalls::run,
    },
    Campaign {
        name: "order",
        about: "no answer before its fsync, seen from outside",
        brief: 200,
        long: 5_000,
        run: order::run,
    },
    Campaign { name: "flips", about: "flipped bits of the database", brief: 60, long: 2_000, run: flips::run },
    Campaign {
        name: "second",
        about: "a second dispatcher on the same database",
        brief: 10,
        long: 100,
        run: second::run,
    },
    Campaign {
        name: "reader",
        about: "a reader that holds its transaction, for COUNT seconds",
        brief: 8,
        long: 60,
        run: reader::run,
    },
    Campaign { name: "clock", about: "jumps of the wall clock", brief: 4, long: 40, run: clock::run },
    Campaign { name: "recovery", about: "how long until it works again", brief: 3, long: 20, run: recovery::run },
    Campaign {
        name: "full-load",
        about: "kill -9 of the dispatcher at full load",
        brief: 8,
        long: 40,
        run: full_load::run,
    },
];

/// What runs with all other tests.
pub(crate) const SMOKE: Campaign =
    Campaign { name: "smoke", about: "five kills under load", brief: 5, long: 5, run: kills::run };
