//! A grid of processes on simulated time: one event after another, all chance from the seed.

mod life;
mod population;
mod trouble;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use taskgrid_dispatcher::store::MemoryStore;
use taskgrid_protocol::{Timestamp, WallTime};

use crate::agenda::{Agenda, Event, Local};
use crate::bugs::{self, Bug, SharedDisk};
use crate::dice::Dice;
use crate::disk::{Disk, SqliteDisk};
use crate::faults::{self, Kind};
use crate::host::{Context, Death, Host, Weather};
use crate::hosts::Client;
use crate::network::{self, Network};
use crate::options::{MILLI, Micros, Options, SECOND, StoreKind};
use crate::record::{Record, Table};
use crate::workload;

/// When the world begins, on the wall clock.
pub const BEGINNING: i64 = 1_790_000_000_000;

/// How long the world is watched after all has ended: nothing may go on.
pub const WATCHED: Micros = 100 * SECOND;

/// Datagrams that a paused process finds in its socket's buffer; the rest is lost.
const BUFFERED: usize = 166;

/// More events than any world needs: the processes talk without end.
const EVENTS_MAX: u64 = 3_000_000;

/// Which program a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is one.
    Dispatcher,
    /// There may be two.
    NameService,
    /// With leases.
    Worker,
    /// Without.
    PlainWorker,
    /// Somebody who submits.
    Client,
    /// Somebody who submits without a key.
    PlainClient,
}

struct Process {
    role: Role,
    host: Box<dyn Host>,
    /// Its name in DNS, with the port.
    name: String,
    address: SocketAddr,
    moves: u8,
    life: u32,
    born: Micros,
    alive: bool,
    /// What came while it was paused.
    held: Option<Vec<Event>>,
    wake_at: Option<Micros>,
}

/// How a run of a world came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All ended, and clients know it; since then.
    Rest(Micros),
    /// Tasks or questions were left when the time was over.
    Unrest,
    /// The processes talked without end.
    Endless,
    /// The time was over in a world that need not come to rest.
    Over,
}

/// See the module's documentation.
pub struct World {
    options: Options,
    dice: Dice,
    agenda: Agenda,
    at: Micros,
    processes: Vec<Process>,
    addresses: BTreeMap<SocketAddr, usize>,
    network: Network,
    weather: Weather,
    /// How far the dispatcher's wall clock is off, in milliseconds.
    clock_off: i64,
    disk: SharedDisk,
    record: Record,
    clients: Vec<Rc<RefCell<Client>>>,
    /// The place of the first of them.
    first_client: usize,
    events: u64,
}

impl World {
    /// The world of these options, in which this is wrong on purpose.
    pub fn new(options: Options, bug: Option<Bug>) -> Self {
        let mut dice = Dice::new(options.seed ^ 0x7461_736b_6772_6964);
        let disk: Box<dyn Disk> = match options.store {
            StoreKind::Memory => Box::new(MemoryStore::default()),
            StoreKind::Sqlite => Box::new(SqliteDisk::new(options.seed)),
        };
        let disk = Rc::new(RefCell::new(bugs::disk(bug, disk)));
        let record = Record { wishes: workload::wishes(&options, &mut dice), ..Record::default() };
        let mut world = Self {
            dice,
            agenda: Agenda::default(),
            at: 0,
            processes: Vec::new(),
            addresses: BTreeMap::new(),
            network: Network::default(),
            weather: Weather::default(),
            clock_off: 0,
            disk,
            record,
            clients: Vec::new(),
            first_client: 0,
            events: 0,
            options,
        };
        world.populate(bug);
        world.plan();
        world
    }

    /// Prints every event from now on.
    pub fn print(&mut self) {
        self.record.trace.print();
    }

