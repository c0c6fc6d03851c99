//! The loop that runs a machine on a real socket and a real clock.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use taskgrid_protocol::limits::RECEIVE_BUFFER;
use taskgrid_protocol::node::receive;
use taskgrid_protocol::packer::Packer;
use taskgrid_protocol::{Node, Refusals};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::sending::send_all;
use crate::{Clock, Pulse};

/// Datagrams taken in one round, before replies leave and effects begin. Without a bound a flood of
/// datagrams would starve everything else.
const DATAGRAMS_PER_ROUND: usize = 256;

/// Events that may wait for a machine. A full queue holds back whoever reports: the committer, a handler.
pub const EVENT_QUEUE: usize = 1_024;

/// A machine that wants no wake-up gets one after this time, which it may ignore.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// Counts the datagrams of a loop, for whoever holds a clone.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// How many have left.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// How many have come.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }
}

/// Runs `node` on `socket` until `perform` breaks.
///
/// `events` brings the outcomes of effects and whatever else the machine should know; `perform` starts an
/// effect and must not block. `pulse` beats as long as the loop goes round.
pub async fn drive<N: Node, T>(
    node: N,
    socket: UdpSocket,
    clock: Clock,
    events: mpsc::Receiver<N::Event>,
    pulse: Pulse,
    perform: impl FnMut(N::Effect) -> ControlFlow<T>,
) -> io::Result<T> {
    drive_counted(node, socket, clock, events, pulse, Traffic::default(), perform).await
}

/// The same, and counts the datagrams in `traffic`.
pub async fn drive_counted<N: Node, T>(
    mut node: N,
    socket: UdpSocket,
    clock: Clock,
    mut events: mpsc::Receiver<N::Event>,
    mut pulse: Pulse,
    traffic: Traffic,
    mut perform: impl FnMut(N::Effect) -> ControlFlow<T>,
) -> io::Result<T> {
    let mut wire = Wire::new(socket, traffic)?;
    loop {
        let now = clock.now();
        if node.poll_timeout().is_some_and(|at| at <= now) {
            node.handle_timeout(now);
        }
        while let Some(effect) = node.poll_effect(now) {
            if let ControlFlow::Break(outcome) = perform(effect) {
                // What the machine said last (a deregistration, an answer) still leaves.
                wire.send_all(&mut node).await;
                return Ok(outcome);
            }
        }
        wire.send_all(&mut node).await;
        let sleep = node.poll_timeout().map_or(LONGEST_SLEEP, |at| clock.until(at)).min(pulse.beat(&clock));
        tokio::select! {
            readable = wire.socket.readable() => {
                readable?;
                wire.receive_some(&mut node, &clock);
            }
            event = events.recv() => {
                let mut next = event;
                while let Some(event) = next {
                    node.handle_event(clock.now(), event);
                    next = events.try_recv().ok();
                }
            }
            () = sleep_for(sleep) => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver owns the timers")]
async fn sleep_for(span: Duration) {
    tokio::time::sleep(span).await;
}

struct Wire {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Box<[u8]>,
    packer: Packer,
    refusals: Refusals,
    traffic: Traffic,
}

impl Wire {
    fn new(socket: UdpSocket, traffic: Traffic) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let buffer = vec![0; RECEIVE_BUFFER].into_boxed_slice();
        Ok(Self { socket, local, buffer, packer: Packer::default(), refusals: Refusals::default(), traffic })
    }

    fn receive_some<N: Node>(&mut self, node: &mut N, clock: &Clock) {
        let now = clock.now();
        for _ in 0..DATAGRAMS_PER_ROUND {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((length, from)) if !self.is_ourselves(from) => {
                    self.traffic.0.received.fetch_add(1, Ordering::Relaxed);
                    let datagram = &self.buffer[..length];
                    receive(node, now, from, datagram, &mut self.refusals, |refusal| self.packer.push(refusal));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An error of an earlier send, such as an unreachable port: it is the re-sending's business.
                Err(error) => tracing::trace!(%error, "receive"),
            }
        }
    }

    /// A datagram that claims to come from our own port would have us answer ourselves for ever (R36).
    fn is_ourselves(&self, from: SocketAddr) -> bool {
        let same_host = from.ip() == self.local.ip() || (self.local.ip().is_unspecified() && from.ip().is_loopback());
        from.port() == 0 || (from.port() == self.local.port() && same_host)
    }

    async fn send_all<N: Node>(&mut self, node: &mut N) {
        while let Some(transmit) = node.poll_transmit() {
            self.packer.push(transmit);
        }
        let datagrams: Vec<_> = self.packer.drain().collect();
        self.traffic.0.sent.fetch_add(datagrams.len() as u64, Ordering::Relaxed);
        send_all(&self.socket, &datagrams).await;
    }
}
