//! What became of the attempts that this worker has heard of, so that none is started twice (R22).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use taskgrid_protocol::body::{RejectReason, ResultReturn};
use taskgrid_protocol::{Lease, TaskId, Timestamp, WallTime};

use super::RunKey;
use super::limits::{KEPT_RESULTS_BYTES, LEASES_MAX, REMEMBERED_FOR};

/// Which attempt. The task stands first: of a hundred thousand that are remembered in the order of their random leases,
/// each is somewhere else in memory (a third of the worker's time), while those that come and go now have numbers close
/// to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// From a dispatcher that hands out leases.
    Lease(TaskId, Lease),
    /// From one that does not. Nothing tells its second attempt from a copy of the first, so it is
    /// remembered only until its result is answered.
    Plain(TaskId, SocketAddr),
}

impl Name {
    pub(super) fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Lease(_, lease) => Some(lease),
            Self::Plain(..) => None,
        }
    }
}

/// Which task. The number alone does not do: two grids that share a worker number their tasks alike.
pub(super) type TaskKey = (TaskId, WallTime);

/// How messages about an attempt reach its dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Where the last TASK came from.
    pub(super) dispatcher: SocketAddr,
    /// It came in an array, so the dispatcher takes arrays.
    pub(super) packed: bool,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) task: TaskKey,
    pub(super) route: Route,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// It waits for others to end.
    Waiting(RunKey),
    /// Its handler runs.
    Running(RunKey),
    /// Its handler has ended, and the result was sent as this request.
    Unstored(u64, Box<ResultReturn>),
    /// The result was stored, or was of no use. It is kept while there is room.
    Stored(Option<Box<ResultReturn>>),
    /// It was turned down, or cancelled. It will not be started any more, even if the reason has passed:
    /// the dispatcher may have given the task to another worker.
    Refused(Refusal),
}

/// What TASK_REJECT says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: RejectReason,
    /// With `already_running`: the lease under which the task is here.
    pub(super) holds: Option<Lease>,
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Self {
        Self { reason, holds: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    attempts: BTreeMap<Name, Attempt>,
    /// The attempts that wait, run, or are unstored.
    live: BTreeMap<TaskKey, Name>,
    /// The leases of all others, the one that ended first in front.
    ended: VecDeque<(Timestamp, Name)>,
    /// How many of `ended`, from the front, have no result any more.
    bare: usize,
    kept_bytes: usize,
}

impl Memory {
    pub(super) fn get(&self, name: &Name) -> Option<&Attempt> {
        self.attempts.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &Name) -> Option<&mut Attempt> {
        self.attempts.get_mut(name)
    }

    /// Under which name a task is here, from its arrival until its result is stored.
    pub(super) fn holder_of(&self, task: &TaskKey) -> Option<&Name> {
        self.live.get(task)
    }

    /// The attempts that wait, run, or are unstored, by task.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Name, &Attempt)> {
        self.live.values().filter_map(|name| Some((name, self.attempts.get(name)?)))
    }

    /// Who has given the attempts that are remembered.
    pub(super) fn dispatchers(&self) -> BTreeSet<SocketAddr> {
        self.attempts.values().map(|attempt| attempt.route.dispatcher).collect()
    }

    pub(super) fn live_count(&self) -> usize {
        self.live.len()
    }

    /// An attempt is taken, to wait or to run.
    pub(super) fn take(&mut self, name: Name, task: TaskKey, route: Route, stage: Stage) {
        self.live.insert(task, name.clone());
        let before = self.attempts.insert(name, Attempt { task, route, stage });
        assert!(before.is_none(), "an attempt is taken once");
    }

    /// An attempt that has waited is started.
    pub(super) fn start(&mut self, name: &Name) {
        let attempt = self.attempts.get_mut(name).expect("what waits is remembered");
        let Stage::Waiting(run) = attempt.stage else { unreachable!("an attempt is started once") };
        attempt.stage = Stage::Running(run);
    }

    /// An attempt will not be started here, or not be heard of again.
    pub(super) fn refuse(&mut self, now: Timestamp, name: Name, task: TaskKey, route: Route, refusal: Refusal) {
        if self.live.get(&task) == Some(&name) {
            self.live.remove(&task);
        }
        if name.lease().is_none() {
            self.attempts.remove(&name);
            return;
        }
        let before = self.attempts.insert(name.clone(), Attempt { task, route, stage: Stage::Refused(refusal) });
        if !before.is_some_and(|attempt| attempt.stage.has_ended()) {
            self.remember(now, name);
        }
    }

    /// The result of an attempt was stored, or nobody wants it.
    pub(super) fn settle(&mut self, now: Timestamp, name: &Name) {
        let Some(attempt) = self.attempts.get_mut(name) else { return };
        let Stage::Unstored(_, returned) = std::mem::replace(&mut attempt.stage, Stage::Stored(None)) else {
            unreachable!("only an unstored result is settled");
        };
        self.live.remove(&attempt.task);
        if name.lease().is_none() {
            self.attempts.remove(name);
            return;
        }
        self.kept_bytes += weight(&returned);
        attempt.stage = Stage::Stored(Some(returned));
        self.remember(now, name.clone());
    }

    fn remember(&mut self, now: Timestamp, name: Name) {
        self.ended.push_back((now, name));
        while self.attempts.len() > LEASES_MAX
            || self.ended.front().is_some_and(|(ended, _)| now.since(*ended) > REMEMBERED_FOR)
        {
            self.forget_first();
        }
        while self.kept_bytes > KEPT_RESULTS_BYTES {
            let (_, name) = &self.ended[self.bare];
            if let Some(Attempt { stage: Stage::Stored(returned), .. }) = self.attempts.get_mut(name) {
                self.kept_bytes -= returned.take().as_deref().map_or(0, weight);
            }
            self.bare += 1;
        }
    }

    fn forget_first(&mut self) {
        let (_, name) = self.ended.pop_front().expect("live attempts alone are fewer than the limit");
        self.bare = self.bare.saturating_sub(1);
        if let Some(Attempt { stage: Stage::Stored(Some(returned)), .. }) = self.attempts.remove(&name) {
            self.kept_bytes -= weight(&returned);
        }
    }
}

