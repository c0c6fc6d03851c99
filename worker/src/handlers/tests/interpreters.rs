//! The life of interpreters: what they keep from task to task, how many are kept, and how they end.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tokio::time::timeout;

use super::python::{COUNTS, Rig, fails, pid_and_count, returns, rig};
use super::{BOUNDS, LONG, exists, gone, is_running, run, task, until};
use crate::handlers::process::{Bounds, Warden};
use crate::handlers::python::{Pool, Script};
use crate::handlers::{LongHandler, Room, Run};

impl Rig {
    /// Other files of the same worker, all alike.
    fn others(&self, names: &[&str], source: &str) -> Vec<Script> {
        let script = |name: &&str| {
            let script = Script { file: self.dir.path().join(format!("{name}.py")), ..self.script.clone() };
            fs::write(&script.file, source).unwrap();
            script
        };
        names.iter().map(script).collect()
    }

    fn marker(&self) -> PathBuf {
        self.dir.path().join("marker")
    }

    fn with_room(mut self, room: Room) -> Self {
        self.script.pool = Arc::new(Pool::new(Warden::new(room.bounds), room));
        self
    }
}

async fn pid(script: &Script) -> u32 {
    pid_and_count(run(script, task("it", "null")).await.unwrap().get()).0
}

fn quoted(path: &std::path::Path) -> String {
    format!("{:?}", path.to_str().unwrap())
}

#[tokio::test]
async fn files_in_turns_keep_their_interpreters() {
    let Some(rig) = rig(COUNTS) else { return };
    let rig = rig.with_room(Room { slots: 1, idle: 8, bounds: BOUNDS });
    let scripts = rig.others(&["a", "b", "c", "d", "e", "f", "g", "h"], COUNTS);
    for turn in 1..=3 {
        for script in &scripts {
            assert_eq!(pid_and_count(run(script, task("it", "null")).await.unwrap().get()).1, turn);
        }
    }
}

#[tokio::test]
async fn where_too_many_wait_the_one_that_was_used_longest_ago_ends() {
    let Some(rig) = rig(COUNTS) else { return };
    let rig = rig.with_room(Room { slots: 1, idle: 2, bounds: BOUNDS });
    let scripts = rig.others(&["a", "b", "c"], COUNTS);
    let (first, second) = (pid(&scripts[0]).await, pid(&scripts[1]).await);
    assert_eq!(pid(&scripts[0]).await, first);
    let third = pid(&scripts[2]).await;
    gone(second).await;
    assert!(is_running(first) && is_running(third));
}

#[tokio::test]
async fn idle_interpreters_take_no_more_memory_than_tasks_may() {
    let source = "import os\nkept = bytearray(40 << 20)\ndef handle(payload):\n    return [os.getpid(), 0]\n";
    let Some(rig) = rig(source) else { return };
    let rig = rig.with_room(Room { slots: 1, idle: 8, bounds: Bounds { memory: 120 << 20, processes: 100 } });
    let watch = tokio::spawn(rig.script.pool.warden().clone().watch());
    let scripts = rig.others(&["a", "b", "c"], source);
    let mut pids = Vec::new();
    for script in &scripts {
        pids.push(pid(script).await);
    }
    until(|| rig.script.pool.takes_too_much().then_some(())).await;
    rig.script.pool.sweep();
    gone(pids[0]).await;
    assert!(is_running(pids[2]), "the last one that was used is kept");
    watch.abort();
}

/// Writes to a file when it ends as it should: through a buffer, which nobody flushes but the end of the interpreter.
const FAREWELL: &str = "\
import atexit, os
def bye(path):
    with open(path + '.new', 'w') as file: file.write('bye')
    os.rename(path + '.new', path)
def handle(payload):
    atexit.register(bye, payload)
    print('x' * 100_000)
    return [os.getpid(), 0]
";

/// It was killed, and what it had not written was lost.
#[tokio::test]
async fn interpreters_end_in_order_on_a_reload_with_time_and_with_their_worker() {
    type End = fn(&Pool);
    let ends: [End; 3] = [Pool::renew, |pool| (0..40).for_each(|_| pool.sweep()), Pool::close];
    for end in ends {
        let Some(rig) = rig(FAREWELL) else { return };
        let (process, _) = pid_and_count(&rig.result(&quoted(&rig.marker())).await);
        end(&rig.script.pool);
        timeout(LONG, rig.script.pool.ended()).await.unwrap();
        assert!(!exists(process), "not even as a zombie");
        assert_eq!(fs::read_to_string(rig.marker()).unwrap(), "bye");
    }
}

