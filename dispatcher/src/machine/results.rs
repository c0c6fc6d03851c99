//! What workers say: results, acknowledgements, heartbeats.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_protocol::body::{
    Failure, HeartbeatReply, Progress, RejectReason, ResultReturn, TaskAck, TaskHeartbeat, TaskReject,
};
use taskgrid_protocol::error::{TaskError, task_code};
use taskgrid_protocol::limits::VALUE_MAX;
use taskgrid_protocol::{Beside, Body, ErrorCode, Instance, Lease, Message, ReplyTo, Resolved, TaskId, Timestamp};

use super::limits::{BUSY_PAUSE, DRAINING_PAUSE, LOOK_AGAIN_AFTER, PARKED_MAX};
use super::roster::WorkerKey;
use super::{Alarm, Machine, Sending};
use crate::store::{End, Finish, Outcome, Proof};

impl Machine {
    /// RESULT_RETURN.
    pub(super) fn handle_result(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        let reply_to = message.reply_to(from);
        let Body::ResultReturn(returned) = &message.body else { return };
        if returned.result.is_some() == returned.error.is_some() {
            let error = "RESULT_RETURN has either 'result' or 'error', not both and not neither";
            return self.reply_error(&reply_to, ErrorCode::BadRequest, error);
        }
        if !self.open.takes_finishes() {
            return self.reply_overloaded(&reply_to, "too many results wait to be stored");
        }
        let proof = match &message.beside.lease {
            Some(lease) => Proof::Lease(self.current_name_of(returned.task_id, lease, returned.error.is_some())),
            None => match self.senders(now, returned.task_id, from) {
                Some(senders) => Proof::Sender(senders),
                None => return self.park(now, from, message),
            },
        };
        let Body::ResultReturn(returned) = message.body else { return };
        let finish = Finish { task: returned.task_id, proof, end: self.end_of(returned) };
        self.open.finish(finish, reply_to);
    }

    /// A worker that runs a task under an older lease speaks for the current attempt (R22): its failure is
    /// that attempt's. A success stands under the lease that it was run with.
    fn current_name_of(&self, task: TaskId, lease: &Lease, failed: bool) -> Lease {
        let current = self.attempts.get(task).filter(|attempt| failed && attempt.is_under(lease));
        current.and_then(|attempt| attempt.lease.clone()).unwrap_or_else(|| lease.clone())
    }

    fn end_of(&mut self, returned: ResultReturn) -> End {
        if let Some(result) = returned.result {
            if result.len() <= VALUE_MAX {
                return End::Success(result);
            }
            let message = format!("the result has {} bytes, the limit is {VALUE_MAX}", result.len());
            return failure(Failure::permanent(task_code::RESULT_TOO_LARGE, message), None);
        }
        let error = returned.error.expect("a result without 'result' has 'error', as was checked");
        let number = self.attempts.get(returned.task_id).map_or(1, |attempt| attempt.number);
        let retry = error.retry.then(|| error.retry_after_s.map_or_else(|| self.backoff(number), |span| span.0));
        failure(error, retry)
    }

    /// The plain workers that live on the host from which a result without a lease came; `None` while the
    /// host of the task's own worker is being looked up.
    fn senders(&mut self, now: Timestamp, task: TaskId, from: SocketAddr) -> Option<Arc<[Arc<str>]>> {
        if let Some(attempt) = self.attempts.get(task).filter(|attempt| attempt.lease.is_none()) {
            let (key, address) = (attempt.worker, attempt.address.clone());
            let resolved = self.resolver.resolve(now, &address);
            let host = resolved.any().map(|addr| addr.ip());
            if host != Some(from.ip()) && !matches!(resolved, Resolved::Fresh(_)) {
                return None;
            }
            match host {
                Some(host) if self.roster.get(key).is_some() => _ = self.roster.set_host(key, host),
                // The name service knew nothing of it, and its slot is free.
                Some(host) => self.roster.note_departed(address, host),
                None => {}
            }
        }
        Some(self.roster.plain_workers_on(from.ip()))
    }

    /// Keeps a result until the host of its worker is known: a plain worker sends it once only.
    fn park(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        let Body::ResultReturn(returned) = &message.body else { return };
        let Some(attempt) = self.attempts.get(returned.task_id) else { return };
        let parked: usize = self.parked.values().map(Vec::len).sum();
        if parked < PARKED_MAX {
            // Also when the look-up has just failed and does not begin at once.
            self.timers.set_earlier(Alarm::Attempt(returned.task_id), now + LOOK_AGAIN_AFTER);
            self.parked.entry(attempt.address.to_string()).or_default().push((from, message));
        }
    }

    /// TASK_ACK: to TASK, or to TASK_CANCEL. Never answered.
    pub(super) fn handle_ack(&mut self, now: Timestamp, ack: TaskAck, lease: Option<Lease>) {
        let Some(lease) = lease else { return };
        if self.attempts.get(ack.task_id).is_some_and(|attempt| attempt.is_under(&lease)) {
            self.renew(now, ack.task_id, !ack.waiting);
            self.outbox.answered(now, &Sending::Revoke(ack.task_id));
        }
        self.outbox.answered(now, &Sending::Cancel(ack.task_id, lease));
    }

