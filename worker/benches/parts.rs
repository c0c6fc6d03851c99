//! What a task costs the worker's machine, from its TASK to "Result stored".

#[path = "../../protocol/benches/count/mod.rs"]
mod count;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use count::{Case, counting};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{Instance, Json, Node, Refusals, TaskType, Timestamp, Transmit};
use taskgrid_worker::machine::{Config, Effect, Event, Machine, RunKey};

const TASKS: usize = 2_000;

fn main() -> ExitCode {
    let life = |name, batch, concurrency, prefetch| {
        Case::new(name, move || {
            let mut worker = Worker::new(concurrency, prefetch);
            for _ in 0..TASKS / batch {
                worker.live(batch);
            }
            TASKS as u64
        })
    };
    let cases = [
        life("a task's life, alone", 1, 8, 0),
        life("a task's life, 100 at a time", 100, 100, 0),
        life("a task's life, 100 at a time for 8 slots", 100, 8, 92),
    ];
    count::main("worker", &cases)
}

fn dispatcher() -> SocketAddr {
    ([127, 0, 0, 1], 4000).into()
}

struct Worker {
    machine: Machine,
    now: Timestamp,
    tasks: u64,
    running: Vec<RunKey>,
    sent: Vec<Transmit>,
}

impl Worker {
    fn new(concurrency: u32, prefetch: u32) -> Self {
        let config = Config {
            address: "127.0.0.1:6000".to_owned(),
            types: [TaskType::new("reverse").expect("it is legal")].into(),
            concurrency,
            prefetch,
            nameservices: vec!["127.0.0.1:5001".to_owned()],
            instance: Instance::new("k3v9k3v9k3v9k3v9").expect("it is legal"),
            announce_every: Duration::from_secs(5),
            heartbeat_every: Duration::from_secs(10),
            grace: Duration::from_secs(25),
        };
        let machine = Machine::new(Timestamp::ZERO, config, ChaCha12Rng::seed_from_u64(7));
        let mut worker = Self { machine, now: Timestamp::ZERO, tasks: 0, running: Vec::new(), sent: Vec::new() };
        worker.settle();
        worker
    }

    /// `batch` tasks come in one datagram; their handlers end at once.
    fn live(&mut self, batch: usize) {
        let tasks: Vec<Value> = (0..batch).map(|_| self.task()).collect();
        self.sent.clear();
        self.hear(&tasks);
        let mut left = batch;
        while left > 0 {
            counting(|| {
                for run in std::mem::take(&mut self.running) {
                    left -= 1;
                    self.machine.handle_event(self.now, Event::Ended(run, Ok(Json::string("IAnepO"))));
                    self.settle();
                }
            });
        }
        let results = self.sent.iter().map(|sent| serde_json::from_slice::<Value>(&sent.bytes).expect("it is JSON"));
        let answer = |result: Value| {
            assert_eq!(result["type"], "RESULT_RETURN");
            json!({"type": "RESPONSE", "id": result["id"], "data": {"message": "Result stored"}})
        };
        let answers: Vec<Value> = results.map(answer).collect();
        assert_eq!(answers.len(), batch);
        self.hear(&answers);
    }

    fn task(&mut self) -> Value {
        self.tasks += 1;
        json!({"type": "TASK", "lease": format!("8dv37bpz6d0n{:010}", self.tasks), "attempt": 1, "timeout_s": 3600,
            "data": {"id": self.tasks, "type": "reverse", "payload": "OpenAI", "result": null, "status": "running",
            "timestamp_created": 1_764_000_000, "timestamp_completed": null, "assigned_worker": "127.0.0.1:6000"}})
    }

    fn hear(&mut self, messages: &[Value]) {
        let datagram = Value::from(messages).to_string();
        counting(|| {
            receive(&mut self.machine, self.now, dispatcher(), datagram.as_bytes(), &mut Refusals::default(), |_| {});
            self.settle();
        });
    }

    fn settle(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.now) {
            if let Effect::Run(run, _) = effect {
                self.running.push(run);
            }
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            self.sent.push(transmit);
        }
    }
}