#[tokio::test]
async fn interpreters_end_in_order_after_a_task_that_leaves_processes_behind() {
    let source = format!("import subprocess\nsubprocess.Popen(['sleep', '600'])\n{FAREWELL}");
    let Some(rig) = rig(&source) else { return };
    let (process, _) = pid_and_count(&rig.result(&quoted(&rig.marker())).await);
    assert!(!exists(process));
    assert_eq!(fs::read_to_string(rig.marker()).unwrap(), "bye");
}

#[tokio::test]
async fn a_busy_interpreter_ends_in_order_after_its_task_when_the_worker_stops() {
    let source = format!(
        "{FAREWELL}old = handle\ndef handle(payload):\n    open(payload[1]).read()\n    return old(payload[0])\n"
    );
    let Some(rig) = rig(&source) else { return };
    let gate = rig.dir.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let payload = format!("[{}, {}]", quoted(&rig.marker()), quoted(&gate));
    let (given, _line) = Run::new(task("it", &payload));
    let running = tokio::spawn(rig.script.run(given));
    let open = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(gate));
    let gate = timeout(LONG, open).await.unwrap().unwrap();
    rig.script.pool.close();
    drop(gate);
    timeout(LONG, running).await.unwrap().unwrap().unwrap();
    timeout(LONG, rig.script.pool.ended()).await.unwrap();
    assert_eq!(fs::read_to_string(rig.marker()).unwrap(), "bye");
}

#[tokio::test]
async fn an_interpreter_that_does_not_end_by_itself_is_asked_and_then_killed() {
    let threads = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n";
    let deaf = "import atexit, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\natexit.register(time.sleep, 600)\n";
    for (stuck, bye) in [(threads, true), (deaf, false)] {
        let Some(rig) = rig(&format!("{FAREWELL}{stuck}")) else { return };
        let (process, _) = pid_and_count(&rig.result(&quoted(&rig.marker())).await);
        rig.script.pool.close();
        timeout(LONG, rig.script.pool.ended()).await.unwrap();
        assert!(!exists(process));
        assert_eq!(rig.marker().exists(), bye || rig.marker().exists(), "{stuck}");
        assert!(!bye || rig.marker().exists(), "{stuck}");
    }
}

#[tokio::test]
async fn changed_files_are_loaded_anew() {
    let Some(rig) = rig(COUNTS) else { return };
    let (first, _) = pid_and_count(&rig.result("null").await);
    rig.script.pool.renew();
    gone(first).await;
    assert_eq!(pid_and_count(&rig.result("null").await).1, 1);
}

