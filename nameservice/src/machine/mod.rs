//! The name service as a state machine: no clock, no socket (see [`Node`]).

mod answers;
mod contests;
mod feed;
mod limits;
mod registry;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use taskgrid_protocol::body::{Deregister, PingReply, RegisterReply, Registration};
use taskgrid_protocol::{Body, ErrorCode, ErrorReply, Message, Node, ReplyTo, TaskType, Timestamp, Transmit};

use contests::{Claim, Contests, Found};
use limits::{CONTEST_FOR, INTERVAL_MAX, INTERVAL_MIN, OVERLOAD_PAUSE, TTL_INTERVALS};
use registry::{Refusal, Registry, Worker};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long an entry lives whose worker announces no interval.
    pub ttl: Duration,
    /// Workers that never register, and never expire.
    pub fixed: Vec<(TaskType, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(60), fixed: Vec::new() }
    }
}

/// Something that the machine should know.
#[derive(Debug)]
pub enum Event {
    /// A DNS look-up has ended.
    Resolved {
        /// From [`Effect::Resolve`].
        name: String,
        /// `None`: it failed.
        addr: Option<SocketAddr>,
    },
    /// Stop. There is nothing to save.
    Stop,
}

/// Something that must be done for the machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look this `HOST:PORT` up, then report [`Event::Resolved`].
    Resolve(String),
    /// Stop.
    Exit,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    registry: Registry,
    contests: Contests,
    /// This run, so that others notice that an earlier one has been forgotten.
    epoch: u64,
    transmits: VecDeque<Transmit>,
    stopping: bool,
}

impl Machine {
    /// A name service that knows only its fixed entries.
    pub fn new(config: Config, mut rng: ChaCha12Rng) -> Self {
        let mut registry = Registry::default();
        for (task_type, address) in &config.fixed {
            registry.fix(task_type, address);
        }
        // Zero is what those say who know nothing; and JavaScript has no integers beyond 53 bits.
        let epoch = (rng.next_u64() >> 11).max(1);
        Self { config, registry, contests: Contests::new(rng), epoch, transmits: VecDeque::new(), stopping: false }
    }

    fn reply(&mut self, to: &ReplyTo, data: &impl serde::Serialize) {
        self.transmits.extend(to.answer(data));
    }

    fn reply_error(&mut self, to: &ReplyTo, code: ErrorCode, error: &str) {
        self.reply(to, &ErrorReply::new(code, error));
    }

    /// REGISTER_WORKER and HEARTBEAT (R27).
    fn handle_registration(&mut self, now: Timestamp, from: SocketAddr, to: ReplyTo, registration: Registration) {
        if !is_address(&registration.address) {
            return self.reply_error(&to, ErrorCode::BadRequest, "'address' is HOST:PORT, as in worker-reverse:6000");
        }
        let ttl = registration
            .interval_s
            .map_or(self.config.ttl, |interval| interval.0.clamp(INTERVAL_MIN, INTERVAL_MAX) * TTL_INTERVALS);
        self.register(now, Claim { registration, ttl, from, to }, false);
    }

    fn register(&mut self, now: Timestamp, claim: Claim, proven: bool) {
        let registered = self.registry.upsert(now, &claim, proven);
        let Claim { registration, ttl, to, .. } = &claim;
        let worker = self.registry.get(&registration.address);
        match registered {
            Ok(()) => {
                let contested = worker.and_then(|worker| worker.refused(now)).map(|from| from.to_string());
                let message = "Successfully registered".to_owned();
                self.reply(to, &RegisterReply { message, ttl_s: ttl.as_secs(), contested });
            }
            Err(Refusal::NotRegistered) => {
                let error = "this address is not registered; send its 'type' or 'types' too";
                self.reply_error(to, ErrorCode::NotRegistered, error);
            }
            Err(Refusal::AddressInUse) => {
                let error = format!("another worker has taken this address{}", origin(worker));
                self.reply_error(to, ErrorCode::AddressInUse, &error);
            }
            Err(Refusal::Contested) => self.contest(now, claim),
            Err(Refusal::Full(what)) => {
                let error = format!("{what}; nothing was registered, try again later");
                self.reply(to, &ErrorReply::passing(ErrorCode::Overloaded, error, OVERLOAD_PAUSE));
            }
        }
    }

    /// Finds out who is at an address that another process is registered for.
    fn contest(&mut self, now: Timestamp, claim: Claim) {
        let to = claim.to.clone();
        match self.contests.open(now, claim) {
            Some(ping) => self.transmits.extend(ping),
            None => {
                let error = "too many addresses are being checked; nothing was registered, try again later";
                self.reply(&to, &ErrorReply::passing(ErrorCode::Overloaded, error, OVERLOAD_PAUSE));
            }
        }
    }

