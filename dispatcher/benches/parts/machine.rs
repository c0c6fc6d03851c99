//! The machine, with a committer that says yes to everything.

use std::net::SocketAddr;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_dispatcher::machine::{Config, Effect, Event, Machine};
use taskgrid_dispatcher::store::{Batch, Claimed, End, Ended, Finish, Finished, Inserted, Opened, Outcomes, Rest};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{Lease, Node, Refusals, TaskId, Timestamp, Transmit, WallTime};

use crate::count::counting;

const TASKS: usize = 2_000;

/// Tasks are posted, handed over, run, and their ends told to who waits; `batch` in each datagram and commit.
pub(crate) fn lives(batch: usize) -> u64 {
    let mut dispatcher = Dispatcher::new();
    for _ in 0..TASKS / batch {
        dispatcher.live(batch);
    }
    TASKS as u64
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

struct Dispatcher {
    machine: Machine,
    now: Timestamp,
    tasks: u64,
    commit: Option<Box<Batch>>,
    sent: Vec<Transmit>,
}

impl Dispatcher {
    /// With a worker that has room for all.
    fn new() -> Self {
        let now = Timestamp::ZERO;
        let machine = Machine::new(now, Config::default(), Opened::default(), ChaCha12Rng::seed_from_u64(7));
        let mut dispatcher = Self { machine, now, tasks: 0, commit: None, sent: Vec::new() };
        dispatcher.settle();
        // Nobody serves the first one until the name service has told.
        dispatcher.post(1);
        dispatcher.commit();
        for lookup in std::mem::take(&mut dispatcher.sent) {
            let lookup: Value = serde_json::from_slice(&lookup.bytes).expect("it is JSON");
            if lookup["type"] == "LOOKUP_WORKER" {
                let worker = json!({"address": "127.0.0.1:6000", "types": ["reverse"], "capacity": 1_024,
                    "instance": "k3v9k3v9k3v9k3v9", "batch": true});
                let data = json!({"workers": [worker], "epoch": 1, "version": 1});
                dispatcher.hear(address(5001), &[json!({"type": "RESPONSE", "id": lookup["id"], "data": data})]);
            }
        }
        dispatcher.commit();
        dispatcher
    }

    fn live(&mut self, batch: usize) {
        self.sent.clear();
        self.post(batch);
        let attempts = self.commit();
        assert_eq!(attempts.len(), batch, "each was handed over");
        let result = |(task, lease): (TaskId, Lease)| {
            json!({"type": "RESULT_RETURN", "id": task.0, "lease": lease.as_str(), "free_slots": 1_024,
                "data": {"task_id": task.0, "result": "god yzal eht revo spmuj xof nworb kciuq ehT"}})
        };
        let results: Vec<Value> = attempts.into_iter().map(result).collect();
        self.hear(address(6000), &results);
        self.commit();
        assert_eq!(self.sent.len(), 4 * batch, "stored, TASK, result stored, ended");
    }

    fn post(&mut self, batch: usize) {
        let posts: Vec<Value> = (0..batch).map(|_| self.post_task()).collect();
        self.hear(address(9000), &posts);
    }

    fn post_task(&mut self) -> Value {
        self.tasks += 1;
        json!({"type": "POST_TASK", "id": self.tasks, "data": {"type": "reverse", "wait_s": 60,
            "payload": "The quick brown fox jumps over the lazy dog",
            "key": format!("0197f0c2-7d5e-7000-8000-{:012}", self.tasks)}})
    }

    fn hear(&mut self, from: SocketAddr, messages: &[Value]) {
        let datagram = Value::from(messages).to_string();
        counting(|| {
            receive(&mut self.machine, self.now, from, datagram.as_bytes(), &mut Refusals::default(), |_| {});
            self.settle();
        });
    }

    /// Commits what there is; returns the attempts that this has handed over.
    fn commit(&mut self) -> Vec<(TaskId, Lease)> {
        let mut attempts = Vec::new();
        while let Some(batch) = self.commit.take() {
            let outcomes = self.outcomes(&batch);
            for (insert, inserted) in batch.inserts.iter().zip(&outcomes.inserts) {
                let lease = insert.slot.as_ref().and_then(|slot| slot.lease.clone());
                if let (Inserted::New { id, .. }, Some(lease)) = (inserted, lease) {
                    attempts.push((*id, lease));
                }
            }
            counting(|| {
                self.machine.handle_event(self.now, Event::Committed(batch, outcomes));
                self.settle();
            });
        }
        attempts
    }

    fn outcomes(&mut self, batch: &Batch) -> Outcomes {
        let created = WallTime::from_millis(1_764_000_000_000);
        let number = |insert: &str| insert.rsplit('-').next().and_then(|number| number.parse().ok());
        let inserts = batch.inserts.iter().map(|insert| {
            let key = insert.key.as_ref().expect("each has a key");
            let id = TaskId(number(key.as_str()).expect("it ends with a number"));
            Inserted::New { id, created, claimed: insert.slot.is_some(), due: std::time::Duration::ZERO }
        });
        let ended = |finish: &Finish| {
            let End::Success(result) = &finish.end else { panic!("it was a success") };
            Finished::Ended(Ended { status: Status::Done, result: Some(result.clone()), error: None, attempts: 1 })
        };
        let claims = batch.claims.iter().map(|_| Claimed { tasks: Vec::new(), rest: Rest::Empty });
        Outcomes {
            finishes: batch.finishes.iter().map(ended).collect(),
            inserts: inserts.collect(),
            claims: claims.collect(),
            ..Outcomes::default()
        }
    }

    fn settle(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.now) {
            if let Effect::Commit(batch) = effect {
                self.commit = Some(batch);
            }
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            self.sent.push(transmit);
        }
    }
}
