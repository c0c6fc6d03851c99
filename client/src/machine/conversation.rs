//! One call, from its first datagram to its outcome.

use std::time::Duration;

use taskgrid_protocol::body::{GetResult, Span, TaskRef};
use taskgrid_protocol::limits::WAIT_MAX;
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Body, FileId, Timestamp};

use super::call::{Call, Rejected, Request, Silence};
use super::limits::{LIFE_SIGN_CEILING, SLICES_PER_PATIENCE};

#[derive(Debug)]
pub(super) struct Conversation {
    /// What is wanted. A submission that waits becomes a watch once its task is stored.
    pub(super) request: Request,
    pub(super) stage: Stage,
    pub(super) pack: bool,
    patience: Duration,
    started: Timestamp,
    /// When the outcome is unknown unless something usable is heard.
    pub(super) deadline: Timestamp,
    /// Counts the passing refusals. Part of the wire's `id`, so that a refusal that comes twice is not
    /// taken for the refusal of the next copy.
    pub(super) round: u8,
    /// A copy was sent that was never answered before another one was refused.
    pub(super) doubt: bool,
    pub(super) garbled: bool,
    /// How long the server wants our requests to be (R37).
    pub(super) pad: usize,
}

/// Where a conversation stands. Exactly one holder (the queue, an outbox, an alarm) knows it in each.
#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for room in the window, or for the server's address; its alarm is the deadline.
    Queued,
    /// A question is out that is answered at once; in the outbox `asks`, with its cost in the window.
    Asked {
        /// What it takes up in the window.
        cost: usize,
    },
    /// The dispatcher knows that we wait for the end of a task, by the very message that brought it the task; its alarm
    /// is the time to say so again. Most tasks end before, so that the words are never put together.
    Trusting {
        /// The end of the slice.
        until: Timestamp,
    },
    /// The dispatcher knows that we wait for the end of a task; in the outbox `waits`.
    Waiting,
    /// The dispatcher asked for patience; its alarm is the time to ask again.
    Paused,
}

impl Conversation {
    pub(super) fn new(now: Timestamp, call: Call) -> Self {
        let Call { request, patience, pack, .. } = call;
        let deadline = now + patience;
        let mut conversation = Self {
            request,
            stage: Stage::Queued,
            pack,
            patience,
            started: now,
            deadline,
            round: 0,
            doubt: false,
            garbled: false,
            pad: 0,
        };
        let slice = Span(conversation.slice(now));
        if let Request::Submit { task, wait } = &mut conversation.request {
            task.wait_s = wait.then_some(slice);
        }
        conversation
    }

    /// The question that is answered at once.
    pub(super) fn question(&self) -> Body {
        match &self.request {
            Request::Ask(body) => body.clone(),
            Request::Submit { task, .. } => Body::PostTask((**task).clone()),
            Request::Watch { task, .. } => Body::GetResult(get_result(*task, None)),
        }
    }

    pub(super) fn question_patience(&self) -> Patience {
        let patience = Patience::until(self.deadline);
        match self.request {
            _ if !self.may_repeat() => Patience { first: Some(self.patience), ceiling: self.patience, ..patience },
            Request::Watch { .. } => Patience { ceiling: LIFE_SIGN_CEILING, ..patience },
            Request::Ask(_) | Request::Submit { .. } => patience,
        }
    }

    /// Whether a second copy does no harm. Of a task without a key it would make a second task (R10).
    pub(super) fn may_repeat(&self) -> bool {
        !matches!(&self.request, Request::Submit { task, .. } if task.key.is_none())
    }

    /// The request that is answered at the end of the task.
    pub(super) fn wait_request(&self, now: Timestamp, task: TaskRef) -> Body {
        Body::GetResult(get_result(task, Some(Span(self.slice(now)))))
    }

    /// The task that is watched stands in this database: should another one answer later, it has no such task.
    pub(super) fn note_file(&mut self, file: Option<FileId>) {
        if let Request::Watch { task, .. } = &mut self.request {
            task.file_id = task.file_id.or(file);
        }
    }

    /// The end of a slice that begins now.
    pub(super) fn slice_ends(&self, now: Timestamp) -> Timestamp {
        now + self.slice(now)
    }

    fn slice(&self, now: Timestamp) -> Duration {
        let longest = (self.patience / SLICES_PER_PATIENCE).min(WAIT_MAX);
        self.until().map_or(longest, |until| longest.min(until.since(now)))
    }

    /// When a watch is content with "not ready".
    fn until(&self) -> Option<Timestamp> {
        match self.request {
            Request::Watch { limit, .. } => limit.map(|limit| self.started + limit),
            Request::Ask(_) | Request::Submit { .. } => None,
        }
    }

    pub(super) fn is_content(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// Whether "not ready" means to wait on. A submission that hears it has missed the number of its task, so
    /// it goes on asking for that.
    pub(super) fn may_wait(&self) -> bool {
        let is_out = matches!(self.stage, Stage::Asked { .. } | Stage::Trusting { .. } | Stage::Waiting);
        is_out && matches!(self.request, Request::Watch { .. })
    }

    /// A watch goes on for as long as the dispatcher answers (R10a).
    pub(super) fn hear(&mut self, now: Timestamp) {
        if matches!(self.request, Request::Watch { .. }) {
            self.deadline = now + self.patience;
        }
    }

    /// Until when a refusal may ask for patience, if there is a limit.
    pub(super) fn last_chance(&self) -> Option<Timestamp> {
        let by_patience = self.started + self.patience;
        match self.request {
            Request::Ask(_) | Request::Submit { .. } => Some(by_patience),
            Request::Watch { .. } => self.until().map(|until| until.max(by_patience)),
        }
    }

    /// Why the outcome is unknown when the deadline passes.
    pub(super) fn silence(&self, refusal: Option<Rejected>) -> Silence {
        match refusal {
            Some(refusal) => Silence::InDoubt(refusal),
            None if self.garbled => Silence::Garbled,
            None => Silence::NoAnswer,
        }
    }
}

fn get_result(task: TaskRef, wait_s: Option<Span>) -> GetResult {
    let TaskRef { task_id, file_id } = task;
    GetResult { task_id, wait_s, file_id }
}
