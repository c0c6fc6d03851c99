//! A new process at the address of an old one (R18).

use std::time::Duration;

use serde_json::{Value, json};

use super::grid::{CLIENT, Grid, NAMESERVICE};

const WORKER: &str = "127.0.0.1:6000";

fn process(instance: &str) -> Value {
    json!({"address": WORKER, "types": ["reverse"], "capacity": 1, "instance": instance})
}

fn about(kind: &str, task: &Value, mut data: Value) -> Value {
    data["task_id"] = task["data"]["id"].clone();
    json!({"type": kind, "lease": task["lease"], "data": data})
}

fn rejected(task: &Value, by: &str) -> Value {
    let mut message = about("TASK_REJECT", task, json!({"reason": "replaced"}));
    message["instance"] = by.into();
    message
}

/// A grid whose only worker has acknowledged a task.
fn running() -> (Grid, Value) {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("x");
    let task = grid.task(WORKER);
    assert_eq!(task["instance"], "old");
    grid.send(WORKER, about("TASK_ACK", &task, json!({"state": "running"})));
    (grid, task)
}

#[test]
fn the_new_process_is_asked_and_the_attempt_ends_when_the_old_one_stays_silent() {
    let (mut grid, task) = running();
    grid.register(process("new"));
    let sent = grid.take(WORKER);
    assert_eq!(sent[0]["type"], "TASK_CANCEL");
    assert_eq!((&sent[0]["lease"], &sent[0]["instance"]), (&task["lease"], &json!("old")));
    assert_eq!(sent[0]["data"]["unless_started"], true);
    grid.send(WORKER, rejected(&task, "new"));
    grid.advance(Duration::from_secs(6));
    assert!(grid.take(WORKER).is_empty(), "it has answered, and the old one may yet be heard");
    grid.advance(Duration::from_secs(3));
    let again = grid.task(WORKER);
    assert_eq!((&again["attempt"], &again["instance"]), (&json!(2), &json!("new")));
    let attempts = grid.ask(CLIENT, json!({"type": "GET_TASK", "data": {"task_id": 1}}))["attempts"].clone();
    assert_eq!(attempts[0]["outcome"], "worker_lost");
}

#[test]
fn an_old_process_that_is_heard_keeps_its_attempt() {
    let (mut grid, task) = running();
    grid.register(process("new"));
    for _ in 0..5 {
        grid.send(
            WORKER,
            json!({"type": "TASK_HEARTBEAT", "id": 5, "data": {"draining": true,
            "leases": [{"task_id": task["data"]["id"], "lease": task["lease"]}]}}),
        );
        grid.advance(Duration::from_secs(9));
    }
    assert!(grid.tasks(WORKER).is_empty());
    grid.post("y");
    assert_eq!(grid.task(WORKER)["data"]["payload"], "y", "the new process is free, and does not drain");
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
}

#[test]
fn a_worker_that_stops_is_given_nothing_more_though_it_holds_no_task() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("x");
    let task = grid.task(WORKER);
    grid.return_result(WORKER, &task, json!({"result": 1}));
    let leave = json!({"type": "TASK_HEARTBEAT", "id": 5, "instance": "old", "data": {"leases": [], "draining": true}});
    assert_eq!(grid.ask(WORKER, leave)["data"], json!({}));
    grid.post("y");
    assert!(grid.tasks(WORKER).is_empty());
    let of_nobody =
        json!({"type": "TASK_HEARTBEAT", "id": 6, "instance": "other", "data": {"leases": [], "draining": true}});
    assert_eq!(grid.ask(WORKER, of_nobody)["data"], json!({}));
    grid.register(process("new"));
    assert_eq!(grid.task(WORKER)["data"]["payload"], "y", "the next process there is another one");
}

#[test]
fn a_task_that_the_new_process_denies_goes_on_at_once_and_is_charged() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("its workers are looked up");
    let first = grid.task(WORKER);
    grid.return_result(WORKER, &first, json!({"result": 1}));
    grid.register_quietly(process("new"));
    grid.post("x");
    let task = grid.task(WORKER);
    assert_eq!(task["instance"], "old");
    grid.send(WORKER, rejected(&task, "new"));
    // What the name service has yet to tell is not waited for by offering it to the old one.
    assert!(grid.take(WORKER).is_empty());
    grid.advance(Duration::from_millis(1_100));
    let again = grid.task(WORKER);
    assert_eq!((&again["attempt"], &again["instance"]), (&json!(2), &json!("new")));
}

/// R14, R25: a task that kills its worker at once is poison too, though nobody ever acknowledges it.
#[test]
fn a_task_that_kills_its_workers_before_they_acknowledge_it_is_poison() {
    let mut grid = Grid::new();
    grid.register(process("0"));
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x", "max_attempts": 20}}));
    for killed in 1..=3 {
        let task = grid.task(WORKER);
        grid.register_quietly(process(&killed.to_string()));
        grid.send(WORKER, rejected(&task, &killed.to_string()));
        grid.advance(Duration::from_secs(5));
    }
    assert_eq!(grid.result_of(1)["task_error"]["code"], "WORKER_LOST");
}

