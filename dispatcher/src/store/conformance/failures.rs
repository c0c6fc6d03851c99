//! Attempts end: done, failed, or given back (R14, R25).

use std::time::Duration;

use taskgrid_protocol::Json;
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::task_code;

use super::desk::{Desk, START, error, failure, millis, released, task};
use crate::store::{End, Ended, Finished, Insert, Outcome, POISON_AFTER, Proof, Release, Released, Rest};

pub(super) fn a_success_ends_the_task(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.pass(30);
    let result = Some(Json::string("IAnepO"));
    let ended = Ended { status: Status::Done, result: result.clone(), error: None, attempts: 1 };
    assert_eq!(desk.succeed(id, &lease, "IAnepO"), Finished::Done);
    assert_eq!(desk.ended(id), ended);
    let view = desk.view(id);
    assert_eq!((view.status, &view.result, view.result_bytes), (Status::Done, &result, Some(8)));
    assert_eq!(view.timestamp_completed, Some(START + millis(30)));
    assert_eq!((view.assigned_worker.as_deref(), view.lease), (Some("w"), Some(lease)), "who did it");
    assert_eq!(desk.attempts(id), [], "the attempt with the result stands in the task itself");
}

pub(super) fn null_is_a_result(desk: &mut Desk) {
    for text in ["null", "\"\"", "0", "false"] {
        let (id, lease) = desk.post_running(task("a"));
        let result = Json::parse(text).unwrap();
        desk.finish(id, Proof::Lease(lease), End::Success(result.clone()));
        assert_eq!(desk.ended(id).result, Some(result));
    }
}

pub(super) fn a_failure_is_tried_again_after_its_time(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.pass(10);
    assert_eq!(desk.fail(id, &lease, Some(millis(2000))), Finished::Requeued(millis(2000)));
    let view = desk.view(id);
    assert_eq!((view.status, view.attempt, view.error), (Status::Pending, 1, Some(error("FAILED"))));
    assert_eq!(view.timestamp_scheduled, START + millis(2010));
    assert_eq!(desk.rest("a"), Rest::DueIn(millis(2000)));
    let [attempt] = desk.attempts(id).try_into().unwrap();
    assert_eq!((attempt.attempt, attempt.worker.as_str(), attempt.outcome.as_str()), (1, "w", "failed"));
    assert_eq!(attempt.error, Some(error("FAILED")));
    assert_eq!((attempt.timestamp_dispatched, attempt.timestamp_ended), (START, START + millis(10)));
    desk.pass(2000);
    assert_eq!(desk.claim_one("a", "w").attempt, 2);
}

pub(super) fn the_last_attempt_fails_the_task(desk: &mut Desk) {
    let (id, lease) = desk.post_running(Insert { max_attempts: 2, ..task("a") });
    assert_eq!(desk.fail(id, &lease, Some(Duration::ZERO)), Finished::Requeued(Duration::ZERO));
    let lease = desk.claim_one("a", "w").lease.unwrap();
    let ended = Ended { status: Status::Failed, result: None, error: Some(error("FAILED")), attempts: 2 };
    assert_eq!(desk.fail(id, &lease, Some(Duration::ZERO)), Finished::Ended(ended.clone()));
    assert_eq!(desk.ended(id), ended);
    assert_eq!(desk.outcomes(id), ["failed", "failed"]);
    assert_eq!(desk.rest("a"), Rest::Empty);
}

pub(super) fn a_failure_without_retry_is_final(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    let end = failure(task_code::BAD_PAYLOAD, None);
    let ended = desk.finish(id, Proof::Lease(lease), end);
    let error = Some(error(task_code::BAD_PAYLOAD));
    assert_eq!(ended, Finished::Ended(Ended { status: Status::Failed, result: None, error, attempts: 1 }));
    assert_eq!(desk.view(id).timestamp_completed, Some(START));
}

pub(super) fn a_timeout_is_told_from_other_failures(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.finish(id, Proof::Lease(lease), failure(task_code::TIMEOUT, Some(Duration::ZERO)));
    assert_eq!(desk.outcomes(id), ["timeout"]);
}

pub(super) fn a_released_attempt_is_pending_again(desk: &mut Desk) {
    desk.post(task("a"));
    let running = desk.claim_one("a", "w");
    let release = Release { retry: Some(millis(500)), ..released(&running, Outcome::LeaseLost) };
    assert_eq!(desk.release(release), Released::Requeued(millis(500)));
    let view = desk.view(running.id);
    assert_eq!((view.status, view.attempt, view.error), (Status::Pending, 1, Some(error("lease_lost"))));
    assert_eq!(desk.outcomes(running.id), ["lease_lost"]);
    assert_eq!(desk.counts().pending, 1);
}

pub(super) fn an_uncharged_attempt_gives_its_number_back(desk: &mut Desk) {
    desk.post(Insert { max_attempts: 1, ..task("a") });
    let running = desk.claim_one("a", "w");
    let release = Release { charged: false, ..released(&running, Outcome::Rejected) };
    assert_eq!(desk.release(release.clone()), Released::Requeued(Duration::ZERO));
    let view = desk.view(running.id);
    assert_eq!((view.attempt, view.error), (0, None), "it has not failed");
    let again = desk.claim_one("a", "w");
    assert_eq!(again.attempt, 1, "two attempts may share a number");
    let final_one = Release { lease: again.lease, retry: None, ..release };
    let ended = Ended { status: Status::Failed, result: None, error: Some(error("rejected")), attempts: 0 };
    assert_eq!(desk.release(final_one), Released::Ended(ended));
    assert_eq!(desk.outcomes(running.id), ["rejected", "rejected"]);
}

