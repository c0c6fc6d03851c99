//! A whole task grid on simulated time: the machines of production, a network that loses, repeats, delays and
//! reorders, processes that die and come back, disks that fill and fail, clocks that jump. Every knob and every
//! chance comes from one seed, so that what went wrong once goes wrong again.
//!
//! A world has a time of trouble. Then it heals, and all must come to rest. Afterwards the checkers look at
//! what an onlooker wrote down.

pub mod agenda;
pub mod bugs;
pub mod checkers;
pub mod dice;
pub mod disk;
pub mod faults;
pub mod host;
pub mod hosts;
pub mod network;
pub mod options;
pub mod outage;
pub mod record;
pub mod trace;
pub mod vfs;
pub mod wire;
pub mod workload;
pub mod world;

use bugs::Bug;
use checkers::{Course, Violation};
use options::Options;
use world::World;

/// What came of one world.
#[derive(Debug)]
pub struct Report {
    /// What went over the bounds of the promised, if anything did.
    pub violation: Option<Violation>,
    /// A hash of all that happened.
    pub hash: u64,
    /// What is worth counting.
    pub tally: checkers::Tally,
}

/// Runs the world of these options, in which `bug` is wrong on purpose.
pub fn run(options: Options, bug: Option<Bug>, print: bool) -> Report {
    let mut world = World::new(options, bug);
    if print {
        world.print();
    }
    let ending = world.run();
    let (options, record, table, fault) = world.end();
    let course = Course { options: &options, record: &record, table: &table, ending, fault };
    Report { violation: checkers::check(&course), hash: record.trace.hash(), tally: checkers::Tally::of(&course) }
}
