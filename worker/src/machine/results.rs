//! RESULT_RETURN: sent again until it is stored (R21).

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use taskgrid_protocol::body::ResultReturn;
use taskgrid_protocol::limits::ANSWER_DEADLINE;
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Body, ErrorCode, Json, Message, TaskId, Timestamp, Transmit};

use super::limits::{RESULT_KEPT_FOR, RESULT_RESEND_MAX, UNSAID_PAUSE};
use super::memory::{Name, Route, Stage};
use super::{Asked, Machine, Note, Outcome};

/// What is read of any answer: whether it is an error, and which.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) error: Option<String>,
    pub(super) code: Option<ErrorCode>,
    pub(super) retry_after_ms: Option<u64>,
    /// Of a name service: another process wanted the address.
    pub(super) contested: Option<String>,
}

impl Answer {
    /// `None`: it is none that we understand.
    pub(super) fn read(data: &Json) -> Option<Self> {
        data.read().ok()
    }
}

impl Machine {
    /// The handler of an attempt has ended.
    pub(super) fn send_result(&mut self, now: Timestamp, name: &Name, outcome: Outcome) {
        let id = self.next_request();
        let Some(attempt) = self.memory.get(name) else { return };
        let (task_id, route) = (attempt.task.0, attempt.route);
        let (transmit, returned) = self.encode_result(name, id, route, returned(task_id, outcome));
        let patience = match name {
            Name::Lease(..) => {
                Patience { deadline: Some(now + RESULT_KEPT_FOR), ..Patience::forever(RESULT_RESEND_MAX) }
            }
            Name::Plain(..) => Patience::until(now + ANSWER_DEADLINE),
        };
        self.ask(now, id, Asked::Result(name.clone()), transmit, patience);
        if let Some(attempt) = self.memory.get_mut(name) {
            attempt.stage = Stage::Unstored(id, Box::new(returned));
        }
    }

    /// An unstored result leaves once more at once, and from now on for `to` if that is given.
    pub(super) fn send_result_again(&mut self, now: Timestamp, name: &Name, to: Option<SocketAddr>) {
        let Some(attempt) = self.memory.get(name) else { return };
        if let Stage::Unstored(id, _) = &attempt.stage {
            self.outbox.redirect(now, id, to.unwrap_or(attempt.route.dispatcher));
        }
    }

    /// A result that was stored already is asked for again, by a copy of its TASK that was long under way or
    /// by a dispatcher that was restored from a backup. It leaves once a TASK; nobody waits for the answer.
    pub(super) fn send_stored_result(&mut self, name: &Name, route: Route, returned: ResultReturn) {
        let id = self.next_request();
        let (transmit, _) = self.encode_result(name, id, route, returned);
        self.transmits.push_back(transmit);
    }

    /// Gives the result back, so that the largest of all messages need not be copied.
    fn encode_result(&self, name: &Name, id: u64, route: Route, returned: ResultReturn) -> (Transmit, ResultReturn) {
        let message = Message::new(self.beside(name, Some(id)), Body::ResultReturn(returned));
        let transmit = message.transmit(route.dispatcher, route.packed);
        let Body::ResultReturn(returned) = message.body else { unreachable!("it was just put there") };
        (transmit, returned)
    }

    /// The dispatcher has answered. Any answer ends the re-sending, except one that asks for patience.
    pub(super) fn handle_result_answer(&mut self, now: Timestamp, id: u64, name: &Name, data: &Json) {
        let Some(answer) = Answer::read(data) else { return };
        if let Some(ErrorCode::Overloaded | ErrorCode::DiskLow | ErrorCode::ShuttingDown) = answer.code {
            // Not for longer than it would be silent by itself: nobody may put a result off for ever.
            let pause = answer.retry_after_ms.map_or(UNSAID_PAUSE, Duration::from_millis).min(RESULT_RESEND_MAX);
            return self.outbox.postpone(&id, now + pause);
        }
        if let (Some(error), Some(attempt)) = (answer.error, self.memory.get(name)) {
            let task = attempt.task.0;
            self.note(Note::Unwanted(task, error));
        }
        self.outbox.answered(now, &id);
        self.asked.remove(&id);
        self.memory.settle(now, name);
    }

    /// Whether an attempt has ended without a result, and its dispatcher has not answered that yet.
    pub(super) fn has_failed(&self, name: &Name) -> bool {
        let stage = self.memory.get(name).map(|attempt| &attempt.stage);
        matches!(stage, Some(Stage::Unstored(_, returned)) if returned.result.is_none())
    }

    /// There is a newer attempt, so the dispatcher has stored this failure or wants it no more (R19).
    pub(super) fn withdraw_failure(&mut self, now: Timestamp, name: &Name) {
        if let Some(Stage::Unstored(id, _)) = self.memory.get(name).map(|attempt| &attempt.stage) {
            let id = *id;
            self.forget(id);
            self.memory.settle(now, name);
        }
    }

    /// Nobody has answered in all that time. The lease stays remembered, so it is not run again here.
    pub(super) fn handle_result_silence(&mut self, now: Timestamp, name: &Name) {
        if name.lease().is_some() {
            self.note(Note::Unstored(1));
        }
        self.memory.settle(now, name);
    }
}

fn returned(task_id: TaskId, outcome: Outcome) -> ResultReturn {
    match outcome {
        Ok(result) => ResultReturn { task_id, result: Some(result), error: None },
        Err(failure) => ResultReturn { task_id, result: None, error: Some(failure.cut()) },
    }
}
