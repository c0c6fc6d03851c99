//! The daemons under a supervisor that wants to hear of them, as systemd does.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::processes::{ANY_PORT, PATIENCE, Process, ask, eventually, taskgrid};

/// A tenth of a second between two signs of life.
const WATCHDOG_USEC: &str = "200000";

/// Many of them.
const SILENCE: Duration = Duration::from_secs(1);

struct Supervisor {
    dir: TempDir,
    socket: UnixDatagram,
}

impl Supervisor {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { dir, socket }
    }

    fn start(&self, args: &[&str]) -> Process {
        self.start_at(&self.dir.path().join("notify"), args)
    }

    fn start_at(&self, socket: &Path, args: &[&str]) -> Process {
        let mut command = taskgrid();
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", WATCHDOG_USEC).current_dir(self.dir.path());
        Process::start(command.args(args))
    }

    /// What is told next, if anything is in time.
    fn hear_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 4_096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    fn hear(&self) -> String {
        self.hear_within(PATIENCE).expect("the supervisor is told something")
    }

    /// From the start to the end of a daemon.
    fn goes_through_a_life(&self, mut process: Process, role: &str) {
        let ready = self.hear();
        assert!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
        let listening = format!("{role} listening on ");
        let addr = ready.split(&listening).nth(1).unwrap_or_else(|| panic!("no '{listening}' in {ready}"));
        let addr = addr.split([',', ';']).next().unwrap().trim();
        let pong = ask(addr.parse().unwrap(), &json!({"type": "PING", "data": {}}));
        assert_eq!(pong["role"], role.replace(' ', ""), "{pong}");
        for _ in 0..3 {
            assert_eq!(self.hear(), "WATCHDOG=1");
        }
        process.signal("TERM");
        let told = eventually("the word that it stops", || Some(self.hear()).filter(|told| told != "WATCHDOG=1"));
        assert!(told.starts_with("STOPPING=1\nSTATUS="), "{told}");
        assert_eq!(process.end().code(), Some(0), "{process}");
    }
}

#[test]
fn each_daemon_tells_when_it_is_ready_that_it_lives_and_when_it_stops() {
    let supervisor = Supervisor::new();
    let nobody = "127.0.0.1:9";
    for (role, args) in [
        ("name service", ["nameservice", "--listen", ANY_PORT].as_slice()),
        ("dispatcher", &["dispatcher", "--listen", ANY_PORT, "--nameservice", nobody]),
        ("worker", &["worker", "--listen", ANY_PORT, "--nameservice", nobody]),
    ] {
        supervisor.goes_through_a_life(supervisor.start(args), role);
        assert_eq!(
            supervisor.hear_within(Duration::from_millis(1)).filter(|told| told != "WATCHDOG=1"),
            None,
            "{role}"
        );
    }
}

const UP: [&str; 7] =
    ["up", "--dispatcher-listen", ANY_PORT, "--nameservice-listen", ANY_PORT, "--worker-listen", ANY_PORT];

/// Once for all three: `up` is one service.
#[test]
fn up_tells_once_for_all_three() {
    let supervisor = Supervisor::new();
    supervisor.goes_through_a_life(supervisor.start(&UP), "dispatcher");
    let told = std::iter::from_fn(|| supervisor.hear_within(Duration::from_millis(1)));
    assert_eq!(told.filter(|told| told != "WATCHDOG=1").collect::<Vec<_>>(), Vec::<String>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_may_listen_at_a_name_without_a_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("taskgrid-grid-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let supervisor = Supervisor { socket, ..Supervisor::new() };
    let process = supervisor.start_at(Path::new(&format!("@{name}")), &["nameservice", "--listen", ANY_PORT]);
    supervisor.goes_through_a_life(process, "name service");
}

/// With a loop that hangs inside of a process that is well deals a test in runtime/src/supervisor/.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_process_tells_nothing_until_it_goes_on() {
    let supervisor = Supervisor::new();
    for args in [["nameservice", "--listen", ANY_PORT].as_slice(), &UP] {
        let process = supervisor.start(args);
        assert!(supervisor.hear().starts_with("READY=1\n"));
        assert_eq!(supervisor.hear(), "WATCHDOG=1");
        process.signal("STOP");
        eventually("that all threads stand still", || stands_still(process.child.id()).then_some(()));
        while supervisor.hear_within(Duration::from_millis(1)).is_some() {}
        assert_eq!(supervisor.hear_within(SILENCE), None, "{args:?}");
        process.signal("CONT");
        assert_eq!(supervisor.hear(), "WATCHDOG=1", "{args:?}");
    }
}

#[cfg(target_os = "linux")]
fn stands_still(pid: u32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|thread| {
        // One may end while it is being looked at.
        let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat")));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T')))
    })
}

#[test]
fn a_daemon_that_cannot_start_is_never_ready() {
    let supervisor = Supervisor::new();
    let _nameservice = supervisor.start(&["nameservice", "--listen", ANY_PORT]);
    let ready = supervisor.hear();
    let taken = ready.split(" listening on ").nth(1).unwrap();
    let mut up = UP;
    up[6] = taken;
    let mut process = supervisor.start(&up);
    assert_eq!(process.end().code(), Some(75), "{process}");
    let told = std::iter::from_fn(|| supervisor.hear_within(Duration::from_millis(1)));
    assert!(told.take(1_000).all(|told| !told.contains("READY")), "{process}");
}

#[test]
fn a_supervisor_that_is_not_there_stops_nobody() {
    let supervisor = Supervisor::new();
    let mut process = supervisor.start_at(Path::new("/nowhere/notify"), &["nameservice", "--listen", ANY_PORT]);
    process.line_with("cannot tell the supervisor");
    assert_eq!(process.terminate(), Some(0), "{process}");
}
