//! Mistakes, made on purpose around the machines and the store, to see whether the checkers notice. The code of
//! production has no switch for any of them.

#[macro_use]
mod wraps;

mod dispatchers;
mod stores;
mod workers;

use std::cell::RefCell;
use std::rc::Rc;

use taskgrid_dispatcher::machine as dispatcher;
use taskgrid_protocol::{Node, Timestamp};
use taskgrid_worker::machine as worker;

use crate::disk::Disk;
use crate::host::Context;
use crate::options::{MILLI, Micros};
use crate::world::BEGINNING;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// What is answered is not on the disk yet: a killed process loses it.
    AcknowledgesBeforeCommit,
    /// Commits are not synced: a power loss takes the last ones back.
    DoesNotSync,
    /// A key may name many tasks.
    KeysAreNotUnique,
    /// TASK leaves when its claim is handed to the disk, not when it is stored.
    SendsBeforeCommit,
    /// Whoever once held a lease of a task renews its current one.
    RenewsAnyLease,
    /// A result that comes after the end replaces the one that is there.
    LateResultOverwrites,
    /// A worker takes another attempt of a task for a copy of the first.
    DeduplicatesByTask,
    /// Tasks that ran when the dispatcher stopped are handed out anew at once.
    HandsOverAfterRestart,
    /// Leases run on the wall clock.
    LeasesOnWallClock,
    /// A key is forgotten when its task ends.
    ForgetsKeysAtTheEnd,
    /// Who waits is entered after the look at the table, not before.
    WaitsAfterReading,
    /// The first answer of DNS is kept for ever.
    RemembersDnsForEver,
    /// A result is said to be stored when it has come.
    AnswersResultsAtOnce,
    /// A definite refusal is sent after the task was stored.
    RefusesWhatItStores,
    /// A worker says of what waits for a slot that it runs.
    CallsWaitingRunning,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AcknowledgesBeforeCommit,
        Self::DoesNotSync,
        Self::KeysAreNotUnique,
        Self::SendsBeforeCommit,
        Self::RenewsAnyLease,
        Self::LateResultOverwrites,
        Self::DeduplicatesByTask,
        Self::HandsOverAfterRestart,
        Self::LeasesOnWallClock,
        Self::ForgetsKeysAtTheEnd,
        Self::WaitsAfterReading,
        Self::RemembersDnsForEver,
        Self::AnswersResultsAtOnce,
        Self::RefusesWhatItStores,
        Self::CallsWaitingRunning,
    ];
}

/// The table, as the dispatcher and its disk share it.
pub type SharedDisk = Rc<RefCell<Box<dyn Disk>>>;

/// A dispatcher's machine, with a mistake or without.
pub type DispatcherNode = Box<dyn Node<Event = dispatcher::Event, Effect = dispatcher::Effect>>;

/// A worker's machine, with a mistake or without.
pub type WorkerNode = Box<dyn Node<Event = worker::Event, Effect = worker::Effect>>;

/// The disk, with this mistake.
pub fn disk(bug: Option<Bug>, disk: Box<dyn Disk>) -> Box<dyn Disk> {
    match bug {
        Some(Bug::AcknowledgesBeforeCommit) => Box::new(stores::Forgetful::new(false)),
        Some(Bug::DoesNotSync) => Box::new(stores::Forgetful::new(true)),
        Some(Bug::KeysAreNotUnique) => Box::new(stores::Keyless { disk }),
        Some(Bug::LateResultOverwrites) => Box::new(stores::Overwriting::new(disk)),
        Some(Bug::HandsOverAfterRestart) => Box::new(stores::Hasty { disk }),
        Some(Bug::ForgetsKeysAtTheEnd) => Box::new(stores::Purging::new(disk)),
        _ => disk,
    }
}

/// The dispatcher, with this mistake.
pub fn dispatcher(bug: Option<Bug>, machine: dispatcher::Machine, disk: &SharedDisk) -> DispatcherNode {
    let inner: DispatcherNode = Box::new(machine);
    let disk = Rc::clone(disk);
    match bug {
        Some(Bug::SendsBeforeCommit) => Box::new(dispatchers::SendsEarly::new(inner, disk)),
        Some(Bug::RenewsAnyLease) => Box::new(dispatchers::Renews { inner, disk }),
        Some(Bug::WaitsAfterReading) => Box::new(dispatchers::WaitsLate::new(inner, disk)),
        Some(Bug::RemembersDnsForEver) => Box::new(dispatchers::Remembers::new(inner)),
        Some(Bug::AnswersResultsAtOnce) => Box::new(dispatchers::AnswersEarly::new(inner)),
        Some(Bug::RefusesWhatItStores) => Box::new(dispatchers::Refuses::new(inner)),
        _ => inner,
    }
}

/// The worker, with this mistake.
pub fn worker(bug: Option<Bug>, machine: worker::Machine) -> WorkerNode {
    let inner: WorkerNode = Box::new(machine);
    match bug {
        Some(Bug::DeduplicatesByTask) => Box::new(workers::ByTask::new(inner)),
        Some(Bug::CallsWaitingRunning) => Box::new(workers::Running { inner }),
        _ => inner,
    }
}

/// With [`Bug::LeasesOnWallClock`], what the dispatcher takes for its clock; `latest` is what it saw last, since
/// even that mistake does not let a machine's time go back.
pub fn show_wall(bug: Option<Bug>, context: &mut Context<'_>, latest: &mut Micros) {
    if bug == Some(Bug::LeasesOnWallClock) {
        let millis = context.wall.as_millis() - BEGINNING;
        *latest = (*latest).max(u64::try_from(millis).unwrap_or(0) * MILLI);
        context.now = Timestamp::from_micros(*latest);
    }
}
