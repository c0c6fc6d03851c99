//! Handlers that are files, run as real processes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taskgrid_protocol::body::Failure;
use taskgrid_protocol::{Json, Lease, TaskId, TaskType};
use tokio::time::{interval, timeout};

use crate::handlers::directory::find_python;
use crate::handlers::process::Program;
use crate::handlers::{LongHandler, Run};
use crate::machine::{Outcome, Task};

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(30);

fn task(task_type: &str, payload: &str) -> Task {
    Task {
        id: TaskId(42),
        task_type: TaskType::new(task_type).unwrap(),
        payload: Json::parse(payload).unwrap(),
        attempt: 3,
        lease: Some(Lease::new("lease-a").unwrap()),
    }
}

/// The executable handler that does what its type says.
fn shell() -> Program {
    Program::Executable(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers/tests/shell"))
}

async fn run(program: &Program, task: Task) -> Outcome {
    let (run, _line) = Run::new(task);
    timeout(LONG, program.run(run)).await.expect("the handler ends")
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
    let flood = failure("flood").await;
    assert!(!flood.retry && flood.code == "RESULT_TOO_LARGE");
    assert!(failure("binary").await.message.contains("UTF-8"));
}

#[tokio::test]
async fn an_executable_that_cannot_be_started_is_tried_again() {
    let gone = Program::Executable("/nowhere/thumbnail".into());
    let failed = run(&gone, task("thumbnail", "1")).await.unwrap_err();
    assert!(failed.retry && failed.message.starts_with("cannot start thumbnail: "), "{}", failed.message);
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

async fn gone(process: u32) {
    until(|| (!is_running(process)).then_some(())).await;
}

fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// A zombie does not run: whoever adopted it may reap it when it likes.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Asks again and again, until there is an answer.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let mut pace = interval(Duration::from_millis(5));
    let asked = async {
        loop {
            pace.tick().await;
            if let Some(answer) = ask() {
                return answer;
            }
        }
    };
    timeout(LONG, asked).await.expect("it comes to pass")
}

/// Runs `source` as a Python file over `payload`. `None`, and a line that says so, where there is no Python.
async fn python(source: &str, payload: &str) -> Option<Outcome> {
    let Some(python) = find_python() else {
        // Past the test harness, which would swallow it.
        writeln!(std::io::stderr(), "python3 is not installed: its handlers are NOT tested").unwrap();
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("it.py");
    fs::write(&file, source).unwrap();
    fs::write(dir.path().join("neighbour.py"), "greeting = 'hello'\n").unwrap();
    // Must not be what `import json` finds.
    fs::write(dir.path().join("json.py"), "raise Exception('the wrong json')\n").unwrap();
    let outcome = run(&Program::Python { python, file }, task("it", payload)).await;
    let written: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(written.len(), 3, "nothing is written beside the handlers");
    Some(outcome)
}

async fn python_result(source: &str, payload: &str, expected: &str) {
    if let Some(outcome) = python(source, payload).await {
        assert_eq!(outcome.unwrap().get(), expected);
    }
}

/// Asserts that it fails with words that hold `expected`.
async fn python_failure(source: &str, expected: &[&str], retry: bool) {
    if let Some(outcome) = python(source, "null").await {
        let failure = outcome.unwrap_err();
        assert_eq!(failure.retry, retry, "{}", failure.message);
        for words in expected {
            assert!(failure.message.contains(words), "{}", failure.message);
        }
    }
}

#[tokio::test]
async fn a_python_file_returns_any_json() {
    python_result("def handle(payload):\n    return payload[::-1]\n", r#""OpenAI""#, r#""IAnepO""#).await;
    python_result(
        "def handle(payload):\n    return payload\n",
        r#"{"ä":[1,2.5,null,true]}"#,
        r#"{"ä":[1,2.5,null,true]}"#,
    )
    .await;
    python_result("def handle(payload):\n    pass\n", "1", "null").await;
}

#[tokio::test]
async fn what_a_python_file_prints_is_not_its_result() {
    let source = "import os\nprint('loading')\ndef handle(payload):\n    print('busy')\n    os.system('echo more')\n    return 7\n";
    python_result(source, "1", "7").await;
}

#[tokio::test]
async fn a_python_file_may_import_its_neighbours_and_none_takes_a_standard_name() {
    let source = "import json, neighbour\ndef handle(payload):\n    return neighbour.greeting\n";
    python_result(source, "1", r#""hello""#).await;
}

#[tokio::test]
async fn a_python_exception_is_a_failure_with_its_place() {
    let source = "def handle(payload):\n    return deeper()\ndef deeper():\n    raise ValueError('no luck')\n";
    python_failure(source, &["ValueError: no luck\n", "it.py\", line 4, in deeper"], true).await;
    python_failure("def handle(payload)\n", &["SyntaxError: ", "it.py, line 1"], true).await;
    python_failure("import nosuchmodule\n", &["ModuleNotFoundError: No module named 'nosuchmodule'"], true).await;
}

#[tokio::test]
async fn a_python_file_says_what_is_wrong_with_it() {
    python_failure("handler = 1\n", &["it.py has no function handle(payload)"], true).await;
    python_failure("def handle(payload):\n    return {1, 2}\n", &["TypeError", "set"], true).await;
    python_failure("def handle(payload):\n    return float('nan')\n", &["ValueError"], true).await;
    python_failure("def handle(payload):\n    return '\\ud800'\n", &["UnicodeEncodeError"], true).await;
    let deep = "def handle(payload):\n    for _ in range(40): payload = [payload]\n    return payload\n";
    python_failure(deep, &["nested deeper than 32"], true).await;
    python_failure("import os\ndef handle(payload):\n    os._exit(0)\n", &["before handle returned"], true).await;
}

#[tokio::test]
async fn a_python_file_may_exit_as_an_executable_does() {
    python_failure("import sys\ndef handle(payload):\n    sys.exit(65)\n", &["exit code 65"], false).await;
    python_failure("import sys\ndef handle(payload):\n    sys.exit('no luck')\n", &["exit code 1: no luck"], true)
        .await;
}
