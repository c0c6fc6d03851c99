//! A world for one dispatcher: fake clock, memory store, a name service that answers at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{FileId, Node, Refusals, Timestamp, Transmit, WallTime};

use crate::machine::{Config, Effect, Event, Machine};
use crate::store::{Answer, Batch, MemoryStore, Query, Store, StoreError};

pub(super) const NAMESERVICE: &str = "127.0.0.1:5001";
pub(super) const CLIENT: &str = "127.0.0.1:9000";

/// What the dispatcher has sent: where to, the message, and whether it may travel in an array.
type Sent = (String, Value, bool);

pub(super) struct Grid {
    pub(super) machine: Machine,
    pub(super) store: MemoryStore,
    pub(super) now: Timestamp,
    /// Registered workers, as the name service tells them: entries of LOOKUP_WORKER with their types.
    workers: Vec<Value>,
    version: u64,
    /// The name service answers.
    pub(super) nameservice_up: bool,
    /// Commits are held back while this is set.
    pub(super) disk_is_slow: bool,
    /// Reads are given up while this is set.
    pub(super) reads_are_slow: bool,
    /// Commits fail for want of space while this is set.
    pub(super) disk_is_full: bool,
    /// There is at most one at a time.
    held: Option<Box<Batch>>,
    /// What DNS says.
    pub(super) dns: Vec<(String, Option<SocketAddr>)>,
    sent: Vec<Sent>,
    /// The batches that found no space.
    pub(super) refused: Vec<Batch>,
    /// How many tasks each batch has deleted that was to.
    pub(super) deleted: Vec<usize>,
    /// The most results in one batch.
    pub(super) largest_batch: usize,
    pub(super) exited: bool,
}

impl Grid {
    pub(super) fn new() -> Self {
        Self::over(MemoryStore::default(), Timestamp::ZERO)
    }

    /// A dispatcher that starts over what another one left.
    pub(super) fn over(store: MemoryStore, now: Timestamp) -> Self {
        Self::start(store, now, true)
    }

    /// A dispatcher whose operator has set something.
    pub(super) fn with(config: Config) -> Self {
        Self::new().restart_with(config)
    }

    /// The next dispatcher is one whose operator has set something.
    pub(super) fn restart_with(self, config: Config) -> Self {
        let mut grid = self.restart();
        let opened = grid.store.open(wall(grid.now), FileId::default()).unwrap();
        grid.machine = Machine::new(grid.now, config, opened, ChaCha12Rng::seed_from_u64(1));
        grid.settle();
        grid
    }

    fn start(mut store: MemoryStore, now: Timestamp, nameservice_up: bool) -> Self {
        let rng = ChaCha12Rng::seed_from_u64(now.as_micros() + 1);
        let opened = store.open(wall(now), FileId::generate(&mut rng.clone())).unwrap();
        let machine = Machine::new(now, Config::default(), opened, rng);
        let mut grid = Self {
            machine,
            store,
            now,
            workers: Vec::new(),
            version: 1,
            nameservice_up,
            disk_is_slow: false,
            reads_are_slow: false,
            disk_is_full: false,
            held: None,
            dns: Vec::new(),
            sent: Vec::new(),
            refused: Vec::new(),
            deleted: Vec::new(),
            largest_batch: 0,
            exited: false,
        };
        grid.settle();
        grid
    }

    /// Ends this dispatcher as `kill -9` does and starts another one, a second later.
    pub(super) fn restart(self) -> Self {
        let Self { store, now, workers, version, dns, .. } = self;
        let mut grid = Self::over(store, now + Duration::from_secs(1));
        grid.workers = workers;
        grid.version = version;
        grid.dns = dns;
        grid
    }

    /// The same while no name service can be reached.
    pub(super) fn restart_alone(self) -> Self {
        Self::start(self.store, self.now + Duration::from_secs(1), false)
    }

    /// A leasing worker registers.
    pub(super) fn worker(&mut self, address: &str, types: &[&str], capacity: u32) {
        self.register(json!({"address": address, "types": types, "capacity": capacity, "instance": address}));
    }

