//! The workers: who serves what, as the name service tells, and as they say themselves.

mod former;
mod hosts;
mod slots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use taskgrid_protocol::body::WorkerEntry;
use taskgrid_protocol::limits::{CAPACITY_MAX, PLAIN_WORKER_DATAGRAM_MAX, RECEIVE_BUFFER};
use taskgrid_protocol::{Instance, TaskType, Timers, Timestamp};

use super::limits::{DENIED_FOR, REPLACED_FOR, UNCONFIRMED_FOR, WORKERS_MAX};
use former::Former;

/// Names a worker process for as long as this dispatcher runs. A new process at an old address has a new
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerKey(u64);

impl WorkerKey {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which kind of process serves an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It understands leases.
    Leasing(Instance),
    /// It understands TASK and RESULT_RETURN only (R15).
    Plain,
    /// The name service has not told since the restart; rows of the table say that it exists.
    Unheard,
}

impl Kind {
    pub(super) fn instance(&self) -> Option<&Instance> {
        match self {
            Self::Leasing(instance) => Some(instance),
            Self::Plain | Self::Unheard => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) address: Arc<str>,
    pub(super) kind: Kind,
    pub(super) capacity: u32,
    pub(super) batch: bool,
    pub(super) max_datagram: usize,
    /// Whether the name service knows it, or did when it last spoke.
    pub(super) listed: bool,
    /// The types for which it is registered, less those that it has refused.
    pub(super) types: BTreeSet<TaskType>,
    /// Slots taken by attempts and claims.
    pub(super) used: u32,
    /// Slots that it says are taken by others, and until when that is believed.
    held: u32,
    held_until: Timestamp,
    /// It was busy, or stopping: nothing is offered before then.
    busy_until: Timestamp,
    /// The host, once known, for results that come without a lease.
    host: Option<IpAddr>,
    /// A restarted name service has not named it yet, since then.
    unconfirmed_since: Option<Timestamp>,
}

impl Worker {
    /// Whether it serves any type.
    pub(super) fn is_registered(&self) -> bool {
        !self.types.is_empty()
    }
}

/// What a registration has changed.
#[derive(Debug, Default)]
pub(super) struct Registered {
    /// These types have a worker more.
    pub(super) gained: Vec<(TaskType, WorkerKey)>,
    /// These have one less.
    pub(super) lost: Vec<(TaskType, WorkerKey)>,
    /// It is known now which process this is.
    pub(super) heard: Option<WorkerKey>,
    /// This process is no longer registered for anything: it was replaced, or is gone.
    pub(super) gone: Option<WorkerKey>,
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    workers: BTreeMap<WorkerKey, Worker>,
    by_address: BTreeMap<Arc<str>, WorkerKey>,
    /// Workers that may be given a task, as of their last refresh.
    free: BTreeSet<WorkerKey>,
    /// When the others may be again, as far as that is only a matter of time.
    alarms: Timers<WorkerKey>,
    former: Former,
    /// Plain workers that are no longer registered, the last one in front: a task that went to one may still
    /// come back from its host (R15).
    departed: VecDeque<(Arc<str>, IpAddr)>,
    /// All plain workers, also departed ones, by host; made anew when asked for after a change. Results without a lease
    /// share these lists, so that none is as long as there are workers.
    by_host: Option<BTreeMap<IpAddr, Arc<[Arc<str>]>>>,
    next: u64,
}

impl Roster {
    pub(super) fn get(&self, key: WorkerKey) -> Option<&Worker> {
        self.workers.get(&key)
    }

    /// The process that serves an address now.
    pub(super) fn at(&self, address: &str) -> Option<WorkerKey> {
        self.by_address.get(address).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.workers.iter().map(|(key, worker)| (*key, worker))
    }

    /// Workers that the name service knows.
    pub(super) fn registered(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| worker.is_registered())
    }

    /// The worker at the address of a row that was running when the dispatcher stopped.
    pub(super) fn recover(&mut self, address: &Arc<str>, plain: bool) -> WorkerKey {
        if let Some(key) = self.at(address) {
            return key;
        }
        let kind = if plain { Kind::Plain } else { Kind::Unheard };
        self.add(address.clone(), kind)
    }

    fn add(&mut self, address: Arc<str>, kind: Kind) -> WorkerKey {
        let key = WorkerKey(self.next);
        self.next += 1;
        let host = address.parse::<std::net::SocketAddr>().ok().map(|addr| addr.ip());
        if kind == Kind::Plain {
            self.by_host = None;
        }
        let worker = Worker {
            address: address.clone(),
            max_datagram: usual_datagram(&kind),
            kind,
            capacity: 1,
            batch: false,
            listed: false,
            types: BTreeSet::new(),
            used: 0,
            held: 0,
            held_until: Timestamp::ZERO,
            busy_until: Timestamp::ZERO,
            host,
            unconfirmed_since: None,
        };
        self.workers.insert(key, worker);
        self.by_address.insert(address, key);
        key
    }

