//! Handlers that are Python files, run in real interpreters.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use taskgrid_protocol::body::Failure;
use tempfile::TempDir;

use crate::handlers::Room;
use crate::handlers::directory::find_python;
use crate::handlers::python::{Pool, Script};
use crate::machine::Outcome;

use super::{BOUNDS, gone, run, task, warden};

/// One task at a time, and one interpreter that waits.
const ROOM: Room = Room { slots: 1, idle: 1, bounds: BOUNDS };

/// A Python file `it.py`, and its interpreters.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) script: Script,
}

/// `None`, and a line that says so, where there is no Python.
pub(super) fn rig(source: &str) -> Option<Rig> {
    let Some(python) = find_python() else {
        // Past the test harness, which would swallow it.
        writeln!(std::io::stderr(), "python3 is not installed: its handlers are NOT tested").unwrap();
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("it.py");
    fs::write(&file, source).unwrap();
    fs::write(dir.path().join("neighbour.py"), "greeting = 'hello'\n").unwrap();
    // Must not be what `import json` finds.
    fs::write(dir.path().join("json.py"), "raise Exception('the wrong json')\n").unwrap();
    let pool = Arc::new(Pool::new(warden(), ROOM));
    Some(Rig { dir, script: Script { file, python, pool } })
}

impl Rig {
    pub(super) async fn run(&self, payload: &str) -> Outcome {
        run(&self.script, task("it", payload)).await
    }

    pub(super) async fn result(&self, payload: &str) -> String {
        self.run(payload).await.unwrap().get().to_owned()
    }

    pub(super) async fn failure(&self, payload: &str) -> Failure {
        self.run(payload).await.unwrap_err()
    }
}

/// Asserts what `source` returns for a payload.
pub(super) async fn returns(source: &str, payload: &str, expected: &str) {
    let Some(rig) = rig(source) else { return };
    assert_eq!(rig.result(payload).await, expected);
    let written: Vec<_> = fs::read_dir(rig.dir.path()).unwrap().collect();
    assert_eq!(written.len(), 3, "nothing is written beside the handlers");
}

/// Asserts that it fails with words that hold `expected`.
pub(super) async fn fails(source: &str, expected: &[&str], retry: bool) {
    let Some(rig) = rig(source) else { return };
    let failure = rig.failure("null").await;
    assert_eq!(failure.retry, retry, "{}", failure.message);
    for words in expected {
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_python_file_returns_any_json() {
    returns("def handle(payload):\n    return payload[::-1]\n", r#""OpenAI""#, r#""IAnepO""#).await;
    returns("def handle(payload):\n    return payload\n", r#"{"ä":[1,2.5,null,true]}"#, r#"{"ä":[1,2.5,null,true]}"#)
        .await;
    returns("def handle(payload):\n    pass\n", "1", "null").await;
}

#[tokio::test]
async fn what_a_python_file_prints_is_not_its_result_and_it_reads_nothing() {
    let source = "import os, sys\nprint('loading')\ndef handle(payload):\n    print('busy')\n    os.system('echo more; cat')\n    return sys.stdin.read() + os.read(0, 9).decode()\n";
    returns(source, "1", r#""""#).await;
}

#[tokio::test]
async fn a_python_file_may_import_its_neighbours_and_none_takes_a_standard_name() {
    let source = "import json, neighbour\ndef handle(payload):\n    return neighbour.greeting\n";
    returns(source, "1", r#""hello""#).await;
}

#[tokio::test]
async fn a_python_exception_is_a_failure_with_its_place() {
    let source = "def handle(payload):\n    return deeper()\ndef deeper():\n    raise ValueError('no luck')\n";
    fails(source, &["ValueError: no luck\n", "it.py\", line 4, in deeper"], true).await;
    fails("def handle(payload)\n", &["SyntaxError: ", "it.py, line 1"], true).await;
    fails("import nosuchmodule\n", &["ModuleNotFoundError: No module named 'nosuchmodule'"], true).await;
    fails("def handle(payload):\n    return handle(payload)\n", &["RecursionError"], true).await;
}

#[tokio::test]
async fn a_python_file_says_what_is_wrong_with_it() {
    fails("handler = 1\n", &["it.py has no function handle(payload)"], true).await;
    fails("import os\ndef handle(payload):\n    os._exit(0)\n", &["before handle returned"], true).await;
    fails("def handle(payload):\n    return 'x' * 10_000_000\n", &["10000002 bytes, the limit is"], false).await;
    fails("import os\ndef handle(payload):\n    os.closerange(0, 64)\n", &["exit code"], true).await;
}

#[tokio::test]
async fn a_python_file_may_exit_as_an_executable_does() {
    let refuses = "import sys\ndef handle(payload):\n    print('no such month', file=sys.stderr)\n    sys.exit(65)\n";
    fails(refuses, &["exit code 65: no such month"], false).await;
    fails("import sys\ndef handle(payload):\n    sys.exit('no luck')\n", &["exit code 1: no luck"], true).await;
    fails("import sys\ndef handle(payload):\n    sys.exit()\n", &["exited before handle returned"], true).await;
    fails("import os\ndef handle(payload):\n    os._exit(3)\n", &["exit code 3"], true).await;
    fails("import os\ndef handle(payload):\n    os.abort()\n", &["killed by signal 6"], true).await;
}

#[tokio::test]
async fn a_python_file_fails_for_good_by_raising_permanent() {
    let source = "import taskgrid\nclass Hopeless(taskgrid.Permanent): pass\ndef handle(payload):\n    raise Hopeless('no such month')\n";
    fails(source, &["Hopeless: no such month", "it.py\", line 4"], false).await;
}

/// Returns the number of its process and how many tasks that has run.
pub(super) const COUNTS: &str = "\
import os
count = 0
def handle(payload):
    global count
    count += 1
    if payload: exec(payload)
    return [os.getpid(), count]
";

pub(super) fn pid_and_count(result: &str) -> (u32, u32) {
    serde_json::from_str(result).unwrap()
}

#[tokio::test]
async fn an_interpreter_is_kept_for_the_next_task() {
    let Some(rig) = rig(COUNTS) else { return };
    let (first, _) = pid_and_count(&rig.result("null").await);
    let failure = rig.failure(r#""raise ValueError('no luck')""#).await;
    assert!(failure.message.starts_with("ValueError"));
    assert!(rig.failure(r#""import sys; sys.exit(3)""#).await.message.starts_with("exit code 3"));
    assert_eq!(pid_and_count(&rig.result("null").await), (first, 4));
}

#[tokio::test]
async fn a_crash_ends_one_attempt_and_the_next_has_a_new_interpreter() {
    let Some(rig) = rig(COUNTS) else { return };
    let (first, _) = pid_and_count(&rig.result("null").await);
    assert!(rig.failure(r#""os.kill(os.getpid(), 9)""#).await.message.contains("killed by signal 9"));
    let (second, count) = pid_and_count(&rig.result("null").await);
    assert!(second != first && count == 1);
}

#[tokio::test]
async fn an_interpreter_that_leaves_processes_behind_ends_with_them() {
    let Some(rig) = rig("import subprocess\ndef handle(payload):\n    return subprocess.Popen(['sleep', '600']).pid\n")
    else {
        return;
    };
    gone(rig.result("null").await.parse().unwrap()).await;
}

#[tokio::test]
async fn one_that_forks_answers_once() {
    let Some(rig) = rig("import os\ndef handle(payload):\n    return 'child' if os.fork() == 0 else 'parent'\n") else {
        return;
    };
    assert_eq!(rig.result("null").await, r#""parent""#);
    assert_eq!(rig.result("null").await, r#""parent""#);
}

#[tokio::test]
async fn a_python_handler_is_told_of_its_task_each_time() {
    let source = "import os\ndef handle(payload):\n    return [os.environ['TASKGRID_' + name] for name in ('TASK_ID', 'ATTEMPT', 'LEASE', 'TYPE')]\n";
    let Some(rig) = rig(source) else { return };
    assert_eq!(rig.result("null").await, r#"["42","3","lease-a","it"]"#);
    let next = crate::machine::Task { attempt: 4, lease: None, ..task("it", "null") };
    assert_eq!(run(&rig.script, next).await.unwrap().get(), r#"["42","4","","it"]"#);
}

/// What one task had printed stood in the failure of the next.
#[tokio::test]
async fn what_a_task_prints_is_in_no_failure_of_another() {
    let source =
        "import os\ndef handle(payload):\n    if payload == 'crash': os._exit(7)\n    print('secret of', payload)\n";
    let Some(rig) = rig(source) else { return };
    for _ in 0..20 {
        rig.result(r#""another""#).await;
        assert_eq!(rig.failure(r#""crash""#).await.message, "exit code 7");
    }
}

#[tokio::test]
async fn the_last_words_before_a_crash_are_kept_though_they_were_printed() {
    fails(
        "import os\ndef handle(payload):\n    print('the reason')\n    os.abort()\n",
        &["signal 6: the reason"],
        true,
    )
    .await;
}

/// It cost the next task an attempt.
#[tokio::test]
async fn an_interpreter_that_was_killed_while_it_rested_is_replaced() {
    let Some(rig) = rig(COUNTS) else { return };
    let (first, _) = pid_and_count(&rig.result("null").await);
    assert!(std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    gone(first).await;
    assert_ne!(pid_and_count(&rig.result("null").await).0, first);
}

#[tokio::test]
async fn an_alarm_that_a_task_has_set_is_not_for_the_next() {
    let source = "\
import signal, time
def handle(payload):
    signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
    if payload: time.sleep(payload)
    else: signal.setitimer(signal.ITIMER_REAL, 0.05)
";
    let Some(rig) = rig(source) else { return };
    rig.result("null").await;
    assert_eq!(rig.result("0.2").await, "null");
}

#[tokio::test]
async fn a_handler_may_be_async_and_may_spawn_processes() {
    returns("import asyncio\nasync def handle(payload):\n    await asyncio.sleep(0)\n    return payload\n", "7", "7")
        .await;
    let source = "\
import multiprocessing
def double(x): return 2 * x
def handle(payload):
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.map(double, payload)
";
    returns(source, "[1,2]", "[2,4]").await;
}

#[tokio::test]
async fn what_a_forked_child_comes_to_is_its_exit_code() {
    let source = "\
import os, sys
def handle(payload):
    child = os.fork()
    if child == 0: exec(payload)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else None
";
    returns(source, r#""sys.exit(3)""#, "3").await;
    returns(source, r#""1 / 0""#, "1").await;
    returns(source, r#""pass""#, "0").await;
}