    /// TASK_REJECT: to TASK, or to TASK_CANCEL. Never answered.
    pub(super) fn handle_reject(&mut self, now: Timestamp, reject: TaskReject, beside: Beside) {
        let Some(lease) = beside.lease else { return };
        let task = reject.task_id;
        self.outbox.answered(now, &Sending::Cancel(task, lease.clone()));
        let Some(attempt) = self.attempts.get_mut(task) else { return };
        if !attempt.is_under(&lease) || attempt.ending {
            return;
        }
        match reject.reason {
            RejectReason::AlreadyRunning => {
                // The worker runs an older attempt that was given up: that run is this attempt now, which
                // costs an attempt's number but no second run.
                attempt.also_known_as = reject.holds;
                // Whether that one has started its next word tells.
                return self.renew(now, task, false);
            }
            RejectReason::Replaced => return self.handle_denied(now, task, beside.instance),
            RejectReason::Cancelled if attempt.replaced => return self.handle_denied(now, task, None),
            _ => {}
        }
        let address = attempt.address.clone();
        if !attempt.replaced {
            self.note_refusal(now, task, &reject);
        }
        let (code, why, retry) = match reject.reason {
            RejectReason::TooLarge => (task_code::TOO_LARGE_FOR_WORKER, "does not take a task of this size", None),
            RejectReason::UnknownType => (task_code::UNKNOWN_TYPE, "does not serve the type", Some(Duration::ZERO)),
            RejectReason::Busy => ("BUSY", "was busy", Some(Duration::ZERO)),
            RejectReason::Draining => ("DRAINING", "was stopping", Some(Duration::ZERO)),
            _ => ("CANCELLED", "gave the task back", Some(Duration::ZERO)),
        };
        let error = TaskError { code: code.to_owned(), message: format!("worker {address} {why}") };
        self.end_attempt(task, Outcome::Rejected, error, false, retry);
    }

    /// A worker that stops takes no task and will soon be gone from the name service. If it is not, then a process
    /// before it has said so, in a datagram that was long under way.
    fn note_draining(&mut self, now: Timestamp, worker: WorkerKey) {
        self.roster.report_busy(now, worker, DRAINING_PAUSE);
    }

    /// What a refusal says of the worker.
    fn note_refusal(&mut self, now: Timestamp, task: TaskId, reject: &TaskReject) {
        let Some(attempt) = self.attempts.get(task) else { return };
        let (worker, address, task_type) = (attempt.worker, attempt.address.clone(), attempt.task_type.clone());
        match reject.reason {
            RejectReason::Busy => {
                let pause = reject.retry_after_ms.map_or(BUSY_PAUSE, Duration::from_millis).min(BUSY_PAUSE * 60);
                self.roster.report_busy(now, worker, pause);
            }
            RejectReason::Draining => self.note_draining(now, worker),
            RejectReason::UnknownType => {
                let changes = self.roster.withdraw_types(now, &address, std::slice::from_ref(&task_type));
                self.apply(now, changes);
            }
            _ => {}
        }
    }

    /// TASK_HEARTBEAT: renews the leases that are current (R16, R17). A worker that stops says so by its `instance`,
    /// whether it holds any or not (R39).
    pub(super) fn handle_heartbeat(
        &mut self,
        now: Timestamp,
        reply_to: &ReplyTo,
        heartbeat: TaskHeartbeat,
        instance: Option<&Instance>,
    ) {
        if let Some(worker) = instance.filter(|_| heartbeat.draining).and_then(|process| self.roster.process(process)) {
            self.note_draining(now, worker);
        }
        let mut reply = HeartbeatReply::default();
        for beat in heartbeat.leases {
            let current = self.attempts.get(beat.task_id).filter(|attempt| attempt.is_under(&beat.lease));
            let worker = current.map(|attempt| (attempt.worker, attempt.replaced));
            if let (Some((worker, false)), true) = (worker, heartbeat.draining) {
                self.note_draining(now, worker);
            }
            if self.outbox.contains(&Sending::Cancel(beat.task_id, beat.lease.clone())) {
                reply.cancel.push(beat.lease);
            } else if worker.is_some() {
                self.renew(now, beat.task_id, !beat.waiting);
                self.note_progress(beat.task_id, beat.progress);
            } else {
                reply.unknown.push(beat.lease);
            }
        }
        self.reply(reply_to, &reply);
    }

    /// A handler's last word counts until the attempt ends, also where a later heartbeat has none.
    fn note_progress(&mut self, task: TaskId, progress: Option<Progress>) {
        if let (Some(attempt), Some(progress)) = (self.attempts.get_mut(task), progress) {
            attempt.progress = Some(progress);
        }
    }

    /// A worker's own count of its free slots rode on a message about one of its attempts.
    pub(super) fn note_free_slots(&mut self, now: Timestamp, lease: Option<&Lease>, body: &Body, free: u32) {
        let (task, lease) = match (body, lease) {
            (Body::ResultReturn(returned), Some(lease)) => (returned.task_id, lease),
            (Body::TaskAck(ack), Some(lease)) => (ack.task_id, lease),
            (Body::TaskReject(reject), Some(lease)) => (reject.task_id, lease),
            (Body::TaskHeartbeat(heartbeat), _) => match heartbeat.leases.first() {
                Some(beat) => (beat.task_id, &beat.lease),
                None => return,
            },
            _ => return,
        };
        let Some(attempt) = self.attempts.get(task).filter(|attempt| attempt.is_under(lease)) else { return };
        if attempt.replaced {
            return;
        }
        let worker = attempt.worker;
        self.roster.report_free(now, worker, free);
    }
}

fn failure(error: Failure, retry: Option<Duration>) -> End {
    End::Failure { error: error.cut().into_task_error(), retry }
}
