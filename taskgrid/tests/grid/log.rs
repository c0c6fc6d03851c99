//! Standard output and error that are full, closed or not read: nothing depends on who reads them.

#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use serde_json::json;
use tempfile::TempDir;

use crate::processes::{Process, ask, eventually, post};

const PROGRAM: &str = env!("CARGO_BIN_EXE_taskgrid");

/// What a pipe holds by default.
const PIPE_BYTES: usize = 64 * 1024;

/// A directory for programs that a shell starts with descriptors that it has arranged. In it is `full`, a pipe that is
/// full, and that somebody has open for reading and never reads.
struct Place {
    dir: TempDir,
    _full: File,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("worker_types")).unwrap();
        let full = fifo(dir.path(), "full");
        let mut full = OpenOptions::new().read(true).write(true).open(full).unwrap();
        full.write_all(&[b'x'; PIPE_BYTES]).unwrap();
        Self { dir, _full: full }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKGRID_")) {
            shell.env_remove(name);
        }
        shell.args(["-c", command]).current_dir(self.dir.path());
        shell
    }
}

fn fifo(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// `taskgrid up`.
struct Up {
    place: Place,
    process: Process,
}

impl Up {
    fn start(place: Place, arranged: &str) -> Self {
        let command = format!(
            "exec {PROGRAM} up --dispatcher-listen 127.0.0.1:0 --nameservice-listen 127.0.0.1:0 \
             --worker-listen 127.0.0.1:0 {arranged}"
        );
        let process = Process::start(place.shell(&command).env("TASKGRID_LOG", "debug"));
        Self { place, process }
    }

    /// It takes a task, has it done, and ends in good order.
    fn works_and_stops(mut self, what: &str) {
        let result = self.result(what, "reverse", "OpenAI");
        assert_eq!(result, "IAnepO", "{what}");
        assert_eq!(self.process.terminate(), Some(0), "{what}");
    }

    fn result(&self, what: &str, task_type: &str, payload: &str) -> String {
        let dispatcher = self.dispatcher();
        let accepted = ask(dispatcher, &post(task_type, payload));
        let get = json!({"type": "GET_RESULT", "data": {"task_id": accepted["task_id"]}});
        eventually(&format!("{what}: the result of a task"), || {
            ask(dispatcher, &get)["result"].as_str().map(ToOwned::to_owned)
        })
    }

    /// Where the dispatcher listens, found by the sockets of the process: it may have no way to say.
    fn dispatcher(&self) -> SocketAddr {
        let is_dispatcher =
            |addr: &SocketAddr| ask(*addr, &json!({"type": "PING", "data": {}}))["role"] == "dispatcher";
        eventually("a dispatcher", || {
            let mut listening =
                udp_ports(self.process.child.id()).into_iter().map(|port| ([127, 0, 0, 1], port).into());
            listening.find(is_dispatcher)
        })
    }

    /// Makes the worker log a line.
    fn add_handler(&self, name: &str) {
        let types = self.place.dir.path().join("worker_types");
        let scratch = types.join(format!(".{name}"));
        fs::write(&scratch, "#!/bin/sh\ncat\n").unwrap();
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(scratch, types.join(name)).unwrap();
    }
}

/// The ports of the sockets that a process has open.
fn udp_ports(pid: u32) -> Vec<u16> {
    let open: Vec<String> = descriptors(pid).iter().map(|link| link.to_string_lossy().into_owned()).collect();
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let ports = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_its_own = open.contains(&format!("socket:[{}]", fields[9]));
        is_its_own.then(|| u16::from_str_radix(fields[1].rsplit_once(':').unwrap().1, 16).unwrap())
    });
    ports.collect()
}

/// What its descriptors are, in their order.
fn descriptors(pid: u32) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let mut numbers: Vec<u32> = found.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.iter().filter_map(|number| fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()).collect()
}

