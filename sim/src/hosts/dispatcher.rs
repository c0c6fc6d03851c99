//! The dispatcher in a world: its machine, and a disk that takes its time and has its faults.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use taskgrid_dispatcher::machine::{Config, Effect, Event, Machine};
use taskgrid_dispatcher::store::{Batch, Outcomes};
use taskgrid_protocol::{FileId, TaskId, Timestamp};

use crate::agenda::Local;
use crate::bugs::{self, Bug, SharedDisk};
use crate::host::{Context, Death, Driven, Flow, Host};
use crate::options::{MILLI, Micros, SECOND};

/// How often a locked database is tried again.
const LOCKED_PAUSE: u64 = 50 * MILLI;

/// See the module's documentation.
pub struct Dispatcher {
    /// Where the name services are.
    pub nameservices: Vec<String>,
    /// What is wrong with it.
    pub bug: Option<Bug>,
    /// The table.
    pub disk: SharedDisk,
    driven: Option<Driven<Event, Effect>>,
    /// What it took for its clock last, if it takes the wall clock for it.
    latest: Micros,
}

impl Dispatcher {
    /// A dispatcher that is not there yet.
    pub fn new(nameservices: Vec<String>, bug: Option<Bug>, disk: SharedDisk) -> Self {
        Self { nameservices, bug, disk, driven: None, latest: 0 }
    }

    /// The committer's thread comes to a batch.
    fn apply(&mut self, context: &mut Context<'_>, batch: Box<Batch>) -> Option<Death> {
        let weather = context.weather;
        if context.at < weather.locked_until {
            context.later.push((LOCKED_PAUSE, Local::Apply(batch)));
            return None;
        }
        if context.at < weather.full_until {
            context.record.trace.line(context.at, || "disk: full".to_owned());
            context.later.push((0, Local::Dispatcher(Event::DiskFull(batch))));
            return None;
        }
        // When the disk fails it may have written all or nothing.
        let is_written = !weather.broken || context.dice.chance(0.5);
        let outcomes = is_written.then(|| {
            let outcomes = self.disk.borrow_mut().apply(context.wall, &batch).expect("a healthy disk takes a batch");
            let ids = touched(&batch, &outcomes);
            context.record.trace.line(context.at, || format!("disk: {outcomes:?}"));
            context.record.look(context.at, &**self.disk.borrow(), ids);
            outcomes
        });
        if weather.broken {
            return Some(Death::Failed);
        }
        let outcomes = outcomes?;
        let report = context.dice.range(0, 100);
        context.later.push((report, Local::Dispatcher(Event::Committed(batch, outcomes))));
        None
    }
}

impl Host for Dispatcher {
    fn start(&mut self, context: &mut Context<'_>) {
        let mut disk = self.disk.borrow_mut();
        let fresh = FileId::generate(&mut ChaCha12Rng::seed_from_u64(context.at));
        let opened = disk.open(context.wall, fresh).expect("a dispatcher that was killed starts again");
        context.record.trace.line(context.at, || format!("disk: {opened:?}"));
        drop(disk);
        bugs::show_wall(self.bug, context, &mut self.latest);
        let config = Config {
            nameservices: self.nameservices.clone(),
            lease: Duration::from_micros(context.options.lease),
            plain_lease: Duration::from_micros(context.options.plain_lease),
            max_pending: context.options.max_pending,
            // Ended tasks are kept for ever, since the checkers look for every one.
            ..Config::default()
        };
        let machine = Machine::new(context.now, config, opened, context.dice.fork());
        self.driven = Some(Driven::new(bugs::dispatcher(self.bug, machine, &self.disk)));
        context.later.push((SECOND, Local::LookAtSpace));
    }

    fn kill(&mut self, _context: &mut Context<'_>, power: bool) {
        if self.driven.take().is_some() {
            self.disk.borrow_mut().crash(power);
        }
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        if let Some(driven) = &mut self.driven {
            bugs::show_wall(self.bug, context, &mut self.latest);
            driven.datagram(context, from, datagram);
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        bugs::show_wall(self.bug, context, &mut self.latest);
        let event = match local {
            Local::Apply(batch) => return self.apply(context, batch),
            Local::Read(ticket, query) => {
                let answer = self.disk.borrow().read(&query);
                Event::Read { ticket, answer, at: context.wall }
            }
            Local::Dispatcher(event) => event,
            Local::LookAtSpace => {
                context.later.push((SECOND, Local::LookAtSpace));
                let is_low = context.at < context.weather.full_until.max(context.weather.low_until);
                Event::FreeSpace(if is_low { 0 } else { u64::MAX })
            }
            Local::LookedUp { name, fails } => {
                let addr = context.answer(&name, fails);
                Event::Resolved { name, addr }
            }
            Local::Stop => Event::Drain,
            other => unreachable!("a dispatcher does not wait for {other:?}"),
        };
        self.driven.as_mut()?.node.handle_event(context.now, event);
        None
    }

    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death> {
        bugs::show_wall(self.bug, context, &mut self.latest);
        self.driven.as_mut()?.settle(context, &mut perform)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.driven.as_ref()?.node.poll_timeout()
    }
}

fn perform(effect: Effect, context: &mut Context<'_>) -> Flow {
    match effect {
        Effect::Commit(batch) => {
            let (fast, slow) = context.options.commit;
            let is_slow = context.at < context.weather.slow_until;
            let span =
                if is_slow { context.dice.range(SECOND / 2, 3 * SECOND) } else { context.dice.range(fast, slow) };
            context.later.push((span, Local::Apply(batch)));
        }
        Effect::Read { ticket, query } => {
            let span = context.dice.range(20, 2 * MILLI);
            context.later.push((span, Local::Read(ticket, query)));
        }
        Effect::Resolve(name) => context.look_up(name),
        Effect::Exit => return Some(Death::Stopped),
    }
    let dies = !context.weather.healed && context.dice.chance(context.options.faults.die_at_effect);
    dies.then_some(Death::Killed)
}

/// The tasks that a batch has changed.
fn touched(batch: &Batch, outcomes: &Outcomes) -> Vec<TaskId> {
    use taskgrid_dispatcher::store::Inserted;
    let mut ids: Vec<TaskId> = batch.finishes.iter().map(|finish| finish.task).collect();
    ids.extend(batch.releases.iter().map(|release| release.task));
    ids.extend(&batch.cancels);
    ids.extend(&batch.retries);
    ids.extend(&outcomes.expired);
    ids.extend(outcomes.inserts.iter().filter_map(|inserted| match inserted {
        Inserted::New { id, .. } => Some(*id),
        _ => None,
    }));
    ids.extend(outcomes.claims.iter().flat_map(|claimed| claimed.tasks.iter().map(|(_, running)| running.id)));
    ids.sort();
    ids.dedup();
    ids
}
