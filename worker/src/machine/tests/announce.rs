//! Registration at the name services.

use serde_json::json;

use super::rig::{NAMESERVICE, Rig, addr, config, millis, response, seconds, types};
use crate::machine::{Config, Effect, Event, Exit, Note};

#[test]
fn the_worker_registers_and_then_says_the_same_every_five_seconds_or_so() {
    let mut rig = Rig::new();
    let register = rig.only();
    let data = json!({"types": ["reverse", "wait"], "address": "worker-1:6000", "capacity": 2,
        "instance": "instance-1", "interval_s": 5, "batch": true});
    assert_eq!((register.to.as_str(), &register.message["type"]), (NAMESERVICE, &json!("REGISTER_WORKER")));
    assert_eq!(register.message["data"], data);
    let mut gaps = Vec::new();
    let mut last = rig.now;
    for _ in 0..20 {
        while rig.take("HEARTBEAT").into_iter().inspect(|beat| assert_eq!(beat.message["data"], data)).count() == 0 {
            rig.pass(millis(1));
        }
        gaps.push(rig.now.since(last));
        last = rig.now;
    }
    assert!(gaps.iter().all(|gap| (millis(4_000)..=millis(6_001)).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max() > gaps.iter().min(), "workers that started together drift apart");
}

#[test]
fn it_registers_at_every_name_service() {
    let services = ["127.0.0.1:5001", "127.0.0.1:5002"];
    let mut rig = Rig::with(Config { nameservices: services.map(str::to_owned).into(), ..config() });
    let asked: Vec<String> = rig.take("REGISTER_WORKER").into_iter().map(|sent| sent.to).collect();
    assert_eq!(asked, services);
    assert_eq!(rig.notes(), services.map(|service| Note::Registered(service.to_owned())));
}

#[test]
fn an_unanswered_registration_is_sent_again_and_the_operator_hears_once() {
    let mut rig = Rig::new();
    rig.effects();
    rig.nameservice_up = false;
    rig.pass(seconds(60));
    assert!(rig.take("HEARTBEAT").len() > 20);
    assert_eq!(rig.notes(), [Note::Silent(NAMESERVICE.to_owned())]);
    rig.nameservice_up = true;
    rig.pass(seconds(6));
    assert_eq!(rig.notes(), [Note::Registered(NAMESERVICE.to_owned())]);
}

#[test]
fn a_name_is_looked_up_and_again_after_silence() {
    let name = "names:5001".to_owned();
    let mut rig = Rig::with(Config { nameservices: vec![name.clone()], ..config() });
    rig.nothing_sent();
    assert_eq!(rig.effects(), [Effect::Resolve(name.clone())]);
    rig.happen(Event::Resolved { name: name.clone(), addr: None });
    assert_eq!(rig.notes(), [Note::Silent(name.clone())]);
    rig.pass(seconds(1));
    assert_eq!(rig.effects(), [Effect::Resolve(name.clone())], "a failed look-up is tried again");
    rig.nameservice_up = false;
    rig.happen(Event::Resolved { name: name.clone(), addr: Some(addr("10.0.0.1:5001")) });
    assert_eq!(rig.only().to, "10.0.0.1:5001");
    rig.pass(seconds(6));
    assert!(rig.effects().contains(&Effect::Resolve(name.clone())), "it may have moved");
    rig.take("");
    rig.happen(Event::Resolved { name, addr: Some(addr("10.0.0.2:5001")) });
    assert_eq!(rig.only().to, "10.0.0.2:5001");
}

#[test]
fn an_answered_announcement_is_not_repeated_when_its_name_is_looked_up_anew() {
    let name = "names:5001".to_owned();
    let mut rig = Rig::with(Config { nameservices: vec![name.clone()], ..config() });
    rig.happen(Event::Resolved { name: name.clone(), addr: Some(addr("10.0.0.1:5001")) });
    rig.pass(seconds(6));
    rig.take("");
    rig.happen(Event::Resolved { name, addr: Some(addr("10.0.0.1:5001")) });
    rig.nothing_sent();
}

#[test]
fn a_replaced_instance_stops() {
    let mut rig = Rig::new();
    rig.nameservice_up = false;
    rig.take("");
    rig.pass(seconds(6));
    let beat = rig.take("HEARTBEAT").remove(0);
    rig.effects();
    rig.answer(&beat, &json!({"error": "another worker is registered as worker-1:6000", "code": "ADDRESS_IN_USE"}));
    let why = "another worker is registered as worker-1:6000".to_owned();
    assert_eq!(rig.effects(), [Effect::Exit(Exit::AddressInUse(why))]);
}

#[test]
fn the_operator_hears_once_of_a_newcomer_that_wants_the_address() {
    let mut rig = Rig::new();
    rig.nameservice_up = false;
    rig.take("");
    rig.effects();
    for (contested, told) in
        [(Some("10.0.0.9:6000"), true), (Some("10.0.0.9:6000"), false), (None, false), (Some("10.0.0.9:6000"), true)]
    {
        rig.pass(seconds(6));
        let beat = rig.take("HEARTBEAT").pop().unwrap();
        rig.effects();
        rig.answer(&beat, &json!({"message": "Successfully registered", "ttl_s": 15, "contested": contested}));
        let notes = rig.notes();
        let expected = told.then(|| Note::Contested("10.0.0.9:6000".to_owned()));
        assert_eq!(notes.contains(&Note::Contested("10.0.0.9:6000".to_owned())), expected.is_some(), "{notes:?}");
    }
}

#[test]
fn a_ping_is_answered_with_the_process() {
    let mut rig = Rig::new();
    rig.take("");
    rig.tell(NAMESERVICE, &json!({"type": "PING", "id": 7, "data": {}}));
    assert_eq!(rig.only().message["data"]["instance"], "instance-1");
}

#[test]
fn a_refused_registration_is_tried_again_and_its_reason_told() {
    let mut rig = Rig::new();
    rig.take("");
    rig.nameservice_up = false;
    let refusal = json!({"error": "the table is full", "code": "OVERLOADED"});
    rig.pass(seconds(6));
    rig.effects();
    let heartbeat = rig.take("HEARTBEAT").remove(0);
    rig.answer(&heartbeat, &refusal);
    for _ in 0..3 {
        rig.pass(seconds(6));
        let register = rig.take("REGISTER_WORKER").remove(0);
        rig.answer(&register, &refusal);
    }
    assert_eq!(rig.notes(), [Note::Refused(NAMESERVICE.to_owned(), "the table is full".to_owned())]);
}

#[test]
fn new_types_are_registered_at_once() {
    let mut rig = Rig::new();
    rig.take("");
    rig.happen(Event::Types(types(&["reverse", "thumbnail"])));
    let register = rig.only().message;
    assert_eq!(
        (&register["type"], &register["data"]["types"]),
        (&json!("REGISTER_WORKER"), &json!(["reverse", "thumbnail"]))
    );
    rig.happen(Event::Types(types(&[])));
    assert_eq!(rig.only().message["type"], "DEREGISTER_WORKER", "with no type left there is nothing to register");
}

#[test]
fn request_ids_begin_at_random_so_that_late_answers_to_another_process_miss() {
    let mut rig = Rig::new();
    let id = rig.only().message["id"].as_u64().unwrap();
    assert!(id > 1_000_000 && id < 1 << 54);
    let stale = response(&json!({"id": 1}), &json!({"error": "gone", "code": "ADDRESS_IN_USE"}));
    rig.effects();
    rig.tell(NAMESERVICE, &stale);
    assert!(rig.effects().is_empty());
}
