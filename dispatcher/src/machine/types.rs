//! What is known of each task type: whether rows wait, and who serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use taskgrid_protocol::{TaskType, Timestamp};

use super::limits::TYPES_MAX;
use super::roster::WorkerKey;
use crate::store::Rest;

/// What is believed of the pending rows of a type. This, and no row, is what the machine holds of them: ten
/// million pending rows change neither its memory nor its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    /// Nobody has looked.
    Unknown,
    /// There are none, unless somebody put them there by other means.
    Empty,
    /// Some are due.
    Ready,
    /// There are some; the first is due then.
    Until(Timestamp),
}

#[derive(Debug)]
pub(super) struct TypeState {
    backlog: Backlog,
    /// A claim is in the batch that is being committed.
    claiming: bool,
    /// A row may have become pending since that batch was closed, so the claim's word on what is left is
    /// not the last.
    touched: bool,
    /// The workers that serve it now.
    workers: BTreeSet<WorkerKey>,
    /// The name service has been asked who serves it.
    pub(super) asked: bool,
    /// It has answered.
    pub(super) looked_up: bool,
    /// Where the search for a free worker goes on.
    next_worker: WorkerKey,
}

impl TypeState {
    fn new(backlog: Backlog) -> Self {
        Self {
            backlog,
            claiming: false,
            touched: false,
            workers: BTreeSet::new(),
            asked: false,
            looked_up: false,
            next_worker: WorkerKey::FIRST,
        }
    }

    fn wants_slots(&self) -> bool {
        matches!(self.backlog, Backlog::Ready | Backlog::Unknown) && !self.claiming
    }

    /// A new task may be handed over in its own insert only if it overtakes nobody (R12).
    pub(super) fn is_empty(&self) -> bool {
        self.backlog == Backlog::Empty && !self.touched
    }

    pub(super) fn workers(&self) -> &BTreeSet<WorkerKey> {
        &self.workers
    }

    /// The workers, each once, from where the last search stopped.
    pub(super) fn workers_in_turn(&self) -> impl Iterator<Item = WorkerKey> {
        let behind = self.workers.range(self.next_worker..);
        let before = self.workers.range(..self.next_worker);
        behind.chain(before).copied()
    }

    pub(super) fn turn_to_after(&mut self, worker: WorkerKey) {
        self.next_worker = worker.next();
    }
}

/// All known types.
#[derive(Debug, Default)]
pub(super) struct Types {
    by_name: BTreeMap<TaskType, TypeState>,
    /// Types that have workers and want slots.
    claimable: BTreeSet<TaskType>,
    /// Types that want slots and have no worker.
    starving: BTreeSet<TaskType>,
    /// Where the next claims begin, so that each type has its turn.
    turn: Option<TaskType>,
}

impl Types {
    /// A type that has pending rows at the start.
    pub(super) fn load(&mut self, task_type: &TaskType) {
        self.by_name.insert(task_type.clone(), TypeState::new(Backlog::Ready));
        self.refresh(task_type);
    }

    /// Makes sure that the type is known; `false`: there are too many.
    pub(super) fn admit(&mut self, task_type: &TaskType) -> bool {
        if self.by_name.contains_key(task_type) {
            return true;
        }
        if self.by_name.len() >= TYPES_MAX {
            self.by_name
                .retain(|_, state| state.claiming || state.touched || !state.is_empty() || !state.workers.is_empty());
        }
        if self.by_name.len() >= TYPES_MAX {
            return false;
        }
        self.by_name.insert(task_type.clone(), TypeState::new(Backlog::Unknown));
        self.refresh(task_type);
        true
    }

    pub(super) fn get(&self, task_type: &TaskType) -> Option<&TypeState> {
        self.by_name.get(task_type)
    }

    pub(super) fn get_mut(&mut self, task_type: &TaskType) -> Option<&mut TypeState> {
        self.by_name.get_mut(task_type)
    }

    /// A row of the type is, or will be by the open batch, pending and due at once.
    pub(super) fn pending_now(&mut self, task_type: &TaskType) {
        self.update(task_type, |state| {
            state.backlog = Backlog::Ready;
            state.touched = true;
        });
    }

