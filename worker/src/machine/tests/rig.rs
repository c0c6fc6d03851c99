//! A worker machine with a fake clock, whose datagrams and effects a test can look at.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{Instance, Json, Node, Refusals, TaskType, Timestamp, Transmit};

use crate::machine::{Config, Effect, Event, Machine, Note, Outcome, RunKey, Task};

pub(super) const NAMESERVICE: &str = "127.0.0.1:5001";
pub(super) const DISPATCHER: &str = "127.0.0.1:4000";

/// A message that the worker has sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) to: String,
    pub(super) message: Value,
    pub(super) packed: bool,
    /// In bytes, on the wire.
    pub(super) length: usize,
}

pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    /// Name services answer registrations.
    pub(super) nameservice_up: bool,
    sent: Vec<Sent>,
    effects: Vec<Effect>,
}

/// How the tests configure a worker; what a test changes says what it is about.
pub(super) fn config() -> Config {
    Config {
        address: "worker-1:6000".to_owned(),
        types: ["reverse", "wait"].map(|name| TaskType::new(name).unwrap()).into(),
        concurrency: 2,
        prefetch: 0,
        nameservices: vec![NAMESERVICE.to_owned()],
        instance: Instance::new("instance-1").unwrap(),
        announce_every: seconds(5),
        heartbeat_every: seconds(10),
        grace: seconds(25),
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Timestamp::ZERO + seconds(1_000);
        let machine = Machine::new(now, config, ChaCha12Rng::seed_from_u64(7));
        let mut rig = Self { machine, now, nameservice_up: true, sent: Vec::new(), effects: Vec::new() };
        rig.settle();
        rig
    }

    /// Sends a message, or an array of them, to the worker.
    pub(super) fn tell(&mut self, from: &str, message: &Value) {
        let mut refused: Vec<Transmit> = Vec::new();
        let bytes = message.to_string().into_bytes();
        receive(&mut self.machine, self.now, addr(from), &bytes, &mut Refusals::default(), |refusal| {
            refused.push(refusal)
        });
        for transmit in refused {
            self.note_sent(transmit);
        }
        self.settle();
    }

    pub(super) fn happen(&mut self, event: Event) {
        self.machine.handle_event(self.now, event);
        self.settle();
    }

    /// Lets time pass, with everything that is due in it.
    pub(super) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// Does what a driver does after each call; name services that are up answer.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.machine.poll_effect(self.now) {
                self.effects.push(effect);
            }
            let Some(transmit) = self.machine.poll_transmit() else { return };
            let to = transmit.to;
            let message = self.note_sent(transmit);
            let kind = message["type"].as_str().unwrap();
            if self.nameservice_up && ["REGISTER_WORKER", "HEARTBEAT", "DEREGISTER_WORKER"].contains(&kind) {
                let answer = response(&message, &json!({"message": "Successfully registered", "ttl_s": 15}));
                receive(
                    &mut self.machine,
                    self.now,
                    to,
                    answer.to_string().as_bytes(),
                    &mut Refusals::default(),
                    |_| {},
                );
            }
        }
    }

    fn note_sent(&mut self, transmit: Transmit) -> Value {
        let message: Value = serde_json::from_slice(&transmit.bytes).unwrap();
        let sent = Sent {
            to: transmit.to.to_string(),
            message: message.clone(),
            packed: transmit.pack,
            length: transmit.bytes.len(),
        };
        self.sent.push(sent);
        message
    }

    /// The messages of a type that were sent since the last look at any; the others are dropped.
    pub(super) fn take(&mut self, kind: &str) -> Vec<Sent> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter(|sent| sent.message["type"] == kind).collect()
    }

    /// The one message that was sent since the last look.
    pub(super) fn only(&mut self) -> Sent {
        let sent = std::mem::take(&mut self.sent);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.into_iter().next().unwrap()
    }

    pub(super) fn nothing_sent(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        assert!(sent.is_empty(), "{sent:?}");
    }

    pub(super) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn notes(&mut self) -> Vec<Note> {
        let notes = self.effects().into_iter();
        notes.filter_map(|effect| if let Effect::Note(note) = effect { Some(note) } else { None }).collect()
    }

    /// The handlers that were started since the last look at the effects.
    pub(super) fn started(&mut self) -> Vec<(RunKey, Task)> {
        let effects = self.effects().into_iter();
        effects
            .filter_map(|effect| if let Effect::Run(key, task) = effect { Some((key, task)) } else { None })
            .collect()
    }

    /// The handlers that were asked to stop since the last look at the effects.
    pub(super) fn stopped(&mut self) -> Vec<RunKey> {
        let effects = self.effects().into_iter();
        effects.filter_map(|effect| if let Effect::Stop(key) = effect { Some(key) } else { None }).collect()
    }

    /// Starts task `id` under `lease` and returns its run. What was sent before is dropped.
    pub(super) fn start(&mut self, id: i64, lease: &str) -> RunKey {
        self.effects();
        self.tell(DISPATCHER, &task(id, lease));
        let started = self.started();
        assert_eq!(started.len(), 1, "task {id} was not started");
        self.sent.clear();
        started[0].0
    }

    pub(super) fn end(&mut self, run: RunKey, outcome: Outcome) {
        self.happen(Event::Ended(run, outcome));
    }

    /// A handler tells how far it is.
    pub(super) fn progress(&mut self, run: RunKey, fraction: f64, note: &str) {
        let progress = Progress::new(fraction, Some(note.to_owned())).unwrap();
        self.happen(Event::Progress(run, progress));
    }

    /// Starts a task whose handler ends at once, and returns its RESULT_RETURN.
    pub(super) fn finish(&mut self, id: i64, lease: &str) -> Sent {
        let run = self.start(id, lease);
        self.end(run, done());
        self.only()
    }

    /// Answers a request of the worker.
    pub(super) fn answer(&mut self, request: &Sent, data: &Value) {
        let answer = response(&request.message, data);
        self.tell(&request.to, &answer);
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn types(names: &[&str]) -> BTreeSet<TaskType> {
    names.iter().map(|name| TaskType::new(name).unwrap()).collect()
}

pub(super) fn done() -> Outcome {
    Ok(Json::string("IAnepO"))
}

pub(super) fn failed() -> Outcome {
    Err(Failure::passing("FAILED", "no luck"))
}

pub(super) fn stored() -> Value {
    json!({"message": "Result stored"})
}

/// TASK as a dispatcher with leases sends it.
pub(super) fn task(id: i64, lease: &str) -> Value {
    let mut task = plain_task(id);
    task["lease"] = json!(lease);
    task["attempt"] = json!(3);
    task["timeout_s"] = json!(60);
    task
}

/// TASK as any dispatcher sends it.
pub(super) fn plain_task(id: i64) -> Value {
    json!({"type": "TASK", "data": {
        "id": id, "type": "reverse", "payload": "OpenAI", "result": null, "status": "running",
        "timestamp_created": 1_700_000_000, "timestamp_completed": null, "assigned_worker": "worker-1:6000",
    }})
}

pub(super) fn cancel(id: i64, lease: &str, unless_started: bool) -> Value {
    json!({"type": "TASK_CANCEL", "lease": lease, "data": {"task_id": id, "unless_started": unless_started}})
}

pub(super) fn response(request: &Value, data: &Value) -> Value {
    json!({"type": "RESPONSE", "id": request["id"], "data": data})
}
