//! Counts the instructions of a piece of work, under valgrind: the same number on an idle machine and on a busy one, so
//! that a change shows which the noise of times would hide. A program of cases runs itself once for each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// A piece of work.
pub(crate) struct Case {
    /// What stands in the table.
    pub(crate) name: String,
    /// Does the work, inside [`counting`]; returns how many times.
    pub(crate) run: Box<dyn Fn() -> u64>,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() -> u64 + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Does some of the work. Only what happens in here counts.
pub(crate) fn counting<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    counted(&mut || result = work.take().map(|work| work()));
    result.expect("the work was done")
}

/// What valgrind is told to look for, so it must be a function of its own, and one.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// The argument by which the program calls itself.
const CHILD: &str = "--case";

/// Counts the cases whose names contain the word on the command line, if there is one, and compares them with the last
/// time.
#[expect(clippy::print_stdout, reason = "its output")]
pub(crate) fn main(part: &str, cases: &[Case]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, name] = &args[..]
        && flag == CHILD
    {
        let case = cases.iter().find(|case| case.name == *name).expect("it was named by the parent");
        println!("{}", (case.run)());
        return ExitCode::SUCCESS;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("instructions-{part}.txt"));
    let mut known = read(&path);
    println!("{:<44}  {:>12}", format!("{part}, instructions"), "each");
    for case in cases.iter().filter(|case| args.first().is_none_or(|word| case.name.contains(word))) {
        match count(&case.name) {
            Ok(each) => {
                let before = known.insert(case.name.clone(), each);
                println!("{:<44}  {each:>12}{}", case.name, change(before, each));
            }
            Err(why) => {
                println!("{:<44}  {why}", case.name);
                return ExitCode::FAILURE;
            }
        }
    }
    let lines: Vec<String> = known.iter().map(|(name, each)| format!("{each} {name}\n")).collect();
    // Without it there is nothing to compare with the next time.
    let _ = std::fs::write(path, lines.concat());
    ExitCode::SUCCESS
}

fn read(path: &PathBuf) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let (each, name) = line.split_once(' ')?;
        Some((name.to_owned(), each.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn change(before: Option<u64>, each: u64) -> String {
    let Some(before) = before.filter(|before| *before > 0) else { return String::new() };
    format!("  {:+.1} %", (each as f64 / before as f64 - 1.0) * 100.0)
}

/// Runs a case under valgrind.
fn count(name: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    // Else a thread that waits for another one may wait for long.
    command.arg("--fair-sched=try");
    command.arg("--toggle-collect=*::count::counted*");
    let output = command.arg(program).args([CHILD, name]).output();
    let output = output.map_err(|error| format!("valgrind is needed, and cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let times = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().ok();
    match (total, times) {
        (Some(total), Some(times)) if total > 0 && times > 0 => Ok(total / times),
        _ => Err(format!("valgrind counted nothing: {said}")),
    }
}
