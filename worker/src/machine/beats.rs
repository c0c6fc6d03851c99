//! TASK_HEARTBEAT: one for all attempts, in pieces that fit into a datagram (R16).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use taskgrid_protocol::body::{HeartbeatReply, LeaseBeat, Progress, TaskHeartbeat};
use taskgrid_protocol::limits::{HEARTBEAT_LEASES_MAX, PACK_REMOTE_MAX};
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Json, Lease, Message, RequestId, TaskId, Timestamp};

use super::limits::{HEARTBEAT_RESEND, NOTED_MAX};
use super::memory::{Attempt, Name, Route, Stage};
use super::{Alarm, Asked, Machine};

impl Machine {
    /// Tells each dispatcher which of its attempts are here: waiting, running, or not yet stored. What it has not
    /// answered of the last round is of the past.
    pub(super) fn beat(&mut self, now: Timestamp) {
        self.forget_beats(now);
        let mut beats: BTreeMap<SocketAddr, Vec<LeaseBeat>> = BTreeMap::new();
        for (name, attempt) in self.memory.live() {
            if let Some(lease) = name.lease().cloned() {
                let progress = match attempt.stage {
                    Stage::Running(run) => self.runs.progress(run).cloned(),
                    _ => None,
                };
                let waiting = matches!(attempt.stage, Stage::Waiting(_));
                let beat = LeaseBeat { task_id: attempt.task.0, lease, waiting, progress };
                beats.entry(attempt.route.dispatcher).or_default().push(beat);
            }
        }
        if !beats.is_empty() {
            self.beat_at = Some(now);
            self.timers.set(Alarm::Heartbeat, now + self.config.heartbeat_every);
        }
        for (dispatcher, beats) in beats {
            for leases in in_pieces(beats) {
                self.send_heartbeat(now, dispatcher, leases);
            }
        }
    }

    /// Earlier rounds are not sent again. Their answers are listened to for as long as a round lasts that nothing brings
    /// forward: they may take longer than the next progress, and say what is to be stopped.
    fn forget_beats(&mut self, now: Timestamp) {
        let every = self.config.heartbeat_every;
        let (outbox, asked) = (&mut self.outbox, &mut self.asked);
        asked.retain(|id, asked| {
            let Asked::Heartbeat(sent) = asked else { return true };
            outbox.forget(id);
            *sent + every > now
        });
    }

    fn send_heartbeat(&mut self, now: Timestamp, to: SocketAddr, leases: Vec<LeaseBeat>) {
        let id = self.next_request();
        let beside =
            Beside { id: Some(RequestId::number(id)), free_slots: Some(self.free_slots()), ..Beside::default() };
        let heartbeat = TaskHeartbeat { leases, draining: self.draining };
        let transmit = Message::new(beside, Body::TaskHeartbeat(heartbeat)).transmit(to, false);
        self.ask(now, id, Asked::Heartbeat(now), transmit, Patience::every(HEARTBEAT_RESEND));
    }

    /// The dispatcher has answered: some attempts are to be stopped. Those that it does not know go on,
    /// since their results may still be welcome (R19).
    pub(super) fn handle_heartbeat_answer(&mut self, now: Timestamp, id: u64, data: &Json) {
        self.outbox.answered(now, &id);
        self.asked.remove(&id);
        let Ok(reply) = data.read::<HeartbeatReply>() else { return };
        let stopped: BTreeSet<Lease> = reply.cancel.into_iter().collect();
        let is_stopped = |name: &Name| name.lease().is_some_and(|lease| stopped.contains(lease));
        let unended = |attempt: &Attempt| matches!(attempt.stage, Stage::Waiting(_) | Stage::Running(_));
        let here = self.memory.live().filter(|(name, attempt)| is_stopped(name) && unended(attempt));
        let here: Vec<(Name, TaskId, Route)> =
            here.map(|(name, attempt)| (name.clone(), attempt.task.0, attempt.route)).collect();
        for (name, task, route) in here {
            self.abandon(now, name, task, route);
        }
    }
}

/// What stands around the leases, at most: `type`, an `id` of 20 digits, `free_slots` of four and `draining` are 107 bytes.
const ENVELOPE: usize = 120;

/// Cuts what one dispatcher is told into pieces, each of which fits into a datagram that no network splits. Where that
/// takes too much, the notes stay away: the leases are what matters.
fn in_pieces(mut beats: Vec<LeaseBeat>) -> Vec<Vec<LeaseBeat>> {
    let is_crowded = beats.len() > NOTED_MAX;
    let mut pieces: Vec<Vec<LeaseBeat>> = Vec::new();
    let mut room = 0;
    for beat in &mut beats {
        if is_crowded || ENVELOPE + length(beat) > PACK_REMOTE_MAX {
            beat.progress = beat.progress.take().map(Progress::without_note);
        }
    }
    for beat in beats {
        let length = length(&beat);
        match pieces.last_mut() {
            Some(piece) if piece.len() < HEARTBEAT_LEASES_MAX && length <= room => {
                room -= length;
                piece.push(beat);
            }
            _ => {
                room = (PACK_REMOTE_MAX - ENVELOPE).saturating_sub(length);
                pieces.push(vec![beat]);
            }
        }
    }
    pieces
}

/// The bytes that a lease takes in a heartbeat, with the comma after it.
fn length(beat: &LeaseBeat) -> usize {
    Json::of(beat).len() + 1
}
