//! Ended tasks that are no longer kept (R4).

use std::time::Duration;

use taskgrid_protocol::body::{ListTasks, Status};
use taskgrid_protocol::{Json, TaskId};

use super::desk::{Desk, keyed, millis, new_id, success, task};
use crate::store::{
    Batch, End, Finish, Finished, Insert, Inserted, PRUNE_BYTES_MAX, PRUNE_LOOKS, PRUNE_MAX, Proof, Prune, Pruned,
    Query, Retention, Retried,
};

/// Done tasks go after this time, others stay.
const DONE: Retention = Retention { done: Some(Duration::from_millis(1_000)), failed: None };

fn done(desk: &mut Desk) -> TaskId {
    let (id, lease) = desk.post_running(task("a"));
    desk.succeed(id, &lease, "x");
    id
}

pub(super) fn done_tasks_are_deleted_so_long_after_their_end(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.pass(10_000);
    desk.succeed(id, &lease, "x");
    desk.pass(999);
    assert_eq!(desk.prune(DONE), Pruned { deleted: 0, reached: id, more: false });
    assert!(desk.exists(id), "its end counts, not its creation");
    desk.pass(1);
    assert_eq!(desk.prune(DONE), Pruned { deleted: 1, reached: id, more: false });
    assert!(!desk.exists(id));
    assert_eq!(desk.prune(DONE), Pruned { deleted: 0, reached: TaskId(0), more: false });
}

pub(super) fn failed_and_cancelled_tasks_have_a_time_of_their_own(desk: &mut Desk) {
    let (failed, lease) = desk.post_running(task("a"));
    desk.fail(failed, &lease, None);
    let cancelled = desk.post(task("a"));
    desk.cancel(cancelled);
    let (pending, (running, _)) = (desk.post(task("a")), desk.post_running(task("b")));
    let done = done(desk);
    desk.pass(5_000);
    let failed_ones = Retention { done: None, failed: Some(millis(5_000)) };
    assert_eq!(desk.prune(DONE), Pruned { deleted: 1, reached: done, more: false });
    assert_eq!([failed, cancelled, pending, running, done].map(|id| desk.exists(id)), [true, true, true, true, false]);
    assert_eq!(desk.prune(failed_ones).deleted, 2);
    assert_eq!([failed, cancelled, pending, running].map(|id| desk.exists(id)), [false, false, true, true]);
}

pub(super) fn nothing_is_deleted_unless_asked(desk: &mut Desk) {
    let id = done(desk);
    desk.pass(1_000_000);
    assert_eq!(desk.apply(&Batch::default()).pruned, None);
    assert_eq!(desk.prune(Retention::default()), Pruned { deleted: 0, reached: TaskId(0), more: false });
    let for_longer_than_there_were_times = Retention { done: Some(Duration::MAX), failed: Some(Duration::MAX) };
    assert_eq!(desk.prune(for_longer_than_there_were_times).deleted, 0);
    assert!(desk.exists(id));
}

pub(super) fn a_deleted_task_is_gone_with_attempts_key_and_count(desk: &mut Desk) {
    let (id, lease) = desk.post_running(keyed("a", "k"));
    desk.fail(id, &lease, Some(Duration::ZERO));
    let again = desk.claim_one("a", "w").lease.unwrap();
    desk.succeed(id, &again, "x");
    assert_eq!((desk.counts().done, desk.outcomes(id).len()), (1, 1));
    desk.pass(1_000);
    assert_eq!(desk.prune(DONE).deleted, 1);
    assert_eq!(desk.counts(), Default::default());
    assert_eq!(desk.read(&Query::Task(id)), crate::store::Answer::Task(None));
    assert_eq!(desk.list(ListTasks::default()), (vec![], false));
    assert_eq!(desk.succeed(id, &again, "x"), Finished::NotFound);
    assert_eq!(desk.retry(id), Retried::NotFound);
    let Inserted::New { id: new, .. } = desk.insert(keyed("a", "k")) else { panic!("the key names nothing any more") };
    assert!(new > id && desk.outcomes(new).is_empty());
    desk.restart();
    assert_eq!((desk.counts().pending, desk.counts().done), (1, 0));
}

pub(super) fn a_number_is_never_given_again(desk: &mut Desk) {
    let last = (0..3).map(|_| done(desk)).last().unwrap();
    desk.pass(1_000);
    assert_eq!(desk.prune(DONE).deleted, 3);
    assert_eq!(desk.post(task("a")), TaskId(last.0 + 1));
    let (id, lease) = desk.post_running(task("b"));
    desk.succeed(id, &lease, "x");
    desk.pass(1_000);
    desk.prune(DONE);
    desk.restart();
    assert_eq!(desk.post(task("a")), TaskId(id.0 + 1), "nor after a restart");
}

