//! The first finisher wins, and nobody else (R15, R19).

use std::time::Duration;

use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Json, Lease, TaskId};

use super::desk::{Desk, START, error, failure, millis, released, sender, success, task};
use crate::store::{Ended, Finished, Outcome, Proof, Running, Slot};

/// A task whose first attempt lost its lease and whose second one runs.
fn running_again(desk: &mut Desk) -> (Running, Running) {
    desk.post(task("a"));
    let first = desk.claim_one("a", "one");
    desk.release(released(&first, Outcome::LeaseLost));
    desk.pass(100);
    let second = desk.claim_one("a", "two");
    (first, second)
}

fn lease(running: &Running) -> Lease {
    running.lease.clone().expect("it was claimed with one")
}

/// The finish has brought this result, and the task has taken so many attempts.
fn assert_won(desk: &Desk, id: TaskId, finished: Finished, result: &str, attempts: u32) {
    assert_eq!(finished, Finished::Done);
    let ended = Ended { status: Status::Done, result: Some(Json::string(result)), error: None, attempts };
    assert_eq!(desk.ended(id), ended);
}

pub(super) fn a_repeated_result_changes_nothing(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    let finished = desk.succeed(id, &lease, "first");
    assert_won(desk, id, finished, "first", 1);
    let view = desk.view(id);
    desk.pass(10);
    assert_eq!(desk.succeed(id, &lease, "first"), Finished::Late);
    assert_eq!(desk.succeed(id, &lease, "second"), Finished::Late);
    assert_eq!(desk.fail(id, &lease, None), Finished::Late);
    assert_eq!((desk.view(id), desk.attempts(id)), (view, vec![]));
}

pub(super) fn a_repeated_failure_changes_nothing(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.fail(id, &lease, Some(millis(10)));
    assert_eq!(desk.fail(id, &lease, Some(millis(10))), Finished::Late);
    assert_eq!(desk.outcomes(id), ["failed"], "the same failure is not kept twice");
    assert_eq!(desk.status(id), Status::Pending);
}

pub(super) fn an_old_lease_still_wins_while_the_task_is_pending(desk: &mut Desk) {
    desk.post(task("a"));
    let running = desk.claim_one("a", "w");
    desk.release(released(&running, Outcome::LeaseLost));
    let finished = desk.succeed(running.id, &lease(&running), "x");
    assert_won(desk, running.id, finished, "x", 1);
    assert_eq!(desk.attempts(running.id), [], "it is no longer one without the result");
    assert_eq!(desk.claim("a", &["w"]).tasks, []);
    assert_eq!((desk.counts().pending, desk.counts().done), (0, 1));
}

pub(super) fn an_old_lease_supersedes_the_current_attempt(desk: &mut Desk) {
    let (first, second) = running_again(desk);
    let finished = desk.succeed(first.id, &lease(&first), "x");
    assert_won(desk, first.id, finished, "x", 2);
    let view = desk.view(first.id);
    assert_eq!((view.assigned_worker.as_deref(), view.lease), (Some("one"), first.lease.clone()), "who did it");
    assert_eq!((view.attempt, view.timestamp_dispatched, view.error), (2, Some(START), None));
    let [attempt] = desk.attempts(first.id).try_into().unwrap();
    assert_eq!((attempt.attempt, attempt.worker.as_str(), attempt.outcome.as_str()), (2, "two", "superseded"));
    assert_eq!(desk.succeed(first.id, &lease(&second), "y"), Finished::Late);
    assert_eq!(desk.ended(first.id).result, Some(Json::string("x")));
    assert_eq!((desk.counts().running, desk.counts().done), (0, 1));
}

pub(super) fn an_old_failure_does_not_end_the_current_attempt(desk: &mut Desk) {
    let (first, second) = running_again(desk);
    assert_eq!(desk.fail(first.id, &lease(&first), None), Finished::Late);
    assert_eq!(desk.status(first.id), Status::Running);
    assert_eq!(desk.outcomes(first.id), ["late", "lease_lost"]);
    let finished = desk.succeed(first.id, &lease(&second), "y");
    assert_won(desk, first.id, finished, "y", 2);
}

pub(super) fn a_late_result_is_kept_once(desk: &mut Desk) {
    let (first, second) = running_again(desk);
    desk.succeed(first.id, &lease(&second), "y");
    desk.pass(7);
    for _ in 0..3 {
        assert_eq!(desk.succeed(first.id, &lease(&first), "x"), Finished::Late);
    }
    assert_eq!(desk.outcomes(first.id), ["late", "lease_lost"]);
    let late = &desk.attempts(first.id)[0];
    assert_eq!((late.attempt, late.worker.as_str(), &late.error), (1, "one", &None));
    assert_eq!((late.timestamp_dispatched, late.timestamp_ended), (START, START + millis(107)));
    assert_eq!(desk.ended(first.id).result, Some(Json::string("y")));
}