    /// The name service says that a worker serves these types.
    pub(super) fn register(&mut self, now: Timestamp, entry: &WorkerEntry, types: &[TaskType]) -> Registered {
        let mut changes = Registered::default();
        let kind = entry.instance.clone().map_or(Kind::Plain, Kind::Leasing);
        let before = self.at(&entry.address);
        let key = match before {
            Some(key) if self.is_same_process(key, &kind) => key,
            _ if before.is_none() && self.workers.len() >= WORKERS_MAX => return changes,
            _ => {
                if let Some(replaced) = before {
                    self.note_former(replaced, now + REPLACED_FOR);
                    changes = self.unregister_all(now, replaced);
                }
                self.add(entry.address.as_str().into(), kind.clone())
            }
        };
        let worker = self.workers.get_mut(&key).expect("the key was just found or made");
        let paused_until = kind.instance().and_then(|process| self.former.until(&worker.address, process));
        let announced = entry.max_datagram.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        worker.max_datagram = announced.unwrap_or_else(|| usual_datagram(&kind));
        if worker.kind == Kind::Unheard {
            changes.heard = Some(key);
            // That it was busy or stopping may have been said by a process before this one.
            worker.busy_until = Timestamp::ZERO;
        }
        worker.kind = kind;
        worker.capacity = entry.capacity.clamp(1, CAPACITY_MAX);
        worker.batch = entry.batch;
        worker.listed = true;
        worker.unconfirmed_since = None;
        worker.busy_until = worker.busy_until.max(paused_until.unwrap_or(Timestamp::ZERO));
        for task_type in types {
            if worker.types.insert(task_type.clone()) {
                changes.gained.push((task_type.clone(), key));
            }
        }
        self.refresh(now, key);
        changes
    }

    fn is_same_process(&self, key: WorkerKey, kind: &Kind) -> bool {
        self.workers.get(&key).is_some_and(|worker| match &worker.kind {
            Kind::Unheard => matches!(kind, Kind::Leasing(_)),
            known => known == kind,
        })
    }

    /// The worker that is this process. Looks at all of them, which is rare enough: once when a worker stops.
    pub(super) fn process(&self, instance: &Instance) -> Option<WorkerKey> {
        self.workers.iter().find(|(_, worker)| worker.kind.instance() == Some(instance)).map(|(key, _)| *key)
    }

    /// Another process has answered at the address of this one. It is offered nothing until the name service has told of
    /// the other one; if that takes too long it is tried again, since the name of the address may have led astray.
    pub(super) fn deny(&mut self, now: Timestamp, key: WorkerKey) {
        self.note_former(key, now + DENIED_FOR);
        self.report_busy(now, key, DENIED_FOR);
    }

    /// Whether the address of this process was taken by another one a short time ago.
    pub(super) fn is_former(&self, now: Timestamp, address: &Arc<str>, process: &Instance) -> bool {
        self.former.until(address, process).is_some_and(|until| now < until)
    }

    /// Whether some process that was denied is still the one that the name service lists.
    pub(super) fn awaits_successor(&self, now: Timestamp) -> bool {
        self.former.iter(now).any(|(address, process)| {
            let worker = self.at(address).and_then(|key| self.get(key));
            worker.is_some_and(|worker| worker.is_registered() && worker.kind.instance() == Some(process))
        })
    }

    fn note_former(&mut self, key: WorkerKey, until: Timestamp) {
        if let Some(worker) = self.workers.get(&key)
            && let Some(process) = worker.kind.instance()
        {
            self.former.note(worker.address.clone(), process.clone(), until);
        }
    }

    /// The name service says that an address no longer serves these types.
    pub(super) fn unregister(&mut self, now: Timestamp, address: &str, types: &[TaskType]) -> Registered {
        let changes = self.withdraw_types(now, address, types);
        if let Some(worker) = self.at(address).and_then(|key| self.workers.get_mut(&key)) {
            worker.listed &= worker.is_registered();
        }
        changes
    }

    /// A worker serves these types no longer, as it has said itself or the name service. It may be alive all the same.
    pub(super) fn withdraw_types(&mut self, now: Timestamp, address: &str, types: &[TaskType]) -> Registered {
        let mut changes = Registered::default();
        let Some(key) = self.at(address) else { return changes };
        let Some(worker) = self.workers.get_mut(&key) else { return changes };
        for task_type in types {
            if worker.types.remove(task_type) {
                changes.lost.push((task_type.clone(), key));
            }
        }
        if worker.types.is_empty() && !changes.lost.is_empty() {
            changes.gone = Some(key);
        }
        self.refresh(now, key);
        changes
    }

    /// Takes a process off all lists.
    pub(super) fn unregister_all(&mut self, now: Timestamp, key: WorkerKey) -> Registered {
        let Some(worker) = self.workers.get_mut(&key) else { return Registered::default() };
        worker.listed = false;
        let lost = std::mem::take(&mut worker.types).into_iter().map(|task_type| (task_type, key)).collect();
        self.refresh(now, key);
        Registered { lost, gone: Some(key), ..Registered::default() }
    }

    /// A name service that has forgotten everything must name each worker again.
    pub(super) fn doubt_all(&mut self, now: Timestamp) {
        for worker in self.workers.values_mut().filter(|worker| worker.is_registered()) {
            worker.unconfirmed_since.get_or_insert(now);
        }
    }

    /// Lets go of workers that a restarted name service has not named for too long.
    pub(super) fn drop_unconfirmed(&mut self, now: Timestamp) -> Vec<Registered> {
        let given_up: Vec<WorkerKey> = self
            .iter()
            .filter(|(_, worker)| worker.unconfirmed_since.is_some_and(|since| now.since(since) > UNCONFIRMED_FOR))
            .map(|(key, _)| key)
            .collect();
        given_up
            .into_iter()
            .map(|key| {
                if let Some(worker) = self.workers.get_mut(&key) {
                    worker.unconfirmed_since = None;
                }
                self.unregister_all(now, key)
            })
            .collect()
    }
}

/// The longest datagram that a worker takes which has not said.
fn usual_datagram(kind: &Kind) -> usize {
    if *kind == Kind::Plain { PLAIN_WORKER_DATAGRAM_MAX } else { RECEIVE_BUFFER }
}
