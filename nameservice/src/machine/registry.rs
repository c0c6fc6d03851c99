//! Who is registered for what, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{Registration, WorkerEntry};
use taskgrid_protocol::limits::CAPACITY_MAX;
use taskgrid_protocol::{Instance, TaskType, Timers, Timestamp};

use super::contests::Claim;
use super::feed::Feed;
use super::limits::{PAIRS_MAX, REPLACED_MAX, WORKERS_MAX};

/// Why a registration was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It names no type, and the address is not known.
    NotRegistered,
    /// A later process serves the address (R18).
    AddressInUse,
    /// Another process is registered for the address: this one must first answer there (R18).
    Contested,
    /// There is no room, for this reason.
    Full(&'static str),
}

/// What a worker has said of itself, types aside.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Traits {
    capacity: u32,
    instance: Option<Instance>,
    batch: bool,
    max_datagram: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Worker {
    traits: Traits,
    types: BTreeSet<TaskType>,
    /// The processes that were here before, the last one in front, and until when they are told so. More than
    /// one, since a late datagram of the first must not put it in the place of the third.
    replaced: Vec<(Instance, Timestamp)>,
    /// Given on the command line.
    fixed: bool,
    /// When the process was last heard, and from where.
    heard: Option<(Timestamp, SocketAddr)>,
    /// Where a newcomer came from that was refused, and until when the process is told so.
    refused: Option<(SocketAddr, Timestamp)>,
}

impl Worker {
    /// What others are told of it; `types` are left to the caller.
    pub(super) fn entry(&self, address: &str) -> WorkerEntry {
        WorkerEntry {
            address: address.to_owned(),
            types: Vec::new(),
            capacity: self.traits.capacity,
            instance: self.traits.instance.clone(),
            batch: self.traits.batch,
            max_datagram: self.traits.max_datagram,
            gone: false,
        }
    }

    pub(super) fn types(&self) -> &BTreeSet<TaskType> {
        &self.types
    }

    pub(super) fn heard(&self) -> Option<(Timestamp, SocketAddr)> {
        self.heard
    }

    /// Where a newcomer to its address came from that was refused not long ago.
    pub(super) fn refused(&self, now: Timestamp) -> Option<SocketAddr> {
        self.refused.filter(|(_, until)| now < *until).map(|(from, _)| from)
    }
}

/// The workers of one type, each in turn.
#[derive(Debug, Default)]
struct Turn {
    addresses: BTreeSet<Arc<str>>,
    last: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    workers: BTreeMap<Arc<str>, Worker>,
    by_type: BTreeMap<TaskType, Turn>,
    pairs: usize,
    expiries: Timers<Arc<str>>,
    feed: Feed,
}

