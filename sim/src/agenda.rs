//! What will happen, in order of time, and of addition where the time is the same.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use taskgrid_dispatcher::store::Batch;
use taskgrid_protocol::TaskId;
use taskgrid_worker::machine::RunKey;

use crate::faults::Kind;
use crate::options::Micros;

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// A datagram arrives.
    Datagram {
        /// Who says to have sent it.
        from: SocketAddr,
        /// Whose it is, if somebody listens there.
        to: SocketAddr,
        /// What is left of it.
        bytes: Vec<u8>,
        /// When it was sent.
        sent: Micros,
    },
    /// Something happens inside a process, if it still is in this life.
    Local(usize, u32, Local),
    /// A process wanted to be called.
    Wake(usize, u32),
    /// A process begins.
    Start(usize),
    /// A paused process goes on.
    Resume(usize),
    /// Something goes wrong.
    Fault(Kind),
    /// The blocked ways numbered so are free again.
    Unblock(u64),
    /// All faults end.
    Heal,
}

/// Something that a process has waited for.
#[derive(Debug)]
pub enum Local {
    /// DNS has answered, or not.
    LookedUp {
        /// The name.
        name: String,
        /// Not.
        fails: bool,
    },
    /// The disk comes to this batch.
    Apply(Box<Batch>),
    /// For the dispatcher's machine.
    Dispatcher(taskgrid_dispatcher::machine::Event),
    /// It is time to see how much space the disk has.
    LookAtSpace,
    /// The disk comes to this read.
    Read(u64, taskgrid_dispatcher::store::Query),
    /// A handler has ended by itself.
    HandlerEnds(RunKey),
    /// A handler tells how many quarters of its work are done; the last word comes when it has ended.
    HandlerTells(RunKey, u8),
    /// A handler that was stopped is gone.
    HandlerGone(RunKey),
    /// A plain worker's handler has ended.
    PlainEnds(TaskId),
    /// A plain worker says that it is there.
    Announce,
    /// A plain client posts a task.
    Post,
    /// A plain client asks for its results.
    Poll,
    /// SIGTERM.
    Stop,
    /// A client does something.
    Act(Action),
    /// The world has healed: a client asks for all that it does not know yet.
    Healed,
}

/// Something that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Submits a wish, and waits for its end or not.
    Submit(usize, bool),
    /// Waits for the end of a task.
    Watch(TaskId),
    /// Asks how a task stands.
    Look(TaskId),
    /// Ends a task.
    Cancel(TaskId),
    /// Makes it pending again.
    Retry(TaskId),
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    at: Micros,
    number: u64,
    event: Event,
}

impl Agenda {
    /// Adds an event.
    pub fn add(&mut self, at: Micros, event: Event) {
        self.next += 1;
        self.heap.push(Reverse(Entry { at, number: self.next, event }));
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
