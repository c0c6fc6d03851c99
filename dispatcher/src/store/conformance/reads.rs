//! What clients and people see.

use std::time::Duration;

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::{ListTasks, Status, StatusCounts};

use super::desk::{Desk, name, released, task};
use crate::store::{ATTEMPTS_MAX, Answer, Ended, Outcome, Query};

pub(super) fn what_does_not_exist_is_none(desk: &mut Desk) {
    for id in [TaskId(1), TaskId(0), TaskId(-1), TaskId(i64::MAX)] {
        assert_eq!(desk.read(&Query::Result(id)), Answer::Result(None));
        assert_eq!(desk.read(&Query::Task(id)), Answer::Task(None));
    }
    assert_eq!(desk.list(ListTasks::default()), (vec![], false));
}

pub(super) fn a_result_shows_where_the_task_stands(desk: &mut Desk) {
    let waiting = |status| Ended { status, result: None, error: None, attempts: 0 };
    let id = desk.post(task("a"));
    assert_eq!(desk.ended(id), waiting(Status::Pending));
    let running = desk.claim_one("a", "w");
    assert_eq!(desk.ended(id), waiting(Status::Running));
    desk.fail(id, &running.lease.unwrap(), Some(Duration::ZERO));
    assert_eq!(desk.ended(id), waiting(Status::Pending), "an error on the way is not the end");
    desk.cancel(id);
    assert_eq!(desk.ended(id), Ended { attempts: 1, ..waiting(Status::Cancelled) });
}

pub(super) fn a_list_is_newest_first_and_goes_on_where_it_stopped(desk: &mut Desk) {
    let posted: Vec<TaskId> = (0..5).map(|_| desk.post(task("a"))).collect();
    let page = |before, limit| ListTasks { before, limit: Some(limit), ..ListTasks::default() };
    assert_eq!(desk.list(page(None, 2)), (vec![posted[4], posted[3]], true));
    assert_eq!(desk.list(page(Some(posted[3]), 2)), (vec![posted[2], posted[1]], true));
    assert_eq!(desk.list(page(Some(posted[1]), 2)), (vec![posted[0]], false));
    assert!(!desk.list(page(None, 5)).1, "exactly all of them");
    let Answer::List(views, _) = desk.read(&Query::List(page(None, 1))) else { panic!("a list is answered") };
    let whole = desk.view(posted[4]);
    assert_eq!((&views[0].payload, &views[0].result), (&None, &None), "lists carry neither");
    assert_eq!((views[0].payload_bytes, &views[0].task_type), (whole.payload_bytes, &whole.task_type));
}

pub(super) fn a_list_can_be_filtered(desk: &mut Desk) {
    let pending = desk.post(task("a"));
    let (running, _) = desk.post_running(task("a"));
    let (done, lease) = desk.post_running(task("b"));
    desk.succeed(done, &lease, "x");
    let (failed, lease) = desk.post_running(task("b"));
    desk.fail(failed, &lease, None);
    let cancelled = desk.post(task("b"));
    desk.cancel(cancelled);
    let expected = [
        (Status::Pending, pending, "a"),
        (Status::Running, running, "a"),
        (Status::Done, done, "b"),
        (Status::Failed, failed, "b"),
        (Status::Cancelled, cancelled, "b"),
    ];
    for (status, id, task_type) in expected {
        let filter = ListTasks { status: Some(status), ..ListTasks::default() };
        assert_eq!(desk.list(filter.clone()), (vec![id], false));
        let mine = ListTasks { task_type: Some(name(task_type)), ..filter.clone() };
        assert_eq!(desk.list(mine), (vec![id], false));
        let other = ListTasks { task_type: Some(name("c")), ..filter.clone() };
        assert_eq!(desk.list(other), (vec![], false));
        assert_eq!(desk.list(ListTasks { before: Some(id), ..filter }), (vec![], false));
    }
    let of_type = ListTasks { task_type: Some(name("b")), ..ListTasks::default() };
    assert_eq!(desk.list(of_type), (vec![cancelled, failed, done], false));
}

pub(super) fn past_attempts_are_shown_newest_first(desk: &mut Desk) {
    let id = desk.post(crate::store::Insert { max_attempts: 100, ..task("a") });
    for _ in 0..ATTEMPTS_MAX + 5 {
        let running = desk.claim_one("a", "w");
        desk.release(released(&running, Outcome::LeaseLost));
    }
    let shown: Vec<u32> = desk.attempts(id).iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(shown, (6..=25).rev().collect::<Vec<u32>>());
}

pub(super) fn counts_follow_every_change(desk: &mut Desk) {
    let counts = |pending, running, done, failed, cancelled| StatusCounts { pending, running, done, failed, cancelled };
    let first = desk.post(task("a"));
    let second = desk.post(task("a"));
    assert_eq!(desk.counts(), counts(2, 0, 0, 0, 0));
    let running = desk.claim_one("a", "w");
    assert_eq!(desk.counts(), counts(1, 1, 0, 0, 0));
    desk.release(released(&running, Outcome::LeaseLost));
    assert_eq!(desk.counts(), counts(2, 0, 0, 0, 0));
    let running = desk.claim_one("a", "w");
    desk.succeed(first, &running.lease.unwrap(), "x");
    assert_eq!(desk.counts(), counts(1, 0, 1, 0, 0));
    desk.cancel(second);
    assert_eq!(desk.counts(), counts(0, 0, 1, 0, 1));
    desk.retry(second);
    let running = desk.claim_one("a", "w");
    desk.fail(second, &running.lease.unwrap(), None);
    assert_eq!(desk.counts(), counts(0, 0, 1, 1, 0));
    desk.restart();
    assert_eq!(desk.counts(), counts(0, 0, 1, 1, 0));
}
