//! Two processes that want one address (R18).

use std::time::Duration;

use serde_json::{Value, json};
use taskgrid_protocol::Node;

use super::{Service, worker};
use crate::machine::limits::CONTESTS_MAX;
use crate::machine::{Effect, Event};

const HERE: &str = "10.0.0.7:6000";
const ELSEWHERE: &str = "10.0.0.9:6000";

/// What was sent, by receiver.
type Sent = Vec<(String, Value)>;

impl Service {
    /// Something comes from `from`; returns what is sent then.
    fn hear(&mut self, from: &str, message: &Value) -> Sent {
        self.send_from(from.parse().unwrap(), message)
    }

    fn register(&mut self, from: &str, address: &str, instance: &str) -> Sent {
        self.hear(from, &json!({"type": "HEARTBEAT", "id": instance, "data": worker(address, &["reverse"], instance)}))
    }

    /// The process at the pinged address says who it is.
    fn pong(&mut self, from: &str, ping: &Value, instance: Option<&str>) -> Sent {
        let data = json!({"role": "worker", "version": "0.1.0", "instance": instance});
        self.hear(from, &json!({"type": "RESPONSE", "id": ping["id"], "data": data}))
    }

    fn listed(&mut self, address: &str) -> Value {
        let list = self.ask("LIST_WORKERS", json!({}));
        let workers = list["workers"].as_array().unwrap().clone();
        workers.iter().find(|entry| entry["address"] == address).map_or(Value::Null, |entry| entry["instance"].clone())
    }

    /// Lets time pass; returns what is sent meanwhile.
    fn pass(&mut self, seconds: u64) -> Sent {
        let end = self.now + Duration::from_secs(seconds);
        let mut sent = Vec::new();
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.machine.handle_timeout(at);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }
}

/// The one PING that was sent, to this address.
fn ping(sent: &Sent, to: &str) -> Value {
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].0.as_str(), &sent[0].1["type"]), (to, &json!("PING")));
    sent[0].1.clone()
}

/// The one answer that was sent, to this address.
fn answer(sent: &Sent, to: &str) -> Value {
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].0, to);
    sent[0].1["data"].clone()
}

#[test]
fn a_process_that_starts_anew_at_its_address_has_the_entry_after_one_ping() {
    let mut service = Service::new();
    answer(&service.register(HERE, HERE, "old"), HERE);
    let ping = ping(&service.register(HERE, HERE, "new"), HERE);
    assert_eq!(service.listed(HERE), "old");
    let registered = answer(&service.pong(HERE, &ping, Some("new")), HERE);
    assert_eq!(registered, json!({"message": "Successfully registered", "ttl_s": 15}));
    assert_eq!(service.listed(HERE), "new");
    let replaced = answer(&service.register(HERE, HERE, "old"), HERE);
    assert_eq!(replaced["code"], "ADDRESS_IN_USE");
    assert!(replaced["error"].as_str().unwrap().contains(HERE), "{replaced}");
    let refused = service.ask("DEREGISTER_WORKER", json!({"address": HERE, "instance": "old"}));
    assert_eq!(refused["message"], "Deregistered 0 entries");
    let done = service.ask("DEREGISTER_WORKER", json!({"address": HERE, "instance": "new"}));
    assert_eq!(done["message"], "Deregistered 1 entries");
}

/// A datagram that was long under way must not put the first process in the place of the third.
#[test]
fn a_process_that_was_replaced_by_one_that_was_replaced_is_told_so_too() {
    let mut service = Service::new();
    service.register(HERE, HERE, "first");
    for instance in ["second", "third"] {
        let ping = ping(&service.register(HERE, HERE, instance), HERE);
        service.pong(HERE, &ping, Some(instance));
    }
    for old in ["first", "second"] {
        assert_eq!(answer(&service.register(HERE, HERE, old), HERE)["code"], "ADDRESS_IN_USE");
    }
    assert_eq!(answer(&service.register(HERE, HERE, "third"), HERE)["message"], "Successfully registered");
}