impl Registry {
    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(super) fn get(&self, address: &str) -> Option<&Worker> {
        self.workers.get(address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Worker)> {
        self.workers.iter()
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.next()
    }

    /// A worker that is given on the command line: a plain one that never expires.
    pub(super) fn fix(&mut self, task_type: &TaskType, address: &str) {
        let traits = Traits { capacity: 1, instance: None, batch: false, max_datagram: None };
        let worker =
            Worker { traits, types: BTreeSet::new(), replaced: Vec::new(), fixed: true, heard: None, refused: None };
        let address: Arc<str> = address.into();
        self.workers.entry(address.clone()).or_insert(worker);
        self.add_type(&address, task_type.clone());
    }

    /// A worker says that it is there, and what it serves. `proven`: it answers at its address.
    pub(super) fn upsert(&mut self, now: Timestamp, claim: &Claim, proven: bool) -> Result<(), Refusal> {
        let Claim { registration, ttl, from, .. } = claim;
        let address: Arc<str> = registration.address.as_str().into();
        self.check(now, &address, registration, proven)?;
        if registration.all_types().next().is_some() {
            self.take_over(now, &address, registration, *ttl);
        }
        let Some(worker) = self.workers.get_mut(&address) else { return Ok(()) };
        worker.heard = Some((now, *from));
        if !worker.fixed {
            self.expiries.set(address, now + *ttl);
        }
        Ok(())
    }

    /// A newcomer to this address was refused; its process is told so with its next answers.
    pub(super) fn note_refused(&mut self, address: &str, from: SocketAddr, until: Timestamp) {
        if let Some(worker) = self.workers.get_mut(address) {
            worker.refused = Some((from, until));
        }
    }

    fn check(&self, now: Timestamp, address: &str, registration: &Registration, proven: bool) -> Result<(), Refusal> {
        let named = registration.all_types().count();
        let Some(worker) = self.workers.get(address) else {
            return match named {
                0 => Err(Refusal::NotRegistered),
                _ if self.workers.len() >= WORKERS_MAX => Err(Refusal::Full("too many workers are registered")),
                _ => self.check_room(named),
            };
        };
        let is_over = |(replaced, until): &(Instance, Timestamp)| {
            registration.instance.as_ref() == Some(replaced) && now < *until
        };
        if worker.replaced.iter().any(is_over) {
            return Err(Refusal::AddressInUse);
        }
        let is_other = registration.instance.is_some() && registration.instance != worker.traits.instance;
        if named == 0 {
            return if is_other { Err(Refusal::NotRegistered) } else { Ok(()) };
        }
        if is_other && !proven && !worker.fixed {
            return Err(Refusal::Contested);
        }
        self.check_room(registration.all_types().filter(|name| !worker.types.contains(*name)).count())
    }

    fn check_room(&self, more: usize) -> Result<(), Refusal> {
        if self.pairs + more > PAIRS_MAX {
            return Err(Refusal::Full("too many types are registered"));
        }
        Ok(())
    }

    /// Makes the entry of an address what a registration says.
    fn take_over(&mut self, now: Timestamp, address: &Arc<str>, registration: &Registration, ttl: Duration) {
        let traits = Traits {
            capacity: registration.capacity.unwrap_or(1).clamp(1, CAPACITY_MAX),
            instance: registration.instance.clone(),
            batch: registration.batch,
            max_datagram: registration.max_datagram,
        };
        let named: BTreeSet<TaskType> = registration.all_types().cloned().collect();
        let worker = self.workers.entry(address.clone()).or_insert_with(|| Worker {
            traits: traits.clone(),
            types: BTreeSet::new(),
            replaced: Vec::new(),
            fixed: false,
            heard: None,
            refused: None,
        });
        let changed = worker.traits != traits;
        let before = std::mem::replace(&mut worker.traits, traits).instance;
        let same_plain = before.is_none() && registration.instance.is_none();
        if let (Some(before), true) = (before, worker.traits.instance.is_some())
            && worker.traits.instance.as_ref() != Some(&before)
        {
            worker.replaced.truncate(REPLACED_MAX - 1);
            worker.replaced.insert(0, (before, now + ttl));
        }
        // A process that names an instance names all its types each time. Plain workers may register one
        // type a message.
        let dropped: Vec<TaskType> =
            if same_plain || worker.fixed { Vec::new() } else { worker.types.difference(&named).cloned().collect() };
        let renewed: Vec<TaskType> =
            if changed { worker.types.intersection(&named).cloned().collect() } else { vec![] };
        for task_type in dropped {
            self.remove_type(now, address, &task_type);
        }
        for task_type in renewed {
            self.feed.is_here((address.clone(), task_type));
        }
        for task_type in named {
            self.add_type(address, task_type);
        }
    }

    fn add_type(&mut self, address: &Arc<str>, task_type: TaskType) {
        let Some(worker) = self.workers.get_mut(address) else { return };
        if worker.types.insert(task_type.clone()) {
            self.pairs += 1;
            self.by_type.entry(task_type.clone()).or_default().addresses.insert(address.clone());
            self.feed.is_here((address.clone(), task_type));
        }
    }

    fn remove_type(&mut self, now: Timestamp, address: &Arc<str>, task_type: &TaskType) {
        let Some(worker) = self.workers.get_mut(address) else { return };
        if worker.types.remove(task_type) {
            self.pairs -= 1;
            if let Some(turn) = self.by_type.get_mut(task_type) {
                turn.addresses.remove(address);
                if turn.addresses.is_empty() {
                    self.by_type.remove(task_type);
                }
            }
            self.feed.is_gone(now, (address.clone(), task_type.clone()));
        }
    }

    /// Takes a worker off; says for how many types. Another instance than the registered one cannot.
    pub(super) fn deregister(&mut self, now: Timestamp, address: &str, instance: Option<&Instance>) -> usize {
        let Some((address, worker)) = self.workers.get_key_value(address) else { return 0 };
        if worker.fixed || worker.traits.instance.as_ref() != instance {
            return 0;
        }
        let address = address.clone();
        self.remove(now, &address)
    }

    fn remove(&mut self, now: Timestamp, address: &Arc<str>) -> usize {
        let types: Vec<TaskType> =
            self.workers.get(address).map(|worker| worker.types.iter().cloned().collect()).unwrap_or_default();
        for task_type in &types {
            self.remove_type(now, address, task_type);
        }
        self.workers.remove(address);
        self.expiries.cancel(address);
        types.len()
    }

    /// Takes off all who have been silent for too long.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(address) = self.expiries.pop_due(now) {
            self.remove(now, &address);
        }
    }

    /// How many workers serve a type.
    pub(super) fn count(&self, task_type: &TaskType) -> usize {
        self.by_type.get(task_type).map_or(0, |turn| turn.addresses.len())
    }

    /// The workers of a type, beginning with the one whose turn it is; the next call begins with the one
    /// after it.
    pub(super) fn in_turn(&mut self, task_type: &TaskType) -> impl Iterator<Item = (&Arc<str>, &Worker)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let turn = self.by_type.get_mut(task_type);
        let addresses = turn.map(|turn| {
            let last = turn.last.take();
            let start = last.as_ref().map_or(Unbounded, |last| Excluded(last.clone()));
            let first = turn.addresses.range((start, Unbounded)).next().or_else(|| turn.addresses.first()).cloned();
            turn.last.clone_from(&first);
            let from = first.clone().map_or(Unbounded, Included);
            let to = first.map_or(Unbounded, Excluded);
            turn.addresses.range((from, Unbounded)).chain(turn.addresses.range((Unbounded, to)))
        });
        let workers = &self.workers;
        addresses.into_iter().flatten().filter_map(|address| workers.get_key_value(address))
    }
}
