//! Exit codes: 0 fine, 1 the task failed, 2 wrong usage, 3 refused, 4 unknown.

use taskgrid_protocol::Json;
use taskgrid_protocol::body::PingReply;

use super::*;

#[test]
fn a_stored_task_prints_its_number_and_a_finished_one_its_result() {
    let grid = grid();
    let ran = run(&grid, &["submit", "reverse", "OpenAI"]);
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Fine, "1\n", ""));
    let ran = run(&grid, &["submit", "reverse", "OpenAI", "--wait"]);
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Fine, "IAnepO\n", ""));
    let ran = run(&grid, &["result", "1"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Fine, "IAnepO\n"));
}

#[test]
fn a_failed_or_cancelled_task_gives_its_reason_and_exits_1() {
    let grid = grid();
    let ran = run(&grid, &["submit", "failing", "x", "--wait"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::TaskFailed, ""));
    assert_eq!(ran.err, "Task 2 failed after 3 attempts: no such file (NO_FILE)\n");
    let ran = run(&grid, &["result", "3"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::TaskFailed, "Task 3 was cancelled.\n"));
}

#[test]
fn a_refusal_exits_3() {
    let grid = grid();
    let ran = run(&grid, &["result", "99"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Refused, "Refused: Task not found (NOT_FOUND).\n"));
    let ran = run(&grid, &["cancel", "1"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Refused, "Refused: it is done (ALREADY_ENDED).\n"));
    assert_eq!(run(&grid, &["show", "99"]).exit, Exit::Refused);
    let ran = run(&grid, &["submit", "hash", &"x".repeat(50_000)]);
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("TOO_LARGE"), "{}", ran.err);
}

#[test]
fn no_result_yet_exits_4() {
    let grid = grid();
    for line in [&["result", "4"][..], &["result", "4", "--wait", "0.2"]] {
        let ran = run(&grid, line);
        assert_eq!((ran.exit, ran.err.as_str()), (Exit::Unknown, "Task 4 has no result yet: it is pending.\n"));
    }
}

#[test]
fn no_answer_exits_4_and_names_the_key_to_ask_again_with() {
    let silent = FakeDispatcher::silent();
    for wait in [&[][..], &["--wait"]] {
        let line = [&["submit", "reverse", "x", "--key", "my key", "--deadline", "0.3"], wait].concat();
        let ran = run(&silent, &line);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Unknown, ""));
        assert!(ran.err.contains("no answer from 127.0.0.1:"), "{}", ran.err);
        assert!(ran.err.contains("may be stored, or not. Submit it again with --key 'my key'"), "{}", ran.err);
    }
    let ran = run(&silent, &["submit", "reverse", "x", "--deadline", "0.3"]);
    let Body::PostTask(sent) = &silent.received().last().unwrap().body.clone() else { panic!() };
    assert!(ran.err.contains(&format!("--key {}", sent.key.as_ref().unwrap())), "{}", ran.err);
    for verb in ["list", "workers", "stats", "ping"] {
        assert_eq!(run(&silent, &[verb, "--deadline", "0.2"]).exit, Exit::Unknown, "{verb}");
    }
}

#[test]
fn a_task_that_is_stored_stays_stored_when_the_wait_is_cut_off() {
    let forgetful = FakeDispatcher::start(|body| match body {
        Body::PostTask(_) => vec![stored(7, Some(1))],
        _ => Vec::new(),
    });
    let ran = run(&forgetful, &["submit", "reverse", "x", "--wait", "--deadline", "0.5"]);
    assert_eq!(ran.exit, Exit::Unknown);
    assert!(ran.err.contains("Task 7 is stored."), "{}", ran.err);
    assert!(!ran.err.contains("--key"), "there is no doubt about the task: {}", ran.err);
}

