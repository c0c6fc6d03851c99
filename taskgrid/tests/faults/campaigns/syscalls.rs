//! Errors and death at the n-th system call of the dispatcher, which `strace` injects.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::history;
use crate::load;
use crate::process::eventually;
use crate::scene::{Report, Scene};

/// What is injected, and what the dispatcher is to do then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Whether the commit is on the disk is unknown: it stops, with this exit code.
    FailedSync,
    /// It goes on, in the same process.
    FullDisk,
    /// It dies before the sync.
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Start,
    Service,
    Directory,
}

const FAULTS: &[Fault] = &[Fault::FailedSync, Fault::FullDisk, Fault::Killed];

/// The exit code of a dispatcher whose disk has failed.
const DISK_FAILED: i32 = 70;

/// Posts after which the n-th call must have happened; each makes several.
const POSTS_MAX: usize = 400;

impl Fault {
    fn expression(self, number: usize) -> String {
        match self {
            Self::FailedSync => format!("inject=fsync:error=EIO:when={number}"),
            Self::FullDisk => format!("inject=pwrite64:error=ENOSPC:when={number}"),
            Self::Killed => format!("inject=fsync:signal=KILL:when={number}"),
        }
    }

    /// Whether the dispatcher is to go on after this call has failed.
    fn is_survived(self, call: &str) -> bool {
        self == Self::FullDisk || is_of_a_directory(call)
    }

    fn call(self) -> &'static str {
        if self == Self::FullDisk { "pwrite64" } else { "fsync" }
    }
}

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    if let Err(why) = can_trace() {
        return Outcome::Skipped(why);
    }
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    let mut moments = Vec::new();
    for index in 0..order.count {
        // Further apart where there are few.
        let number = 1 + if order.brief { index * index } else { index };
        moments.extend(FAULTS.iter().map(|fault| inject(&mut scene, dir, *fault, number)));
    }
    let count = |of| moments.iter().filter(|moment| **moment == of).count();
    let (at_start, directory) = (count(Moment::Start), count(Moment::Directory));
    let report = scene.judge(order.count * FAULTS.len());
    scene.grid.stop_all();
    let more =
        format!("each injected, {at_start} before it served, {directory} in a directory's sync, which SQLite ignores");
    Outcome::Held(Report { more, ..report })
}

/// Whether there is a `strace` that may trace its children.
pub(super) fn can_trace() -> Result<(), String> {
    match Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output() {
        Err(error) => Err(format!("no strace: {error}")),
        Ok(output) if !output.status.success() => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(_) => Ok(()),
    }
}

/// The tracer runs beside the dispatcher, which so is our own child, to be waited for and killed as ever.
pub(super) fn strace(trace: &Path, expressions: &[&str]) -> Vec<String> {
    // Without --seccomp-bpf, which is faster, but with which signals are not injected.
    let mut args = vec!["strace", "-D", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", "signal=none", "-y"];
    for expression in expressions {
        args.extend(["-e", expression]);
    }
    args.into_iter().map(str::to_owned).collect()
}

/// Returns what the dispatcher was doing then.
fn inject(scene: &mut Scene, dir: &Path, fault: Fault, number: usize) -> Moment {
    let name = format!("{fault:?}-{number}");
    let trace = dir.join(format!("{name}.strace"));
    scene.grid.kill(Program::Dispatcher);
    scene.grid.setup.around = strace(&trace, &[&format!("trace={}", fault.call()), &fault.expression(number)]);
    scene.grid.launch(Program::Dispatcher);
    let before = scene.acknowledged();
    let mut posts = 0;
    let injected = loop {
        // In this order: what was injected before the end is in the trace then.
        let running = scene.grid.is_running(Program::Dispatcher);
        let injected = injection(&trace);
        if !running || injected.as_ref().is_some_and(|call| fault.is_survived(call)) {
            break injected;
        }
        posts += 1;
        assert!(posts < POSTS_MAX, "{name}: nothing was injected in {POSTS_MAX} posts");
        post(scene, &format!("{name}-{posts}"));
    };
    // A death by a signal of which the trace knows nothing shows in the exit status.
    assert!(injected.is_some() || fault == Fault::Killed, "{name}: the dispatcher ended, and nothing was injected");
    let moment = match injected {
        _ if scene.acknowledged() == before => Moment::Start,
        Some(call) if is_of_a_directory(&call) => Moment::Directory,
        _ => Moment::Service,
    };
    if scene.grid.is_running(Program::Dispatcher) {
        // A refusal for want of space comes at once, and stands for half a second.
        let mut tries = 0..;
        eventually(&format!("{name}: a post is accepted after one call has failed"), || {
            post(scene, &format!("{name}-again-{}", tries.next()?)).then_some(())
        });
        scene.grid.kill(Program::Dispatcher);
    } else {
        ended(scene, fault, &name);
    }
    scene.grid.setup.around.clear();
    scene.grid.start_one(Program::Dispatcher);
    moment
}

/// The call that was made to fail.
fn injection(trace: &Path) -> Option<String> {
    let text = std::fs::read_to_string(trace).ok()?;
    text.lines().find(|line| line.ends_with("(INJECTED)")).map(str::to_owned)
}

/// SQLite syncs the directory when it has made a file, and does not mind if that fails.
fn is_of_a_directory(call: &str) -> bool {
    !call.contains("tasks.db")
}

fn post(scene: &Scene, key: &str) -> bool {
    let outcome = load::one(key, "reverse", scene.grid.dispatcher(), Duration::from_millis(800), &scene.history);
    matches!(outcome, history::Outcome::Stored { .. })
}

fn ended(scene: &mut Scene, fault: Fault, name: &str) {
    let process = scene.grid.process(Program::Dispatcher);
    let status = process.end();
    match fault {
        Fault::Killed => assert_eq!(status.signal(), Some(9), "{name}: {process}"),
        Fault::FailedSync | Fault::FullDisk => assert_eq!(status.code(), Some(DISK_FAILED), "{name}: {process}"),
    }
    scene.grid.bury(Program::Dispatcher);
}
