//! The worker as a state machine: no clock, no socket, no handlers (see [`Node`]).
//!
//! It announces itself at the name services and takes TASKs. Each becomes an [`Effect::Run`]; what comes of
//! it ([`Event::Ended`]) goes to the dispatcher as RESULT_RETURN, again and again until it is stored. What a
//! handler is, the machine does not know.
//!
//! A TASK without a lease is from a dispatcher that speaks the plain protocol only. It is run like any
//! other. Its result goes back without a lease, for as long as any question is asked
//! ([`ANSWER_DEADLINE`](taskgrid_protocol::limits::ANSWER_DEADLINE)), since such a dispatcher may never answer.

mod announce;
mod beats;
mod drain;
mod interface;
mod limits;
mod memory;
mod offers;
mod results;
mod runs;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use taskgrid_protocol::body::PingReply;
use taskgrid_protocol::limits::CAPACITY_MAX;
use taskgrid_protocol::outbox::{Due, Patience};
use taskgrid_protocol::{
    Beside, Body, ErrorCode, ErrorReply, Json, Message, Node, Outbox, ReplyTo, RequestId, Resolver, Timers, Timestamp,
    Transmit,
};

pub use interface::{Config, Effect, Event, Exit, Note, Outcome, RunKey, Task};

use announce::Service;
use memory::{Memory, Name};
use runs::Runs;
use waiting::Waiting;

/// What a request is about that awaits an answer.
#[derive(Clone, Debug)]
enum Asked {
    /// REGISTER_WORKER or HEARTBEAT, at the name service with this index.
    Announcement(usize),
    /// DEREGISTER_WORKER, or the TASK_HEARTBEAT of a worker that stops.
    Farewell,
    /// RESULT_RETURN.
    Result(Name),
    /// TASK_HEARTBEAT, first sent at this moment.
    Heartbeat(Timestamp),
    /// A TASK_REJECT that gives a started task back. It has no answer; it is sent a few times.
    GiveBack,
}

/// What an alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// An attempt is here for so long that it is acknowledged, or has run for so long that it is stopped.
    Run(RunKey),
    /// It is time to announce the worker at this name service.
    Announce(usize),
    /// It is time for a TASK_HEARTBEAT.
    Heartbeat,
    /// The grace of the handlers is over.
    GraceOver,
    /// Results that are not stored by now are given up.
    GiveUp,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    rng: ChaCha12Rng,
    services: Vec<Service>,
    memory: Memory,
    runs: Runs,
    waiting: Waiting,
    asked: BTreeMap<u64, Asked>,
    /// When dispatchers were last told which attempts are here.
    beat_at: Option<Timestamp>,
    /// The `id` of the next request. Starts at a random number: an answer that comes late, to a worker that
    /// had this port before, must not be taken for an answer to this one.
    next_request: u64,
    outbox: Outbox<u64>,
    resolver: Resolver,
    timers: Timers<Alarm>,
    transmits: VecDeque<Transmit>,
    effects: VecDeque<Effect>,
    draining: bool,
    exited: bool,
}

impl Machine {
    /// A worker that announces itself at once.
    pub fn new(now: Timestamp, config: Config, mut rng: ChaCha12Rng) -> Self {
        assert!(config.concurrency > 0, "a worker can run a task");
        assert!(config.capacity() <= CAPACITY_MAX, "the capacity is checked where it is read");
        let mut machine = Self {
            services: config.nameservices.iter().cloned().map(Service::new).collect(),
            config,
            // 53 bits pass through the numbers of any language.
            next_request: rng.next_u64() >> 11,
            rng,
            memory: Memory::default(),
            runs: Runs::default(),
            waiting: Waiting::default(),
            asked: BTreeMap::new(),
            beat_at: None,
            outbox: Outbox::default(),
            resolver: Resolver::default(),
            timers: Timers::default(),
            transmits: VecDeque::new(),
            effects: VecDeque::new(),
            draining: false,
            exited: false,
        };
        machine.announce_everywhere(now);
        machine
    }

    /// How many more tasks it takes.
    fn free_slots(&self) -> u32 {
        let taken = self.runs.count() + self.waiting.count();
        if self.draining { 0 } else { self.config.capacity().saturating_sub(taken) }
    }

    fn note(&mut self, note: Note) {
        self.effects.push_back(Effect::Note(note));
    }

    fn reply_error(&mut self, to: &ReplyTo, code: ErrorCode, error: &str) {
        self.transmits.extend(to.answer(&ErrorReply::new(code, error)));
    }

    fn next_request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Sends a request, and again until it is answered.
    fn ask(&mut self, now: Timestamp, id: u64, asked: Asked, transmit: Transmit, patience: Patience) {
        self.asked.insert(id, asked);
        let first = self.outbox.put(now, id, transmit, patience);
        self.transmits.push_back(first);
    }