#[test]
fn the_grid_works_and_stops_whatever_becomes_of_its_log() {
    for (what, arranged) in [
        ("closed", "2>&-"),
        ("a full disk", "2>/dev/full"),
        ("a pipe that nobody empties", "2>full"),
        ("a file for reading", "2</dev/null"),
    ] {
        Up::start(Place::new(), arranged).works_and_stops(what);
    }
}

/// Its greeting ended it, or kept it from stopping.
#[test]
fn the_grid_works_and_stops_whatever_becomes_of_its_standard_output() {
    for (what, arranged) in [
        ("closed", ">&-"),
        ("a full disk", ">/dev/full"),
        ("a pipe that nobody empties", ">full"),
        ("all closed", "<&- >&- 2>&-"),
    ] {
        Up::start(Place::new(), arranged).works_and_stops(what);
    }
}

/// The next line of the log ended all three programs, by SIGABRT.
#[test]
fn a_log_whose_reader_has_gone_stops_nothing_and_the_next_reader_is_told_what_is_missing() {
    let place = Place::new();
    let log = fifo(place.dir.path(), "log");
    let up = Up::start(place, "2>log");
    let first = BufReader::new(File::open(&log).unwrap()).lines().next();
    assert!(first.unwrap().unwrap().contains("listening on"));
    up.add_handler("first");
    assert_eq!(up.result("nobody reads the log", "first", "served"), "served");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(File::open(log).unwrap()).lines().map_while(Result::ok);
        // An error means that the test is over.
        lines.filter(|line| line.contains("lines of this log are missing")).for_each(|line| drop(tell.send(line)));
    });
    let mut names = 0..500;
    let line = eventually("the word that lines are missing", || {
        names.next().into_iter().for_each(|name| up.add_handler(&format!("n{name}")));
        told.try_recv().ok()
    });
    assert!(line.contains("WARN") && line.contains("lines="), "{line}");
    up.works_and_stops("a log that is read again");
}

/// What SQLite opens must not become descriptor 2, to which messages are written.
#[test]
fn descriptors_that_are_closed_at_the_start_are_not_given_to_the_database() {
    let mut up = Up::start(Place::new(), "<&- >&- 2>&-");
    up.dispatcher();
    let open = descriptors(up.process.child.id());
    assert!(open[..3].iter().all(|file| file == Path::new("/dev/null")), "{open:?}");
    assert!(open.iter().any(|file| file.ends_with("taskgrid.db")), "{open:?}");
    assert_eq!(up.process.terminate(), Some(0));
}

#[test]
fn a_daemon_that_cannot_start_keeps_its_exit_code_where_it_cannot_say_why() {
    let place = Place::new();
    let ended = |arranged: &str| {
        let command = format!("exec {PROGRAM} dispatcher --listen 127.0.0.1:0 --database worker_types {arranged}");
        Process::start(&mut place.shell(&command)).end().code()
    };
    let expected = ended("");
    assert!(expected.is_some_and(|code| (1..128).contains(&code)), "{expected:?}");
    for arranged in ["2>&-", "2>/dev/full", "2>full"] {
        assert_eq!(ended(arranged), expected, "{arranged}");
    }
}

#[test]
fn verbs_keep_their_exit_codes_where_they_cannot_say_what_is_wrong() {
    let place = Place::new();
    let ended = |verb: &str| place.shell(&format!("{PROGRAM} {verb}")).output().unwrap().status.code();
    for verb in ["show", "show 1 --dispatcher 127.0.0.1:9 --deadline 0.1", "backup copy.db", "up --prefetch x"] {
        let expected = ended(verb);
        assert!(expected.is_some_and(|code| (1..128).contains(&code)), "{verb}: {expected:?}");
        for arranged in ["2>&-", "2>/dev/full", ">&- 2>&-"] {
            assert_eq!(ended(&format!("{verb} {arranged}")), expected, "{verb} {arranged}");
        }
    }
}