pub(super) fn an_uncharged_attempt_does_not_hide_the_last_failure(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.fail(id, &lease, Some(Duration::ZERO));
    let running = desk.claim_one("a", "w");
    desk.release(Release { charged: false, ..released(&running, Outcome::Rejected) });
    assert_eq!(desk.view(id).error, Some(error("FAILED")));
}

pub(super) fn only_the_current_attempt_can_be_released(desk: &mut Desk) {
    desk.post(task("a"));
    let first = desk.claim_one("a", "w");
    desk.release(released(&first, Outcome::LeaseLost));
    assert_eq!(desk.release(released(&first, Outcome::LeaseLost)), Released::Stale, "it is pending");
    let second = desk.claim_one("a", "w");
    assert_eq!(desk.release(released(&first, Outcome::LeaseLost)), Released::Stale, "it runs again");
    let other_number = Release { attempt: 3, ..released(&second, Outcome::LeaseLost) };
    assert_eq!(desk.release(other_number), Released::Stale);
    let plain = Release { lease: None, ..released(&second, Outcome::LeaseLost) };
    assert_eq!(desk.release(plain), Released::Stale);
    desk.succeed(second.id, &second.lease.clone().unwrap(), "x");
    assert_eq!(desk.release(released(&second, Outcome::LeaseLost)), Released::Stale, "it is done");
    assert_eq!(desk.outcomes(first.id), ["lease_lost"]);
}

pub(super) fn a_release_without_retry_fails_the_task(desk: &mut Desk) {
    desk.post(task("a"));
    let running = desk.claim_one("a", "w");
    let release = Release { retry: None, ..released(&running, Outcome::Timeout) };
    let ended = Ended { status: Status::Failed, result: None, error: Some(error("timeout")), attempts: 1 };
    assert_eq!(desk.release(release), Released::Ended(ended));
}

pub(super) fn three_lost_workers_make_poison(desk: &mut Desk) {
    let id = desk.post(Insert { max_attempts: 100, ..task("a") });
    let lose = |desk: &mut Desk, outcome| {
        let running = desk.claim_one("a", "w");
        desk.release(released(&running, outcome))
    };
    for _ in 1..POISON_AFTER {
        assert_eq!(lose(desk, Outcome::WorkerLost), Released::Requeued(Duration::ZERO));
        assert_eq!(lose(desk, Outcome::LeaseLost), Released::Requeued(Duration::ZERO), "a partition is not poison");
    }
    let Released::Ended(ended) = lose(desk, Outcome::WorkerLost) else { panic!("the third one is the last") };
    assert_eq!((ended.status, ended.attempts), (Status::Failed, 5));
    assert_eq!(ended.error.clone().unwrap().code, task_code::WORKER_LOST);
    assert_eq!(desk.ended(id), ended);
}

pub(super) fn a_retry_forgives_lost_workers(desk: &mut Desk) {
    let id = desk.post(Insert { max_attempts: 3, ..task("a") });
    for _ in 0..POISON_AFTER {
        let running = desk.claim_one("a", "w");
        desk.release(released(&running, Outcome::WorkerLost));
    }
    assert_eq!(desk.status(id), Status::Failed);
    desk.retry(id);
    let running = desk.claim_one("a", "w");
    assert_eq!(desk.release(released(&running, Outcome::WorkerLost)), Released::Requeued(Duration::ZERO));
}

pub(super) fn attempts_that_were_given_back_do_not_pile_up(desk: &mut Desk) {
    let id = desk.post(task("a"));
    let mut first = None;
    for _ in 0..150 {
        let running = desk.claim_one("a", "w");
        desk.release(Release { charged: false, ..released(&running, Outcome::Rejected) });
        first = first.or(running.lease);
    }
    let oldest = first.unwrap();
    assert_eq!(desk.succeed(id, &oldest, "x"), Finished::LeaseUnknown, "the oldest are forgotten");
    let running = desk.claim_one("a", "w");
    desk.release(released(&running, Outcome::LeaseLost));
    for _ in 0..150 {
        let running = desk.claim_one("a", "w");
        desk.release(Release { charged: false, ..released(&running, Outcome::Released) });
    }
    let lease = running.lease.unwrap();
    assert!(matches!(desk.succeed(id, &lease, "x"), Finished::Done), "a charged attempt is never forgotten");
}

pub(super) fn a_done_task_shows_no_error(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.fail(id, &lease, Some(Duration::ZERO));
    let running = desk.claim_one("a", "w");
    assert_eq!(desk.view(id).error, Some(error("FAILED")), "what the last attempt said");
    desk.succeed(id, &running.lease.unwrap(), "x");
    assert_eq!(desk.view(id).error, None);
    assert_eq!((desk.ended(id).error, desk.ended(id).attempts), (None, 2));
}
