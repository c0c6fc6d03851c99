//! The name service's rules, on a fake clock.

mod contests;

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::node::receive;
use taskgrid_protocol::{Node, Refusals, TaskType, Timestamp, Transmit};

use super::{Config, Effect, Event, Machine};

struct Service {
    machine: Machine,
    now: Timestamp,
}

impl Service {
    fn new() -> Self {
        Self::with(Config::default(), 1)
    }

    fn with(config: Config, seed: u64) -> Self {
        Self { machine: Machine::new(config, ChaCha12Rng::seed_from_u64(seed)), now: Timestamp::ZERO }
    }

    fn advance(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.machine.handle_timeout(at);
        }
        self.now = end;
    }

    fn send(&mut self, message: &Value) -> Vec<Value> {
        let sent = self.send_from(([127, 0, 0, 1], 7000).into(), message);
        sent.into_iter().map(|(_, message)| message).collect()
    }

    /// Returns what is sent, with its receivers.
    fn send_from(&mut self, from: SocketAddr, message: &Value) -> Vec<(String, Value)> {
        let datagram = message.to_string();
        let mut refusals = Vec::new();
        receive(&mut self.machine, self.now, from, datagram.as_bytes(), &mut Refusals::default(), |refusal| {
            refusals.push(refusal)
        });
        refusals.into_iter().map(shown).chain(self.sent()).collect()
    }

    /// What the machine has to send.
    fn sent(&mut self) -> Vec<(String, Value)> {
        std::iter::from_fn(|| self.machine.poll_transmit()).map(shown).collect()
    }

    fn ask(&mut self, kind: &str, data: Value) -> Value {
        let mut replies = self.send(&json!({"type": kind, "id": 1, "data": data}));
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0)["data"].clone()
    }

    fn address_of(&mut self, task_type: &str) -> Value {
        self.ask("LOOKUP_WORKER", json!({"type": task_type}))["address"].clone()
    }

    /// All changes since `since`, page by page, as an asker would follow them.
    fn follow(&mut self, mut since: Value) -> (Vec<Value>, Value) {
        let mut entries = Vec::new();
        loop {
            let reply = self.ask("LOOKUP_WORKER", json!({"since": since}));
            assert!(reply.to_string().len() <= 1_200, "{} bytes", reply.to_string().len());
            entries.extend(reply["workers"].as_array().cloned().unwrap_or_default());
            let anew = reply["more"] == true && (reply["reset"] == true || since["reset"] == true);
            since = json!({"epoch": reply["epoch"], "version": reply["version"], "reset": anew});
            if reply["more"] != true {
                return (entries, since);
            }
        }
    }
}

fn shown(transmit: Transmit) -> (String, Value) {
    (transmit.to.to_string(), serde_json::from_slice(&transmit.bytes).unwrap())
}

fn worker(address: &str, types: &[&str], instance: &str) -> Value {
    json!({"address": address, "types": types, "instance": instance, "interval_s": 5, "capacity": 4})
}

#[test]
fn a_plain_worker_is_found_by_its_type() {
    let mut service = Service::new();
    let registered = service.ask("REGISTER_WORKER", json!({"type": "reverse", "address": "worker-reverse:6000"}));
    assert_eq!(registered, json!({"message": "Successfully registered", "ttl_s": 60}));
    assert_eq!(service.address_of("reverse"), "worker-reverse:6000");
    let missing = service.ask("LOOKUP_WORKER", json!({"type": "upper"}));
    assert_eq!(missing["error"], "No worker found for type 'upper'");
    assert_eq!(missing["code"], "NO_WORKER");
}

