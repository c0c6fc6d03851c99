//! The machine against a peer that the test scripts, on a clock that the test turns.

mod asking;
mod lossy;
mod moving;
mod refusals;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::body::{NoData, PostReply, PostTask, Status};
use taskgrid_protocol::codec::{Element, decode};
use taskgrid_protocol::limits::ANSWER_DEADLINE;
use taskgrid_protocol::{Body, FileId, Json, Key, Message, Node, RequestId, TaskId, TaskType, Timestamp};

use super::*;

const SERVER: &str = "127.0.0.1:4000";

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}

/// A request that the machine has sent.
#[derive(Clone, Debug)]
struct Sent {
    to: SocketAddr,
    id: RequestId,
    body: Body,
    length: usize,
}

impl Sent {
    fn wait_s(&self) -> Option<f64> {
        match &self.body {
            Body::GetResult(get) => get.wait_s.map(|span| span.0.as_secs_f64()),
            Body::PostTask(post) => post.wait_s.map(|span| span.0.as_secs_f64()),
            _ => None,
        }
    }

    /// The database that is asked.
    fn file(&self) -> Option<&str> {
        match &self.body {
            Body::GetResult(get) => get.file_id.as_ref().map(FileId::as_str),
            _ => None,
        }
    }
}

const FILE: &str = "0f8a3c5d7e9b1246";

/// A machine, its clock, and all that came out of it.
struct Bench {
    machine: Machine,
    now: Timestamp,
    next_call: u64,
    sent: VecDeque<Sent>,
    stored: BTreeMap<CallId, PostReply>,
    ended: BTreeMap<CallId, Outcome>,
    look_ups: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        Self::with_server(SERVER)
    }

    fn with_server(server: &str) -> Self {
        let config = Config { server: server.to_owned() };
        Self {
            machine: Machine::new(config, ChaCha12Rng::seed_from_u64(7)),
            now: Timestamp::from_micros(1_000_000),
            next_call: 0,
            sent: VecDeque::new(),
            stored: BTreeMap::new(),
            ended: BTreeMap::new(),
            look_ups: Vec::new(),
        }
    }

    fn call(&mut self, request: Request) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.event(Event::Call(Call { id, request, patience: ANSWER_DEADLINE, pack: false }));
        id
    }

    fn submit(&mut self, key: &str, wait: bool) -> CallId {
        let task = PostTask { key: Some(Key::new(key).unwrap()), ..reverse() };
        self.call(Request::Submit { task: Box::new(task), wait })
    }

    fn watch(&mut self, limit: Option<Duration>) -> CallId {
        self.call(Request::Watch { task: TaskId(42).into(), limit })
    }

    fn cancel(&mut self) -> CallId {
        self.call(Request::Ask(Body::CancelTask(TaskId(42).into())))
    }

    fn event(&mut self, event: Event) {
        self.machine.handle_event(self.now, event);
        self.collect();
    }

    /// The peer answers.
    fn answer(&mut self, id: &RequestId, data: &Value) {
        let message = Message::request(id.clone(), Body::Response(Json::of(data)));
        self.machine.handle_datagram(self.now, server(), message);
        self.collect();
    }

    /// Lets time pass, with every alarm at its time.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    fn collect(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.now) {
            match effect {
                Effect::Stored(id, reply) => assert!(self.stored.insert(id, reply).is_none(), "stored twice"),
                Effect::Ended(id, outcome) => assert!(self.ended.insert(id, outcome).is_none(), "ended twice"),
                Effect::LookUp(name) => self.look_ups.push(name),
            }
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            decode(&transmit.bytes, server(), &mut |element| {
                let Element::Message(message) = element else { panic!("the machine sent {element:?}") };
                let id = message.beside.id.expect("every request wants an answer");
                self.sent.push_back(Sent { to: transmit.to, id, body: message.body, length: transmit.bytes.len() });
            });
        }
        // It looks at every call, so with thousands of them each step would take as many.
        if self.machine.calls() <= 100 {
            self.machine.sanity_check();
        }
    }

    /// The only request that was sent since the last look.
    fn request(&mut self) -> Sent {
        let sent = self.sent.pop_front().expect("a request was sent");
        assert!(self.sent.is_empty(), "one request was sent, and then {:?}", self.sent);
        sent
    }

    /// Lets time pass until the machine sends something.
    fn next_request(&mut self) -> Sent {
        while self.sent.is_empty() {
            let at = self.machine.poll_timeout().expect("something is still to be sent");
            self.pass(at.since(self.now));
        }
        self.request()
    }

    fn silent(&self) -> bool {
        self.sent.is_empty()
    }

    fn outcome(&self, id: CallId) -> &Outcome {
        self.ended.get(&id).expect("the call has ended")
    }
}

fn reverse() -> PostTask {
    PostTask::new(TaskType::new("reverse").unwrap(), Json::string("OpenAI"))
}

fn ping() -> Request {
    Request::Ask(Body::Ping(NoData {}))
}

fn received(id: i64) -> Value {
    serde_json::to_value(PostReply::new(TaskId(id), Status::Pending)).unwrap()
}

fn done() -> Value {
    json!({"result": "IAnepO", "status": "done"})
}

fn not_ready() -> Value {
    json!({"error": "Result not ready", "code": "NOT_READY", "status": "running"})
}

fn overloaded(retry_after_ms: u64) -> Value {
    json!({"error": "too busy", "code": "OVERLOADED", "retry_after_ms": retry_after_ms})
}

fn ended_well() -> Outcome {
    Outcome::Ok(Answer::Progress(Progress::Ended(End::Done(Json::string("IAnepO")))))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
