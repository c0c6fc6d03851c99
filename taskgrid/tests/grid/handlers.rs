//! Handler files in a running worker: they come, change, break, go, and misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{Grid, Process, eventually, is_installed, post, skipped};

/// A worker that serves the files of a directory.
struct Rig {
    grid: Grid,
    handlers: TempDir,
}

impl Rig {
    fn start(files: &[(&str, &str)], args: &[&str]) -> Self {
        let handlers = tempfile::tempdir().unwrap();
        let mut grid = Grid::without_workers();
        for (name, text) in files {
            put(handlers.path(), name, text);
        }
        let directory = handlers.path().to_str().unwrap();
        // The lease of the dispatcher, since some handlers run for longer.
        grid.add_worker(&[&["--handlers", directory, "--lease", "3"], args].concat());
        Self { grid, handlers }
    }

    fn put(&self, name: &str, text: &str) {
        put(self.handlers.path(), name, text);
    }

    fn worker_says(&mut self, words: &str) {
        self.grid.workers[0].process.line_with(words);
    }

    /// What a task that may be tried once only comes to: its error.
    fn error(&self, task_type: &str, payload: &str) -> Value {
        let output = self.grid.run(&[
            "submit",
            task_type,
            payload,
            "--max-attempts",
            "1",
            "--timeout",
            "20",
            "--wait",
            "--output",
            "json",
        ]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        json(&output)["error"].clone()
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// In one step, as careful people do, so that no half of a file is ever seen.
fn put(dir: &Path, name: &str, text: &str) {
    let scratch = dir.join(format!(".{name}"));
    fs::write(&scratch, text).unwrap();
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(scratch, dir.join(name)).unwrap();
}

fn is_running(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

const GREET: &str = "def handle(payload):\n    return 'Hello, ' + payload\n";

#[test]
fn a_file_that_is_dropped_in_is_a_type_and_a_changed_one_is_loaded_anew() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let mut rig = Rig::start(&[], &[]);
    rig.put("greet.py", GREET);
    rig.worker_says("'greet' is served by a file");
    assert_eq!(rig.grid.submit_and_wait("greet", "Ada"), "Hello, Ada");
    rig.put("greet.py", &GREET.replace("Hello", "Goodbye"));
    eventually("the new greeting", || (rig.grid.submit_and_wait("greet", "Ada") == "Goodbye, Ada").then_some(()));
    fs::remove_file(rig.handlers.path().join("greet.py")).unwrap();
    rig.worker_says("the file of 'greet' is gone");
    let waiting = rig.grid.submit("greet", "Ada");
    rig.put("greet.py", GREET);
    assert_eq!(rig.grid.result(&waiting), "Hello, Ada");
}

#[test]
fn a_file_with_a_mistake_is_named_and_its_tasks_wait_until_it_is_mended() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let mut rig = Rig::start(&[("greet.py", GREET), ("part.py", "def handle(payload)\n")], &[]);
    rig.worker_says("\"part.py\" is no handler: SyntaxError in line 1: expected ':'; mend it");
    let waiting = rig.grid.submit("part", "Ada");
    assert_eq!(rig.grid.submit_and_wait("greet", "Ada"), "Hello, Ada");
    rig.put("part.py", &GREET.replace("Hello", "Goodbye"));
    assert_eq!(rig.grid.result(&waiting), "Goodbye, Ada");
    let attempt = rig.grid.sqlite3(&format!("select attempt from tasks where id = {waiting}"));
    assert!(attempt.is_none_or(|attempt| attempt == "1"), "the mistake has cost no attempt");
}

/// Between two looks at the directory the worker still serves a file that is gone. Its tasks failed.
#[test]
fn a_task_of_a_file_that_has_just_gone_waits_and_costs_no_attempt() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let rig = Rig::start(&[("greet.py", GREET), ("echo", "#!/bin/sh\ncat\n")], &[]);
    assert_eq!(rig.grid.submit_and_wait("echo", "here"), "here");
    fs::remove_file(rig.handlers.path().join("echo")).unwrap();
    fs::remove_file(rig.handlers.path().join("greet.py")).unwrap();
    let waiting = [rig.grid.submit("echo", "Ada"), rig.grid.submit("greet", "Ada")];
    // The first look finds both gone, the second finds them again.
    eventually("that nobody serves them", || (rig.grid.ask(&post("echo", "x"))["workers"] == 0).then_some(()));
    rig.put("echo", "#!/bin/sh\ncat\n");
    rig.put("greet.py", GREET);
    assert_eq!(waiting.each_ref().map(|task| rig.grid.result(task)), ["Ada", "Hello, Ada"]);
    let attempts =
        rig.grid.sqlite3(&format!("select group_concat(attempt) from tasks where id in ({})", waiting.join(",")));
    assert!(attempts.is_none_or(|attempts| attempts == "1,1"), "they have cost no other attempt");
}

#[test]
fn no_change_touches_what_runs() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let slow = "import os\ndef handle(payload):\n    open(payload + '.begun', 'w').close()\n    open(payload).read()\n    return 'old'\n";
    let mut rig = Rig::start(&[("slow.py", slow)], &[]);
    let gate = rig.handlers.path().join(".gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let running = rig.grid.submit("slow", gate.to_str().unwrap());
    eventually("the handler's beginning", || rig.handlers.path().join(".gate.begun").exists().then_some(()));
    rig.put("slow.py", "def handle(payload):\n    return 'new'\n");
    rig.put("other.py", GREET);
    rig.worker_says("'other' is served by a file");
    assert_eq!(rig.grid.submit_and_wait("slow", "x"), "new");
    fs::write(&gate, "open").unwrap();
    assert_eq!(rig.grid.result(&running), "old");
}

/// Types that are no types, and names that are none.
#[test]
fn no_task_names_a_path() {
    let mut rig = Rig::start(&[("sh", "#!/bin/sh\necho never\n")], &["--types", "reverse"]);
    rig.worker_says("registered at name service");
    for task_type in ["../../bin/sh", "/bin/sh", "..", ".", "-rf", "", "a/b", "sh\0", ".hidden"] {
        assert_eq!(rig.grid.ask(&post(task_type, "x"))["code"], "BAD_REQUEST", "{task_type:?}");
    }
    let unserved = rig.grid.submit("sh", "x");
    assert_eq!(rig.grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
    let output = rig.grid.run(&["result", &unserved]);
    assert_ne!(output.status.code(), Some(0), "a type that --types leaves out is not served: {output:?}");
}

#[test]
fn whatever_a_handler_does_ends_one_attempt_and_the_worker_goes_on() {
    let files = [
        ("bomb", "#!/bin/sh\nwhile :; do sleep 600 & done\n"),
        ("flood", "#!/bin/sh\nyes\n"),
        ("deaf", "#!/bin/sh\nexec <&- >&- 2>&-\nexit 7\n"),
        ("bytes", "#!/bin/sh\nprintf '\\377\\376'\n"),
        ("nothing", "#!/nowhere/interpreter\n"),
        ("hog", "#!/bin/sh\nx=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done\n"),
    ];
    let rig = Rig::start(&files, &["--handler-memory", "256"]);
    for (task_type, code, words) in [
        ("bomb", "LIMIT_EXCEEDED", "more than 256 processes"),
        ("flood", "RESULT_TOO_LARGE", "more than"),
        ("deaf", "FAILED", "exit code 7"),
        ("bytes", "FAILED", "UTF-8"),
        ("nothing", "FAILED", "cannot start nothing"),
        ("hog", "LIMIT_EXCEEDED", "more than 256 MiB"),
    ] {
        let error = rig.error(task_type, "x");
        assert_eq!(error["code"], code, "{task_type}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{task_type}: {error}");
    }
    assert_eq!(rig.grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
}

#[test]
fn what_hangs_is_ended_by_its_time_limit() {
    let rig = Rig::start(&[("hang", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 600; done\n")], &[]);
    let output =
        rig.grid.run(&["submit", "hang", "x", "--max-attempts", "1", "--timeout", "1", "--wait", "--output", "json"]);
    assert_eq!(json(&output)["error"]["code"], "TIMEOUT");
    assert_eq!(rig.grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
}

/// It was killed as soon as the worker looked: whatever had lost its parent was taken for a handler's.
#[test]
#[cfg(target_os = "linux")]
fn a_process_that_the_worker_was_started_beside_is_left_alone() {
    let grid = Grid::without_workers();
    let handlers = tempfile::tempdir().unwrap();
    put(handlers.path(), "echo", "#!/bin/sh\ncat\n");
    let command = format!(
        "sleep 600 & echo sleeping as $!; exec {} worker --listen 127.0.0.1:0 --nameservice {} --handlers {}",
        env!("CARGO_BIN_EXE_taskgrid"),
        grid.nameservice.addr,
        handlers.path().display()
    );
    let mut worker = Process::start(std::process::Command::new("sh").args(["-c", &command]));
    let sleeper = worker.line_with("sleeping as ").split_once(" as ").unwrap().1.to_owned();
    // A daemon that is found and ended shows that the worker has looked.
    put(handlers.path(), "daemonise", DAEMONISE);
    worker.line_with("'daemonise' is served by a file");
    let daemon = grid.submit_and_wait("daemonise", "x");
    eventually("the end of the daemon", || (!is_running(&daemon)).then_some(()));
    assert!(is_running(&sleeper));
    assert!(std::process::Command::new("kill").arg(&sleeper).status().unwrap().success());
}

/// The worker killed it under the hands of its handler.
#[test]
#[cfg(target_os = "linux")]
fn a_daemon_lives_as_long_as_the_handler_that_has_started_it() {
    if !is_installed("setsid") || !is_installed("pkill") {
        return skipped("setsid or pkill");
    }
    let source = "#!/bin/sh\nsetsid -f sleep 601.5\nsleep 1.5\npkill -f -n 'sleep 601.5' && echo 'it was there'\n";
    let rig = Rig::start(&[("patient", source)], &[]);
    assert_eq!(rig.grid.submit_and_wait("patient", "x"), "it was there");
}

const DAEMONISE: &str = "#!/bin/sh\nsetsid sh -c 'echo $$; exec sleep 600' &\n";

/// A daemon has a session of its own and no parent: nothing but the worker can still find it.
#[test]
#[cfg(target_os = "linux")]
fn a_daemon_that_a_handler_leaves_is_found_and_ended() {
    if !is_installed("setsid") {
        return skipped("setsid");
    }
    let rig = Rig::start(&[("daemonise", DAEMONISE)], &[]);
    let daemon = rig.grid.submit_and_wait("daemonise", "x");
    eventually("the end of the daemon", || (!is_running(&daemon)).then_some(()));
}

#[test]
fn a_handler_and_what_it_has_started_end_with_a_worker_that_is_killed() {
    let hang = "#!/bin/sh\n# taskgrid: text\nread -r file || true\nsleep 600 &\necho \"$$ $!\" >$file.new\nmv $file.new $file\nwait\n";
    let mut rig = Rig::start(&[("hang", hang)], &[]);
    let file = rig.handlers.path().join(".pid");
    rig.grid.submit("hang", file.to_str().unwrap());
    let numbers = eventually("the handler's numbers", || fs::read_to_string(&file).ok());
    assert!(numbers.split_whitespace().all(is_running));
    rig.grid.workers[0].process.kill();
    eventually("the end of both", || (!numbers.split_whitespace().any(is_running)).then_some(()));
}

#[test]
fn a_cancelled_task_stops_its_handler() {
    let hang = "#!/bin/sh\nread -r file\nfile=${file#\\\"}; file=${file%\\\"}\ntrap 'mv $file $file.cleaned; exit' TERM\necho $$ >$file\nwhile :; do sleep 0.1; done\n";
    let rig = Rig::start(&[("hang", hang)], &[]);
    let file = rig.handlers.path().join(".pid");
    let task = rig.grid.submit("hang", file.to_str().unwrap());
    eventually("the handler's beginning", || file.exists().then_some(()));
    assert!(rig.grid.run(&["cancel", &task]).status.success());
    eventually("the handler's cleaning up", || rig.handlers.path().join(".pid.cleaned").exists().then_some(()));
}

/// Starts a handler that tells its progress and then waits until it may read `gate`; asserts that the progress is shown.
fn progress_is_shown(name: &str, source: &str) {
    let rig = Rig::start(&[(name, source)], &[]);
    let gate = rig.handlers.path().join(".gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let task = rig.grid.submit("slow", gate.to_str().unwrap());
    let shown = eventually("the progress", || {
        let shown = String::from_utf8(rig.grid.run(&["show", &task]).stdout).unwrap();
        shown.contains("two of five").then_some(shown)
    });
    assert!(shown.contains("40 %"), "{shown}");
    fs::write(&gate, "open").unwrap();
    assert_eq!(rig.grid.result(&task), "open");
}

#[test]
fn a_python_handler_tells_its_progress_while_it_runs() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let source = "import taskgrid\ndef handle(payload):\n    taskgrid.progress(0.4, 'two of five')\n    return open(payload).read()\n";
    progress_is_shown("slow.py", source);
}

#[test]
fn an_executable_tells_its_progress_on_descriptor_3() {
    let source = "#!/bin/sh\n# taskgrid: text\nread -r file || true\necho '0.4 two of five' >&3\necho nonsense >&3\ncat \"$file\"\n";
    progress_is_shown("slow", source);
}
