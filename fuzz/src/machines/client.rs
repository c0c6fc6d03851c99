//! The client: every call ends once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taskgrid_client::machine::{Answer, Call, CallId, Config, Effect, Event, Machine, Outcome, Request};
use taskgrid_protocol::body::{ListTasks, NoData, PostTask};
use taskgrid_protocol::{Body, Key, TaskId};

use super::rng;
use crate::Reached;
use crate::bench::Bench;
use crate::input::Input;
use crate::{requests, words};

const MOSTLY: [&str; 1] = ["RESPONSE"];

/// No call asks for more patience, nor for a longer watch.
const LONGEST: Duration = Duration::from_secs(3_600);

pub(crate) fn run(input: &[u8]) -> Reached {
    let mut input = Input::new(input);
    let server = input.choose(&["127.0.0.1:4000", "grid:4000"]).to_owned();
    let mut person = Person {
        bench: Bench::new(Machine::new(Config { server }, rng(&mut input))),
        next: 0,
        waited_for: BTreeMap::new(),
        looked_up: BTreeSet::new(),
    };
    while !input.is_empty() {
        person.step(&mut input);
        person.settle();
    }
    person.run_out();
    person.bench.reached
}

/// Who makes the calls.
struct Person {
    bench: Bench<Machine>,
    next: u64,
    /// Calls that have not ended, and whether their task is said to be stored.
    waited_for: BTreeMap<CallId, bool>,
    looked_up: BTreeSet<String>,
}

impl Person {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0 | 1 => drop(self.bench.wait(input)),
            2 | 3 => self.call(input),
            4 => {
                let index = input.below(8);
                if let Some(id) = self.waited_for.keys().nth(index).copied() {
                    self.waited_for.remove(&id);
                    self.bench.happen(Event::Abandon(id));
                }
            }
            5 => {
                if let Some(name) = self.looked_up.pop_first() {
                    self.bench.happen(Event::Resolved { name, addr: words::looked_up(input) });
                }
            }
            6 => self.bench.answer(input),
            _ => {
                let datagram = requests::datagram(input, &self.bench.overheard, &MOSTLY);
                let from = words::address(input);
                self.bench.receive(from, &datagram);
            }
        }
    }

    fn call(&mut self, input: &mut Input<'_>) {
        let task = TaskId(words::task(input));
        let request = match input.below(8) {
            0 => Request::Ask(Body::CancelTask(task.into())),
            1 => Request::Ask(Body::RetryTask(task.into())),
            2 => Request::Ask(Body::ListTasks(ListTasks::default())),
            3 => Request::Ask(Body::Ping(NoData {})),
            4 | 5 => {
                let Ok(mut post) = serde_json::from_str::<PostTask>(&requests::post(input)) else { return };
                post.key = post.key.or_else(|| Key::new("k").ok());
                Request::Submit { task: Box::new(post), wait: input.one_in(2) }
            }
            _ => {
                let limit = if input.one_in(2) { Some(words::pause(input).min(LONGEST)) } else { None };
                Request::Watch { task: task.into(), limit }
            }
        };
        self.next += 1;
        let id = CallId(self.next);
        self.waited_for.insert(id, false);
        let patience = if input.one_in(2) { words::pause(input).min(LONGEST) } else { Duration::from_secs(30) };
        self.bench.happen(Event::Call(Call { id, request, patience, pack: input.one_in(2) }));
    }

    fn settle(&mut self) {
        for effect in self.bench.settle() {
            match effect {
                Effect::Stored(id, _) => {
                    let before = self.waited_for.insert(id, true);
                    assert_eq!(before, Some(false), "{id:?} is stored once, before its end");
                    self.bench.reached.insert("stored".to_owned());
                }
                Effect::Ended(id, outcome) => {
                    assert!(self.waited_for.remove(&id).is_some(), "{id:?} ends once");
                    let name = match outcome {
                        Outcome::Ok(Answer::Data(_)) => "data",
                        Outcome::Ok(Answer::Stored(_)) => "receipt",
                        Outcome::Ok(Answer::Progress(_)) => "progress",
                        Outcome::Rejected(_) => "rejected",
                        Outcome::Unknown(_) => "unknown",
                    };
                    self.bench.reached.insert(name.to_owned());
                }
                Effect::LookUp(name) => assert!(self.looked_up.insert(name), "one look-up at a time"),
            }
        }
        self.bench.node.sanity_check();
        assert_eq!(self.bench.node.calls(), self.waited_for.len());
    }

    /// Nobody answers any more: all patience ends.
    fn run_out(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "{:?} never end", self.waited_for);
            if self.waited_for.is_empty() {
                break;
            }
            while let Some(name) = self.looked_up.pop_first() {
                self.bench.happen(Event::Resolved { name, addr: None });
            }
            // Not from alarm to alarm: a question may be sent again every second, for an hour.
            self.bench.wait_for(Duration::from_secs(30));
            self.settle();
        }
    }
}
