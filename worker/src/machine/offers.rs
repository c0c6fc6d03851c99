//! TASK and TASK_CANCEL: what dispatchers want of this worker.

use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::body::{AckState, RejectReason, TaskAck, TaskCancel, TaskObject, TaskReject};
use taskgrid_protocol::limits::{TIMEOUT_DEFAULT, VALUE_MAX};
use taskgrid_protocol::{Beside, Body, ErrorCode, Instance, Message, ReplyTo, TaskId, Timestamp, WallTime};

use super::limits::{BUSY_PAUSE, UNSTORED_MAX};
use super::memory::{Name, Refusal, Route, Stage};
use super::runs::Why;
use super::waiting::Given;
use super::{Alarm, Machine, Task};

impl Machine {
    /// TASK. Answered by TASK_ACK, TASK_REJECT or the result itself (R13).
    pub(super) fn handle_task(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        let route = Route { dispatcher: from, packed: message.packed };
        let Body::Task(task) = message.body else { return };
        let beside = message.beside;
        let name = beside.lease.map_or(Name::Plain(task.id, from), |lease| Name::Lease(task.id, lease));
        if self.memory.get(&name).is_some() {
            return self.handle_repeated(now, &name, route);
        }
        if self.is_for_another(beside.instance.as_ref()) {
            return self.send_reject(&name, task.id, route, &RejectReason::Replaced.into());
        }
        if let Some(refusal) = self.objection(now, &task, route) {
            self.send_reject(&name, task.id, route, &refusal);
            return self.memory.refuse(now, name, (task.id, task.timestamp_created), route, refusal);
        }
        let timeout = beside.timeout_s.map_or(TIMEOUT_DEFAULT, Duration::from_secs);
        let run = self.runs.next_key();
        let starts = self.has_slot();
        let stage = if starts { Stage::Running(run) } else { Stage::Waiting(run) };
        self.memory.take(name.clone(), (task.id, task.timestamp_created), route, stage);
        let task = Task {
            id: task.id,
            task_type: task.task_type,
            payload: task.payload,
            attempt: beside.attempt.unwrap_or(1),
            lease: name.lease().cloned(),
        };
        self.timers.set_earlier(Alarm::Heartbeat, now + self.config.heartbeat_every);
        let given = Given { name, task, timeout, came: now };
        if starts { self.begin(now, run, given) } else { self.wait(now, run, given) }
    }

    /// Why a new attempt is not started here, if it is not.
    fn objection(&mut self, now: Timestamp, task: &TaskObject, route: Route) -> Option<Refusal> {
        if let Some(holder) = self.memory.holder_of(&(task.id, task.timestamp_created)).cloned() {
            if !self.has_failed(&holder) {
                // The dispatcher has given the older attempt up, but it is here: one run serves both (R22). It may have
                // moved since, and then knows nothing of this one yet.
                if let Some(attempt) = self.memory.get_mut(&holder) {
                    attempt.route = route;
                }
                self.send_result_again(now, &holder, Some(route.dispatcher));
                return Some(Refusal { reason: RejectReason::AlreadyRunning, holds: holder.lease().cloned() });
            }
            self.withdraw_failure(now, &holder);
        }
        let reason = if self.draining {
            RejectReason::Draining
        } else if !self.config.types.contains(&task.task_type) {
            RejectReason::UnknownType
        } else if task.payload.len() > VALUE_MAX {
            RejectReason::TooLarge
        } else if self.free_slots() == 0 || self.memory.live_count() >= UNSTORED_MAX {
            RejectReason::Busy
        } else {
            return None;
        };
        Some(reason.into())
    }

    /// Whether a message about an attempt is meant for a process that was at this address before (R18). That
    /// one may have started it, so it does not start here.
    fn is_for_another(&self, instance: Option<&Instance>) -> bool {
        instance.is_some_and(|meant| *meant != self.config.instance)
    }

