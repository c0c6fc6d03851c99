//! TASK_HEARTBEAT: one for all attempts, in pieces that fit into a datagram (R16).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use taskgrid_protocol::body::{HeartbeatReply, LeaseBeat, TaskHeartbeat};
use taskgrid_protocol::limits::HEARTBEAT_LEASES_MAX;
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Json, Message, RequestId, Timestamp};

use super::limits::HEARTBEAT_RESEND;
use super::memory::{Name, Stage};
use super::{Alarm, Asked, Machine};

impl Machine {
    /// Tells each dispatcher which of its attempts are here, running or not yet stored. What it has not
    /// answered of the last round is of the past.
    pub(super) fn beat(&mut self, now: Timestamp) {
        let unanswered: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| matches!(asked, Asked::Heartbeat)).map(|(id, _)| *id).collect();
        for id in unanswered {
            self.forget(id);
        }
        let mut beats: BTreeMap<SocketAddr, Vec<LeaseBeat>> = BTreeMap::new();
        for (name, attempt) in self.memory.live() {
            if let Some(lease) = name.lease().cloned() {
                let beat = LeaseBeat { task_id: attempt.task.0, lease, progress: None };
                beats.entry(attempt.route.dispatcher).or_default().push(beat);
            }
        }
        if !beats.is_empty() {
            self.timers.set(Alarm::Heartbeat, now + self.config.heartbeat_every);
        }
        for (dispatcher, beats) in beats {
            for leases in beats.chunks(HEARTBEAT_LEASES_MAX) {
                self.send_heartbeat(now, dispatcher, leases.to_vec());
            }
        }
    }

    fn send_heartbeat(&mut self, now: Timestamp, to: SocketAddr, leases: Vec<LeaseBeat>) {
        let id = self.next_request();
        let beside =
            Beside { id: Some(RequestId::number(id)), free_slots: Some(self.free_slots()), ..Beside::default() };
        let heartbeat = TaskHeartbeat { leases, draining: self.draining };
        let transmit = Message::new(beside, Body::TaskHeartbeat(heartbeat)).transmit(to, false);
        self.ask(now, id, Asked::Heartbeat, transmit, Patience::every(HEARTBEAT_RESEND));
    }

    /// The dispatcher has answered: some attempts are to be stopped. Those that it does not know go on,
    /// since their results may still be welcome (R19).
    pub(super) fn handle_heartbeat_answer(&mut self, now: Timestamp, id: u64, data: &Json) {
        self.outbox.answered(now, &id);
        self.asked.remove(&id);
        let Ok(reply) = data.read::<HeartbeatReply>() else { return };
        for lease in reply.cancel {
            let name = Name::Lease(lease);
            let Some(attempt) = self.memory.get(&name) else { continue };
            if matches!(attempt.stage, Stage::Running(_)) {
                let (task, route) = (attempt.task.0, attempt.route);
                self.abandon(now, name, task, route);
            }
        }
    }
}
