//! Handlers that are executables, run as real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use taskgrid_protocol::Json;
use taskgrid_protocol::body::Failure;
use tokio::time::timeout;

use crate::handlers::executable::{Executable, Speech};
use crate::handlers::{LongHandler, Run};
use crate::machine::Task;

use super::{LONG, exists, gone, run, task, until, warden};

/// The executable handler that does what its type says.
fn shell() -> Executable {
    executable(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers/tests/shell"), Speech::Json)
}

fn executable(file: PathBuf, speech: Speech) -> Executable {
    Executable { file, speech, warden: warden() }
}

async fn result(task_type: &str) -> String {
    run(&shell(), task(task_type, r#"{"a": [1]}"#)).await.unwrap().get().to_owned()
}

async fn failure(task_type: &str) -> Failure {
    run(&shell(), task(task_type, "null")).await.unwrap_err()
}

#[tokio::test]
async fn an_executable_gets_the_payload_and_its_output_is_the_result() {
    assert_eq!(result("echo").await, r#"{"a": [1]}"#);
    assert_eq!(result("json").await, r#"{"answer": 42}"#);
    assert_eq!(result("text").await, r#""two words""#);
    assert_eq!(result("blank").await, r#""""#);
    assert_eq!(result("deaf").await, r#""done""#);
}

#[tokio::test]
async fn an_executable_is_told_the_fencing_values_and_nothing_in_arguments() {
    assert_eq!(result("told").await, r#""42 3 lease-a""#);
    assert_eq!(result("arguments").await, "0");
}

#[tokio::test]
async fn an_executable_that_fails_says_why_in_its_last_words() {
    let failed = failure("fail").await;
    assert_eq!(failed.message, "exit code 3: first the details\nthen the reason");
    assert!(failed.retry && failed.code == "FAILED");
    let refused = failure("refuse").await;
    assert_eq!(refused.message, "exit code 65: no such month");
    assert!(!refused.retry && refused.code == "BAD_PAYLOAD");
    let crashed = failure("crash").await;
    assert_eq!(crashed.message, "killed by signal 9");
    assert!(crashed.retry);
    let noisy = failure("noise").await;
    assert!(noisy.message.ends_with("the reason") && noisy.message.len() < 4_096);
}

#[tokio::test]
async fn output_that_is_too_long_or_no_text_is_no_result() {
    for endless in ["flood", "yes", "stubborn_yes"] {
        let flood = failure(endless).await;
        assert!(!flood.retry && flood.code == "RESULT_TOO_LARGE");
    }
    assert!(failure("binary").await.message.contains("UTF-8"));
}

#[tokio::test]
async fn an_executable_that_cannot_be_started_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("thumbnail");
    fs::write(&file, "#!/nowhere/interpreter\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let failed = run(&executable(file.clone(), Speech::Json), task("thumbnail", "1")).await.unwrap_err();
    assert!(failed.retry && failed.message.starts_with("cannot start thumbnail: "), "{}", failed.message);
    assert_eq!(failed.code, "FAILED");
    fs::remove_file(&file).unwrap();
    let away = run(&executable(file, Speech::Json), task("thumbnail", "1")).await.unwrap_err();
    assert_eq!(away.code, "UNKNOWN_TYPE");
}

#[tokio::test]
async fn what_a_handler_leaves_behind_ends_with_it() {
    let left: u32 = result("litter").await.parse().unwrap();
    gone(left).await;
}

#[tokio::test]
async fn a_stopped_handler_is_gone_with_all_that_it_has_started() {
    let dir = tempfile::tempdir().unwrap();
    let (run, line) = Run::new(hang(dir.path()));
    let running = tokio::spawn(shell().run(run));
    let (leader, child) = processes(dir.path()).await;
    line.stop.send(true).unwrap();
    let outcome = timeout(LONG, running).await.expect("the handler ends").unwrap();
    assert!(outcome.is_err());
    assert!(!exists(leader), "it was reaped");
    gone(child).await;
}

#[tokio::test]
async fn a_dropped_handler_is_gone_too() {
    let dir = tempfile::tempdir().unwrap();
    let (run, _line) = Run::new(hang(dir.path()));
    let running = tokio::spawn(shell().run(run));
    let (leader, child) = processes(dir.path()).await;
    running.abort();
    gone(leader).await;
    gone(child).await;
}

fn hang(dir: &Path) -> Task {
    task("hang", Json::string(dir.join("processes").to_str().unwrap()).get())
}

/// The numbers that the handler has written: its own, and that of what it has started.
async fn processes(dir: &Path) -> (u32, u32) {
    let written = until(|| fs::read_to_string(dir.join("processes")).ok()).await;
    let mut numbers = written.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn an_executable_may_speak_bare_text() {
    let cat = executable("/bin/cat".into(), Speech::Text);
    for (payload, expected) in
        [(r#""two\nlines\n""#, r#""two\nlines""#), (r#""42""#, r#""42""#), (r#"{"a":1}"#, r#""{\"a\":1}""#)]
    {
        assert_eq!(run(&cat, task("it", payload)).await.unwrap().get(), expected);
    }
}

#[tokio::test]
async fn what_ignores_the_request_to_stop_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let payload = Json::string(dir.path().join("processes").to_str().unwrap());
    let (run, line) = Run::new(task("stubborn", payload.get()));
    let running = tokio::spawn(shell().run(run));
    let (leader, child) = processes(dir.path()).await;
    line.stop.send(true).unwrap();
    assert!(timeout(LONG, running).await.unwrap().unwrap().is_err());
    assert!(!exists(leader));
    gone(child).await;
}
