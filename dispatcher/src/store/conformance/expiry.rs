//! Tasks that nobody wants any more (R24).

use std::time::Duration;

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::task_code;

use super::desk::{Desk, START, millis, task};
use crate::store::{Batch, EXPIRE_MAX, Finished, Insert, Rest};

fn expiring(span: u64) -> Insert {
    Insert { expires: Some(millis(span)), ..task("a") }
}

pub(super) fn pending_and_running_tasks_expire(desk: &mut Desk) {
    let pending = desk.post(expiring(200));
    let (running, lease) = desk.post_running(expiring(100));
    let other = desk.post(expiring(300));
    assert_eq!(desk.view(pending).timestamp_expires, Some(START + millis(200)));
    desk.pass(200);
    let outcomes = desk.expire();
    assert_eq!(outcomes.expired, [running, pending], "the first to expire comes first");
    assert_eq!(outcomes.next_expiry, Some(millis(100)));
    let ended = desk.ended(running);
    assert_eq!((ended.status, ended.attempts), (Status::Failed, 1));
    assert_eq!(ended.error.clone().unwrap().code, task_code::EXPIRED);
    assert_eq!((desk.ended(pending).error, desk.ended(pending).attempts), (ended.error, 0));
    assert_eq!((desk.outcomes(pending), desk.outcomes(running)), (vec![], vec!["expired".to_owned()]));
    assert_eq!(desk.succeed(running, &lease, "x"), Finished::Late);
    assert_eq!(desk.status(other), Status::Pending);
    assert_eq!((desk.counts().failed, desk.counts().pending, desk.counts().running), (2, 1, 0));
}

pub(super) fn nothing_expires_unless_asked(desk: &mut Desk) {
    let id = desk.post(expiring(1));
    desk.pass(10);
    let outcomes = desk.apply(&Batch::default());
    assert_eq!((outcomes.expired, outcomes.next_expiry), (vec![], None));
    assert_eq!(desk.status(id), Status::Pending);
}

pub(super) fn the_next_expiry_is_told(desk: &mut Desk) {
    desk.post(task("a"));
    assert_eq!(desk.expire().next_expiry, None);
    desk.post(expiring(500));
    desk.pass(100);
    let outcomes = desk.apply(&Batch { expire: true, inserts: vec![expiring(50)], ..Batch::default() });
    assert_eq!(outcomes.next_expiry, Some(millis(50)), "what the batch inserts counts");
}

pub(super) fn many_expire_over_several_batches(desk: &mut Desk) {
    let inserts = vec![expiring(10); EXPIRE_MAX + 5];
    desk.apply(&Batch { inserts, ..Batch::default() });
    desk.pass(10);
    let outcomes = desk.expire();
    assert_eq!((outcomes.expired.len(), outcomes.next_expiry), (EXPIRE_MAX, Some(Duration::ZERO)));
    let outcomes = desk.expire();
    assert_eq!((outcomes.expired.len(), outcomes.next_expiry), (5, None));
    assert_eq!(desk.rest("a"), Rest::Empty);
}

pub(super) fn ended_tasks_do_not_expire(desk: &mut Desk) {
    let (done, lease) = desk.post_running(expiring(10));
    desk.succeed(done, &lease, "x");
    let cancelled = desk.post(expiring(10));
    desk.cancel(cancelled);
    desk.pass(100);
    let outcomes = desk.expire();
    assert_eq!((outcomes.expired, outcomes.next_expiry), (Vec::<TaskId>::new(), None));
}

pub(super) fn a_retry_drops_an_expiry_that_has_passed(desk: &mut Desk) {
    let gone = desk.post(expiring(10));
    let ahead = desk.post(expiring(1000));
    desk.cancel(ahead);
    desk.pass(10);
    desk.expire();
    desk.retry(gone);
    desk.retry(ahead);
    assert_eq!(desk.view(gone).timestamp_expires, None, "else it would expire again at once");
    assert_eq!(desk.view(ahead).timestamp_expires, Some(START + millis(1000)));
    assert_eq!(desk.expire().expired, []);
}