#[test]
fn wrong_usage_exits_2_without_a_word_to_the_dispatcher() {
    let grid = grid();
    let ran = run(&grid, &["submit", "sum", "[1,", "--json"]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.starts_with("error: the payload is not JSON"), "{}", ran.err);
    let ran = Place::default().run_words(&["taskgrid", "stats", "--dispatcher", "localhost"]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("write HOST:PORT"), "{}", ran.err);
    assert!(grid.received().is_empty());
}

#[test]
fn orders_say_where_the_task_stands_now() {
    let grid = grid();
    let ran = run(&grid, &["cancel", "4"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Fine, "Task 4 is cancelled.\n"));
    let ran = run(&grid, &["retry", "2"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Fine, "Task 2 is pending.\n"));
}

#[test]
fn ping_asks_any_server() {
    let grid = grid();
    let ran = Place::default().run_words(&["taskgrid", "ping", &grid.address()]);
    assert_eq!(ran.exit, Exit::Fine);
    assert!(ran.out.starts_with("dispatcher 0."), "{}", ran.out);
}

#[test]
fn standard_input_is_sent_as_it_is() {
    let grid = grid();
    let place = Place { input: "two\nlines\n", ..Place::default() };
    assert_eq!(place.run(&grid, &["submit", "hash", "-"]).exit, Exit::Fine);
    let place = Place { input: " [1, 2.50]\n", ..Place::default() };
    assert_eq!(place.run(&grid, &["submit", "sum", "-", "--json"]).exit, Exit::Fine);
    assert_eq!(run(&grid, &["submit", "wait", "-5"]).exit, Exit::Fine);
    let payloads: Vec<Json> = grid
        .received()
        .into_iter()
        .filter_map(|received| match received.body {
            Body::PostTask(post) => Some(post.payload),
            _ => None,
        })
        .collect();
    assert_eq!(payloads.iter().map(Json::get).collect::<Vec<_>>(), [r#""two\nlines\n""#, "[1, 2.50]", "\"-5\""]);
    let endless = "x".repeat(1_000_000);
    let place = Place { input: &endless, ..Place::default() };
    assert_eq!(place.run(&grid, &["submit", "hash", "-"]).exit, Exit::Refused);
}

#[test]
fn a_type_that_nobody_serves_is_told_at_once_with_those_that_are() {
    let grid = grid();
    for task_type in ["unserved", "unsearched"] {
        let ran = run(&grid, &["submit", task_type, "x"]);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Fine, "4\n"));
        let expected = format!("Nobody serves the type '{task_type}'; served are: hash, reverse, upper.");
        assert!(ran.err.starts_with(&expected), "{}", ran.err);
    }
}

#[test]
fn bench_checks_every_result() {
    let honest = reversing(|_| true);
    let ran = run(&honest, &["bench", "--tasks", "500", "--in-flight", "16"]);
    assert_eq!(ran.exit, Exit::Fine, "{}", ran.err);
    assert!(ran.out.starts_with("500 tasks in") && ran.out.contains("p99"), "{}", ran.out);
    let lying = reversing(|n| n != 77);
    let ran = run(&lying, &["bench", "--tasks", "100", "--in-flight", "4", "--output", "json"]);
    assert_eq!(ran.exit, Exit::TaskFailed);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["right"], &report["wrong"], &report["missing"]), (&json!(99), &json!(1), &json!(0)));
    assert_eq!((&report["p50_ms"], &report["max_ms"]), (&report["result"]["p50_ms"], &report["result"]["max_ms"]));
    assert!(ran.err.contains("1 wrong, 0 missing"), "{}", ran.err);
}

#[test]
fn bench_of_a_type_that_nobody_serves_measures_nothing_and_takes_its_task_back() {
    let grid = grid();
    let ran = run(&grid, &["bench", "--type", "unserved"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Refused, ""));
    let expected = "Nobody serves the type 'unserved', served are: hash, reverse, upper.";
    assert!(ran.err.starts_with(expected), "{}", ran.err);
    assert!(grid.received().iter().any(|sent| matches!(&sent.body, Body::CancelTask(task) if task.task_id.0 == 4)));
}

