//! RESULT_RETURN until it is stored.

use serde_json::json;
use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;

use super::rig::{DISPATCHER, Rig, config, done, failed, millis, seconds, stored, task};
use crate::machine::{Config, Note};

#[test]
fn a_result_is_sent_again_until_it_is_stored_and_never_after() {
    let mut rig = Rig::new();
    let result = rig.finish(42, "lease-a");
    rig.pass(millis(200));
    let copy = rig.only();
    assert_eq!(copy.message, result.message);
    rig.answer(&copy, &stored());
    rig.pass(seconds(3_600));
    assert!(rig.take("RESULT_RETURN").is_empty());
}

#[test]
fn an_unanswered_result_leaves_every_half_minute_for_a_day() {
    let mut rig = Rig::with(Config { heartbeat_every: seconds(100_000), ..config() });
    rig.finish(42, "lease-a");
    rig.pass(seconds(3_600));
    let copies = rig.take("RESULT_RETURN").len();
    assert!((110..140).contains(&copies), "{copies} in the first hour");
    rig.pass(seconds(22 * 3_600 + 3_000));
    assert!(!rig.take("RESULT_RETURN").is_empty());
    rig.pass(seconds(3_600));
    rig.take("");
    rig.pass(seconds(3_600));
    assert!(rig.take("RESULT_RETURN").is_empty());
    assert!(rig.notes().contains(&Note::Unstored(1)));
}

#[test]
fn a_dispatcher_that_asks_for_patience_gets_it() {
    for code in ["OVERLOADED", "DISK_LOW", "SHUTTING_DOWN"] {
        let mut rig = Rig::new();
        let result = rig.finish(42, "lease-a");
        rig.answer(&result, &json!({"error": "not now", "code": code, "retry_after_ms": 3_000}));
        rig.pass(millis(2_999));
        assert!(rig.take("RESULT_RETURN").is_empty(), "{code}");
        rig.pass(millis(1));
        assert_eq!(rig.take("RESULT_RETURN").len(), 1, "{code}");
        rig.answer(&result, &json!({"error": "not now", "code": code, "retry_after_ms": u64::MAX}));
        rig.pass(seconds(30));
        assert_eq!(rig.take("RESULT_RETURN").len(), 1, "{code}: nobody puts it off for ever");
    }
}

#[test]
fn any_other_answer_ends_the_re_sending_and_the_operator_hears_of_it() {
    for code in ["LEASE_UNKNOWN", "NOT_FOUND", "BAD_REQUEST", "A_CODE_OF_TOMORROW"] {
        let mut rig = Rig::new();
        let result = rig.finish(42, "lease-a");
        rig.answer(&result, &json!({"error": "no use", "code": code}));
        rig.pass(seconds(60));
        assert!(rig.take("RESULT_RETURN").is_empty(), "{code}");
        assert!(rig.notes().contains(&Note::Unwanted(taskgrid_protocol::TaskId(42), "no use".to_owned())), "{code}");
        rig.tell(DISPATCHER, &task(42, "lease-a"));
        assert!(rig.started().is_empty(), "{code}");
    }
}

#[test]
fn an_answer_to_somebody_else_is_no_answer() {
    let mut rig = Rig::new();
    let result = rig.finish(42, "lease-a");
    let wrong = result.message["id"].as_u64().unwrap() + 1;
    rig.tell(DISPATCHER, &json!({"type": "RESPONSE", "id": wrong, "data": stored()}));
    rig.tell(DISPATCHER, &json!({"type": "RESPONSE", "data": stored()}));
    rig.pass(millis(300));
    assert!(!rig.take("RESULT_RETURN").is_empty());
}

#[test]
fn a_failure_travels_as_an_error_of_bounded_length() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.end(run, Err(Failure::permanent("BAD_PAYLOAD", "ä".repeat(5_000))));
    let error = &rig.only().message["data"]["error"];
    assert_eq!((&error["code"], &error["retry"]), (&json!("BAD_PAYLOAD"), &json!(false)));
    assert_eq!(error["message"].as_str().unwrap().len(), 4_096);
}

#[test]
fn null_is_a_result() {
    let mut rig = Rig::new();
    let run = rig.start(42, "lease-a");
    rig.end(run, Ok(Json::null()));
    assert_eq!(rig.only().message["data"], json!({"task_id": 42, "result": null}));
}

#[test]
fn a_result_above_the_limit_is_a_failure_that_no_attempt_would_mend() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.end(run, Ok(Json::string(&"x".repeat(48 * 1024 - 2))));
    assert!(rig.only().message["data"].get("error").is_none(), "48 KiB fit");
    let run = rig.start(2, "lease-2");
    rig.end(run, Ok(Json::string(&"x".repeat(48 * 1024 - 1))));
    let error = &rig.only().message["data"]["error"];
    assert_eq!((&error["code"], &error["retry"]), (&json!("RESULT_TOO_LARGE"), &json!(false)));
}

#[test]
fn while_too_many_results_are_unstored_no_task_is_taken() {
    let mut rig = Rig::with(Config { concurrency: 1_024, ..config() });
    for id in 0..4_096 {
        let run = rig.start(id, &format!("lease-{id}"));
        rig.end(run, if id % 2 == 0 { done() } else { failed() });
    }
    rig.take("");
    rig.tell(DISPATCHER, &task(5_000, "lease-x"));
    assert_eq!(rig.only().message["data"]["reason"], "busy");
}

/// The file of a handler was taken away, or is being written, between two looks at the directory.
#[test]
fn a_task_whose_handler_is_away_is_given_back_and_not_charged() {
    let mut rig = Rig::new();
    let run = rig.start(1, "lease-1");
    rig.end(run, Err(Failure::passing("UNKNOWN_TYPE", "the handler's file is gone")));
    let given_back = rig.take("TASK_REJECT").remove(0);
    assert_eq!(
        (&given_back.message["lease"], &given_back.message["data"]["reason"]),
        (&json!("lease-1"), &json!("busy"))
    );
    assert!(rig.take("RESULT_RETURN").is_empty());
    rig.tell(DISPATCHER, &task(1, "lease-2"));
    assert!(rig.take("TASK_REJECT").iter().all(|sent| sent.message["lease"] == "lease-1"), "another attempt is taken");
}
