//! The order of work.

use std::time::Duration;

use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Json, TaskId};

use super::desk::{Desk, START, ids, keyed, millis, name, new_id, priority, released, task};
use crate::store::{Batch, Claim, Insert, Outcome, Rest, Slot};

pub(super) fn the_order_is_priority_then_due_time_then_id(desk: &mut Desk) {
    let low = desk.post(priority("a", -100));
    let late = desk.post(Insert { delay: Some(millis(20)), ..priority("a", 7) });
    let early = desk.post(Insert { delay: Some(millis(10)), ..priority("a", 7) });
    let high = desk.post(priority("a", 100));
    let first = desk.post(task("a"));
    let second = desk.post(task("a"));
    desk.pass(50);
    assert_eq!(ids(&desk.claim("a", &["w"; 4])), [high, early, late, first]);
    assert_eq!(ids(&desk.claim("a", &["w"; 4])), [second, low]);
}

pub(super) fn a_claim_takes_its_own_type_only(desk: &mut Desk) {
    desk.post(task("a"));
    let other = desk.post(task("ab"));
    assert_eq!(ids(&desk.claim("ab", &["w"; 3])), [other]);
    assert_eq!(desk.claim("b", &["w"]).rest, Rest::Empty);
}

pub(super) fn a_claim_says_what_is_left(desk: &mut Desk) {
    assert_eq!(desk.rest("a"), Rest::Empty);
    desk.post(task("a"));
    desk.post(task("a"));
    desk.post(Insert { delay: Some(millis(700)), ..task("a") });
    desk.post(Insert { delay: Some(millis(300)), ..priority("a", -5) });
    assert_eq!(desk.claim("a", &["w"]).rest, Rest::Ready);
    assert_eq!(desk.claim("a", &["w"]).rest, Rest::DueIn(millis(300)));
    desk.pass(100);
    assert_eq!(desk.rest("a"), Rest::DueIn(millis(200)));
    desk.pass(200);
    assert_eq!(desk.claim("a", &["w"; 9]).rest, Rest::DueIn(millis(400)));
}

pub(super) fn delayed_tasks_of_high_priority_are_not_in_the_way(desk: &mut Desk) {
    for level in [100, 99, 3] {
        desk.post(Insert { delay: Some(millis(60_000)), ..priority("a", level) });
    }
    let due = desk.post(task("a"));
    let claimed = desk.claim("a", &["w"]);
    assert_eq!((ids(&claimed), claimed.rest), (vec![due], Rest::DueIn(millis(60_000))));
}

pub(super) fn a_claim_is_an_attempt_with_worker_and_lease(desk: &mut Desk) {
    let payload = Json::parse("[1, 2]").unwrap();
    let id = desk.post(Insert { payload: payload.clone(), timeout_s: 9, ..task("a") });
    desk.pass(5);
    let slots = vec![desk.slot("one"), Slot { worker: "two".into(), lease: None }];
    let claimed = desk.claim_slots("a", slots.clone());
    let [(0, running)] = claimed.tasks.as_slice() else { panic!("one task at the first slot") };
    assert_eq!((running.id, &running.task_type, &running.payload), (id, &name("a"), &payload));
    assert_eq!((running.attempt, running.timeout_s, running.created), (1, 9, START));
    assert_eq!((&running.worker, &running.lease), (&slots[0].worker, &slots[0].lease));
    let view = desk.view(id);
    assert_eq!((view.status, view.attempt), (Status::Running, 1));
    assert_eq!((view.assigned_worker.as_deref(), &view.lease), (Some("one"), &slots[0].lease));
    assert_eq!(view.timestamp_dispatched, Some(START + millis(5)));
    let plain = desk.post(task("a"));
    desk.claim_slots("a", vec![slots[1].clone()]);
    assert_eq!((desk.status(plain), desk.view(plain).lease), (Status::Running, None));
}

pub(super) fn a_task_that_failed_goes_to_another_worker_if_there_is_one(desk: &mut Desk) {
    let id = desk.post(task("a"));
    let running = desk.claim_one("a", "bad");
    desk.release(released(&running, Outcome::LeaseLost));
    let fresh = desk.post(task("a"));
    let claimed = desk.claim("a", &["bad", "bad", "good"]);
    let placed: Vec<(usize, TaskId)> = claimed.tasks.iter().map(|(slot, running)| (*slot, running.id)).collect();
    assert_eq!(placed, [(2, id), (0, fresh)]);
    let again = claimed.tasks[0].1.clone();
    assert_eq!((again.attempt, &*again.worker), (2, "good"));
    desk.release(released(&again, Outcome::LeaseLost));
    assert_eq!(&*desk.claim_one("a", "good").worker, "good", "where there is no other, the same one will do");
}

pub(super) fn two_claims_of_one_batch_share_the_tasks(desk: &mut Desk) {
    let posted: Vec<TaskId> = (0..3).map(|_| desk.post(task("a"))).collect();
    let claim = |slots| Claim { task_type: name("a"), slots };
    let slots = [desk.slot("v"), desk.slot("v"), desk.slot("w"), desk.slot("w")];
    let claims = vec![claim(slots[..2].to_vec()), claim(slots[2..].to_vec())];
    let outcomes = desk.apply(&Batch { claims, ..Batch::default() });
    assert_eq!(ids(&outcomes.claims[0]), posted[..2]);
    assert_eq!(outcomes.claims[0].rest, Rest::Ready);
    assert_eq!(ids(&outcomes.claims[1]), posted[2..]);
    assert_eq!(outcomes.claims[1].rest, Rest::Empty);
}

pub(super) fn what_a_batch_inserts_its_claims_can_take(desk: &mut Desk) {
    let claims = vec![Claim { task_type: name("a"), slots: vec![desk.slot("w")] }];
    let outcomes = desk.apply(&Batch { inserts: vec![keyed("a", "k")], claims, ..Batch::default() });
    assert_eq!(ids(&outcomes.claims[0]), [new_id(&outcomes.inserts[0])]);
    assert_eq!(outcomes.claims[0].rest, Rest::Empty);
    assert_eq!(desk.counts().running, 1);
    desk.pass(1);
    let delayed = desk.post(Insert { delay: Some(Duration::ZERO), ..task("a") });
    assert_eq!(desk.claim_one("a", "w").id, delayed, "no delay is no delay");
}