#[test]
fn a_claim_for_a_process_that_was_replaced_meanwhile_costs_nothing() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.disk_is_slow = true;
    grid.send(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x"}}));
    grid.register(process("new"));
    grid.disk_catches_up();
    let task = grid.task(WORKER);
    assert_eq!((&task["attempt"], &task["instance"]), (&json!(1), &json!("new")));
}

/// A dispatcher that starts does not know whether the process at the address is the one that had the attempt.
fn restarted(acknowledged: bool) -> (Grid, Value) {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("x");
    let task = grid.task(WORKER);
    if acknowledged {
        grid.send(WORKER, about("TASK_ACK", &task, json!({"state": "running"})));
    }
    let mut grid = grid.restart();
    let first = grid.task(WORKER);
    assert_eq!((&first["lease"], &first["instance"]), (&task["lease"], &json!("-")));
    (grid, task)
}

#[test]
fn a_restarted_dispatcher_lets_an_attempt_start_only_at_the_process_that_had_it() {
    let (mut grid, task) = restarted(false);
    grid.nameservice_up = false;
    grid.send(WORKER, rejected(&task, "old"));
    grid.send(WORKER, rejected(&task, "old"));
    let sent = grid.task(WORKER);
    assert_eq!((&sent["lease"], &sent["instance"], &sent["attempt"]), (&task["lease"], &json!("old"), &json!(1)));
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
}

#[test]
fn what_ran_when_dispatcher_and_worker_were_killed_is_charged_and_goes_on_at_once() {
    for acknowledged in [false, true] {
        let (mut grid, task) = restarted(acknowledged);
        grid.register_quietly(process("new"));
        grid.send(WORKER, rejected(&task, "new"));
        grid.advance(Duration::from_secs(3));
        let again = grid.task(WORKER);
        assert_eq!((&again["instance"], &again["attempt"]), (&json!("new"), &json!(2)));
        assert_ne!(again["lease"], task["lease"]);
    }
}

/// R25: what takes the whole machine down, and everything starts again, is poison too.
#[test]
fn a_task_that_kills_dispatcher_and_worker_is_poison() {
    let mut grid = Grid::new();
    grid.register(process("0"));
    grid.ask(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x", "max_attempts": 20}}));
    for killed in 1..=3 {
        let task = grid.tasks(WORKER).pop().unwrap();
        grid = grid.restart();
        grid.register_quietly(process(&killed.to_string()));
        grid.send(WORKER, rejected(&task, &killed.to_string()));
        grid.take(WORKER);
        grid.advance(Duration::from_secs(8));
    }
    assert_eq!(grid.result_of(1)["task_error"]["code"], "WORKER_LOST");
}

#[test]
fn a_restarted_dispatcher_adopts_what_runs_without_the_name_service() {
    let (mut grid, task) = restarted(true);
    grid.send(WORKER, about("TASK_ACK", &task, json!({"state": "running"})));
    grid.advance(Duration::from_secs(20));
    assert!(grid.tasks(WORKER).is_empty());
    assert_eq!(grid.return_result(WORKER, &task, json!({"result": 1})), json!({"message": "Result stored"}));
}

/// Answers come in any order. One that is older than what is known already must not bring an old process back.
#[test]
fn an_answer_of_the_name_service_that_comes_late_changes_nothing() {
    let mut grid = Grid::new();
    grid.register(process("new"));
    grid.nameservice_up = false;
    grid.lookups();
    grid.post("x");
    let asked = grid.lookups().into_iter().find(|asked| asked["data"]["type"] == "reverse").unwrap();
    let late = json!({"workers": [process("old")], "epoch": 1, "version": 1});
    grid.send(NAMESERVICE, json!({"type": "RESPONSE", "id": asked["id"], "data": late}));
    grid.advance(Duration::from_secs(1));
    let sent = grid.take(WORKER);
    assert!(sent.iter().all(|sent| sent["type"] == "TASK" && sent["instance"] == "new"), "{sent:?}");
}

/// Whatever the dispatcher believes, a denial makes it ask.
#[test]
fn a_worker_that_denies_what_was_believed_of_it_is_looked_up_anew() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("x");
    let task = grid.task(WORKER);
    grid.lookups();
    grid.register_without_a_trace(process("new"));
    grid.send(WORKER, rejected(&task, "new"));
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task(WORKER)["instance"], "new");
}

/// What the old process has said of itself, before the dispatcher knew which one it was, is not said of the new one.
#[test]
fn a_process_that_stopped_does_not_keep_tasks_from_its_successor() {
    let mut grid = Grid::new();
    let with_two_slots = |instance| {
        let mut entry = process(instance);
        entry["capacity"] = json!(2);
        entry
    };
    grid.register(with_two_slots("old"));
    grid.post("x");
    grid.post("y");
    let given_back = grid.tasks(WORKER).remove(0);
    let mut grid = grid.restart();
    grid.take(WORKER);
    // The other one is still with the process that stops.
    grid.send(WORKER, about("TASK_REJECT", &given_back, json!({"reason": "draining"})));
    grid.register(with_two_slots("new"));
    let sent = grid.tasks(WORKER);
    let task = sent.iter().find(|task| task["instance"] == "new").expect("the new process is offered tasks");
    assert_eq!(task["data"]["id"], given_back["data"]["id"]);
}

