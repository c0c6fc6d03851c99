//! A supervisor's end of the line.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};

use taskgrid_protocol::node::Transmit;
use taskgrid_protocol::{Message, Node};
use tempfile::TempDir;

use super::*;
use crate::{bind, drive};

const WATCHDOG: Duration = Duration::from_millis(40);

/// Far beyond what anything takes, since machines under test are busy.
const LONG: Duration = Duration::from_secs(60);

/// Many times the watchdog.
const SILENCE: Duration = Duration::from_millis(400);

struct Stub {
    dir: TempDir,
    socket: UnixDatagram,
}

impl Stub {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { dir, socket }
    }

    fn supervisor(&self, watchdog: Option<Duration>) -> Supervisor {
        Supervisor::at(self.dir.path().join("notify").as_os_str(), watchdog).unwrap()
    }

    /// What is told next, if anything is within this time.
    fn hear(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 1_024];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    fn hear_now(&self) -> Option<String> {
        self.hear(Duration::from_millis(1))
    }
}

#[test]
fn ready_is_told_once_when_all_loops_go_round() {
    let stub = Stub::new();
    let supervisor = stub.supervisor(None);
    let clock = Clock::new();
    let (mut one, mut other) = (supervisor.pulse(), supervisor.pulse());
    one.status("one listening");
    other.status("other\nlistening");
    assert_eq!(one.beat(&clock), Duration::MAX);
    assert_eq!(stub.hear_now(), None);
    other.beat(&clock);
    assert_eq!(stub.hear_now().as_deref(), Some("READY=1\nSTATUS=one listening; other listening"));
    one.beat(&clock);
    other.beat(&clock);
    supervisor.stopping();
    assert!(stub.hear_now().is_some_and(|told| told.starts_with("STOPPING=1\n")));
}

#[test]
fn who_is_asked_to_stop_before_it_is_ready_is_never_ready() {
    let stub = Stub::new();
    let supervisor = stub.supervisor(None);
    let mut pulse = supervisor.pulse();
    supervisor.stopping();
    pulse.beat(&Clock::new());
    assert!(stub.hear_now().is_some_and(|told| told.starts_with("STOPPING=1\n")));
    assert!(stub.hear_now().is_none_or(|told| !told.contains("READY")));
}

/// As in `taskgrid up`, when the port of one of the three is taken.
#[test]
fn a_loop_that_never_begins_leaves_the_others_unready() {
    let stub = Stub::new();
    let supervisor = stub.supervisor(Some(WATCHDOG));
    let (mut one, other) = (supervisor.pulse(), supervisor.pulse());
    drop(other);
    one.beat(&Clock::new());
    assert!(stub.hear_now().is_none_or(|told| !told.contains("READY")));
}

#[test]
fn one_loop_that_hangs_silences_all_and_one_that_has_ended_does_not() {
    let stub = Stub::new();
    let supervisor = stub.supervisor(Some(Duration::from_micros(2)));
    let clock = Clock::new();
    let (mut one, mut other) = (supervisor.pulse(), supervisor.pulse());
    one.beat(&clock);
    other.beat(&clock);
    assert!(stub.hear_now().is_some_and(|told| told.starts_with("READY=1\n")));
    for _ in 0..1_000 {
        one.beat(&clock);
    }
    assert_eq!(stub.hear_now(), None);
    drop(other);
    std::thread::park_timeout(Duration::from_millis(1));
    one.beat(&clock);
    assert_eq!(stub.hear_now().as_deref(), Some("WATCHDOG=1"));
}

/// Each word waited a second for room, and with it the loop that had it to say, and all other loops of the process.
#[test]
fn a_supervisor_that_does_not_read_hears_of_ready_once_it_does_and_no_loop_waits_for_it() {
    let stub = Stub::new();
    let supervisor = stub.supervisor(None);
    let stuffing = UnixDatagram::unbound().unwrap();
    stuffing.set_nonblocking(true).unwrap();
    while stuffing.send_to(b"full", stub.dir.path().join("notify")).is_ok() {}
    let clock = Clock::new();
    let (mut one, mut other) = (supervisor.pulse(), supervisor.pulse());
    assert_eq!(one.beat(&clock), Duration::MAX);
    assert!(other.beat(&clock) <= READY_AGAIN);
    while stub.hear_now().is_some_and(|told| told == "full") {}
    while other.beat(&clock) != Duration::MAX {
        std::thread::park_timeout(READY_AGAIN);
    }
    assert!(stub.hear_now().is_some_and(|told| told.starts_with("READY=1\n")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_may_have_a_name_without_a_file() {
    let name = format!("taskgrid-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&address(format!("@{name}").as_ref()).unwrap()).unwrap();
    Supervisor::at(format!("@{name}").as_ref(), None).unwrap().stopping();
    let mut buffer = [0; 64];
    assert!(socket.recv(&mut buffer).is_ok_and(|length| length > 0));
    assert!(Supervisor::at("vsock:2:1".as_ref(), None).is_err());
}

#[test]
fn nobody_is_told_anything_without_a_supervisor() {
    let supervisor = Supervisor::default();
    let mut pulse = supervisor.pulse();
    pulse.status("x");
    assert_eq!(pulse.beat(&Clock::new()), Duration::MAX);
    supervisor.stopping();
}

/// Hangs at each event until the test lets it go on.
struct Hanging {
    hangs: Sender<()>,
    release: Receiver<()>,
}

impl Node for Hanging {
    type Event = ();
    type Effect = ();

    fn handle_datagram(&mut self, _: Timestamp, _: SocketAddr, _: Message) {}

    fn handle_event(&mut self, _: Timestamp, (): ()) {
        self.hangs.send(()).unwrap();
        // An error means that the test is over.
        let _ = self.release.recv();
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    fn poll_effect(&mut self, _: Timestamp) -> Option<()> {
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }
}

/// The whole point of a watchdog: a loop that hangs must look different from one that has nothing to do.
#[test]
fn a_loop_that_hangs_tells_nothing_and_one_that_is_idle_does() {
    let stub = Stub::new();
    let pulse = stub.supervisor(Some(WATCHDOG)).pulse();
    let (hangs, is_hanging) = channel();
    let (let_go, release) = channel();
    let (event, events) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let node = Hanging { hangs, release };
        runtime.block_on(async {
            let socket = bind(([127, 0, 0, 1], 0).into()).unwrap();
            let perform = |()| ControlFlow::<()>::Continue(());
            drive(node, socket, Clock::new(), events, pulse, perform).await.unwrap();
        });
    });
    assert!(stub.hear(LONG).is_some_and(|told| told.starts_with("READY=1\n")));
    for _ in 0..3 {
        assert_eq!(stub.hear(LONG).as_deref(), Some("WATCHDOG=1"), "it is idle");
    }
    event.blocking_send(()).unwrap();
    is_hanging.recv_timeout(LONG).unwrap();
    while stub.hear_now().is_some() {}
    assert_eq!(stub.hear(SILENCE), None, "it hangs");
    let_go.send(()).unwrap();
    assert_eq!(stub.hear(LONG).as_deref(), Some("WATCHDOG=1"), "it goes on");
}