#[test]
fn a_newcomer_that_is_not_reached_at_the_address_is_refused_and_both_hear_of_it() {
    let mut service = Service::new();
    service.register(HERE, HERE, "well");
    let ping = ping(&service.register(ELSEWHERE, HERE, "typo"), HERE);
    let refused = answer(&service.pong(HERE, &ping, Some("well")), ELSEWHERE);
    assert_eq!(refused["code"], "ADDRESS_IN_USE");
    assert!(refused["error"].as_str().unwrap().contains(HERE), "it is told whose address that is: {refused}");
    assert_eq!(service.listed(HERE), "well");
    assert_eq!(answer(&service.register(HERE, HERE, "well"), HERE)["contested"], ELSEWHERE);
    service.pass(14);
    service.register(HERE, HERE, "well");
    service.pass(14);
    let later = answer(&service.register(HERE, HERE, "well"), HERE);
    assert_eq!(later["contested"], Value::Null, "for as long as an entry lives");
}

/// As behind a translation of addresses: nobody answers, but the sound worker goes on reporting.
#[test]
fn where_nobody_answers_the_newcomer_is_refused_once_the_other_has_reported_again() {
    let mut service = Service::new();
    service.register(HERE, HERE, "well");
    service.register(ELSEWHERE, HERE, "typo");
    let mut last = Value::Null;
    for _ in 0..4 {
        let sent = service.pass(3);
        let (answers, pings): (Sent, Sent) = sent.into_iter().partition(|(_, message)| message["type"] == "RESPONSE");
        assert!(pings.len() >= 2, "a PING is sent again: {pings:?}");
        last = answer(&answers, ELSEWHERE);
        if last["code"] == "ADDRESS_IN_USE" {
            break;
        }
        assert_eq!(last["code"], "OVERLOADED", "nothing is decided yet: {last}");
        service.pass(2);
        assert_eq!(answer(&service.register(HERE, HERE, "well"), HERE)["message"], "Successfully registered");
        service.register(ELSEWHERE, HERE, "typo");
    }
    assert_eq!(last["code"], "ADDRESS_IN_USE");
    assert_eq!(service.listed(HERE), "well");
}

#[test]
fn where_nobody_answers_and_the_other_is_gone_the_newcomer_has_the_address_when_the_entry_ends() {
    for leaves in [false, true] {
        let mut service = Service::new();
        service.register(HERE, HERE, "old");
        service.pass(13);
        service.register(ELSEWHERE, HERE, "new");
        let registered = if leaves {
            let leave = json!({"type": "DEREGISTER_WORKER", "data": {"address": HERE, "instance": "old"}});
            service.hear(HERE, &leave)
        } else {
            service.pass(3)
        };
        let registered: Sent = registered.into_iter().filter(|(to, _)| to == ELSEWHERE).collect();
        assert_eq!(answer(&registered, ELSEWHERE)["message"], "Successfully registered");
        assert_eq!(service.listed(HERE), "new");
        assert!(service.pass(3).is_empty(), "no PING is left");
    }
}

/// The name service was paused: entry and question are over alike, and who asked has asked again meanwhile or is gone.
#[test]
fn a_question_that_is_older_than_a_pause_registers_nobody() {
    let mut service = Service::new();
    service.register(HERE, HERE, "old");
    service.register(ELSEWHERE, HERE, "new");
    service.now = service.now + Duration::from_secs(3_600);
    service.machine.handle_timeout(service.now);
    assert_eq!(answer(&service.sent(), ELSEWHERE)["code"], "OVERLOADED");
    assert_eq!(service.listed(HERE), Value::Null);
}

/// After a pause, say, or after the name service was started anew: who is sound gets its address back.
#[test]
fn a_sound_worker_takes_its_address_back_from_a_newcomer_that_came_first() {
    let mut service = Service::new();
    answer(&service.register(ELSEWHERE, HERE, "typo"), ELSEWHERE);
    let ping = ping(&service.register(HERE, HERE, "well"), HERE);
    service.pong(HERE, &ping, Some("well"));
    assert_eq!(service.listed(HERE), "well");
    assert_eq!(answer(&service.register(ELSEWHERE, HERE, "typo"), ELSEWHERE)["code"], "ADDRESS_IN_USE");
}

