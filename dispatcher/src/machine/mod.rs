//! The dispatcher as a state machine: no clock, no socket, no disk (see [`Node`]).
//!
//! A request becomes an entry of the open batch, with its reply hung on it. The driver commits the batch
//! ([`Effect::Commit`]) and reports what came of it ([`Event::Committed`]); only then do replies and TASK
//! datagrams leave (R7, R12). While one batch is being committed, the next one fills.

mod attempts;
mod batch;
mod commits;
mod disk;
mod ends;
mod finder;
mod identity;
mod intake;
mod limits;
mod placement;
mod queries;
mod results;
mod retention;
mod revoke;
mod roster;
#[cfg(test)]
mod tests;
mod types;
mod waiters;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use taskgrid_protocol::outbox::Due;
use taskgrid_protocol::{
    Body, ErrorCode, ErrorReply, Lease, Message, Node, Outbox, ReplyTo, Resolver, TaskId, TaskType, Timers, Timestamp,
    Transmit, WallTime,
};

use crate::store::{Answer, Batch, Identity, Opened, Outcomes, Query, Retention, StoreError};
pub use limits::READS_MAX;

use attempts::Attempts;
use batch::{Hung, OpenBatch};
use commits::Committed;
use disk::Disk;
use finder::Finder;
use queries::Reads;
use retention::Pruning;
use roster::Roster;
use types::Types;
use waiters::Waiters;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name services, each `HOST:PORT`; the next one is asked when one is silent.
    pub nameservices: Vec<String>,
    /// How long an attempt is left alone without a sign of life (R16).
    pub lease: Duration,
    /// The same for plain workers, which give no signs of life (R15).
    pub plain_lease: Duration,
    /// With less free space than this, in bytes, no new task is taken (R33).
    pub min_free: u64,
    /// With so many pending tasks no new one is taken (R34); `None`: however many there are.
    pub max_pending: Option<u64>,
    /// How long ended tasks are kept (R4).
    pub retention: Retention,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nameservices: vec!["127.0.0.1:5001".to_owned()],
            lease: Duration::from_secs(30),
            plain_lease: Duration::from_secs(600),
            min_free: 64 * 1024 * 1024,
            max_pending: None,
            retention: Retention::default(),
        }
    }
}

/// Something that was asked for has happened.
#[derive(Debug)]
pub enum Event {
    /// The batch is on stable storage.
    Committed(Box<Batch>, Outcomes),
    /// The disk is full; the batch was undone (R8).
    DiskFull(Box<Batch>),
    /// So many bytes are free on the disk of the table (R33). Before the first report there are enough.
    FreeSpace(u64),
    /// A read has ended, at this wall time.
    Read {
        /// From [`Effect::Read`].
        ticket: u64,
        /// What was found.
        answer: Result<Answer, StoreError>,
        /// When.
        at: WallTime,
    },
    /// A DNS look-up has ended.
    Resolved {
        /// From [`Effect::Resolve`].
        name: String,
        /// `None`: it failed.
        addr: Option<SocketAddr>,
    },
    /// The log was copied into the file of the table, which took so long.
    Checkpointed(Duration),
    /// Other programs have put pending rows of these types into the table.
    Added(BTreeSet<TaskType>),
    /// Stop: refuse new work, commit and answer what is there, exit (R39).
    Drain,
}

/// Something that must be done for the machine.
#[derive(Debug)]
pub enum Effect {
    /// Apply this batch in one transaction, then report [`Event::Committed`] or [`Event::DiskFull`]. There
    /// is at most one at a time.
    Commit(Box<Batch>),
    /// Read this, then report [`Event::Read`] with the ticket.
    Read {
        /// Names the read.
        ticket: u64,
        /// What to read.
        query: Query,
    },
    /// Look this `HOST:PORT` up, then report [`Event::Resolved`].
    Resolve(String),
    /// Everything is committed and answered: stop.
    Exit,
}

/// What a message that is re-sent until answered is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sending {
    /// A question to the name service, by request id.
    Question(u64),
    /// The TASK of the current attempt.
    Task(TaskId),
    /// The question whether the current attempt has started, and the wish that it does not.
    Revoke(TaskId),
    /// A TASK_CANCEL.
    Cancel(TaskId, Lease),
}