    /// A worker of WORKFLOW.md registers.
    pub(super) fn plain_worker(&mut self, address: &str, types: &[&str]) {
        self.register(json!({"address": address, "types": types, "capacity": 1}));
    }

    /// A worker registers, and the dispatcher has the time to hear of it.
    pub(super) fn register(&mut self, entry: Value) {
        self.register_quietly(entry);
        self.advance(Duration::from_secs(3));
    }

    /// A worker registers at the name service.
    pub(super) fn register_quietly(&mut self, entry: Value) {
        self.workers.retain(|known| known["address"] != entry["address"]);
        self.workers.push(entry);
        self.version += 1;
    }

    /// A worker registers, and the changes do not tell.
    pub(super) fn register_without_a_trace(&mut self, entry: Value) {
        self.register_quietly(entry);
        self.version -= 1;
    }

    pub(super) fn deregister(&mut self, address: &str) {
        for worker in &mut self.workers {
            if worker["address"] == address {
                worker["gone"] = true.into();
            }
        }
        self.version += 1;
        self.advance(Duration::from_secs(3));
    }

    /// Sends one message to the dispatcher and lets it work.
    pub(super) fn send(&mut self, from: &str, message: Value) {
        self.send_bytes(from, message.to_string().as_bytes());
    }

    pub(super) fn send_bytes(&mut self, from: &str, datagram: &[u8]) {
        let mut refusals = Vec::new();
        let now = self.now;
        receive(&mut self.machine, now, from.parse().unwrap(), datagram, &mut Refusals::default(), |refusal| {
            refusals.push(refusal)
        });
        for refusal in refusals {
            self.keep(&refusal);
        }
        self.settle();
    }

    /// Sends a message and returns the one reply.
    pub(super) fn ask(&mut self, from: &str, message: Value) -> Value {
        self.send(from, message);
        let mut replies = self.take(from);
        assert_eq!(replies.len(), 1, "one request has one reply: {replies:?}");
        replies.remove(0)
    }

    /// Posts a task of type `reverse`; returns its number.
    pub(super) fn post(&mut self, payload: &str) -> i64 {
        let reply = self.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": payload}}));
        reply["task_id"].as_i64().unwrap_or_else(|| panic!("not posted: {reply}"))
    }

    pub(super) fn result_of(&mut self, task: i64) -> Value {
        self.ask(CLIENT, json!({"type": "GET_RESULT", "data": {"task_id": task}}))
    }

    pub(super) fn status_of(&mut self, task: i64) -> String {
        self.result_of(task)["status"].as_str().unwrap_or("none").to_owned()
    }

    /// A leasing worker returns a result for a TASK that it was sent.
    pub(super) fn return_result(&mut self, worker: &str, task: &Value, outcome: Value) -> Value {
        let mut data = outcome;
        data["task_id"] = task["data"]["id"].clone();
        let message = json!({"type": "RESULT_RETURN", "id": 1, "lease": task["lease"], "data": data});
        self.send(worker, message);
        let reply = self.take(worker).into_iter().find(|sent| sent["type"] == "RESPONSE" && sent["id"] == 1);
        reply.map_or(Value::Null, |reply| reply["data"].clone())
    }

    /// Lets `span` pass, alarm by alarm.
    pub(super) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// All messages that have been sent to `to` since the last look.
    pub(super) fn take(&mut self, to: &str) -> Vec<Value> {
        let (taken, kept) = std::mem::take(&mut self.sent).into_iter().partition(|(addr, ..)| addr == to);
        self.sent = kept;
        taken.into_iter().map(|(_, message, _): Sent| message).collect()
    }

    /// For each message to `to` since the last look, whether it may travel in an array.
    pub(super) fn packable(&self, to: &str) -> Vec<bool> {
        self.sent.iter().filter(|(addr, ..)| addr == to).map(|(.., pack)| *pack).collect()
    }

    /// The TASKs among them, less the copies that were sent again.
    pub(super) fn tasks(&mut self, worker: &str) -> Vec<Value> {
        let mut tasks = self.take(worker);
        let mut seen = BTreeSet::new();
        tasks.retain(|message| message["type"] == "TASK" && seen.insert(message.to_string()));
        tasks
    }

