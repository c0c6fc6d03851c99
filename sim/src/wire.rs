//! What an onlooker at the wire can tell: which leases were handed out, which results were said to be stored,
//! which leases were said to be fine.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use taskgrid_protocol::body::{HeartbeatReply, PostReply, Stored};
use taskgrid_protocol::codec::{self, Element};
use taskgrid_protocol::{Body, Json, Lease, Message, RequestId, TaskId};

use crate::options::Micros;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Wire {
    /// When the first TASK with each lease left, and for which task.
    pub handed: BTreeMap<Lease, (Micros, TaskId)>,
    /// Every "Result stored".
    pub stored: Vec<Kept>,
    /// Every lease that a heartbeat named and its answer did not object to.
    pub renewed: Vec<(Micros, Lease)>,
    /// Every answer "your task is stored".
    pub accepted: Vec<(Micros, TaskId)>,
    /// When the last TASK, RESULT_RETURN or POST_TASK left for somebody: that must end when all are at rest.
    pub last_work: Micros,
    /// Leases under which a worker said that it still runs a task, and which newer ones they stand for.
    pub held_for: BTreeMap<Lease, Vec<Lease>>,
    asked: BTreeMap<(SocketAddr, RequestId), Asked>,
}

/// A result that the dispatcher said it has stored.
#[derive(Clone, Debug)]
pub struct Kept {
    /// When the answer left.
    pub at: Micros,
    /// For which task.
    pub task: TaskId,
    /// Under which lease it came.
    pub lease: Option<Lease>,
    /// The result, if it was a success.
    pub result: Option<Json>,
    /// The dispatcher said that another one was first.
    pub duplicate: bool,
}

#[derive(Debug)]
enum Asked {
    Result(TaskId, Option<Lease>, Option<Json>),
    Beat(Vec<Lease>),
    Post,
}

impl Wire {
    /// A process has sent a datagram.
    pub fn sent(&mut self, at: Micros, from: SocketAddr, to: SocketAddr, datagram: &[u8], is_somebody: bool) {
        codec::decode(datagram, from, &mut |element| {
            if let Element::Message(message) = element {
                let is_work = matches!(message.body, Body::Task(_) | Body::ResultReturn(_) | Body::PostTask(_));
                if is_work && is_somebody {
                    self.last_work = at;
                }
                self.message(at, from, to, message);
            }
        });
    }

    fn message(&mut self, at: Micros, from: SocketAddr, to: SocketAddr, message: Message) {
        let beside = message.beside;
        match message.body {
            Body::Task(task) => {
                if let Some(lease) = beside.lease {
                    self.handed.entry(lease).or_insert((at, task.id));
                }
            }
            Body::ResultReturn(returned) => {
                let Some(id) = beside.id else { return };
                self.asked.insert((from, id), Asked::Result(returned.task_id, beside.lease, returned.result));
            }
            Body::TaskHeartbeat(beat) => {
                let Some(id) = beside.id else { return };
                let leases = beat.leases.into_iter().map(|beat| beat.lease).collect();
                self.asked.insert((from, id), Asked::Beat(leases));
            }
            Body::TaskReject(reject) => {
                if let (Some(held), Some(newer)) = (reject.holds, beside.lease) {
                    self.held_for.entry(held).or_default().push(newer);
                }
            }
            Body::PostTask(_) => {
                let Some(id) = beside.id else { return };
                self.asked.insert((from, id), Asked::Post);
            }
            Body::Response(data) => {
                let Some(id) = beside.id else { return };
                self.answer(at, &(to, id), &data);
            }
            _ => {}
        }
    }

    fn answer(&mut self, at: Micros, key: &(SocketAddr, RequestId), data: &Json) {
        match self.asked.get(key) {
            Some(Asked::Result(task, lease, result)) => {
                if let Ok(Stored { duplicate, .. }) = data.read() {
                    let kept = Kept { at, task: *task, lease: lease.clone(), result: result.clone(), duplicate };
                    self.stored.push(kept);
                }
            }
            Some(Asked::Beat(leases)) => {
                let Ok(HeartbeatReply { cancel, unknown }) = data.read() else { return };
                let fine = leases.iter().filter(|lease| !cancel.contains(lease) && !unknown.contains(lease));
                self.renewed.extend(fine.map(|lease| (at, lease.clone())));
            }
            Some(Asked::Post) => {
                if let Ok(PostReply { task_id, .. }) = data.read() {
                    self.accepted.push((at, task_id));
                }
            }
            None => {}
        }
    }
}
