//! What a driver sees of the machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::{Instance, Json, Lease, TaskId, TaskType};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where dispatchers reach the worker: `HOST:PORT`, where the host may be a DNS name.
    pub address: String,
    /// The types that it serves, until [`Event::Types`] says otherwise.
    pub types: BTreeSet<TaskType>,
    /// How many handlers run at a time.
    pub concurrency: u32,
    /// How many tasks it takes beyond those, to have them here when a handler ends. Both together are at most
    /// [`CAPACITY_MAX`](taskgrid_protocol::limits::CAPACITY_MAX).
    pub prefetch: u32,
    /// The name services, each `HOST:PORT`. The worker registers at all of them.
    pub nameservices: Vec<String>,
    /// This process (R18).
    pub instance: Instance,
    /// How often it tells the name services that it lives, give or take a fifth (R27).
    pub announce_every: Duration,
    /// How often it tells dispatchers which attempts it holds: a third of their lease (R16).
    pub heartbeat_every: Duration,
    /// How long handlers may go on after [`Event::Drain`] (R39).
    pub grace: Duration,
}

impl Config {
    /// How many tasks it takes at a time.
    pub(super) fn capacity(&self) -> u32 {
        self.concurrency + self.prefetch
    }
}

/// What a handler is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The task's number.
    pub id: TaskId,
    /// Which handler.
    pub task_type: TaskType,
    /// Its input.
    pub payload: Json,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The attempt's identity, for an outside that compares it (R20).
    pub lease: Option<Lease>,
}

/// What a handler has come to.
pub type Outcome = Result<Json, Failure>;

/// One run of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey(pub(super) u64);

/// Something that was asked for has happened.
#[derive(Debug)]
pub enum Event {
    /// A handler has ended, stopped or not. Follows each [`Effect::Run`] exactly once.
    Ended(RunKey, Outcome),
    /// A handler tells how far it is, as often as it likes: the last word counts, and dispatchers hear of it at most once
    /// a second (R16). Of a run that has ended, or was told to stop, it says nothing any more.
    Progress(RunKey, Progress),
    /// These types are served from now on.
    Types(BTreeSet<TaskType>),
    /// A DNS look-up has ended.
    Resolved {
        /// From [`Effect::Resolve`].
        name: String,
        /// `None`: it failed.
        addr: Option<SocketAddr>,
    },
    /// Stop: take nothing new, finish what runs, return the results, exit (R39).
    Drain,
}

/// Something that must be done for the machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a handler, then report [`Event::Ended`].
    Run(RunKey, Task),
    /// Stop a handler. [`Event::Ended`] is reported when nothing of it is left.
    Stop(RunKey),
    /// Look this `HOST:PORT` up, then report [`Event::Resolved`].
    Resolve(String),
    /// Tell the operator.
    Note(Note),
    /// Stop.
    Exit(Exit),
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A name service has the worker on its list.
    Registered(String),
    /// A name service does not answer, or cannot be looked up. The worker keeps trying.
    Silent(String),
    /// A name service does not take the registration, for this reason. The worker keeps trying.
    Refused(String, String),
    /// Another process wanted this worker's address and was refused; where its registration came from.
    Contested(String),
    /// A result was of no use to its dispatcher, for this reason.
    Unwanted(TaskId, String),
    /// Nobody has stored these results. Their tasks will run again.
    Unstored(usize),
}

/// Why the worker stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, and is done.
    Drained,
    /// Another process has its address (R18), as a name service says in these words.
    AddressInUse(String),
}
