//! The name service, and a dispatcher that follows its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taskgrid_nameservice::machine::{Config, Effect, Event, Machine};
use taskgrid_protocol::body::{ListWorkers, ListWorkersReply, Lookup, LookupReply, Since};
use taskgrid_protocol::{Body, Refusals, TaskType, node};

use super::rng;
use crate::Reached;
use crate::bench::Bench;
use crate::input::Input;
use crate::{requests, words};

const MOSTLY: [&str; 6] =
    ["REGISTER_WORKER", "REGISTER_WORKER", "HEARTBEAT", "DEREGISTER_WORKER", "LOOKUP_WORKER", "LIST_WORKERS"];

/// No entry lives longer: three times the longest interval, after a newcomer has waited for another entry to end (R18).
const LONGEST_TTL: Duration = Duration::from_secs(3 * 3_600 + 3);

pub(crate) fn run(input: &[u8]) -> Reached {
    let mut input = Input::new(input);
    let fixed: Vec<(TaskType, String)> = (0..input.below(3))
        .map(|_| (words::task_type(&mut input).parse().expect("it is a type"), words::host(&mut input).to_owned()))
        .collect();
    let fixed_pairs: BTreeSet<(TaskType, String)> = fixed.iter().cloned().collect();
    let config = Config { ttl: Duration::from_secs(60), fixed };
    let mut bench = Bench::new(Machine::new(config, rng(&mut input)));
    let mut follower = Follower::default();
    let mut looked_up = BTreeSet::new();
    while !input.is_empty() {
        match input.below(8) {
            0 | 1 => drop(bench.wait(&mut input)),
            2 => follower.follow(&mut bench),
            4 if !bench.sent.is_empty() => answer_ping(&mut bench, &mut input),
            5 if !looked_up.is_empty() => {
                let name = looked_up.pop_first().expect("there is one");
                bench.happen(Event::Resolved { name, addr: words::looked_up(&mut input) });
            }
            3 if input.one_in(16) => bench.happen(Event::Stop),
            _ => {
                let datagram = requests::datagram(&mut input, &bench.overheard, &MOSTLY);
                let from = words::address(&mut input);
                bench.receive(from, &datagram);
            }
        }
        for effect in bench.settle() {
            if let Effect::Resolve(name) = effect {
                assert!(looked_up.insert(name), "one look-up at a time");
            }
        }
    }
    check_follower(&mut bench, &mut follower);
    bench.wait_for(LONGEST_TTL);
    bench.settle();
    check_follower(&mut bench, &mut follower);
    let left: BTreeSet<(TaskType, String)> = list(&mut bench)
        .into_iter()
        .flat_map(|(address, entry)| entry.types.into_iter().map(move |task_type| (task_type, address.clone())))
        .collect();
    assert!(left.is_superset(&fixed_pairs), "what is fixed stays: {left:?}");
    let others = left.iter().filter(|(_, address)| !fixed_pairs.iter().any(|(_, fixed)| fixed == address));
    assert_eq!(others.count(), 0, "silence ends an entry: {left:?}");
    assert_eq!(taskgrid_protocol::Node::poll_timeout(&bench.node), None);
    bench.reached
}

/// A PING to an address that two want is answered. What the newcomer is told then is no answer to this.
fn answer_ping(bench: &mut Bench<Machine>, input: &mut Input<'_>) {
    let (id, from) = bench.overheard.request(input);
    let instance = if input.one_in(4) { "null".to_owned() } else { format!("\"{}\"", words::instance(input)) };
    let pong = format!("{{\"type\":\"RESPONSE\",\"id\":{},\"data\":{{\"instance\":{instance}}}}}", id.as_json());
    node::receive(&mut bench.node, bench.now, from, pong.as_bytes(), &mut Refusals::default(), drop);
}

/// What is known of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    types: BTreeSet<TaskType>,
    capacity: u32,
    instance: Option<String>,
}

/// Somebody who asks now and then what has changed.
#[derive(Default)]
struct Follower {
    since: Since,
    workers: BTreeMap<String, Entry>,
}

impl Follower {
    fn follow(&mut self, bench: &mut Bench<Machine>) {
        for asked in 0.. {
            assert!(asked < 100, "there is always more");
            let lookup = Lookup { task_type: None, since: Some(self.since) };
            let answer = bench.ask(Body::LookupWorker(lookup)).expect("a question is answered at once");
            let reply: LookupReply = serde_json::from_value(answer).expect("the answer is one");
            if reply.reset {
                self.workers.clear();
            }
            self.take(&reply);
            let reset = reply.more && (reply.reset || self.since.reset);
            self.since = Since { epoch: reply.epoch, version: reply.version, reset };
            if !reply.more {
                break;
            }
        }
    }

    fn take(&mut self, reply: &LookupReply) {
        for told in &reply.workers {
            let entry = self.workers.entry(told.address.clone()).or_default();
            if told.gone {
                entry.types.retain(|known| !told.types.contains(known));
            } else {
                entry.types.extend(told.types.iter().cloned());
                entry.capacity = told.capacity;
                entry.instance = told.instance.as_ref().map(ToString::to_string);
            }
        }
        self.workers.retain(|_, entry| !entry.types.is_empty());
    }
}

/// Who has heard of all changes knows what there is.
fn check_follower(bench: &mut Bench<Machine>, follower: &mut Follower) {
    follower.follow(bench);
    let listed = list(bench);
    assert_eq!(follower.workers, listed);
    let mut newcomer = Follower::default();
    newcomer.follow(bench);
    assert_eq!(newcomer.workers, listed);
}

fn list(bench: &mut Bench<Machine>) -> BTreeMap<String, Entry> {
    let answer = bench.ask(Body::ListWorkers(ListWorkers::default())).expect("a question is answered at once");
    let reply: ListWorkersReply = serde_json::from_value(answer).expect("the answer is one");
    let entry = |worker: taskgrid_protocol::body::WorkerView| {
        let instance = worker.instance.map(|instance| instance.to_string());
        (worker.address, Entry { types: worker.types.into_iter().collect(), capacity: worker.capacity, instance })
    };
    reply.workers.into_iter().map(entry).collect()
}