/// What an alarm is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// An attempt's lease, time limit or slot.
    Attempt(TaskId),
    /// The first pending task of a type is due.
    Due(TaskType),
    /// The first task expires.
    Expiry,
    /// It is time to ask the name service what has changed.
    Feed,
    /// The disk was full; the batch is tried again.
    DiskFull,
    /// It is time to look for tasks that are no longer kept.
    Prune,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    rng: ChaCha12Rng,
    started: Timestamp,
    identity: Identity,
    types: Types,
    roster: Roster,
    attempts: Attempts,
    waiters: Waiters,
    reads: Reads,
    finder: Finder,
    open: OpenBatch,
    /// The replies of the batch that is being committed.
    in_flight: Option<Hung>,
    /// What came of the batch before, while that has not been looked at.
    committed: Option<Committed>,
    /// Results of plain workers whose host is being looked up.
    parked: BTreeMap<String, Vec<(SocketAddr, Message)>>,
    outbox: Outbox<Sending>,
    resolver: Resolver,
    timers: Timers<Alarm>,
    transmits: VecDeque<Transmit>,
    effects: VecDeque<Effect>,
    disk: Disk,
    pruning: Pruning,
    /// Pending tasks, as of the last commit.
    pending: u64,
    draining: bool,
    exited: bool,
    commits: u64,
    entries: u64,
    longest_checkpoint: Option<Duration>,
}

impl Machine {
    /// A dispatcher over a table in the state `opened`. `rng` must be unpredictable: leases come from it.
    pub fn new(now: Timestamp, config: Config, opened: Opened, mut rng: ChaCha12Rng) -> Self {
        let mut machine = Self {
            finder: Finder::new(config.nameservices.len(), &mut rng),
            config,
            rng,
            started: now,
            identity: opened.identity,
            types: Types::default(),
            roster: Roster::default(),
            attempts: Attempts::default(),
            waiters: Waiters::default(),
            reads: Reads::default(),
            open: OpenBatch::default(),
            in_flight: None,
            committed: None,
            parked: BTreeMap::new(),
            outbox: Outbox::default(),
            resolver: Resolver::default(),
            timers: Timers::default(),
            transmits: VecDeque::new(),
            effects: VecDeque::new(),
            disk: Disk::default(),
            pruning: Pruning::default(),
            pending: opened.pending,
            draining: false,
            exited: false,
            commits: 0,
            entries: 0,
            longest_checkpoint: None,
        };
        for task_type in opened.pending_types {
            machine.types.load(&task_type);
            machine.want_workers(now, &task_type);
        }
        for running in opened.running {
            machine.recover(now, running);
        }
        if let Some(expiry) = opened.next_expiry {
            machine.timers.set(Alarm::Expiry, now + expiry);
        }
        // What workers there are is known before the first task comes.
        machine.timers.set(Alarm::Feed, now);
        machine.begin_pruning(now);
        machine
    }

    fn reply(&mut self, to: &ReplyTo, data: &impl serde::Serialize) {
        self.transmits.extend(to.answer(data));
    }

    fn reply_error(&mut self, to: &ReplyTo, code: ErrorCode, error: &str) {
        self.reply(to, &ErrorReply::new(code, error));
    }

    fn reply_overloaded(&mut self, to: &ReplyTo, what: &str) {
        let error = format!("{what}; nothing was done, ask again later");
        self.reply(to, &ErrorReply::passing(ErrorCode::Overloaded, error, limits::OVERLOAD_PAUSE));
    }

    fn handle_alarm(&mut self, now: Timestamp, alarm: Alarm) {
        match alarm {
            Alarm::Attempt(task) => self.handle_attempt_alarm(now, task),
            Alarm::Due(task_type) => self.types.due(&task_type),
            Alarm::Expiry => self.open.expire = true,
            Alarm::Feed => self.ask_for_changes(now),
            Alarm::Prune => self.pruning.is_due(now),
            // The driver polls for a batch after every alarm.
            Alarm::DiskFull => {}
        }
    }

    fn handle_resolved(&mut self, now: Timestamp, name: &str, addr: Option<SocketAddr>) {
        self.resolver.handle_resolved(now, name, addr);
        if self.config.nameservices.iter().any(|service| service == name) {
            self.ask_waiting_questions(now);
        }
        self.send_unsent(now, name);
        for (from, message) in self.parked.remove(name).unwrap_or_default() {
            self.handle_result(now, from, message);
        }
    }
}

