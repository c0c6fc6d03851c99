//! Stopping without losing anything (R39).
//!
//! The worker leaves the lists of the name services, tells its dispatchers, and takes nothing new. Handlers
//! may go on for the grace; what waits for them is given back at once. What still runs then is stopped and given back: the dispatcher does not charge
//! it, since a task that outlasts some restarts of its workers has not failed.

use taskgrid_protocol::body::{RejectReason, TaskHeartbeat};
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::{Beside, Body, Message, RequestId, Timestamp};

use super::limits::{DEREGISTER_FOR, FAREWELL, GIVE_BACK_FOR, GIVE_BACK_RESEND};
use super::memory::{Name, Refusal};
use super::runs::Why;
use super::{Alarm, Asked, Effect, Exit, Machine, Note, RunKey};

impl Machine {
    pub(super) fn handle_drain(&mut self, now: Timestamp) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.give_back_waiting(now);
        self.deregister(now);
        self.beat(now);
        self.take_leave(now);
        self.timers.set(Alarm::GraceOver, now + self.config.grace);
        self.timers.set(Alarm::GiveUp, now + self.config.grace + FAREWELL);
    }

    /// Tells every dispatcher that has given tasks lately, whether one of them is still here or not. Until they have
    /// answered, the worker stays to give back what is on its way.
    fn take_leave(&mut self, now: Timestamp) {
        for dispatcher in self.memory.dispatchers() {
            let id = self.next_request();
            let beside = Beside {
                id: Some(RequestId::number(id)),
                instance: Some(self.config.instance.clone()),
                free_slots: Some(0),
                ..Beside::default()
            };
            let leave = Body::TaskHeartbeat(TaskHeartbeat { leases: Vec::new(), draining: true });
            let transmit = Message::new(beside, leave).transmit(dispatcher, false);
            self.ask(now, id, Asked::Farewell, transmit, Patience::until(now + DEREGISTER_FOR));
        }
    }

    pub(super) fn handle_grace_over(&mut self) {
        let running: Vec<RunKey> = self.runs.keys().collect();
        for run in running {
            self.stop(run, Why::GraceOver);
        }
    }

    /// Nothing has come of an attempt, and that is not its task's fault. It is offered again, to whom it may be, and not
    /// charged.
    pub(super) fn give_back(&mut self, now: Timestamp, name: Name, reason: RejectReason) {
        let Some(attempt) = self.memory.get(&name) else { return };
        let (task, route) = (attempt.task, attempt.route);
        let refusal = Refusal::from(reason);
        let id = self.next_request();
        let transmit = self.reject(&name, task.0, &refusal).transmit(route.dispatcher, route.packed);
        let patience = Patience { deadline: Some(now + GIVE_BACK_FOR), ..Patience::every(GIVE_BACK_RESEND) };
        self.ask(now, id, Asked::GiveBack, transmit, patience);
        self.memory.refuse(now, name, task, route, refusal);
    }

    /// Whether nothing is left to do.
    pub(super) fn is_drained(&self) -> bool {
        self.draining && self.runs.is_empty() && self.asked.values().all(|asked| matches!(asked, Asked::Heartbeat(_)))
    }

    /// The time is up, whatever is left.
    pub(super) fn give_up(&mut self) {
        let unstored = self.memory.live_count();
        if unstored > 0 {
            self.note(Note::Unstored(unstored));
        }
        self.exited = true;
        self.effects.push_back(Effect::Exit(Exit::Drained));
    }
}
