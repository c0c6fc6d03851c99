//! What a test needs of the machine.

use std::io::Write;
use std::process::Command;

/// Whether a program that a test needs is on this machine.
pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Says, past the capture of the test harness, that (a part of) a test cannot run here.
pub(crate) fn skipped(program: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED in whole or part: {test}: there is no {program} on this machine").unwrap();
}
