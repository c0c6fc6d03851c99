//! A worker in a world: its machine, and handlers that take their time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::{Instance, TaskType, Timestamp};
use taskgrid_worker::machine::{Config, Effect, Event, Exit, Machine, RunKey, Task};

use crate::agenda::Local;
use crate::bugs::{self, Bug};
use crate::host::{Context, Death, Driven, Flow, Host};
use crate::options::{MILLI, SECOND};
use crate::record::Step;
use crate::workload::{self, Deed};

/// See the module's documentation.
pub struct Worker {
    /// Where it says that it is reached.
    pub name: String,
    /// What it serves.
    pub types: BTreeSet<TaskType>,
    /// Where the name services are.
    pub nameservices: Vec<String>,
    /// What is wrong with it.
    pub bug: Option<Bug>,
    driven: Option<Driven<Event, Effect>>,
    running: BTreeMap<RunKey, Running>,
}

struct Running {
    task: Task,
    deed: Deed,
    stopped: bool,
}

impl Worker {
    /// A worker that is not there yet.
    pub fn new(name: String, types: BTreeSet<TaskType>, nameservices: Vec<String>, bug: Option<Bug>) -> Self {
        Self { name, types, nameservices, bug, driven: None, running: BTreeMap::new() }
    }

    fn end(&mut self, context: &mut Context<'_>, key: RunKey, stopped: bool) {
        let Some(running) = self.running.remove(&key) else { return };
        let outcome = match running.deed {
            Deed::Ends(_, outcome) if !stopped => outcome,
            _ => Err(Failure::passing("STOPPED", "the handler was stopped")),
        };
        let step = if stopped { Step::Stopped } else { Step::End(outcome.clone()) };
        context.record.ran(context.at, context.life, running.task.id, running.task.lease, step);
        if let Some(driven) = &mut self.driven {
            driven.node.handle_event(context.now, Event::Ended(key, outcome));
        }
    }
}

impl Host for Worker {
    fn start(&mut self, context: &mut Context<'_>) {
        let mut rng = context.dice.fork();
        let config = Config {
            address: self.name.clone(),
            types: self.types.clone(),
            concurrency: context.options.capacity,
            prefetch: context.options.prefetch,
            nameservices: self.nameservices.clone(),
            instance: Instance::generate(&mut rng),
            announce_every: Duration::from_micros(context.options.announce),
            heartbeat_every: Duration::from_micros(context.options.lease / 3),
            grace: Duration::from_secs(5),
        };
        let machine = Machine::new(context.now, config, rng);
        self.driven = Some(Driven::new(bugs::worker(self.bug, machine)));
    }

    fn kill(&mut self, _context: &mut Context<'_>, _power: bool) {
        self.driven = None;
        self.running.clear();
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        if let Some(driven) = &mut self.driven {
            driven.datagram(context, from, datagram);
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        let now = context.now;
        match local {
            Local::HandlerEnds(key) if self.running.get(&key).is_some_and(|running| !running.stopped) => {
                if self.running[&key].deed == Deed::Kills {
                    return Some(Death::Failed);
                }
                self.end(context, key, false);
            }
            Local::HandlerEnds(_) => {}
            Local::HandlerTells(key, quarters) => {
                let progress = Progress::new(f64::from(quarters) / 4.0, Some(format!("{quarters} of 4")))?;
                self.driven.as_mut()?.node.handle_event(now, Event::Progress(key, progress));
            }
            Local::HandlerGone(key) => self.end(context, key, true),
            Local::LookedUp { name, fails } => {
                let addr = context.answer(&name, fails);
                self.driven.as_mut()?.node.handle_event(now, Event::Resolved { name, addr });
            }
            Local::Stop => self.driven.as_mut()?.node.handle_event(now, Event::Drain),
            other => unreachable!("a worker does not wait for {other:?}"),
        }
        None
    }

    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death> {
        let running = &mut self.running;
        self.driven.as_mut()?.settle(context, &mut |effect, context| perform(running, effect, context))
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.driven.as_ref()?.node.poll_timeout()
    }
}

fn perform(handlers: &mut BTreeMap<RunKey, Running>, effect: Effect, context: &mut Context<'_>) -> Flow {
    match effect {
        Effect::Run(key, task) => {
            context.record.ran(context.at, context.life, task.id, task.lease.clone(), Step::Start);
            let deed = workload::handle(context.options, context.dice, &task.payload, task.attempt);
            match &deed {
                Deed::Ends(span, _) => context.later.push((*span, Local::HandlerEnds(key))),
                Deed::Kills => context.later.push((context.dice.range(0, SECOND), Local::HandlerEnds(key))),
                Deed::Hangs => {}
            }
            if let (true, Deed::Ends(span, _)) = (context.options.progress, &deed) {
                // The last word is late by a moment, as a line in a pipe may be.
                let words =
                    (1..=4).map(|quarters| (span * u64::from(quarters) / 4, Local::HandlerTells(key, quarters)));
                context.later.extend(words);
            }
            handlers.insert(key, Running { task, deed, stopped: false });
        }
        Effect::Stop(key) => {
            if let Some(running) = handlers.get_mut(&key) {
                running.stopped = true;
                context.later.push((context.dice.range(0, 20 * MILLI), Local::HandlerGone(key)));
            }
        }
        Effect::Resolve(name) => context.look_up(name),
        Effect::Note(_) => {}
        Effect::Exit(Exit::Drained) => return Some(Death::Stopped),
        Effect::Exit(Exit::AddressInUse(_)) => return Some(Death::Failed),
    }
    None
}
