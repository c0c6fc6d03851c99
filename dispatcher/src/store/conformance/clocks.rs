//! The wall clock jumps (R29): times in the table never go back, and work does not stop.

use std::time::Duration;

use taskgrid_protocol::WallTime;

use super::desk::{Desk, START, ids, millis, new_id, task};
use crate::store::{Insert, Inserted, Rest};

const YEAR: i64 = 365 * 86_400;

pub(super) fn stored_times_never_go_back(desk: &mut Desk) {
    let (first, lease) = desk.post_running(task("a"));
    desk.set_back(YEAR);
    let inserted = desk.insert(task("a"));
    let second = new_id(&inserted);
    assert_eq!(inserted, Inserted::New { id: second, created: START, claimed: false, due: Duration::ZERO });
    desk.succeed(first, &lease, "x");
    assert_eq!(desk.view(first).timestamp_completed, Some(START));
    desk.claim_one("a", "w");
    let view = desk.view(second);
    assert_eq!((view.timestamp_created, view.timestamp_dispatched), (START, Some(START)));
}

pub(super) fn what_was_due_stays_due_when_the_clock_is_set_back(desk: &mut Desk) {
    let before = desk.post(task("a"));
    desk.set_back(YEAR);
    let after = desk.post(task("a"));
    assert_eq!(desk.claim("a", &[]).rest, Rest::Ready);
    let claimed = desk.claim("a", &["w"; 3]);
    assert_eq!((ids(&claimed), claimed.rest), (vec![before, after], Rest::Empty));
}

pub(super) fn not_before_goes_by_the_clock_as_it_is_now(desk: &mut Desk) {
    let id = desk.post(Insert { not_before: Some(START + millis(1000)), ..task("a") });
    desk.pass(1000);
    desk.set_back(3600);
    assert_eq!(desk.claim("a", &["w"]).rest, Rest::DueIn(millis(3_600_000)));
    desk.pass(3_600_000);
    assert_eq!(desk.claim_one("a", "w").id, id);
}

pub(super) fn a_new_delay_holds_after_the_clock_was_set_back(desk: &mut Desk) {
    desk.post(task("b"));
    desk.set_back(3600);
    let id = desk.post(Insert { delay: Some(millis(2000)), ..task("a") });
    let same = desk.post(Insert { delay: Some(millis(3_600_000)), ..task("c") });
    assert_eq!(desk.claim("a", &["w"]).rest, Rest::DueIn(millis(2000)));
    let claimed = desk.claim("c", &["w"]);
    assert_eq!(claimed.tasks, [], "{same} is delayed, though until just when it is said to be created");
    desk.pass(2000);
    assert_eq!(desk.claim_one("a", "w").id, id);
}

pub(super) fn a_backoff_does_not_outlive_a_clock_that_was_wrong(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.fail(id, &lease, Some(millis(300_000)));
    desk.set_back(YEAR);
    assert_eq!(desk.rest("a"), Rest::Ready);
    let again = desk.claim_one("a", "w");
    assert_eq!((again.id, again.attempt), (id, 2));
}

/// Also when the clock goes back to between the hand-over and the failure.
pub(super) fn a_backoff_that_began_at_a_wrong_time_does_not_last_either(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.pass(10 * 86_400_000);
    desk.fail(id, &lease, Some(millis(300_000)));
    desk.set_back(5 * 86_400);
    assert_eq!(desk.rest("a"), Rest::Ready);
    assert_eq!(desk.claim_one("a", "w").attempt, 2);
}

pub(super) fn stored_times_go_on_after_a_restart(desk: &mut Desk) {
    let (id, lease) = desk.post_running(task("a"));
    desk.pass(5000);
    desk.fail(id, &lease, Some(Duration::ZERO));
    desk.set_back(YEAR);
    desk.restart();
    let newer = desk.post(task("b"));
    assert_eq!(desk.view(newer).timestamp_created, START + millis(5000));
    desk.claim_one("a", "w");
    assert_eq!(desk.view(id).timestamp_dispatched, Some(START + millis(5000)));
}

pub(super) fn times_beyond_the_year_9999_are_cut(desk: &mut Desk) {
    let last = WallTime::from_millis(253_402_300_799_999);
    let far = WallTime::from_millis(253_402_300_799_000);
    let ages = Duration::from_secs(10 * 365 * 86_400);
    let id = desk.post(Insert { not_before: Some(far), expires: Some(ages * 900), ..task("a") });
    let view = desk.view(id);
    assert_eq!((view.timestamp_scheduled, view.timestamp_expires), (far, Some(last)));
    desk.now = far;
    let delayed = desk.post(Insert { delay: Some(ages), ..task("a") });
    assert_eq!(desk.view(delayed).timestamp_scheduled, last);
}
