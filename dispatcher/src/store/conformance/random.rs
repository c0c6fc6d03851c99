//! Whatever is asked, in whatever order: every store answers as the memory store does.

use std::time::Duration;

use proptest::prelude::*;
use taskgrid_protocol::body::{ListTasks, Priority, Status};
use taskgrid_protocol::{Json, Key, Lease, TaskId, WallTime};

use super::desk::{Desk, error, name};
use crate::store::{
    Batch, Claim, End, Finish, Insert, Inserted, Outcome, Outcomes, Proof, Prune, Query, Release, Retention, Running,
    Slot,
};

const TYPES: [&str; 2] = ["a", "b"];
const WORKERS: [&str; 2] = ["v", "w"];

/// What happens next. Numbers pick from what exists when it happens.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes; the clock may be set back.
    Clock(i64),
    /// A batch is applied.
    Apply(Vec<Entry>),
    /// The program is started anew.
    Restart,
    /// Somebody looks.
    List(ListTasks),
}

#[derive(Clone, Debug)]
enum Entry {
    Finish { attempt: usize, other_task: bool, plain: bool, success: bool, retry: Option<u64> },
    Release { attempt: usize, outcome: Outcome, charged: bool, retry: Option<u64> },
    Cancel(i64),
    Retry(i64),
    Expire,
    Prune { after: i64, done: Option<u64>, failed: Option<u64> },
    Insert(Box<Insert>),
    Claim { task_type: usize, slots: Vec<(usize, bool)> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(entry(), 0..6).prop_map(Step::Apply),
        3 => (0..1500_i64).prop_map(Step::Clock),
        1 => (-5_000_000..5_000_000_i64).prop_map(Step::Clock),
        1 => Just(Step::Restart),
        1 => filter().prop_map(Step::List),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let wait = prop_oneof![Just(None), Just(Some(0)), (0..2000_u64).prop_map(Some)];
    let waits = (wait.clone(), wait.clone(), wait.clone());
    let outcome = prop::sample::select(&[
        Outcome::Timeout,
        Outcome::LeaseLost,
        Outcome::WorkerLost,
        Outcome::Rejected,
        Outcome::Released,
    ]);
    prop_oneof![
        4 => (any::<usize>(), prop::bool::weighted(0.1), prop::bool::weighted(0.2), any::<bool>(), wait.clone())
            .prop_map(|(attempt, other_task, plain, success, retry)| {
                Entry::Finish { attempt, other_task, plain, success, retry }
            }),
        2 => (any::<usize>(), outcome, any::<bool>(), wait.clone())
            .prop_map(|(attempt, outcome, charged, retry)| Entry::Release { attempt, outcome, charged, retry }),
        1 => (0..12_i64).prop_map(Entry::Cancel),
        1 => (0..12_i64).prop_map(Entry::Retry),
        1 => Just(Entry::Expire),
        1 => (0..12_i64, wait.clone(), wait)
            .prop_map(|(after, done, failed)| Entry::Prune { after, done, failed }),
        4 => (insert(), waits).prop_map(|(insert, (delay, expires, not_before))| Entry::Insert(Box::new(Insert {
            delay: delay.map(Duration::from_millis),
            expires: expires.map(Duration::from_millis),
            not_before: not_before.map(|millis| super::desk::START + Duration::from_millis(millis * 10)),
            ..insert
        }))),
        3 => (0..TYPES.len(), prop::collection::vec((0..WORKERS.len(), any::<bool>()), 0..4))
            .prop_map(|(task_type, slots)| Entry::Claim { task_type, slots }),
    ]
}

fn insert() -> impl Strategy<Value = Insert> {
    let key = prop::option::of(prop::sample::select(&["k", "l", "m\0", "ü"]));
    (0..TYPES.len(), -1..2_i32, 0..4_u32, key, prop::bool::weighted(0.3)).prop_map(
        |(task_type, priority, max_attempts, key, at_once)| Insert {
            task_type: name(TYPES[task_type]),
            payload: Json::of(&max_attempts),
            key: key.map(|key| Key::new(key).unwrap()),
            priority: Priority::new(priority).unwrap(),
            max_attempts,
            timeout_s: 60,
            not_before: None,
            delay: None,
            expires: None,
            slot: at_once.then(|| Slot { worker: WORKERS[0].into(), lease: None }),
        },
    )
}

fn filter() -> impl Strategy<Value = ListTasks> {
    const ALL: [Status; 5] = [Status::Pending, Status::Running, Status::Done, Status::Failed, Status::Cancelled];
    let status = prop::option::of(prop::sample::select(&ALL));
    let task_type = prop::option::of(0..TYPES.len());
    let before = prop::option::of(0..20_i64);
    let limit = prop::option::of(0..5_u32);
    (status, task_type, before, limit).prop_map(|(status, task_type, before, limit)| ListTasks {
        status,
        task_type: task_type.map(|index| name(TYPES[index])),
        before: before.map(TaskId),
        limit,
    })
}

/// Two stores side by side.
struct Pair {
    reference: Desk,
    other: Desk,
    /// All attempts that ever began.
    attempts: Vec<Running>,
    leases: u32,
}

impl Pair {
    fn step(&mut self, step: Step) {
        match step {
            Step::Clock(millis) => {
                let now = WallTime::from_millis(self.reference.now.as_millis() + millis);
                (self.reference.now, self.other.now) = (now, now);
            }
            Step::Apply(entries) => {
                let mut batch = Batch::default();
                entries.into_iter().for_each(|entry| self.add(&mut batch, entry));
                self.apply(&batch);
            }
            Step::Restart => {
                assert_eq!(self.reference.restart(), self.other.restart());
                self.look_at_everything();
            }
            Step::List(filter) => self.look(&Query::List(filter)),
        }
        self.look(&Query::Stats);
    }