    /// Sends a request to a name service.
    fn ask_service(&mut self, now: Timestamp, to: SocketAddr, asked: Asked, body: Body, until: Timestamp) -> u64 {
        let id = self.next_request();
        let transmit = Message::request(RequestId::number(id), body).transmit(to, false);
        self.ask(now, id, asked, transmit, Patience::until(until));
        id
    }

    /// No answer to this request is awaited any more.
    fn forget(&mut self, id: u64) {
        self.outbox.forget(&id);
        self.asked.remove(&id);
    }

    /// What stands beside `data` in a message about an attempt.
    fn beside(&self, name: &Name, id: Option<u64>) -> Beside {
        let id = id.map(RequestId::number);
        Beside { id, lease: name.lease().cloned(), free_slots: Some(self.free_slots()), ..Beside::default() }
    }

    fn handle_answer(&mut self, now: Timestamp, id: Option<&RequestId>, data: &Json) {
        let Some(id) = id.and_then(RequestId::as_number) else { return };
        let Some(asked) = self.asked.get(&id).cloned() else { return };
        match asked {
            Asked::Announcement(service) => self.handle_announced(now, id, service, data),
            Asked::Farewell | Asked::GiveBack => self.forget(id),
            Asked::Result(name) => self.handle_result_answer(now, id, &name, data),
            Asked::Heartbeat(_) => self.handle_heartbeat_answer(now, id, data),
        }
    }

    /// A request was sent for as long as its patience lasted.
    fn handle_silence(&mut self, now: Timestamp, id: u64) {
        match self.asked.remove(&id) {
            Some(Asked::Announcement(service)) => self.handle_service_silent(now, service),
            Some(Asked::Result(name)) => self.handle_result_silence(now, &name),
            Some(Asked::Farewell | Asked::GiveBack | Asked::Heartbeat(_)) | None => {}
        }
    }

    fn handle_alarm(&mut self, now: Timestamp, alarm: Alarm) {
        match alarm {
            Alarm::Run(run) => self.handle_run_alarm(now, run),
            Alarm::Announce(service) => self.announce(now, service),
            Alarm::Heartbeat => self.beat(now),
            Alarm::GraceOver => self.handle_grace_over(),
            Alarm::GiveUp => self.give_up(),
        }
    }
}

impl Node for Machine {
    type Event = Event;
    type Effect = Effect;

    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        let to = message.reply_to(from);
        match &message.body {
            Body::Task(_) => self.handle_task(now, from, message),
            Body::TaskCancel(cancel) => self.handle_cancel(now, *cancel, message.beside, &to),
            Body::Response(data) => self.handle_answer(now, message.beside.id.as_ref(), data),
            Body::Ping(_) => {
                let instance = Some(self.config.instance.clone());
                self.transmits.extend(to.answer(&PingReply { instance, ..PingReply::of("worker") }));
            }
            Body::TaskAck(_) | Body::TaskReject(_) => {}
            Body::RegisterWorker(_) | Body::Heartbeat(_) | Body::DeregisterWorker(_) | Body::LookupWorker(_) => {
                let error =
                    "this is a worker; workers are registered and looked up at the name service, by default port 5001";
                self.reply_error(&to, ErrorCode::UnknownMessage, error);
            }
            Body::PostTask(_)
            | Body::GetResult(_)
            | Body::GetTask(_)
            | Body::ListTasks(_)
            | Body::CancelTask(_)
            | Body::RetryTask(_)
            | Body::GetStats(_)
            | Body::ListWorkers(_)
            | Body::TaskHeartbeat(_)
            | Body::ResultReturn(_) => {
                let error = "this is a worker; it takes tasks from a dispatcher, which all else is asked of, by default at port 4000";
                self.reply_error(&to, ErrorCode::UnknownMessage, error);
            }
        }
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Ended(run, outcome) => self.handle_ended(now, run, outcome),
            Event::Progress(run, progress) => self.handle_progress(now, run, progress),
            Event::Types(types) => self.handle_types(now, types),
            Event::Resolved { name, addr } => self.handle_resolved(now, &name, addr),
            Event::Drain => self.handle_drain(now),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(alarm) = self.timers.pop_due(now) {
            self.handle_alarm(now, alarm);
        }
        while let Some(due) = self.outbox.poll(now, &mut self.rng) {
            match due {
                Due::Resend(copy) => self.transmits.push_back(copy),
                Due::Expired(id) => self.handle_silence(now, id),
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_effect(&mut self, _now: Timestamp) -> Option<Effect> {
        if let Some(name) = self.resolver.poll() {
            return Some(Effect::Resolve(name));
        }
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if self.is_drained() && !self.exited {
            self.exited = true;
            return Some(Effect::Exit(Exit::Drained));
        }
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.timers.next(), self.outbox.next()].into_iter().flatten().min()
    }
}
