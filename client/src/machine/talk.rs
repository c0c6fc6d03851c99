//! The steps of a conversation.

use std::time::Duration;

use taskgrid_protocol::body::{PostReply, TaskRef};
use taskgrid_protocol::outbox::{Patience, jittered};
use taskgrid_protocol::reply::pad;
use taskgrid_protocol::{Message, Timestamp};

use super::Machine;
use super::call::{Answer, CallId, Effect, Outcome, Progress, Rejected, Request, Silence};
use super::conversation::Stage;
use super::limits::{DATAGRAM_COST, PAD_MAX, PAUSE_DEFAULT, WAIT_AGAIN_AFTER, WINDOW_MAX};
use super::reply::{Said, obeyed_before};

impl Machine {
    /// The call has a question to ask, when its turn comes.
    pub(super) fn enqueue(&mut self, id: CallId) {
        let conversation = self.calls.get_mut(&id).expect("only calls under way are queued");
        conversation.stage = Stage::Queued;
        self.alarms.set(id, conversation.deadline);
        self.queue.insert(id);
    }

    /// Sends questions for as long as the window has room.
    pub(super) fn send_queued(&mut self, now: Timestamp) {
        while self.window_used < WINDOW_MAX
            && let Some(id) = self.queue.first().copied()
        {
            let Some(to) = self.path.addr(now) else { return };
            self.queue.pop_first();
            self.alarms.cancel(&id);
            let round = self.calls.get(&id).map_or(0, |conversation| conversation.round);
            let wire_id = self.wire_id(id, round);
            let conversation = self.calls.get_mut(&id).expect("only calls under way are queued");
            let mut question = Message::request(wire_id, conversation.question()).transmit(to, conversation.pack);
            pad(&mut question, conversation.pad);
            let cost = question.bytes.len() + if question.pack { 0 } else { DATAGRAM_COST };
            conversation.stage = Stage::Asked { cost };
            self.window_used += cost;
            let copy = self.asks.put(now, id, question, conversation.question_patience());
            self.transmits.push_back(copy);
        }
    }

    pub(super) fn handle_said(&mut self, now: Timestamp, id: CallId, round: u8, said: Said) {
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        conversation.hear(now);
        let is_current = conversation.round == round;
        match said {
            // A success of an earlier round is a success: that copy was slow, not lost.
            Said::Answer(answer) => self.end(now, id, Outcome::Ok(answer)),
            Said::Ended(end) => self.end(now, id, Outcome::Ok(Answer::Progress(Progress::Ended(end)))),
            Said::Stored(reply) => self.handle_stored(now, id, reply),
            Said::NotReady(standing, file) if is_current => {
                conversation.note_file(file);
                if conversation.is_content(now) {
                    self.end(now, id, Outcome::Ok(Answer::Progress(Progress::NotReady(standing))));
                } else if conversation.may_wait() {
                    let until = conversation.slice_ends(now);
                    self.wait(now, id, until);
                }
            }
            Said::Refused(refused, pause) if is_current => self.handle_refused(now, id, refused, pause),
            Said::Pad(need) if is_current => self.handle_padding(now, id, need),
            Said::NotReady(..) | Said::Refused(..) | Said::Pad(_) => {}
            // Not even a bad answer: it may have been damaged on its way, so the question stands.
            Said::Garbled => conversation.garbled = true,
        }
    }

    /// The task of a submission that waits is stored. From here on only its number is needed.
    fn handle_stored(&mut self, now: Timestamp, id: CallId, reply: PostReply) {
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        if !matches!(conversation.request, Request::Submit { .. }) {
            return;
        }
        let task = TaskRef { task_id: reply.task_id, file_id: reply.file_id };
        conversation.request = Request::Watch { task, limit: None };
        conversation.hear(now);
        let is_waiter = reply.waiting != Some(false);
        self.effects.push_back(Effect::Stored(id, reply));
        if is_waiter {
            // The dispatcher counts the POST_TASK itself as a waiter, and what is sent again under the same
            // id as the same one.
            self.trust(now, id);
        } else {
            self.pause(now, id, PAUSE_DEFAULT);
        }
    }

    /// The dispatcher waits with us, for a slice, as it was asked to with the task.
    fn trust(&mut self, now: Timestamp, id: CallId) {
        self.answered(now, id);
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        let until = conversation.slice_ends(now);
        conversation.stage = Stage::Trusting { until };
        self.alarms.set(id, until.min(now + WAIT_AGAIN_AFTER));
    }