    fn add(&mut self, batch: &mut Batch, entry: Entry) {
        match entry {
            Entry::Finish { attempt, other_task, plain, success, retry } => {
                let Some(attempt) = self.pick(attempt) else { return };
                let proof = match attempt.lease {
                    Some(lease) if !plain => Proof::Lease(lease),
                    _ => Proof::Sender([attempt.worker].into()),
                };
                let retry = retry.map(Duration::from_millis);
                let end = match success {
                    true => End::Success(Json::of(&attempt.attempt)),
                    false => End::Failure { error: error("FAILED"), retry },
                };
                let task = TaskId(attempt.id.0 + i64::from(other_task));
                batch.finishes.push(Finish { task, proof, end });
            }
            Entry::Release { attempt, outcome, charged, retry } => {
                let Some(Running { id: task, lease, attempt, .. }) = self.pick(attempt) else { return };
                let (retry, error) = (retry.map(Duration::from_millis), error(outcome.as_str()));
                batch.releases.push(Release { task, lease, attempt, outcome, error, charged, retry });
            }
            Entry::Cancel(id) => batch.cancels.push(TaskId(id)),
            Entry::Retry(id) => batch.retries.push(TaskId(id)),
            Entry::Expire => batch.expire = true,
            Entry::Prune { after, done, failed } => {
                let [done, failed] = [done, failed].map(|kept| kept.map(Duration::from_millis));
                batch.prune = Some(Prune { after: TaskId(after), retention: Retention { done, failed } });
            }
            Entry::Insert(mut insert) => {
                if let Some(slot) = &mut insert.slot {
                    slot.lease = Some(self.lease());
                }
                batch.inserts.push(*insert);
            }
            Entry::Claim { task_type, slots } => {
                let slot = |(worker, leased): (usize, bool)| Slot {
                    worker: WORKERS[worker].into(),
                    lease: leased.then(|| self.lease()),
                };
                let slots = slots.into_iter().map(slot).collect();
                batch.claims.push(Claim { task_type: name(TYPES[task_type]), slots });
            }
        }
    }

    fn pick(&self, number: usize) -> Option<Running> {
        (!self.attempts.is_empty()).then(|| self.attempts[number % self.attempts.len()].clone())
    }

    fn lease(&mut self) -> Lease {
        self.leases += 1;
        Lease::new(&format!("lease{}", self.leases)).unwrap()
    }

    fn apply(&mut self, batch: &Batch) {
        let expected = without_texts(self.reference.apply(batch));
        assert_eq!(expected, without_texts(self.other.apply(batch)));
        let claimed = expected.claims.iter().flat_map(|claimed| &claimed.tasks);
        self.attempts.extend(claimed.map(|(_, running)| running.clone()));
        for (insert, inserted) in batch.inserts.iter().zip(&expected.inserts) {
            if let (Some(slot), Inserted::New { id, created, claimed: true, .. }) = (&insert.slot, inserted) {
                let attempt = Running {
                    id: *id,
                    task_type: insert.task_type.clone(),
                    payload: insert.payload.clone(),
                    attempt: 1,
                    timeout_s: insert.timeout_s,
                    created: *created,
                    worker: slot.worker.clone(),
                    lease: slot.lease.clone(),
                };
                self.attempts.push(attempt);
            }
        }
    }

    fn look(&self, query: &Query) {
        assert_eq!(self.reference.read(query), self.other.read(query), "{query:?}");
    }

    fn look_at_everything(&self) {
        for id in 0..60 {
            self.look(&Query::Task(TaskId(id)));
            self.look(&Query::Result(TaskId(id)));
        }
        self.look(&Query::List(ListTasks::default()));
    }
}

/// Every store has its own words for why a row was refused.
fn without_texts(mut outcomes: Outcomes) -> Outcomes {
    for inserted in &mut outcomes.inserts {
        if let Inserted::Refused(why) = inserted {
            why.clear();
        }
    }
    outcomes
}

/// A quarter of what is usual (256, or PROPTEST_CASES): each case syncs a file some twenty times.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 4, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn sqlite_does_as_memory_does(steps in prop::collection::vec(step(), 1..40)) {
        let (reference, other) = (Desk::memory(), Desk::sqlite());
        let mut pair = Pair { reference, other, attempts: Vec::new(), leases: 0 };
        for step in steps {
            pair.step(step);
        }
        pair.look_at_everything();
    }
}