#[test]
fn a_name_is_looked_up_anew_before_anybody_is_asked() {
    let name = "worker-1:6000";
    let mut service = Service::new();
    service.register(HERE, name, "old");
    // A container made anew: another address, the same name.
    assert!(service.register(ELSEWHERE, name, "new").is_empty());
    assert_eq!(service.machine.poll_effect(service.now), Some(Effect::Resolve(name.to_owned())));
    let resolved = Event::Resolved { name: name.to_owned(), addr: Some(ELSEWHERE.parse().unwrap()) };
    service.machine.handle_event(service.now, resolved);
    let sent = service.sent();
    let first = ping(&sent, ELSEWHERE);
    service.pong(ELSEWHERE, &first, Some("new"));
    assert_eq!(service.listed(name), "new");
    // And one that cannot be looked up is that of nobody.
    service.register(HERE, name, "newer");
    service.machine.handle_event(service.now, Event::Resolved { name: name.to_owned(), addr: None });
    assert_eq!(answer(&service.pass(3), HERE)["code"], "OVERLOADED");
}

/// They answer PING without saying which process they are, from the port from which they register.
#[test]
fn workers_of_version_0_1_0_replace_each_other_as_ever() {
    let mut service = Service::new();
    service.register(HERE, HERE, "old");
    let first = ping(&service.register(HERE, HERE, "new"), HERE);
    assert_eq!(answer(&service.pong(HERE, &first, None), HERE)["message"], "Successfully registered");
    let second = ping(&service.register(ELSEWHERE, HERE, "typo"), HERE);
    assert_eq!(answer(&service.pong(HERE, &second, None), ELSEWHERE)["code"], "OVERLOADED");
    assert_eq!(service.listed(HERE), "new");
}

#[test]
fn a_plain_worker_that_is_there_is_protected_and_one_that_comes_is_believed() {
    let mut service = Service::new();
    let plain = json!({"type": "HEARTBEAT", "id": 1, "data": {"type": "reverse", "address": HERE}});
    service.hear(HERE, &plain);
    ping(&service.register(ELSEWHERE, HERE, "typo"), HERE);
    assert_eq!(service.listed(HERE), Value::Null);
    assert_eq!(service.address_of("reverse"), HERE);
    service.register(ELSEWHERE, ELSEWHERE, "leasing");
    let taken = json!({"type": "HEARTBEAT", "id": 1, "data": {"type": "reverse", "address": ELSEWHERE}});
    assert_eq!(answer(&service.hear(ELSEWHERE, &taken), ELSEWHERE)["message"], "Successfully registered");
}

#[test]
fn a_guessed_answer_decides_nothing() {
    let mut service = Service::new();
    service.register(HERE, HERE, "well");
    let ping = ping(&service.register(ELSEWHERE, HERE, "typo"), HERE);
    for id in [json!(0), json!("x"), json!(ping["id"].as_u64().unwrap() + 1), Value::Null] {
        assert!(service.pong(ELSEWHERE, &json!({"id": id}), Some("typo")).is_empty());
    }
    assert_eq!(service.listed(HERE), "well");
}

#[test]
fn no_more_addresses_are_checked_at_a_time_than_there_is_room_for() {
    let mut service = Service::new();
    let address = |number: usize| format!("10.1.{}.{}:6000", number / 250, number % 250 + 1);
    for number in 0..=CONTESTS_MAX {
        service.register(HERE, &address(number), "well");
        let sent = service.register(ELSEWHERE, &address(number), "typo");
        match number {
            CONTESTS_MAX => assert_eq!(answer(&sent, ELSEWHERE)["code"], "OVERLOADED"),
            _ => drop(ping(&sent, &address(number))),
        }
    }
    service.pass(3);
    ping(&service.register(ELSEWHERE, &address(CONTESTS_MAX), "typo"), &address(CONTESTS_MAX));
}