/// A worker was started anew, and the name service listed its old process for some seconds yet. Each TASK for that one
/// was denied, charged, and followed by another: a backlog failed as poison that nobody had ever run.
#[test]
fn a_backlog_is_not_spent_on_a_process_that_is_denied() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    for number in 0..30 {
        grid.post(&number.to_string());
    }
    let mut denied = 0;
    for _ in 0..1_080 {
        denied += deny_all(&mut grid, WORKER, "new");
        grid.advance(Duration::from_millis(10));
    }
    assert_eq!(denied, 1);
    grid.register_quietly(process("new"));
    grid.advance(Duration::from_millis(510));
    assert_eq!(grid.task(WORKER)["instance"], "new", "as soon as the name service has heard of it");
}

/// The same while the name service is silent.
#[test]
fn a_denied_process_is_left_alone_also_without_the_name_service() {
    let mut grid = Grid::new();
    grid.register(process("old"));
    grid.post("x");
    grid.nameservice_up = false;
    assert_eq!(deny_all(&mut grid, WORKER, "new"), 1);
    grid.advance(Duration::from_secs(10));
    assert!(grid.take(WORKER).is_empty());
    assert_eq!(outcomes(&mut grid, 1), ["worker_lost"]);
}

/// Answers each TASK in the name of another process, and says how many there were.
fn deny_all(grid: &mut Grid, worker: &str, by: &str) -> usize {
    let tasks: Vec<Value> = grid.take(worker).into_iter().filter(|sent| sent["type"] == "TASK").collect();
    for task in &tasks {
        grid.send(worker, rejected(task, by));
    }
    tasks.len()
}

fn outcomes(grid: &mut Grid, task: i64) -> Vec<Value> {
    let told = grid.ask(CLIENT, json!({"type": "GET_TASK", "data": {"task_id": task}}));
    told["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].clone()).collect()
}

/// While its claim was on the way to the disk, the process was denied. TASK left for it all the same, and the attempt was
/// charged, though it was known that nobody would run it.
#[test]
fn a_claim_for_a_process_that_was_denied_meanwhile_costs_nothing() {
    let mut grid = Grid::new();
    let with_two_slots = |instance| {
        let mut entry = process(instance);
        entry["capacity"] = json!(2);
        entry
    };
    grid.register(with_two_slots("old"));
    grid.post("first");
    let first = grid.task(WORKER);
    grid.disk_is_slow = true;
    grid.send(CLIENT, json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "second"}}));
    grid.send(WORKER, rejected(&first, "new"));
    grid.take(WORKER);
    grid.disk_catches_up();
    assert!(grid.tasks(WORKER).is_empty());
    grid.register(with_two_slots("new"));
    let sent = grid.tasks(WORKER);
    let second = sent.iter().find(|task| task["data"]["id"] == 2).unwrap();
    assert_eq!((&second["attempt"], &second["instance"]), (&json!(1), &json!("new")));
}

/// A new container had registered, and its name still led to the old one, which was stopping. That one's denial was taken
/// for news of the new one: it was held for gone, and the attempt was charged.
#[test]
fn a_name_that_leads_to_the_process_before_costs_nothing() {
    let (named, before, after) = ("worker-reverse:6000", "172.18.0.5:6000", "172.18.0.9:6000");
    let mut grid = Grid::new();
    grid.dns = vec![(named.to_owned(), Some(before.parse().unwrap()))];
    for instance in ["old", "new"] {
        grid.register(json!({"address": named, "types": ["reverse"], "capacity": 1, "instance": instance}));
    }
    let id = grid.post("x");
    let mut denied = 0;
    for _ in 0..1_000 {
        denied += deny_all(&mut grid, before, "old");
        grid.advance(Duration::from_millis(10));
    }
    assert!((1..=11).contains(&denied), "asked {denied} times in ten seconds");
    grid.dns = vec![(named.to_owned(), Some(after.parse().unwrap()))];
    grid.advance(Duration::from_secs(2));
    let task = grid.tasks(after).pop().expect("TASK has found the new container");
    assert_eq!((&task["attempt"], &task["instance"]), (&json!(1), &json!("new")));
    assert!(outcomes(&mut grid, id).iter().all(|outcome| outcome != "worker_lost"));
}

/// The dispatcher had not known of the process before, so it believed what that one said. What the name service lists
/// is tried again after a while: no worker is lost for good by what a stranger said of it.
#[test]
fn a_worker_that_was_denied_wrongly_gets_tasks_again() {
    let mut grid = Grid::new();
    grid.register(process("new"));
    grid.post("x");
    let task = grid.task(WORKER);
    grid.send(WORKER, rejected(&task, "old"));
    grid.advance(Duration::from_secs(14));
    assert!(grid.tasks(WORKER).is_empty());
    grid.advance(Duration::from_secs(2));
    assert_eq!(grid.task(WORKER)["instance"], "new");
}