    /// It is known who answers at a contested address, or that nobody does.
    fn decide(&mut self, now: Timestamp, claim: Claim, found: &Found) {
        let address = claim.registration.address.as_str();
        let worker = self.registry.get(address);
        // One that is behind a translation of addresses cannot be reached from here, but goes on reporting. What was under way
        // for long may still come of one that is gone.
        let doubted = self.contests.since(address).map(|since| since + CONTEST_FOR);
        let lives = worker.and_then(Worker::heard).zip(doubted).is_some_and(|((heard, _), doubted)| heard > doubted);
        match found {
            Found::Newcomer => self.register(now, claim, true),
            Found::Nobody if !lives => {
                let error = format!(
                    "another worker is registered for {address}{}, and nobody answers there; trying on until its entry expires",
                    origin(worker)
                );
                self.reply(&claim.to, &ErrorReply::passing(ErrorCode::Overloaded, error, OVERLOAD_PAUSE));
            }
            Found::Nobody | Found::Other(_) => {
                let error = format!(
                    "{address} is the address of another worker{}, and this one is not reached there",
                    origin(worker)
                );
                self.reply_error(&claim.to, ErrorCode::AddressInUse, &error);
                self.registry.note_refused(address, claim.from, now + claim.ttl);
                let address: Arc<str> = address.into();
                self.contests.close(&address);
            }
        }
    }

    /// Where an entry has gone there is nothing to prove any more.
    fn settle_contests(&mut self, now: Timestamp) {
        for address in self.contests.without(|address| self.registry.get(address).is_some()) {
            if let Some(claim) = self.contests.close(&address) {
                self.register(now, claim, true);
            }
        }
    }

    fn handle_deregister(&mut self, now: Timestamp, to: &ReplyTo, deregister: &Deregister) {
        let count = self.registry.deregister(now, &deregister.address, deregister.instance.as_ref());
        self.settle_contests(now);
        self.reply(to, &serde_json::json!({"message": format!("Deregistered {count} entries")}));
    }
}

impl Node for Machine {
    type Event = Event;
    type Effect = Effect;

    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        let to = message.reply_to(from);
        match message.body {
            Body::RegisterWorker(registration) | Body::Heartbeat(registration) => {
                self.handle_registration(now, from, to, registration);
            }
            Body::DeregisterWorker(deregister) => self.handle_deregister(now, &to, &deregister),
            Body::LookupWorker(lookup) => self.handle_lookup(&to, &lookup),
            Body::ListWorkers(list) => self.handle_list(&to, list.task_type.as_ref()),
            Body::Ping(_) => self.reply(&to, &PingReply::of("nameservice")),
            // These are never answered, by nobody.
            Body::Response(data) => {
                if let Some((claim, found)) = self.contests.handle_answer(now, from, message.beside.id.as_ref(), &data)
                {
                    self.decide(now, claim, &found);
                }
            }
            Body::TaskAck(_) | Body::TaskReject(_) => {}
            Body::Task(_) | Body::TaskCancel(_) => {
                let error = "this is a name service; TASK and TASK_CANCEL are for workers, by default at port 6000";
                self.reply_error(&to, ErrorCode::UnknownMessage, error);
            }
            other => {
                let kind = other.kind();
                let error = format!("this is a name service; {kind} is for the dispatcher, by default at port 4000");
                self.reply_error(&to, ErrorCode::UnknownMessage, &error);
            }
        }
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Resolved { name, addr } => self.transmits.extend(self.contests.handle_resolved(now, &name, addr)),
            Event::Stop => self.stopping = true,
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        // First, so that after a pause nobody is registered whose question is old.
        while let Some((claim, found)) = self.contests.pop_unanswered(now) {
            self.decide(now, claim, &found);
        }
        self.registry.expire(now);
        self.settle_contests(now);
        while let Some(copy) = self.contests.poll_copy(now) {
            self.transmits.push_back(copy);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_effect(&mut self, _now: Timestamp) -> Option<Effect> {
        let name = self.contests.poll_name().map(Effect::Resolve);
        name.or_else(|| std::mem::take(&mut self.stopping).then_some(Effect::Exit))
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.registry.next_expiry(), self.contests.next()].into_iter().flatten().min()
    }
}

/// Where a worker reports from, for a sentence.
fn origin(worker: Option<&Worker>) -> String {
    worker.and_then(Worker::heard).map(|(_, from)| format!(", which reports from {from}")).unwrap_or_default()
}

/// `HOST:PORT` with nothing in it that could not be in either.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_clean = host.chars().all(|c| c.is_ascii_graphic());
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty() && is_clean && is_port && text.len() <= taskgrid_protocol::limits::ADDRESS_MAX
}