/// The second task found a closed loop.
#[tokio::test]
async fn what_is_bound_to_the_event_loop_serves_the_next_task() {
    let source = "\
import asyncio
queue = None
async def more(queue):
    while True:
        await asyncio.sleep(0)
        queue.put_nowait('from a task that was left behind')
def handle(payload):
    return asyncio.run(asyncio.sleep(0, payload)) if payload else served()
async def served():
    global queue, left
    if queue is None:
        queue = asyncio.Queue()
        left = asyncio.create_task(more(queue))
    return await queue.get()
";
    let Some(rig) = rig(source) else { return };
    for payload in ["null", "null", "7", "null"] {
        let expected = if payload == "7" { "7" } else { r#""from a task that was left behind""# };
        assert_eq!(rig.result(payload).await, expected);
    }
}

#[tokio::test]
async fn a_loop_that_a_file_has_asked_for_while_it_was_loaded_is_the_one_that_runs() {
    let source = "\
import asyncio, warnings
warnings.simplefilter('ignore')
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
async def handle(payload):
    return asyncio.get_running_loop() is loop
";
    returns(source, "null", "true").await;
    let closed = "import asyncio\nasyncio.run(asyncio.sleep(0))\nasync def handle(payload):\n    return await asyncio.sleep(0, payload)\n";
    returns(closed, "7", "7").await;
}

#[tokio::test]
async fn what_a_task_sets_in_the_context_is_not_for_the_next() {
    let source = "\
import contextvars
user = contextvars.ContextVar('user', default='nobody')
def handle(payload):
    return told(payload) if payload else set_to('somebody')
async def told(payload):
    return set_to(payload)
def set_to(name):
    before = user.get()
    user.set(name)
    return before
";
    let Some(rig) = rig(source) else { return };
    for payload in ["null", r#""x""#, "null", r#""x""#] {
        assert_eq!(rig.result(payload).await, r#""nobody""#);
    }
}

#[tokio::test]
async fn background_tasks_and_async_generators_are_ended_with_the_interpreter() {
    let source = "\
import asyncio, os
async def forever(path):
    try: await asyncio.sleep(600)
    finally: open(path, 'a').write('task ')
async def numbers(path):
    try:
        while True: yield 1
    finally:
        await asyncio.sleep(0)
        open(path, 'a').write('generator ')
async def handle(payload):
    global left, half
    left = asyncio.create_task(forever(payload))
    half = numbers(payload)
    await asyncio.sleep(0)
    await half.__anext__()
    return [os.getpid(), 0]
";
    let Some(rig) = rig(source) else { return };
    rig.result(&quoted(&rig.marker())).await;
    rig.script.pool.close();
    timeout(LONG, rig.script.pool.ended()).await.unwrap();
    assert_eq!(fs::read_to_string(rig.marker()).unwrap(), "task generator ");
}

/// Starts a task whose handler makes the marker and then waits; stops it; and asserts that it has cleaned up.
async fn cleans_up(source: &str) {
    let Some(rig) = rig(source) else { return };
    let marker = rig.marker();
    let (given, line) = Run::new(task("it", &quoted(&marker)));
    let running = tokio::spawn(rig.script.run(given));
    until(|| marker.exists().then_some(())).await;
    line.stop.send(true).unwrap();
    assert!(timeout(LONG, running).await.unwrap().unwrap().is_err());
    assert!(rig.dir.path().join("marker.cleaned").exists(), "{source}");
}

#[tokio::test]
async fn a_python_handler_that_is_stopped_may_clean_up() {
    let own = "\
import os, signal, sys, time
def handle(payload):
    signal.signal(signal.SIGTERM, lambda *_: (os.rename(payload, payload + '.cleaned'), sys.exit()))
    open(payload, 'w').close()
    time.sleep(600)
";
    cleans_up(own).await;
}

/// SIGTERM ended the interpreter on the spot.
#[tokio::test]
async fn a_handler_that_is_stopped_runs_its_finally_blocks() {
    let head = "import asyncio, os, subprocess, threading, time\n";
    let tail = "    finally: os.rename(payload, payload + '.cleaned')\n";
    for wait in [
        "time.sleep(600)",
        "subprocess.run(['sleep', '600'])",
        "threading.Event().wait()",
        "asyncio.run(asyncio.sleep(600))",
    ] {
        cleans_up(&format!("{head}def handle(payload):\n    open(payload, 'w').close()\n    try: {wait}\n{tail}"))
            .await;
    }
    let source = "async def handle(payload):\n    try:\n        await asyncio.sleep(0)\n        open(payload, 'w').close()\n        await asyncio.sleep(600)\n";
    cleans_up(&format!("{head}{source}    except asyncio.CancelledError:\n        await asyncio.sleep(0.01)\n        os.rename(payload, payload + '.cleaned')\n")).await;
}

/// Its handler for SIGTERM was ours, which its children had as well: they went on in `except`.
#[tokio::test]
async fn a_process_that_a_handler_forks_ends_at_once_with_sigterm() {
    let source = "\
import os, signal, time
def handle(payload):
    child = os.fork()
    if child == 0:
        try: time.sleep(600)
        finally: os._exit(7)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
";
    returns(source, "null", "-15").await;
}

#[tokio::test]
async fn a_module_is_compiled_from_its_source_whatever_byte_code_is_beside_it() {
    let source = "import neighbour, package.part\ndef handle(payload):\n    return [neighbour.greeting, package.part.greeting]\n";
    let Some(rig) = rig(source) else { return };
    let dir = rig.dir.path();
    fs::create_dir(dir.join("package")).unwrap();
    let python = |arguments: &[&str]| {
        assert!(Command::new(&rig.script.python).current_dir(dir).args(arguments).status().unwrap().success());
    };
    for file in ["neighbour.py", "package/part.py"] {
        // Byte code of the same length and time: as good as new, by all that Python looks at.
        fs::write(dir.join(file), "greeting = 'stale'\n").unwrap();
        python(&["-m", "py_compile", file]);
        let old = fs::metadata(dir.join(file)).unwrap().modified().unwrap();
        fs::write(dir.join(file), "greeting = 'fresh'\n").unwrap();
        fs::File::options().write(true).open(dir.join(file)).unwrap().set_modified(old).unwrap();
    }
    python(&["-c", "import neighbour; assert neighbour.greeting == 'stale'"]);
    assert_eq!(rig.result("null").await, r#"["fresh","fresh"]"#);
    let byte_code = fs::read_dir(dir.join("__pycache__")).unwrap().count();
    assert_eq!(byte_code, 1, "nothing is written");
}

#[tokio::test]
async fn what_exits_while_it_is_loaded_says_so() {
    fails("import sys\nsys.exit('no key')\n", &["exits while it is loaded", "no key"], true).await;
    fails("import os\nos._exit(3)\n", &["exit code 3"], true).await;
    fails(
        "import os\nif os.fork() == 0: os._exit(0)\ndef handle(payload):\n    raise ValueError\n",
        &["ValueError"],
        true,
    )
    .await;
}
