//! What a task costs the client's machine, from the call to its result.

#[path = "../../protocol/benches/count/mod.rs"]
mod count;

use std::net::SocketAddr;
use std::process::ExitCode;

use count::{Case, counting};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_client::machine::{Call, CallId, Config, Effect, Event, Machine, Request};
use taskgrid_client::{Json, Key, TaskType};
use taskgrid_protocol::body::PostTask;
use taskgrid_protocol::limits::ANSWER_DEADLINE;
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{Node, Refusals, Timestamp, Transmit};

const TASKS: usize = 2_000;

fn main() -> ExitCode {
    let life = |name, batch| {
        Case::new(name, move || {
            let mut client = Client::new();
            for _ in 0..TASKS / batch {
                client.live(batch);
            }
            TASKS as u64
        })
    };
    count::main("client", &[life("a task's life, alone", 1), life("a task's life, 100 at a time", 100)])
}

fn server() -> SocketAddr {
    ([127, 0, 0, 1], 4000).into()
}

struct Client {
    machine: Machine,
    now: Timestamp,
    calls: u64,
    ended: usize,
    sent: Vec<Transmit>,
}

impl Client {
    fn new() -> Self {
        let machine = Machine::new(Config { server: server().to_string() }, ChaCha12Rng::seed_from_u64(7));
        Self { machine, now: Timestamp::from_micros(1_000_000), calls: 0, ended: 0, sent: Vec::new() }
    }

    /// `batch` tasks are submitted and waited for; each is said to be stored, then to have ended.
    fn live(&mut self, batch: usize) {
        let calls: Vec<Call> = (0..batch).map(|_| self.call()).collect();
        self.sent.clear();
        counting(|| {
            for call in calls {
                self.machine.handle_event(self.now, Event::Call(call));
                self.settle();
            }
        });
        let posts: Vec<Value> =
            self.sent.iter().map(|sent| serde_json::from_slice(&sent.bytes).expect("it is JSON")).collect();
        assert_eq!(posts.len(), batch);
        self.answer(&posts, &json!({"message": "Task received, ID = 42", "task_id": 42, "status": "running"}));
        self.answer(&posts, &json!({"result": "IAnepO", "status": "done"}));
        assert_eq!(std::mem::take(&mut self.ended), batch);
    }

    fn call(&mut self) -> Call {
        self.calls += 1;
        let task_type = TaskType::new("reverse").expect("it is legal");
        let mut task = PostTask::new(task_type, Json::string("OpenAI"));
        task.key = Key::new(&format!("0197f0c2-7d5e-7000-8000-{:012}", self.calls)).ok();
        let request = Request::Submit { task: Box::new(task), wait: true };
        Call { id: CallId(self.calls), request, patience: ANSWER_DEADLINE, pack: true }
    }

    fn answer(&mut self, posts: &[Value], data: &Value) {
        let answers = posts.iter().map(|post| json!({"type": "RESPONSE", "id": post["id"], "data": data}));
        let datagram = Value::from(answers.collect::<Vec<_>>()).to_string();
        counting(|| {
            receive(&mut self.machine, self.now, server(), datagram.as_bytes(), &mut Refusals::default(), |_| {});
            self.settle();
        });
    }

    fn settle(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.now) {
            self.ended += usize::from(matches!(effect, Effect::Ended(..)));
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            self.sent.push(transmit);
        }
    }
}