    /// Asks the dispatcher to wait for the end of the task with us, until the slice ends, and says so again and again.
    fn wait(&mut self, now: Timestamp, id: CallId, until: Timestamp) {
        self.answered(now, id);
        let Some(to) = self.path.addr(now) else { return self.enqueue(id) };
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        let Request::Watch { task, .. } = conversation.request else {
            unreachable!("only a watch waits");
        };
        conversation.stage = Stage::Waiting;
        let (body, round) = (conversation.wait_request(now, task), conversation.round);
        let (pack, length) = (conversation.pack, conversation.pad);
        let mut request = Message::request(self.wire_id(id, round), body).transmit(to, pack);
        pad(&mut request, length);
        let patience = Patience { deadline: Some(until), ..Patience::every(WAIT_AGAIN_AFTER) };
        let copy = self.waits.put(now, id, request, patience);
        self.transmits.push_back(copy);
    }

    fn handle_refused(&mut self, now: Timestamp, id: CallId, refused: Rejected, pause: Option<Duration>) {
        let was_resent = self.asks.was_resent(&id);
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        conversation.doubt |= was_resent;
        if conversation.doubt
            && let Some(answer) = obeyed_before(&conversation.request, &refused)
        {
            return self.end(now, id, Outcome::Ok(answer));
        }
        let Some(pause) = pause else {
            return self.end(now, id, Outcome::Rejected(refused));
        };
        // After the time that was asked for, not before, and not all who were refused together at once.
        let pause = jittered(pause, &mut self.rng) + pause / 4;
        if conversation.last_chance().is_none_or(|last| now + pause < last) {
            conversation.round = conversation.round.wrapping_add(1);
            return self.pause(now, id, pause);
        }
        // A read changes nothing, so nothing about it can be in doubt.
        let is_read = matches!(conversation.request, Request::Watch { .. });
        let outcome = if conversation.doubt && !is_read {
            Outcome::Unknown(conversation.silence(Some(refused)))
        } else {
            Outcome::Rejected(refused)
        };
        self.end(now, id, outcome);
    }

    /// The same is asked again in a longer message. What was asked for may have happened already: it is only the
    /// answer that did not come.
    fn handle_padding(&mut self, now: Timestamp, id: CallId, need: usize) {
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        if need <= conversation.pad || need > PAD_MAX || !conversation.may_repeat() {
            conversation.garbled = true;
            return;
        }
        conversation.pad = need;
        conversation.doubt = true;
        conversation.round = conversation.round.wrapping_add(1);
        self.answered(now, id);
        self.enqueue(id);
    }

    fn pause(&mut self, now: Timestamp, id: CallId, pause: Duration) {
        self.answered(now, id);
        let conversation = self.calls.get_mut(&id).expect("looked up by the caller");
        conversation.stage = Stage::Paused;
        self.alarms.set(id, now + pause);
    }

    /// A question has been asked in vain until the deadline.
    pub(super) fn handle_silence(&mut self, id: CallId) {
        self.release(id);
        let conversation = self.calls.remove(&id).expect("only calls under way ask");
        self.effects.push_back(Effect::Ended(id, Outcome::Unknown(conversation.silence(None))));
    }

    pub(super) fn handle_alarm(&mut self, now: Timestamp, id: CallId) {
        let conversation = self.calls.get_mut(&id).expect("only calls under way have alarms");
        match conversation.stage {
            Stage::Paused => {
                // The silence until now was asked for.
                conversation.hear(now);
                self.enqueue(id);
            }
            Stage::Queued if self.path.addr(now).is_some() => self.handle_silence(id),
            Stage::Queued => {
                self.release(id);
                self.calls.remove(&id);
                self.effects.push_back(Effect::Ended(id, Outcome::Unknown(Silence::NoAddress)));
            }
            Stage::Trusting { until } if now < until => self.wait(now, id, until),
            // The slice is over: is the dispatcher still there?
            Stage::Trusting { .. } => self.enqueue(id),
            Stage::Asked { .. } | Stage::Waiting => unreachable!("the outboxes have their own timers"),
        }
    }

    fn end(&mut self, now: Timestamp, id: CallId, outcome: Outcome) {
        self.answered(now, id);
        self.calls.remove(&id);
        self.effects.push_back(Effect::Ended(id, outcome));
    }

    /// The current question has been answered, which tells how long a round trip takes.
    fn answered(&mut self, now: Timestamp, id: CallId) {
        self.asks.answered(now, &id);
        self.release(id);
    }

    /// Takes the call out of whatever holds it.
    pub(super) fn release(&mut self, id: CallId) {
        if let Some(conversation) = self.calls.get(&id)
            && let Stage::Asked { cost } = conversation.stage
        {
            self.window_used -= cost;
        }
        self.asks.forget(&id);
        self.waits.forget(&id);
        self.queue.remove(&id);
        self.alarms.cancel(&id);
    }
}