#[test]
fn bench_may_be_content_with_stored_tasks() {
    let grid = grid();
    let ran = run(&grid, &["bench", "--tasks", "20", "--submit-only", "--type", "unserved", "--arrays"]);
    assert_eq!(ran.exit, Exit::Fine, "{}", ran.err);
    assert!(ran.out.contains("all acknowledged"), "{}", ran.out);
    let posts = grid.received().into_iter().filter(|sent| matches!(&sent.body, Body::PostTask(_)));
    assert!(posts.clone().count() >= 20 && posts.clone().any(|sent| sent.packed));
}

#[test]
fn bench_ends_when_the_dispatcher_does() {
    let mortal = reversing_until(50);
    let ran = run(&mortal, &["bench", "--tasks", "100", "--in-flight", "4", "--deadline", "0.3"]);
    assert_eq!(ran.exit, Exit::TaskFailed);
    assert!(ran.err.contains("0 wrong, 51 missing; the first problem: no answer"), "{}", ran.err);
}

/// Reverses payloads; `honest` says of the which answers.
fn reversing(honest: impl Fn(usize) -> bool + Send + 'static) -> FakeDispatcher {
    let mut answered = 0;
    FakeDispatcher::start(move |body| {
        let Body::PostTask(post) = body else { return vec![json!({"error": "no such message", "code": "NOT_FOUND"})] };
        answered += 1;
        let text: String = post.payload.read().unwrap();
        let result: String = if honest(answered) { text.chars().rev().collect() } else { text };
        vec![stored(answered as i64, Some(1)), json!({"result": result, "status": "done"})]
    })
}

/// The same, silent for ever after so many answers.
fn reversing_until(last: usize) -> FakeDispatcher {
    let mut answered = 0;
    FakeDispatcher::start(move |body| {
        answered += 1;
        match body {
            Body::PostTask(post) if answered <= last => {
                let text: String = post.payload.read().unwrap();
                let result: String = text.chars().rev().collect();
                vec![stored(answered as i64, Some(1)), json!({"result": result, "status": "done"})]
            }
            _ => Vec::new(),
        }
    })
}

#[test]
fn a_dispatcher_that_says_later_is_not_called_silent() {
    let full = FakeDispatcher::start(|request| match request {
        Body::Ping(_) => vec![serde_json::to_value(PingReply::of("dispatcher")).unwrap()],
        _ => vec![json!({"error": "the queue is full", "code": "QUEUE_FULL", "retry_after_ms": 200})],
    });
    let ran = run(&full, &["submit", "reverse", "x", "--deadline", "4"]);
    assert!(ran.err.contains("is there, but has not answered") && !ran.err.contains("taskgrid up"), "{}", ran.err);
    assert!(ran.err.contains("the queue is full"), "{}", ran.err);
    // Where a busy machine was so slow that a copy was sent again, an earlier one may have been stored.
    assert!(matches!(ran.exit, Exit::Refused | Exit::Unknown), "{:?}", ran.exit);
}

/// A dispatcher whose database is locked, or whose answers get lost, answers PING and not the request. The user
/// was told that it has too little space or too much to do, and looked for the cause where it was not.
#[test]
fn a_dispatcher_that_is_there_and_does_not_answer_is_given_no_reason() {
    let silent = FakeDispatcher::start(|request| match request {
        Body::Ping(_) => vec![serde_json::to_value(PingReply::of("dispatcher")).unwrap()],
        _ => Vec::new(),
    });
    let ran = run(&silent, &["submit", "reverse", "x", "--deadline", "4"]);
    assert!(ran.err.contains("is there, but has not answered this yet"), "{}", ran.err);
    assert!(!ran.err.contains("space") && !ran.err.contains("taskgrid up"), "{}", ran.err);
}