    /// A row of the type is pending and due at `at`. Says when an alarm must ring, if one must.
    pub(super) fn pending_at(&mut self, task_type: &TaskType, at: Timestamp) -> Option<Timestamp> {
        let mut alarm = None;
        self.update(task_type, |state| {
            state.touched = true;
            state.backlog = match state.backlog {
                Backlog::Empty => Backlog::Until(at),
                Backlog::Until(before) => Backlog::Until(before.min(at)),
                known => known,
            };
            if let Backlog::Until(first) = state.backlog {
                alarm = Some(first);
            }
        });
        alarm
    }

    /// The moment of the first pending row has come.
    pub(super) fn due(&mut self, task_type: &TaskType) {
        self.update(task_type, |state| {
            if matches!(state.backlog, Backlog::Until(_)) {
                state.backlog = Backlog::Ready;
            }
        });
    }

    /// Rows of the type were put into the table by other means: nobody knows whether they are due.
    pub(super) fn added(&mut self, task_type: &TaskType) {
        self.update(task_type, |state| {
            state.backlog = Backlog::Unknown;
            state.touched = true;
        });
    }

    /// A claim for the type goes into the batch that is being closed.
    pub(super) fn claim_begins(&mut self, task_type: &TaskType) {
        self.turn = Some(task_type.clone());
        self.update(task_type, |state| {
            state.claiming = true;
            state.touched = false;
        });
    }

    /// The claim's word on what is left of the type at `now`. Says when an alarm must ring, if one must.
    pub(super) fn claim_ends(&mut self, now: Timestamp, task_type: &TaskType, rest: Rest) -> Option<Timestamp> {
        let mut alarm = None;
        self.update(task_type, |state| {
            state.claiming = false;
            state.backlog = match rest {
                _ if state.touched => Backlog::Ready,
                Rest::Empty => Backlog::Empty,
                Rest::Ready => Backlog::Ready,
                Rest::DueIn(span) => {
                    alarm = Some(now + span);
                    Backlog::Until(now + span)
                }
            };
            state.touched = false;
        });
        alarm
    }

    /// The claim was undone.
    pub(super) fn claim_fails(&mut self, task_type: &TaskType) {
        self.update(task_type, |state| {
            state.claiming = false;
            state.backlog = Backlog::Ready;
        });
    }

    pub(super) fn add_worker(&mut self, task_type: &TaskType, worker: WorkerKey) {
        self.update(task_type, |state| {
            state.workers.insert(worker);
        });
    }

    pub(super) fn remove_worker(&mut self, task_type: &TaskType, worker: WorkerKey) {
        self.update(task_type, |state| {
            state.workers.remove(&worker);
        });
    }

    /// Whether some type wants slots and has no worker.
    pub(super) fn any_starving(&self) -> bool {
        !self.starving.is_empty()
    }

    /// The types among `served` that want slots, from the one whose turn it is, each once.
    pub(super) fn claimable<'a>(&'a self, served: &'a BTreeSet<TaskType>) -> impl Iterator<Item = &'a TaskType> {
        // Walk the smaller set and look up in the larger: either may have ten thousand entries.
        let (walked, other) =
            if served.len() < self.claimable.len() { (served, &self.claimable) } else { (&self.claimable, served) };
        let start = self.turn.as_ref().map_or(Unbounded, Excluded);
        let behind = walked.range((start, Unbounded));
        let before = self.turn.as_ref().map(|turn| walked.range((Unbounded, Included(turn))));
        behind.chain(before.into_iter().flatten()).filter(|name| other.contains(*name))
    }

    fn update(&mut self, task_type: &TaskType, change: impl FnOnce(&mut TypeState)) {
        if let Some(state) = self.by_name.get_mut(task_type) {
            change(state);
            self.refresh(task_type);
        }
    }

    /// Brings the two indexes in line with the type.
    fn refresh(&mut self, task_type: &TaskType) {
        let Some(state) = self.by_name.get(task_type) else { return };
        let hungry = state.wants_slots();
        let served = !state.workers.is_empty();
        mark(&mut self.claimable, task_type, hungry && served);
        mark(&mut self.starving, task_type, hungry && !served);
    }
}

fn mark(set: &mut BTreeSet<TaskType>, task_type: &TaskType, member: bool) {
    if !member {
        set.remove(task_type);
    } else if !set.contains(task_type) {
        set.insert(task_type.clone());
    }
}