    /// Runs the world to its end.
    pub fn run(&mut self) -> Ending {
        let mut rest: Option<Micros> = None;
        let patience = self.patience();
        loop {
            let Some((at, event)) = self.agenda.pop() else { return Ending::Unrest };
            self.at = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Ending::Endless;
            }
            if let Some(healed) = self.record.healed {
                if self.options.net.corrupt > 0.0 && at > healed + 30 * SECOND {
                    return Ending::Over;
                }
                match rest {
                    Some(since) if at > since + WATCHED => return Ending::Rest(since),
                    // By then, clients that were dead have taken up again what they had begun.
                    None if at > healed + 5 * SECOND && self.is_at_rest() => rest = Some(at),
                    None if at > healed + patience => return Ending::Unrest,
                    _ => {}
                }
            }
            self.happen(event);
        }
    }

    /// How long after the end of all faults everything may take: ten minutes, and each task's own time.
    fn patience(&self) -> Micros {
        let tasks = self.options.tasks as u64;
        600 * SECOND + tasks * (self.options.handler.1 + 2 * SECOND) + 4 * self.options.plain_lease
    }

    fn is_at_rest(&self) -> bool {
        let has_ended = |rows: &Vec<crate::record::Row>| rows.last().is_some_and(|row| row.task.status.is_ended());
        self.clients.iter().all(|client| client.borrow().is_content()) && self.record.rows.values().all(has_ended)
    }

    /// What was written down, and the table as it is now.
    pub fn end(self) -> (Options, Record, Table, Option<String>) {
        let disk = self.disk.borrow();
        let table = self.record.table(self.at, &**disk);
        let fault = disk.fault();
        drop(disk);
        (self.options, self.record, table, fault)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { sent, .. } if self.is_of_old(sent) => {}
            Event::Datagram { from, to, bytes, sent } => self.arrive(from, to, bytes, sent),
            Event::Local(place, life, local) => {
                let process = &mut self.processes[place];
                // What a person does goes on over the lives of the program.
                if life != process.life && life != u32::MAX {
                    return;
                }
                if let Some(held) = &mut process.held {
                    held.push(Event::Local(place, life, local));
                } else {
                    self.local(place, local);
                }
            }
            Event::Wake(place, life) => {
                let process = &mut self.processes[place];
                if process.wake_at != Some(self.at) || process.life != life {
                    return;
                }
                process.wake_at = None;
                if process.held.is_none() && process.alive {
                    self.settle(place);
                }
            }
            Event::Start(place) => self.start(place),
            Event::Resume(place) => self.resume(place),
            Event::Fault(kind) => self.fault(kind),
            Event::Unblock(number) => self.network.unblock(number),
            Event::Heal => self.heal(),
        }
    }

    /// A healed network has no datagrams under way that set out long before it healed.
    fn is_of_old(&self, sent: Micros) -> bool {
        self.record.healed.is_some_and(|healed| self.at > healed + 5 * SECOND && sent < healed)
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, sent: Micros) {
        let Some(&place) = self.addresses.get(&to) else { return };
        let process = &mut self.processes[place];
        if !process.alive {
            return;
        }
        if let Some(held) = &mut process.held {
            if held.len() < BUFFERED {
                held.push(Event::Datagram { from, to, bytes, sent });
            }
            return;
        }
        if process.role == Role::Dispatcher && self.options.plain_tasks > 0 {
            self.record.arrived(&bytes);
        }
        let trace = &mut self.record.trace;
        trace.bytes(self.at, || format!("{} hears from {from}:", process.name), &bytes);
        self.with(place, |host, context| {
            host.datagram(context, from, &bytes);
            None
        });
        self.settle(place);
    }

    fn local(&mut self, place: usize, local: Local) {
        if !self.processes[place].alive && self.processes[place].role != Role::Client {
            return;
        }
        let death = self.with(place, |host, context| host.local(context, local));
        match death {
            Some(death) => self.die(place, death),
            None => self.settle(place),
        }
    }

    fn settle(&mut self, place: usize) {
        if !self.processes[place].alive {
            return;
        }
        if let Some(death) = self.with(place, |host, context| host.settle(context)) {
            return self.die(place, death);
        }
        let process = &mut self.processes[place];
        let Some(wake) = process.host.wake_at() else { return };
        // No timer is exact.
        let at = (process.born + wake.as_micros()).max(self.at) + self.dice.range(1, MILLI);
        if process.wake_at.is_none_or(|planned| planned > at) {
            process.wake_at = Some(at);
            self.agenda.add(at, Event::Wake(place, process.life));
        }
    }

    /// Lets a process do something, and takes up what comes of it.
    fn with(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut dyn Host, &mut Context<'_>) -> Option<Death>,
    ) -> Option<Death> {
        let (mut later, mut out) = (Vec::new(), Vec::new());
        let process = &mut self.processes[place];
        let wall = BEGINNING + i64::try_from(self.at / MILLI).expect("worlds are short") + self.clock_off;
        let mut context = Context {
            at: self.at,
            now: Timestamp::from_micros(self.at - process.born),
            wall: WallTime::from_millis(wall),
            life: (place, process.life),
            address: process.address,
            dice: &mut self.dice,
            options: &self.options,
            weather: &self.weather,
            record: &mut self.record,
            later: &mut later,
            out: &mut out,
        };
        let death = act(&mut *process.host, &mut context);
        let (life, from) = (process.life, process.address);
        if death != Some(Death::Killed) {
            for (delay, local) in later {
                let life = if matches!(local, Local::Act(_)) { u32::MAX } else { life };
                self.agenda.add(self.at + delay, Event::Local(place, life, local));
            }
            for (to, bytes) in out {
                self.send(place, from, to, &bytes);
            }
        }
        death
    }

    fn send(&mut self, place: usize, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let target = self.addresses.get(&to).copied();
        self.record.wire.sent(self.at, from, to, bytes, target.is_some());
        let Some(target) = target else { return };
        if self.network.is_blocked(place, target) {
            self.record.net.sent += 1;
            self.record.net.lost += 1;
            return;
        }
        let net = if self.weather.healed { &self.options.net.healed() } else { &self.options.net };
        for arrival in Network::carry(net, &mut self.dice, &mut self.record.net, bytes) {
            self.agenda.add(self.at + arrival.delay, Event::Datagram { from, to, bytes: arrival.bytes, sent: self.at });
        }
    }
}