impl Node for Machine {
    type Event = Event;
    type Effect = Effect;

    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        self.look_at_outcomes(now);
        let to = message.reply_to(from);
        let lease = message.beside.lease.clone();
        if let Some(free) = message.beside.free_slots {
            self.note_free_slots(now, lease.as_ref(), &message.body, free);
        }
        match message.body {
            Body::PostTask(post) => self.handle_post(now, to, post),
            Body::GetResult(get) => self.handle_get_result(now, to, get),
            Body::GetTask(task) => self.handle_get_task(to, task),
            Body::ListTasks(list) => self.handle_list(to, list),
            Body::GetStats(_) => self.read(to, queries::Reading::Stats { now }, Query::Stats),
            Body::CancelTask(task) => self.handle_cancel(to, task),
            Body::RetryTask(task) => self.handle_retry(to, task),
            Body::ListWorkers(list) => self.handle_list_workers(&to, list.task_type.as_ref()),
            Body::Ping(_) => self.reply_ping(&to),
            Body::ResultReturn(_) => self.handle_result(now, from, message),
            Body::TaskAck(ack) => self.handle_ack(now, ack, lease),
            Body::TaskReject(reject) => self.handle_reject(now, reject, message.beside),
            Body::TaskHeartbeat(heartbeat) => {
                self.handle_heartbeat(now, &to, heartbeat, message.beside.instance.as_ref());
            }
            Body::Response(data) => self.handle_answer(now, from, message.beside.id.as_ref(), &data),
            Body::RegisterWorker(_) | Body::Heartbeat(_) | Body::DeregisterWorker(_) | Body::LookupWorker(_) => {
                let error = "this is a dispatcher; workers are registered and looked up at the name service, by default port 5001";
                self.reply_error(&to, ErrorCode::UnknownMessage, error);
            }
            Body::Task(_) | Body::TaskCancel(_) => {
                let error = "this is a dispatcher; it sends TASK and TASK_CANCEL to workers and takes none itself";
                self.reply_error(&to, ErrorCode::UnknownMessage, error);
            }
        }
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) {
        self.look_at_outcomes(now);
        match event {
            Event::Committed(batch, outcomes) => self.note_committed(*batch, outcomes),
            Event::DiskFull(batch) => self.handle_disk_full(now, *batch),
            Event::FreeSpace(bytes) => self.disk.free = Some(bytes),
            Event::Read { ticket, answer, at } => self.handle_read(now, ticket, answer, at),
            Event::Resolved { name, addr } => self.handle_resolved(now, &name, addr),
            Event::Checkpointed(took) => self.longest_checkpoint = self.longest_checkpoint.max(Some(took)),
            Event::Added(types) => {
                for task_type in types {
                    self.handle_added(now, &task_type);
                }
            }
            Event::Drain => self.draining = true,
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.look_at_outcomes(now);
        while let Some(alarm) = self.timers.pop_due(now) {
            self.handle_alarm(now, alarm);
        }
        self.roster.handle_alarms(now);
        while let Some(due) = self.outbox.poll(now, &mut self.rng) {
            match due {
                Due::Resend(copy) => self.transmits.push_back(copy),
                Due::Expired(Sending::Question(id)) => self.handle_silence(now, id),
                Due::Expired(Sending::Task(_) | Sending::Revoke(_) | Sending::Cancel(..)) => {}
            }
        }
        while let Some((task, waiter)) = self.waiters.pop_due(now) {
            self.reply_not_ready(&waiter, task);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
        // What has filled meanwhile is committed while the outcomes of the batch before are looked at. Only then: to close
        // a batch is to look at all free workers, which must not be done for each effect.
        if self.committed.is_some()
            && let Some(batch) = self.next_batch(now)
        {
            return Some(Effect::Commit(batch));
        }
        self.look_at_outcomes(now);
        if let Some(name) = self.resolver.poll() {
            return Some(Effect::Resolve(name));
        }
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if let Some(batch) = self.next_batch(now) {
            return Some(Effect::Commit(batch));
        }
        let is_idle = self.in_flight.is_none() && self.reads.is_empty() && self.has_nothing_to_commit();
        if self.draining && !self.exited && is_idle {
            self.exited = true;
            return Some(Effect::Exit);
        }
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.timers.next(), self.roster.next_alarm(), self.outbox.next(), self.waiters.next()]
            .into_iter()
            .flatten()
            .min()
    }
}
