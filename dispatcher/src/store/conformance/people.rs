//! People cancel and retry tasks (R24a).

use std::time::Duration;

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;

use super::desk::{Desk, START, ids, keyed, millis, name, new_id, released, success, task};
use crate::store::{
    Batch, Cancelled, Claim, Ended, Finish, Finished, Insert, Inserted, Outcome, Proof, Released, Retried,
};

fn cancelled(attempts: u32) -> Cancelled {
    Cancelled::Ended(Ended { status: Status::Cancelled, result: None, error: None, attempts })
}

pub(super) fn a_pending_and_a_running_task_can_be_cancelled(desk: &mut Desk) {
    let pending = desk.post(task("a"));
    let (running, lease) = desk.post_running(task("b"));
    desk.pass(3);
    assert_eq!(desk.cancel(pending), cancelled(0));
    assert_eq!(desk.cancel(running), cancelled(1));
    assert_eq!((desk.status(pending), desk.status(running)), (Status::Cancelled, Status::Cancelled));
    assert_eq!(desk.view(pending).timestamp_completed, Some(START + millis(3)));
    assert_eq!((desk.outcomes(pending), desk.outcomes(running)), (vec![], vec!["cancelled".to_owned()]));
    assert_eq!(desk.claim("a", &["w"]).tasks, []);
    assert_eq!(desk.succeed(running, &lease, "x"), Finished::Late);
    assert_eq!(desk.ended(running).result, None);
    assert_eq!(desk.outcomes(running), ["late", "cancelled"]);
}

pub(super) fn an_ended_task_cannot_be_cancelled(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.succeed(id, &lease, "x");
    assert_eq!(desk.cancel(id), Cancelled::AlreadyEnded(Status::Done));
    assert_eq!(desk.status(id), Status::Done);
    let other = desk.post(task("a"));
    desk.cancel(other);
    assert_eq!(desk.cancel(other), Cancelled::AlreadyEnded(Status::Cancelled));
    assert_eq!(desk.cancel(TaskId(99)), Cancelled::NotFound);
}

pub(super) fn a_retry_adds_as_many_attempts_as_the_task_had_first(desk: &mut Desk) {
    let (id, lease) = desk.post_running(Insert { max_attempts: 3, ..task("a") });
    desk.fail(id, &lease, None);
    assert_eq!(desk.retry(id), Retried::Requeued { id, task_type: name("a") });
    let view = desk.view(id);
    assert_eq!((view.status, view.attempt, view.max_attempts), (Status::Pending, 1, 6));
    assert_eq!(view.timestamp_completed, None);
    desk.cancel(id);
    desk.retry(id);
    assert_eq!(desk.view(id).max_attempts, 9);
    assert_eq!(desk.claim_one("a", "w").attempt, 2);
}

pub(super) fn only_failed_and_cancelled_tasks_can_be_retried(desk: &mut Desk) {
    let pending = desk.post(task("a"));
    let (running, lease) = desk.post_running(task("b"));
    assert_eq!(desk.retry(pending), Retried::NotRetryable(Status::Pending));
    assert_eq!(desk.retry(running), Retried::NotRetryable(Status::Running));
    desk.succeed(running, &lease, "x");
    assert_eq!(desk.retry(running), Retried::NotRetryable(Status::Done));
    assert_eq!(desk.retry(TaskId(99)), Retried::NotFound);
}

pub(super) fn a_retried_task_is_due_at_once(desk: &mut Desk) {
    let id = desk.post(Insert { delay: Some(millis(3_600_000)), ..task("a") });
    desk.cancel(id);
    desk.retry(id);
    assert_eq!(desk.claim_one("a", "w").id, id);
}

pub(super) fn the_lists_of_a_batch_are_applied_in_their_order(desk: &mut Desk) {
    let (finished, lease) = desk.post_running(task("a"));
    desk.post(task("b"));
    let lost = desk.claim_one("b", "w");
    let claims = vec![Claim { task_type: name("b"), slots: vec![desk.slot("v"), desk.slot("v")] }];
    let outcomes = desk.apply(&Batch {
        finishes: vec![Finish { task: finished, proof: Proof::Lease(lease), end: success("x") }],
        releases: vec![released(&lost, Outcome::LeaseLost)],
        cancels: vec![finished, lost.id],
        retries: vec![lost.id],
        expire: true,
        prune: None,
        inserts: vec![keyed("b", "k"), keyed("b", "k")],
        claims,
    });
    assert_eq!(outcomes.releases, [Released::Requeued(Duration::ZERO)]);
    assert_eq!(outcomes.cancels, [Cancelled::AlreadyEnded(Status::Done), cancelled(1)]);
    assert_eq!(outcomes.retries, [Retried::Requeued { id: lost.id, task_type: name("b") }]);
    let posted = new_id(&outcomes.inserts[0]);
    assert_eq!(outcomes.inserts[1], Inserted::Existing { id: posted, status: Status::Pending });
    assert_eq!(ids(&outcomes.claims[0]), [lost.id, posted]);
    assert_eq!((outcomes.expired, outcomes.next_expiry), (vec![], None));
}
