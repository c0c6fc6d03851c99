//! How a machine lives in a world: what the daemon's loop is in production.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use taskgrid_protocol::node::{self, Node};
use taskgrid_protocol::packer::Packer;
use taskgrid_protocol::{Refusals, Timestamp, WallTime};

use crate::agenda::Local;
use crate::dice::Dice;
use crate::options::{MILLI, Micros, Options, SECOND};
use crate::record::{Life, Record};

/// All that a process can see and do at one moment.
pub struct Context<'a> {
    /// The time of the world.
    pub at: Micros,
    /// The time of the process, since its start.
    pub now: Timestamp,
    /// The wall clock of its machine.
    pub wall: WallTime,
    /// Who it is.
    pub life: Life,
    /// Its own address.
    pub address: SocketAddr,
    /// Chance.
    pub dice: &'a mut Dice,
    /// The world's knobs.
    pub options: &'a Options,
    /// What is around it.
    pub weather: &'a Weather,
    /// The onlooker.
    pub record: &'a mut Record,
    /// What will happen to it, and in how long.
    pub later: &'a mut Vec<(Micros, Local)>,
    /// What it sends.
    pub out: &'a mut Vec<(SocketAddr, Vec<u8>)>,
}

/// What is around all processes.
#[derive(Debug, Default)]
pub struct Weather {
    /// The world has healed.
    pub healed: bool,
    /// What DNS says.
    pub names: BTreeMap<String, SocketAddr>,
    /// No space is left on the dispatcher's disk until then.
    pub full_until: Micros,
    /// Little space is left, but some, until then.
    pub low_until: Micros,
    /// Another program holds the lock until then.
    pub locked_until: Micros,
    /// Every sync takes long until then.
    pub slow_until: Micros,
    /// The next write fails.
    pub broken: bool,
}

/// Why a process ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It was asked to stop, and has.
    Stopped,
    /// It cannot go on; its supervisor starts it again.
    Failed,
    /// Whatever it was about to send is lost with it.
    Killed,
}

/// A process of the grid.
pub trait Host {
    /// The process begins.
    fn start(&mut self, context: &mut Context<'_>);
    /// It is gone, and what it had in memory with it; `power`: the machine under it too.
    fn kill(&mut self, context: &mut Context<'_>, power: bool);
    /// A datagram has come.
    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]);
    /// Something that it had to wait for has happened.
    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death>;
    /// After each of the above, and when [`Host::wake_at`] has passed: does what follows.
    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death>;
    /// When it wants to be called.
    fn wake_at(&self) -> Option<Timestamp>;
}

/// What `perform` says of an effect.
pub type Flow = Option<Death>;

/// A machine with what every driver has.
pub struct Driven<E, F> {
    /// The machine.
    pub node: Box<dyn Node<Event = E, Effect = F>>,
    packer: Packer,
    refusals: Refusals,
}

impl<E, F> Driven<E, F> {
    /// Drives this machine.
    pub fn new(node: Box<dyn Node<Event = E, Effect = F>>) -> Self {
        Self { node, packer: Packer::default(), refusals: Refusals::default() }
    }

    /// A datagram has come.
    pub fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        if from == context.address {
            // Like the driver: a datagram from our own port would have us answer ourselves (R36).
            return;
        }
        let packer = &mut self.packer;
        let mut node = ByReference(&mut *self.node);
        node::receive(&mut node, context.now, from, datagram, &mut self.refusals, |refusal| packer.push(refusal));
    }

    /// One round of the driver's loop.
    pub fn settle(
        &mut self,
        context: &mut Context<'_>,
        perform: &mut dyn FnMut(F, &mut Context<'_>) -> Flow,
    ) -> Option<Death> {
        if self.node.poll_timeout().is_some_and(|at| at <= context.now) {
            self.node.handle_timeout(context.now);
        }
        let mut death = None;
        while let Some(effect) = self.node.poll_effect(context.now) {
            death = perform(effect, context);
            if death.is_some() {
                break;
            }
        }
        if death != Some(Death::Killed) {
            while let Some(transmit) = self.node.poll_transmit() {
                self.packer.push(transmit);
            }
            context.out.extend(self.packer.drain());
        }
        death
    }
}

/// A boxed machine as a machine.
struct ByReference<'a, E, F>(&'a mut dyn Node<Event = E, Effect = F>);

impl<E, F> Node for ByReference<'_, E, F> {
    type Event = E;
    type Effect = F;

    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: taskgrid_protocol::Message) {
        self.0.handle_datagram(now, from, message);
    }

    fn handle_event(&mut self, now: Timestamp, event: E) {
        self.0.handle_event(now, event);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.0.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<taskgrid_protocol::Transmit> {
        self.0.poll_transmit()
    }

    fn poll_effect(&mut self, now: Timestamp) -> Option<F> {
        self.0.poll_effect(now)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.poll_timeout()
    }
}

impl Context<'_> {
    /// Begins a DNS look-up; [`Local::LookedUp`] follows.
    pub fn look_up(&mut self, name: String) {
        let fails = !self.weather.healed && self.dice.chance(self.options.faults.dns_fails);
        let delay = if fails { 2 * SECOND } else { self.dice.range(MILLI, 20 * MILLI) };
        self.later.push((delay, Local::LookedUp { name, fails }));
    }

    /// What DNS says of a name now.
    pub fn answer(&self, name: &str, fails: bool) -> Option<SocketAddr> {
        if fails { None } else { self.weather.names.get(name).copied() }
    }
}
