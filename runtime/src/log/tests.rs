//! The log of a program: this one, started once more.

use std::io::{PipeReader, pipe};
use std::process::{Command, Stdio};

/// In the environment of the program that is to panic.
const ASKED: &str = "TASKGRID_TEST_PANICS";

/// What a pipe holds by default.
const PIPE_BYTES: usize = 64 * 1024;

#[test]
fn panics_where_it_is_asked_to() {
    if std::env::var_os(ASKED).is_some() {
        super::init("info");
        panic!("the last words");
    }
}

/// The program that panics, with this standard error. When this returns it has ended.
fn panicked(stderr: impl Into<Stdio>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "log::tests::panics_where_it_is_asked_to", "--nocapture"]).env(ASKED, "1");
    let status = command.stdout(Stdio::null()).stderr(stderr).status().unwrap();
    assert!(!status.success());
}

#[test]
fn a_panic_is_logged() {
    let (reader, writer) = pipe().unwrap();
    panicked(writer);
    let said = std::io::read_to_string(reader).unwrap();
    assert!(said.contains("thread 'log::tests::panics_where") && said.contains("the last words"), "{said}");
}

/// The hook of the standard library waits until there is room.
#[test]
fn a_panic_ends_a_program_whose_log_nobody_reads() {
    let (_reader, writer): (PipeReader, _) = pipe().unwrap();
    std::io::Write::write_all(&mut &writer, &[b'x'; PIPE_BYTES]).unwrap();
    panicked(writer);
}