pub(super) fn an_unknown_lease_is_refused_in_every_state(desk: &mut Desk) {
    let pending = desk.post(task("a"));
    let (running, mine) = desk.post_running(task("b"));
    let (done, done_lease) = desk.post_running(task("b"));
    desk.succeed(done, &done_lease, "x");
    let guessed = Lease::new("guessed").unwrap();
    for id in [pending, running, done] {
        assert_eq!(desk.succeed(id, &guessed, "evil"), Finished::LeaseUnknown);
        assert_eq!(desk.fail(id, &guessed, None), Finished::LeaseUnknown);
    }
    assert_eq!(desk.succeed(pending, &mine, "evil"), Finished::LeaseUnknown, "another task's lease");
    assert_eq!((desk.status(pending), desk.status(running)), (Status::Pending, Status::Running));
}

pub(super) fn no_task_is_not_found(desk: &mut Desk) {
    let unknown = Lease::new("x").unwrap();
    assert_eq!(desk.succeed(TaskId(9), &unknown, "x"), Finished::NotFound);
    assert_eq!(desk.finish(TaskId(i64::MIN), sender(&["w"]), success("x")), Finished::NotFound);
}

fn plain(worker: &str) -> Slot {
    Slot { worker: worker.into(), lease: None }
}

pub(super) fn a_plain_worker_needs_no_lease_but_its_address(desk: &mut Desk) {
    let id = desk.post(task("a"));
    desk.claim_slots("a", vec![plain("10.0.0.7:6000")]);
    assert_eq!(desk.finish(id, sender(&[]), success("evil")), Finished::LeaseRequired);
    assert_eq!(desk.finish(id, sender(&["10.0.0.8:6000"]), success("evil")), Finished::LeaseRequired);
    let guessed = Proof::Lease(Lease::new("guessed").unwrap());
    assert_eq!(desk.finish(id, guessed, success("evil")), Finished::LeaseUnknown);
    let there = ["10.0.0.7:6001", "10.0.0.7:6000"];
    assert_eq!(desk.finish(id, sender(&there), failure("F", Some(Duration::ZERO))), Finished::Requeued(Duration::ZERO));
    desk.claim_slots("a", vec![plain("10.0.0.7:6001")]);
    let finished = desk.finish(id, sender(&there), success("x"));
    assert_won(desk, id, finished, "x", 2);
    assert_eq!(desk.finish(id, sender(&there), success("x")), Finished::Late);
    assert_eq!(desk.outcomes(id), ["failed"], "a datagram that came twice leaves nothing behind");
}

pub(super) fn a_plain_worker_may_answer_after_its_attempt_was_ended(desk: &mut Desk) {
    let id = desk.post(task("a"));
    let claimed = desk.claim_slots("a", vec![plain("slow")]);
    desk.release(released(&claimed.tasks[0].1, Outcome::LeaseLost));
    let second = desk.claim_one("a", "fast");
    assert_eq!(desk.finish(id, sender(&["slow"]), failure("F", None)), Finished::Late, "only a success counts now");
    let finished = desk.finish(id, sender(&["slow"]), success("x"));
    assert_won(desk, id, finished, "x", 2);
    assert_eq!(desk.view(id).assigned_worker.as_deref(), Some("slow"));
    assert_eq!(desk.succeed(id, &lease(&second), "y"), Finished::Late);
}

pub(super) fn a_leased_attempt_needs_its_lease(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    assert_eq!(desk.finish(id, sender(&["w"]), success("evil")), Finished::LeaseRequired);
    let finished = desk.succeed(id, &lease, "x");
    assert_won(desk, id, finished, "x", 1);
}

pub(super) fn an_ended_task_answers_any_plain_worker(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.succeed(id, &lease, "x");
    assert_eq!(desk.finish(id, sender(&["stranger"]), success("y")), Finished::Late);
    assert_eq!(desk.attempts(id), [], "what a stranger says is not kept");
    assert_eq!(desk.ended(id).result, Some(Json::string("x")));
}

pub(super) fn leases_from_before_a_retry_are_late(desk: &mut Desk) {
    let (id, old) = desk.post_running(task("a"));
    desk.fail(id, &old, None);
    desk.retry(id);
    assert_eq!(desk.succeed(id, &old, "old"), Finished::Late);
    let running = desk.claim_one("a", "w");
    assert_eq!(desk.succeed(id, &old, "old"), Finished::Late);
    assert_eq!(desk.outcomes(id), ["late", "failed"]);
    let finished = desk.succeed(id, &lease(&running), "new");
    assert_won(desk, id, finished, "new", 2);
    assert_eq!(desk.attempts(id)[1].error, Some(error("FAILED")));
}
