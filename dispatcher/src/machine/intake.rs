//! New tasks, and orders about old ones.

use taskgrid_protocol::body::{PostTask, TaskRef};
use taskgrid_protocol::limits::{MAX_ATTEMPTS_DEFAULT, TIMEOUT_DEFAULT, VALUE_MAX};
use taskgrid_protocol::{ErrorCode, ErrorReply, ReplyTo, Timestamp};

use super::Machine;
use super::batch::Posted;
use super::limits::{QUEUE_FULL_PAUSE, RESTART_PAUSE};
use crate::store::Insert;

impl Machine {
    /// POST_TASK. Whatever is refused here is refused before anything is written, so the refusal is
    /// definite (R6).
    pub(super) fn handle_post(&mut self, now: Timestamp, reply_to: ReplyTo, post: PostTask) {
        if self.draining {
            return self.reply_stopping(&reply_to);
        }
        if self.is_disk_low() {
            return self.reply_disk_low(&reply_to);
        }
        if post.payload.len() > VALUE_MAX {
            let error = format!(
                "the payload has {} bytes, the limit is {VALUE_MAX}; store the data elsewhere and send its address",
                post.payload.len()
            );
            return self.reply_error(&reply_to, ErrorCode::TooLarge, &error);
        }
        if !self.open.takes_inserts() {
            return self.reply_overloaded(&reply_to, "too many new tasks wait to be stored");
        }
        if self.is_queue_full() {
            let error = "as many tasks are pending as --max-pending allows; nothing was stored, ask again later";
            return self.reply(&reply_to, &ErrorReply::passing(ErrorCode::QueueFull, error, QUEUE_FULL_PAUSE));
        }
        if !self.admit_type(now, &post.task_type) {
            return self.reply_overloaded(&reply_to, "too many different task types have pending tasks");
        }
        self.insert(now, reply_to, post);
    }

    fn insert(&mut self, now: Timestamp, reply_to: ReplyTo, post: PostTask) {
        let is_due = post.delay_s.is_none() && post.not_before.is_none();
        let offer = if is_due { self.slot_for_new(now, &post.task_type) } else { None };
        if is_due && offer.is_none() {
            self.types.pending_now(&post.task_type);
        }
        let (worker, slot) = offer.unzip();
        let posted = Posted { reply_to, task_type: post.task_type.clone(), wait: post.wait_s, worker };
        let insert = Insert {
            task_type: post.task_type,
            payload: post.payload,
            key: post.key,
            priority: post.priority.unwrap_or_default(),
            max_attempts: post.max_attempts.unwrap_or(MAX_ATTEMPTS_DEFAULT),
            timeout_s: post.timeout_s.map_or(TIMEOUT_DEFAULT, |span| span.0).as_secs(),
            not_before: post.not_before,
            delay: post.delay_s.map(|span| span.0),
            expires: post.expires_s.map(|span| span.0),
            slot,
        };
        self.open.insert(insert, posted);
    }

    /// CANCEL_TASK (R24a).
    pub(super) fn handle_cancel(&mut self, reply_to: ReplyTo, task: TaskRef) {
        if self.is_ours(&reply_to, task) && self.takes_order(&reply_to) {
            self.open.cancel(task.task_id, reply_to);
        }
    }

    /// RETRY_TASK (R24a).
    pub(super) fn handle_retry(&mut self, reply_to: ReplyTo, task: TaskRef) {
        if self.is_ours(&reply_to, task) && self.takes_order(&reply_to) {
            self.open.retry(task.task_id, reply_to);
        }
    }

    fn takes_order(&mut self, reply_to: &ReplyTo) -> bool {
        if self.draining {
            self.reply_stopping(reply_to);
            return false;
        }
        if !self.open.takes_orders() {
            self.reply_overloaded(reply_to, "too many requests wait for the disk");
            return false;
        }
        true
    }

    fn reply_stopping(&mut self, reply_to: &ReplyTo) {
        let error = "the dispatcher is stopping; nothing was stored, ask again once it is back";
        self.reply(reply_to, &ErrorReply::passing(ErrorCode::ShuttingDown, error, RESTART_PAUSE));
    }
}