#[test]
fn workers_of_a_type_take_turns() {
    let mut service = Service::new();
    for address in ["a:1", "b:1", "c:1"] {
        service.ask("REGISTER_WORKER", json!({"type": "reverse", "address": address}));
    }
    let turns: Vec<Value> = (0..6).map(|_| service.address_of("reverse")).collect();
    assert_eq!(turns, ["a:1", "b:1", "c:1", "a:1", "b:1", "c:1"]);
    let reply = service.ask("LOOKUP_WORKER", json!({"type": "reverse"}));
    assert_eq!((reply["workers"].as_array().unwrap().len(), &reply["count"]), (3, &json!(3)));
}

/// R27: HEARTBEAT is a registration; silence ends it.
#[test]
fn entries_live_as_long_as_they_are_renewed() {
    let mut service = Service::new();
    service.ask("HEARTBEAT", worker("a:1", &["reverse", "upper"], "i"));
    service.advance(14);
    assert_eq!(service.ask("HEARTBEAT", json!({"address": "a:1"}))["message"], "Successfully registered");
    service.advance(14);
    assert_eq!(service.address_of("upper"), "a:1");
    service.advance(50);
    assert_eq!(service.address_of("upper"), Value::Null);
    assert_eq!(service.ask("HEARTBEAT", json!({"address": "a:1"}))["code"], "NOT_REGISTERED");
}

#[test]
fn a_plain_worker_that_says_no_interval_lives_for_a_minute() {
    let mut service = Service::new();
    service.ask("HEARTBEAT", json!({"type": "reverse", "address": "a:1"}));
    service.advance(59);
    assert_eq!(service.address_of("reverse"), "a:1");
    service.advance(2);
    assert_eq!(service.address_of("reverse"), Value::Null);
}

#[test]
fn plain_workers_gather_types_and_others_name_all_of_theirs() {
    let mut service = Service::new();
    for task_type in ["reverse", "upper"] {
        service.ask("REGISTER_WORKER", json!({"type": task_type, "address": "p:1"}));
    }
    assert_eq!((service.address_of("reverse"), service.address_of("upper")), (json!("p:1"), json!("p:1")));
    service.ask("HEARTBEAT", worker("a:1", &["hash", "sum"], "i"));
    service.ask("HEARTBEAT", worker("a:1", &["sum"], "i"));
    assert_eq!((service.address_of("hash"), service.address_of("sum")), (Value::Null, json!("a:1")));
}

#[test]
fn fixed_workers_neither_expire_nor_leave() {
    let fixed = vec![(TaskType::new("reverse").unwrap(), "worker-reverse:6000".to_owned())];
    let mut service = Service::with(Config { fixed, ..Config::default() }, 1);
    service.ask("HEARTBEAT", json!({"address": "worker-reverse:6000"}));
    service.ask("DEREGISTER_WORKER", json!({"address": "worker-reverse:6000"}));
    service.advance(1_000);
    assert_eq!(service.address_of("reverse"), "worker-reverse:6000");
}

/// R27: the feed tells each change once, in pages that need no fragments.
#[test]
fn changes_can_be_followed() {
    let mut service = Service::new();
    for n in 0..100 {
        service.ask("HEARTBEAT", worker(&format!("10.0.0.{n}:6000"), &["reverse", "upper"], "i"));
    }
    let (entries, since) = service.follow(json!({"epoch": 0, "version": 0}));
    let pairs: usize = entries.iter().map(|entry| entry["types"].as_array().unwrap().len()).sum();
    assert_eq!(pairs, 200);
    assert!(service.follow(since.clone()).0.is_empty());
    service.ask("HEARTBEAT", worker("10.0.0.7:6000", &["reverse", "upper"], "i"));
    assert!(service.follow(since.clone()).0.is_empty(), "a renewal is no change");
    service.ask("HEARTBEAT", worker("10.0.0.7:6000", &["reverse"], "i"));
    let (entries, since) = service.follow(since);
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["types"], &entries[0]["gone"]), (&json!(["upper"]), &json!(true)));
    let mut grown = worker("10.0.0.7:6000", &["reverse"], "i");
    grown["capacity"] = json!(9);
    service.ask("HEARTBEAT", grown);
    assert_eq!(service.follow(since).0[0]["capacity"], 9);
}

