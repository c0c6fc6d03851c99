//! Mistakes of a worker.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use taskgrid_protocol::body::{AckState, TaskAck};
use taskgrid_protocol::{Beside, Body, Lease, Message, Node, TaskId, Timestamp, Transmit};
use taskgrid_worker::machine::{Effect, Event};

use super::WorkerNode;

/// Remembers tasks, not leases.
pub(super) struct ByTask {
    inner: WorkerNode,
    seen: BTreeMap<TaskId, Lease>,
    transmits: VecDeque<Transmit>,
}

impl ByTask {
    pub(super) fn new(inner: WorkerNode) -> Self {
        Self { inner, seen: BTreeMap::new(), transmits: VecDeque::new() }
    }
}

wraps! {
    ByTask {
        fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
            if let (Body::Task(task), Some(lease)) = (&message.body, &message.beside.lease) {
                let first = self.seen.entry(task.id).or_insert_with(|| lease.clone());
                if first != lease {
                    let ack = Body::TaskAck(TaskAck { task_id: task.id, state: AckState::Done, waiting: false });
                    let beside = Beside { lease: Some(lease.clone()), ..Beside::default() };
                    return self.transmits.push_back(Message::new(beside, ack).transmit(from, false));
                }
            }
            self.inner.handle_datagram(now, from, message);
        }

        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.transmits.pop_front().or_else(|| self.inner.poll_transmit())
        }
    }
    event, timeout, effect, wake
}

/// Says of what waits that it runs.
pub(super) struct Running {
    pub(super) inner: WorkerNode,
}

wraps! {
    Running {
        fn poll_transmit(&mut self) -> Option<Transmit> {
            let Transmit { to, bytes, pack } = self.inner.poll_transmit()?;
            let text = String::from_utf8(bytes).expect("datagrams are text");
            Some(Transmit { to, bytes: text.replace(r#","waiting":true"#, "").into_bytes(), pack })
        }
    }
    datagram, event, timeout, effect, wake
}
