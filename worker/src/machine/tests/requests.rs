//! Messages that a worker is not there for.

use serde_json::json;

use super::rig::{DISPATCHER, Rig};

#[test]
fn ping_is_answered() {
    let mut rig = Rig::new();
    rig.take("");
    rig.tell(DISPATCHER, &json!({"type": "PING", "id": "p"}));
    let reply = rig.only().message;
    assert_eq!((&reply["id"], &reply["data"]["role"]), (&json!("p"), &json!("worker")));
}

#[test]
fn requests_for_others_are_told_where_to_go() {
    let mut rig = Rig::new();
    rig.take("");
    let requests = [
        (json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x"}}), "4000"),
        (json!({"type": "GET_RESULT", "data": {"task_id": 1}}), "4000"),
        (json!({"type": "RESULT_RETURN", "data": {"task_id": 1, "result": 1}}), "4000"),
        (json!({"type": "TASK_HEARTBEAT", "data": {"leases": []}}), "4000"),
        (json!({"type": "LOOKUP_WORKER", "data": {"type": "reverse"}}), "5001"),
        (json!({"type": "REGISTER_WORKER", "data": {"type": "reverse", "address": "a:1"}}), "5001"),
    ];
    for (request, port) in requests {
        rig.tell(DISPATCHER, &request);
        let reply = rig.only().message;
        assert_eq!(reply["code"], "UNKNOWN_MESSAGE", "{request}");
        assert!(reply["error"].as_str().unwrap().contains(port), "{request}");
    }
}

#[test]
fn answers_and_what_only_workers_say_are_never_answered() {
    let mut rig = Rig::new();
    rig.take("");
    for message in [
        json!({"type": "RESPONSE", "data": {}}),
        json!({"type": "TASK_ACK", "lease": "l", "data": {"task_id": 1, "state": "running"}}),
        json!({"type": "TASK_REJECT", "lease": "l", "data": {"task_id": 1, "reason": "busy"}}),
        json!({"error": "something", "type": "TASK"}),
    ] {
        rig.tell(DISPATCHER, &message);
        rig.nothing_sent();
    }
}