    pub(super) fn task(&mut self, worker: &str) -> Value {
        let mut tasks = self.tasks(worker);
        assert_eq!(tasks.len(), 1, "{worker} was sent one TASK: {tasks:?}");
        tasks.remove(0)
    }

    /// The lookups that the name service has had since the last look.
    pub(super) fn lookups(&mut self) -> Vec<Value> {
        self.take(NAMESERVICE)
    }

    /// Ends the slow phase of the disk.
    pub(super) fn disk_catches_up(&mut self) {
        self.disk_is_slow = false;
        if let Some(batch) = self.held.take() {
            self.commit(batch);
        }
        self.settle();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.machine.handle_event(self.now, event);
        self.settle();
    }

    fn commit(&mut self, batch: Box<Batch>) {
        self.largest_batch = self.largest_batch.max(batch.finishes.len());
        if self.disk_is_full {
            self.refused.push((*batch).clone());
            return self.machine.handle_event(self.now, Event::DiskFull(batch));
        }
        let outcomes = self.store.apply(wall(self.now), &batch).unwrap();
        self.deleted.extend(outcomes.pruned.map(|pruned| pruned.deleted));
        self.machine.handle_event(self.now, Event::Committed(batch, outcomes));
    }

    pub(super) fn settle(&mut self) {
        loop {
            let effect = self.machine.poll_effect(self.now);
            let mut has_sent = false;
            while let Some(transmit) = self.machine.poll_transmit() {
                self.keep(&transmit);
                has_sent = true;
            }
            let Some(effect) = effect else {
                // The name service may have answered.
                if has_sent { continue } else { break }
            };
            match effect {
                Effect::Commit(batch) if self.disk_is_slow => self.held = Some(batch),
                Effect::Commit(batch) => self.commit(batch),
                Effect::Read { ticket, query } => {
                    let answer = self.read(&query);
                    let event = Event::Read { ticket, answer, at: wall(self.now) };
                    self.machine.handle_event(self.now, event);
                }
                Effect::Resolve(name) => {
                    let addr = self.dns.iter().find(|(known, _)| *known == name).and_then(|(_, addr)| *addr);
                    self.machine.handle_event(self.now, Event::Resolved { name, addr });
                }
                Effect::Exit => self.exited = true,
            }
        }
    }

    fn read(&self, query: &Query) -> Result<Answer, StoreError> {
        if self.reads_are_slow { Err(StoreError::TooSlow(String::new())) } else { self.store.read(query) }
    }

    fn keep(&mut self, transmit: &Transmit) {
        let message: Value = serde_json::from_slice(&transmit.bytes).unwrap();
        let to = transmit.to.to_string();
        if to == NAMESERVICE && self.nameservice_up {
            self.answer_lookup(&message);
        }
        self.sent.push((to, message, transmit.pack));
    }

    fn answer_lookup(&mut self, lookup: &Value) {
        let data = match (&lookup["data"]["type"], &lookup["data"]["since"]) {
            (Value::String(wanted), _) => {
                let serves = |worker: &&Value| {
                    worker["gone"] != true && worker["types"].as_array().unwrap().iter().any(|known| known == wanted)
                };
                let workers: Vec<Value> = self.workers.iter().filter(serves).cloned().collect();
                json!({"workers": workers, "epoch": 1, "version": self.version})
            }
            (_, since) if since["epoch"] == 1 && since["version"] == self.version => {
                json!({"epoch": 1, "version": self.version})
            }
            _ => json!({"workers": self.workers, "epoch": 1, "version": self.version}),
        };
        let reply = json!({"type": "RESPONSE", "id": lookup["id"], "data": data}).to_string();
        let now = self.now;
        receive(
            &mut self.machine,
            now,
            NAMESERVICE.parse().unwrap(),
            reply.as_bytes(),
            &mut Refusals::default(),
            |_| panic!("an answer is never answered"),
        );
    }
}

fn wall(now: Timestamp) -> WallTime {
    WallTime::from_millis(1_700_000_000_000) + now.since(Timestamp::ZERO)
}