#[test]
fn who_missed_too_much_starts_anew() {
    let mut service = Service::new();
    for n in 0..60 {
        service.ask("HEARTBEAT", worker(&format!("10.0.0.{n}:6000"), &["reverse"], "i"));
    }
    let (_, since) = service.follow(json!({"epoch": 0, "version": 0}));
    let stay = |service: &mut Service| {
        for n in 0..40 {
            service.ask("HEARTBEAT", worker(&format!("10.0.0.{n}:6000"), &["reverse"], "i"));
        }
    };
    // Twenty leave; and long after that one more, with which the others are forgotten.
    for _ in 0..80 {
        service.advance(10);
        stay(&mut service);
    }
    service.ask("DEREGISTER_WORKER", json!({"address": "10.0.0.0:6000", "instance": "i"}));
    let reply = service.ask("LOOKUP_WORKER", json!({"since": since}));
    assert_eq!(reply["reset"], true);
    let (entries, _) = service.follow(since);
    assert_eq!(entries.iter().filter(|entry| entry["gone"] != true).count(), 39);
}

#[test]
fn a_restarted_service_says_that_it_knows_nothing() {
    let mut service = Service::new();
    service.ask("HEARTBEAT", worker("a:1", &["reverse"], "i"));
    let (_, since) = service.follow(json!({"epoch": 0, "version": 0}));
    let mut restarted = Service::with(Config::default(), 2);
    let reply = restarted.ask("LOOKUP_WORKER", json!({"since": since}));
    assert_eq!(reply["reset"], true);
    assert_ne!(reply["epoch"], since["epoch"]);
}

#[test]
fn bad_addresses_are_refused() {
    let mut service = Service::new();
    let long = format!("{}:1", "x".repeat(300));
    for address in ["", "a", ":1", "a:", "a:0", "a:99999", "a b:1", "a\n:1", "a:+1", long.as_str()] {
        let reply = service.ask("REGISTER_WORKER", json!({"type": "reverse", "address": address}));
        assert_eq!(reply["code"], "BAD_REQUEST", "{address:?}");
    }
    assert_eq!(service.ask("LOOKUP_WORKER", json!({}))["code"], "BAD_REQUEST");
}

#[test]
fn what_is_for_others_is_sent_there_and_answers_get_silence() {
    let mut service = Service::new();
    let reply = service.ask("GET_RESULT", json!({"task_id": 1}));
    assert_eq!(reply["code"], "UNKNOWN_MESSAGE");
    assert!(reply["error"].as_str().unwrap().contains("dispatcher"), "{reply}");
    for silent in [
        json!({"type": "RESPONSE", "id": 1, "data": {}}),
        json!({"type": "TASK_ACK", "lease": "x", "data": {"task_id": 1, "state": "done"}}),
    ] {
        assert!(service.send(&silent).is_empty(), "{silent}");
    }
    assert_eq!(service.ask("PING", json!({}))["role"], "nameservice");
}

#[test]
fn all_workers_can_be_listed() {
    let mut service = Service::new();
    service.ask("HEARTBEAT", worker("a:1", &["reverse", "upper"], "i"));
    service.ask("HEARTBEAT", worker("b:1", &["upper"], "j"));
    let all = service.ask("LIST_WORKERS", json!({}));
    assert_eq!(all["workers"].as_array().unwrap().len(), 2);
    let some = service.ask("LIST_WORKERS", json!({"type": "reverse"}));
    assert_eq!(some["workers"][0]["types"], json!(["reverse", "upper"]));
    assert_eq!(some["workers"].as_array().unwrap().len(), 1);
}

#[test]
fn it_stops_when_asked() {
    let mut service = Service::new();
    service.machine.handle_event(service.now, Event::Stop);
    assert_eq!(service.machine.poll_effect(service.now), Some(Effect::Exit));
}