impl Stage {
    fn has_ended(&self) -> bool {
        matches!(self, Self::Stored(_) | Self::Refused(_))
    }
}

/// What a kept result counts for. Failures are short, and are kept for nothing.
fn weight(returned: &ResultReturn) -> usize {
    returned.result.as_ref().map_or(0, |result| result.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskgrid_protocol::Json;

    use super::*;

    fn name(number: usize) -> Name {
        Name::Lease(task(number).0, Lease::new(&format!("lease-{number}")).unwrap())
    }

    fn task(number: usize) -> TaskKey {
        (TaskId(i64::try_from(number).unwrap()), WallTime::from_millis(0))
    }

    fn route() -> Route {
        Route { dispatcher: ([127, 0, 0, 1], 4000).into(), packed: false }
    }

    fn stored(memory: &mut Memory, now: Timestamp, number: usize, result_bytes: usize) {
        memory.take(name(number), task(number), route(), Stage::Running(RunKey(0)));
        let result = Json::string(&"x".repeat(result_bytes));
        let returned = ResultReturn { task_id: task(number).0, result: Some(result), error: None };
        memory.get_mut(&name(number)).unwrap().stage = Stage::Unstored(0, Box::new(returned));
        memory.settle(now, &name(number));
    }

    fn has_result(memory: &Memory, number: usize) -> bool {
        matches!(memory.get(&name(number)).unwrap().stage, Stage::Stored(Some(_)))
    }

    #[test]
    fn leases_are_remembered_for_ten_minutes_after_their_end() {
        let mut memory = Memory::default();
        stored(&mut memory, Timestamp::ZERO, 1, 1);
        let almost = Timestamp::ZERO + REMEMBERED_FOR;
        stored(&mut memory, almost, 2, 1);
        assert!(memory.get(&name(1)).is_some());
        stored(&mut memory, almost + Duration::from_secs(1), 3, 1);
        assert!(memory.get(&name(1)).is_none() && memory.get(&name(2)).is_some());
    }

    #[test]
    fn at_the_limit_the_lease_that_ended_first_makes_room_and_live_ones_stay() {
        let mut memory = Memory::default();
        memory.take(name(0), task(0), route(), Stage::Running(RunKey(0)));
        for number in 1..=LEASES_MAX {
            memory.refuse(Timestamp::ZERO, name(number), task(number), route(), RejectReason::Busy.into());
        }
        assert!(memory.get(&name(0)).is_some());
        assert!(memory.get(&name(1)).is_none());
        assert!(memory.get(&name(2)).is_some());
        assert_eq!(memory.attempts.len(), LEASES_MAX);
    }

    #[test]
    fn kept_results_stay_within_their_limit_and_the_leases_outlive_them() {
        let mut memory = Memory::default();
        let each = KEPT_RESULTS_BYTES / 4;
        memory.refuse(Timestamp::ZERO, name(0), task(0), route(), RejectReason::Cancelled.into());
        for number in 1..=5 {
            stored(&mut memory, Timestamp::ZERO, number, each);
        }
        assert!(memory.kept_bytes <= KEPT_RESULTS_BYTES);
        assert!(!has_result(&memory, 1) && !has_result(&memory, 2));
        assert!(has_result(&memory, 3) && has_result(&memory, 5));
        let later = Timestamp::ZERO + REMEMBERED_FOR + Duration::from_secs(1);
        stored(&mut memory, later, 6, 1);
        assert_eq!((memory.attempts.len(), memory.ended.len(), memory.bare), (1, 1, 0));
        assert_eq!(memory.kept_bytes, 3);
    }
}