    /// Another copy of a TASK, perhaps from a dispatcher that came back at another address (R21). The attempt
    /// is not started again, whatever became of it (R22).
    fn handle_repeated(&mut self, now: Timestamp, name: &Name, route: Route) {
        let Some(attempt) = self.memory.get_mut(name) else { return };
        attempt.route = route;
        let task = attempt.task.0;
        match &attempt.stage {
            Stage::Waiting(_) => self.send_ack(name, route, waiting_ack(task)),
            Stage::Running(_) => self.send_ack(name, route, ack(task, AckState::Running)),
            Stage::Unstored(..) => self.send_result_again(now, name, Some(route.dispatcher)),
            Stage::Stored(Some(returned)) => {
                let returned = returned.clone();
                self.send_stored_result(name, route, *returned);
            }
            Stage::Stored(None) => self.send_ack(name, route, ack(task, AckState::Done)),
            Stage::Refused(refusal) => {
                let refusal = refusal.clone();
                self.send_reject(name, task, route, &refusal);
            }
        }
    }

    /// TASK_CANCEL (R13, R24a). Answered by TASK_REJECT{cancelled} when the attempt does not run here, or no
    /// longer, else by TASK_ACK.
    pub(super) fn handle_cancel(&mut self, now: Timestamp, cancel: TaskCancel, beside: Beside, to: &ReplyTo) {
        let Some(lease) = beside.lease else {
            let error = "TASK_CANCEL needs the 'lease' of the attempt beside 'data'";
            return self.reply_error(to, ErrorCode::BadRequest, error);
        };
        let name = Name::Lease(cancel.task_id, lease);
        let route = Route { dispatcher: to.addr, packed: to.packed };
        let stage = self.memory.get(&name).map(|attempt| &attempt.stage);
        match stage {
            Some(Stage::Running(_)) if cancel.unless_started => {
                self.send_ack(&name, route, ack(cancel.task_id, AckState::Running));
            }
            Some(Stage::Unstored(..) | Stage::Stored(_)) => {
                self.send_ack(&name, route, ack(cancel.task_id, AckState::Done));
            }
            // Whether it has started only the process before this one could say.
            None if cancel.unless_started && self.is_for_another(beside.instance.as_ref()) => {
                self.send_reject(&name, cancel.task_id, route, &RejectReason::Replaced.into());
            }
            Some(Stage::Waiting(_) | Stage::Running(_) | Stage::Refused(_)) | None => {
                self.abandon(now, name, cancel.task_id, route)
            }
        }
    }

    /// Stops an attempt if it runs, takes it from those that wait, sees to it that it is never started, and says so.
    pub(super) fn abandon(&mut self, now: Timestamp, name: Name, task: TaskId, route: Route) {
        let attempt = self.memory.get(&name);
        let task_key = attempt.map_or((task, WallTime::from_millis(0)), |attempt| attempt.task);
        match attempt.map(|attempt| &attempt.stage) {
            Some(Stage::Running(run)) => self.stop(*run, Why::Cancelled),
            Some(Stage::Waiting(run)) => self.dismiss(*run),
            _ => {}
        }
        let refusal = Refusal::from(RejectReason::Cancelled);
        self.send_reject(&name, task, route, &refusal);
        self.memory.refuse(now, name, task_key, route, refusal);
    }

    /// A dispatcher without leases knows no TASK_ACK.
    pub(super) fn send_ack(&mut self, name: &Name, route: Route, ack: TaskAck) {
        if name.lease().is_none() {
            return;
        }
        let message = Message::new(self.beside(name, None), Body::TaskAck(ack));
        self.transmits.push_back(message.transmit(route.dispatcher, route.packed));
    }

    fn send_reject(&mut self, name: &Name, task: TaskId, route: Route, refusal: &Refusal) {
        let transmit = self.reject(name, task, refusal).transmit(route.dispatcher, route.packed);
        self.transmits.push_back(transmit);
    }

    pub(super) fn reject(&self, name: &Name, task: TaskId, refusal: &Refusal) -> Message {
        let busy = refusal.reason == RejectReason::Busy;
        let reject = TaskReject {
            task_id: task,
            reason: refusal.reason,
            retry_after_ms: busy.then_some(u64::try_from(BUSY_PAUSE.as_millis()).unwrap_or(u64::MAX)),
            holds: refusal.holds.clone(),
        };
        let replaced = refusal.reason == RejectReason::Replaced;
        let instance = replaced.then(|| self.config.instance.clone());
        Message::new(Beside { instance, ..self.beside(name, None) }, Body::TaskReject(reject))
    }
}

pub(super) fn ack(task_id: TaskId, state: AckState) -> TaskAck {
    TaskAck { task_id, state, waiting: false }
}

pub(super) fn waiting_ack(task_id: TaskId) -> TaskAck {
    TaskAck { waiting: true, ..ack(task_id, AckState::Running) }
}