pub(super) fn what_ended_in_the_same_batch_can_be_deleted_with_it(desk: &mut Desk) {
    let (id, lease) = desk.post_running(keyed("a", "k"));
    let at_once = Retention { done: Some(Duration::ZERO), failed: None };
    let outcomes = desk.apply(&Batch {
        finishes: vec![Finish { task: id, proof: Proof::Lease(lease), end: success("x") }],
        prune: Some(Prune { after: TaskId(0), retention: at_once }),
        inserts: vec![keyed("a", "k")],
        ..Batch::default()
    });
    assert_eq!(outcomes.pruned, Some(Pruned { deleted: 1, reached: id, more: false }));
    let new = new_id(&outcomes.inserts[0]);
    assert_eq!((desk.exists(id), desk.status(new)), (false, Status::Pending));
    assert_eq!((desk.counts().pending, desk.counts().running, desk.counts().done), (1, 0, 0));
}

pub(super) fn many_are_deleted_over_several_batches(desk: &mut Desk) {
    let inserts = (0..PRUNE_MAX + 7).map(|_| Insert { slot: Some(desk.slot("w")), ..task("a") });
    let inserts: Vec<_> = inserts.collect();
    let leases: Vec<_> = inserts.iter().map(|insert| insert.slot.clone().unwrap().lease.unwrap()).collect();
    let ids: Vec<TaskId> = desk.apply(&Batch { inserts, ..Batch::default() }).inserts.iter().map(new_id).collect();
    let finish = |(id, lease): (&TaskId, _)| Finish { task: *id, proof: Proof::Lease(lease), end: success("x") };
    let finishes = ids.iter().zip(leases).map(finish).collect();
    desk.apply(&Batch { finishes, ..Batch::default() });
    desk.pass(1_000);
    let first = desk.prune(DONE);
    assert_eq!(first, Pruned { deleted: PRUNE_MAX, reached: ids[PRUNE_MAX - 1], more: true });
    assert_eq!(desk.counts().done, 7);
    let rest = desk.prune_after(first.reached, DONE);
    assert_eq!((rest.deleted, rest.more, desk.counts().done), (7, false, 0));
}

pub(super) fn long_ones_are_deleted_fewer_at_a_time(desk: &mut Desk) {
    let payload = Json::string(&"x".repeat(40 * 1024 - 2));
    let result = Json::string(&"x".repeat(40 * 1024 - 2));
    let a_batch = PRUNE_BYTES_MAX.div_ceil(2 * 40 * 1024);
    for _ in 0..=a_batch {
        let (id, lease) = desk.post_running(Insert { payload: payload.clone(), ..task("a") });
        desk.finish(id, Proof::Lease(lease), End::Success(result.clone()));
    }
    desk.pass(1_000);
    let first = desk.prune(DONE);
    assert_eq!((first.deleted, first.more), (a_batch, true));
    assert_eq!(desk.prune_after(first.reached, DONE).deleted, 1);
}

pub(super) fn many_that_are_kept_are_passed_over_in_several_batches(desk: &mut Desk) {
    let kept = desk.apply(&Batch { inserts: vec![task("a"); PRUNE_LOOKS], ..Batch::default() });
    let last = new_id(&kept.inserts[PRUNE_LOOKS - 1]);
    let (id, lease) = desk.post_running(task("b"));
    desk.succeed(id, &lease, "x");
    desk.pass(1_000);
    assert_eq!(desk.prune(DONE), Pruned { deleted: 0, reached: last, more: true });
    assert_eq!(desk.prune_after(last, DONE), Pruned { deleted: 1, reached: id, more: false });
}

pub(super) fn tasks_that_were_created_too_recently_are_not_looked_at(desk: &mut Desk) {
    let old = done(desk);
    desk.pass(600);
    let young = done(desk);
    desk.pass(600);
    assert_eq!(desk.prune(DONE), Pruned { deleted: 1, reached: old, more: false });
    assert!(desk.exists(young));
    desk.pass(400);
    assert_eq!(desk.prune_after(old, DONE), Pruned { deleted: 1, reached: young, more: false });
}

/// The wall clock is what it goes by, as it is now (R29).
pub(super) fn a_clock_that_is_set_back_keeps_them(desk: &mut Desk) {
    let id = done(desk);
    desk.set_back(3_600);
    desk.pass(1_000);
    assert_eq!(desk.prune(DONE).deleted, 0);
    desk.pass(3_600_000);
    assert_eq!(desk.prune(DONE).deleted, 1);
    assert!(!desk.exists(id));
}
