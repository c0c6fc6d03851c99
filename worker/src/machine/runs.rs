//! Handlers that run: acknowledged when they take long, stopped at their time limit, and what they end in.

use std::collections::BTreeMap;
use std::time::Duration;

use taskgrid_protocol::Timestamp;
use taskgrid_protocol::body::{AckState, Failure, Progress, RejectReason};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::VALUE_MAX;

use super::limits::{ACK_AFTER, PROGRESS_EVERY};
use super::memory::{Name, Stage};
use super::offers::ack;
use super::waiting::Given;
use super::{Alarm, Effect, Machine, Outcome, RunKey};

/// Why a handler is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has reached its time limit.
    TimedOut,
    /// Nobody wants its result.
    Cancelled,
    /// The worker stops, and its grace is over.
    GraceOver,
}

#[derive(Debug)]
struct Run {
    name: Name,
    timeout: Duration,
    timeout_at: Timestamp,
    stopping: Option<Why>,
    /// What its handler has told last.
    progress: Option<Progress>,
}

/// The handlers that run, those that are being stopped among them: each takes a slot until it has ended.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_key: BTreeMap<RunKey, Run>,
    next: u64,
}

impl Runs {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.by_key.len()).unwrap_or(u32::MAX)
    }

    /// The name of a run that is to come.
    pub(super) fn next_key(&mut self) -> RunKey {
        self.next += 1;
        RunKey(self.next)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What the handler has told last of how far it is.
    pub(super) fn progress(&self, key: RunKey) -> Option<&Progress> {
        self.by_key.get(&key)?.progress.as_ref()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = RunKey> {
        self.by_key.keys().copied()
    }
}

impl Machine {
    /// Starts the handler of an attempt, which takes a slot. Its time limit counts from now (R24).
    pub(super) fn begin(&mut self, now: Timestamp, key: RunKey, given: Given) {
        let Given { name, task, timeout, came } = given;
        let timeout_at = now + timeout;
        // What was acknowledged as waiting is acknowledged once more, as any that runs long: from that its dispatcher
        // counts the time limit.
        let ack_at = if now < came + ACK_AFTER { came + ACK_AFTER } else { now + ACK_AFTER };
        self.runs.by_key.insert(key, Run { name, timeout, timeout_at, stopping: None, progress: None });
        self.timers.set(Alarm::Run(key), timeout_at.min(ack_at));
        self.effects.push_back(Effect::Run(key, task));
    }

    /// Asks a handler to stop, once.
    pub(super) fn stop(&mut self, key: RunKey, why: Why) {
        let Some(run) = self.runs.by_key.get_mut(&key) else { return };
        if run.stopping.is_none() {
            run.stopping = Some(why);
            self.timers.cancel(&Alarm::Run(key));
            self.effects.push_back(Effect::Stop(key));
        }
    }

    pub(super) fn handle_run_alarm(&mut self, now: Timestamp, key: RunKey) {
        let Some(run) = self.runs.by_key.get(&key) else { return self.acknowledge_waiting(key) };
        if run.timeout_at <= now {
            return self.stop(key, Why::TimedOut);
        }
        let name = run.name.clone();
        self.timers.set(Alarm::Run(key), run.timeout_at);
        if let Some(attempt) = self.memory.get(&name) {
            let (task, route) = (attempt.task.0, attempt.route);
            self.send_ack(&name, route, ack(task, AckState::Running));
        }
    }

    /// A handler tells how far it is. If that is news, the next heartbeat comes forward (R16).
    pub(super) fn handle_progress(&mut self, now: Timestamp, key: RunKey, progress: Progress) {
        // Driver and machine hear of an end at different times, so words of a run that is over are no mistake.
        let Some(run) = self.runs.by_key.get_mut(&key).filter(|run| run.stopping.is_none()) else { return };
        if run.progress.as_ref() == Some(&progress) {
            return;
        }
        run.progress = Some(progress);
        if run.name.lease().is_some() {
            let at = self.beat_at.map_or(now, |before| now.max(before + PROGRESS_EVERY));
            self.timers.set_earlier(Alarm::Heartbeat, at);
        }
    }

    /// A handler has ended, and its slot is free.
    pub(super) fn handle_ended(&mut self, now: Timestamp, key: RunKey, outcome: Outcome) {
        let run = self.runs.by_key.remove(&key).expect("each run ends once");
        self.timers.cancel(&Alarm::Run(key));
        self.conclude(now, key, run, outcome);
        self.start_waiting(now);
    }

    /// What ended well although it was being stopped is a result like any other, unless it was cancelled.
    fn conclude(&mut self, now: Timestamp, key: RunKey, run: Run, outcome: Outcome) {
        let attempt = self.memory.get(&run.name);
        if !attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Running(current) if current == key)) {
            return;
        }
        let outcome = match (outcome, run.stopping) {
            (Err(_), Some(Why::GraceOver)) => return self.give_back(now, run.name, RejectReason::Draining),
            // The types that are served are told anew in a moment. Until then the dispatcher asks again.
            (Err(failure), None) if failure.code == task_code::UNKNOWN_TYPE => {
                return self.give_back(now, run.name, RejectReason::Busy);
            }
            (Err(_), Some(Why::TimedOut)) => {
                let message = format!("the handler took longer than {} s and was stopped", run.timeout.as_secs());
                Err(Failure::passing(task_code::TIMEOUT, message))
            }
            (Ok(result), _) if result.len() > VALUE_MAX => {
                let message = format!("the result has {} bytes, the limit is {VALUE_MAX}", result.len());
                Err(Failure::permanent(task_code::RESULT_TOO_LARGE, message))
            }
            (outcome, _) => outcome,
        };
        self.send_result(now, &run.name, outcome);
    }
}
