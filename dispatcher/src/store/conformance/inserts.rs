//! New tasks (R2, R3, R12).

use std::time::Duration;

use taskgrid_protocol::body::{Priority, Status};
use taskgrid_protocol::{Json, TaskId};

use super::desk::{Desk, START, keyed, millis, new_id, priority, task};
use crate::store::{Batch, Insert, Inserted};

pub(super) fn a_new_task_is_pending_and_shows_what_it_was_posted_with(desk: &mut Desk) {
    let insert = Insert { max_attempts: 7, timeout_s: 60, ..keyed("reverse", "k") };
    let inserted = desk.insert(Insert { priority: Priority::new(-3).unwrap(), ..insert });
    let id = new_id(&inserted);
    assert_eq!(inserted, Inserted::New { id, created: START, claimed: false, due: Duration::ZERO });
    let view = desk.view(id);
    assert_eq!(view.task_type.as_str(), "reverse");
    assert_eq!(view.status, Status::Pending);
    assert_eq!(view.payload, Some(Json::string("OpenAI")));
    assert_eq!((view.payload_bytes, view.result_bytes), (8, None));
    assert_eq!((view.priority.get(), view.attempt, view.max_attempts, view.timeout_s), (-3, 0, 7, 60));
    assert_eq!(view.key.unwrap().as_str(), "k");
    assert_eq!((view.timestamp_created, view.timestamp_scheduled), (START, START));
    assert_eq!((view.result, view.error, view.assigned_worker, view.lease), (None, None, None, None));
    assert_eq!((view.timestamp_dispatched, view.timestamp_completed, view.timestamp_expires), (None, None, None));
}

pub(super) fn ids_rise_in_the_order_of_the_entries(desk: &mut Desk) {
    let batch = Batch { inserts: vec![task("a"), task("b"), task("a")], ..Batch::default() };
    let ids: Vec<TaskId> = desk.apply(&batch).inserts.iter().map(new_id).collect();
    assert_eq!(ids, [TaskId(1), TaskId(2), TaskId(3)]);
    assert_eq!(desk.post(task("a")), TaskId(4));
}

pub(super) fn a_known_key_finds_its_task(desk: &mut Desk) {
    let id = desk.post(keyed("a", "k"));
    assert_eq!(desk.insert(keyed("a", "k")), Inserted::Existing { id, status: Status::Pending });
    assert_eq!(desk.counts().pending, 1, "there is no second row");
    desk.restart();
    assert_eq!(desk.insert(keyed("a", "k")), Inserted::Existing { id, status: Status::Pending });
}

pub(super) fn a_key_works_within_one_batch(desk: &mut Desk) {
    let batch = Batch { inserts: vec![keyed("a", "k"), task("a"), keyed("a", "k")], ..Batch::default() };
    let outcomes = desk.apply(&batch);
    let id = new_id(&outcomes.inserts[0]);
    assert_eq!(outcomes.inserts[2], Inserted::Existing { id, status: Status::Pending });
    assert_eq!(desk.counts().pending, 2);
}

/// A store may insert many rows at once, which must not show: neither where one of them is not new, nor in the numbers.
pub(super) fn among_many_new_tasks_known_ones_are_found(desk: &mut Desk) {
    let first = desk.post(keyed("a", "k0"));
    for (round, known) in [0, 7, 15, 16, 40].into_iter().enumerate() {
        let key = |place: usize| if place == known { "k0".to_owned() } else { format!("{round}-{place}") };
        let inserts: Vec<Insert> = (0..50).map(|place| keyed("a", &key(place))).collect();
        let outcomes = desk.apply(&Batch { inserts, ..Batch::default() }).inserts;
        let mut ids = Vec::new();
        for (place, inserted) in outcomes.iter().enumerate() {
            if place == known {
                assert_eq!(*inserted, Inserted::Existing { id: first, status: Status::Pending });
            } else {
                let id = new_id(inserted);
                assert_eq!(desk.view(id).key.unwrap().as_str(), key(place));
                ids.push(id);
            }
        }
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    }
    assert_eq!(desk.counts().pending, 1 + 5 * 49);
}

pub(super) fn a_key_with_another_task_is_a_conflict(desk: &mut Desk) {
    let id = desk.post(Insert { not_before: Some(START), ..keyed("a", "k") });
    let first = || Insert { not_before: Some(START), ..keyed("a", "k") };
    let others = [
        Insert { task_type: task("b").task_type, ..first() },
        Insert { payload: Json::string("openAI"), ..first() },
        Insert { priority: priority("a", 1).priority, ..first() },
        Insert { max_attempts: 4, ..first() },
        Insert { timeout_s: 1, ..first() },
        Insert { not_before: None, ..first() },
        Insert { not_before: Some(START + millis(1)), ..first() },
    ];
    for other in others {
        assert_eq!(desk.insert(other), Inserted::KeyConflict(id));
    }
    assert_eq!(desk.counts().pending, 1);
    assert_eq!(desk.insert(first()), Inserted::Existing { id, status: Status::Pending });
}

pub(super) fn retries_and_waits_do_not_make_it_another_task(desk: &mut Desk) {
    let (id, lease) = desk.post_running(keyed("a", "k"));
    desk.fail(id, &lease, None);
    desk.retry(id);
    assert_eq!(desk.view(id).max_attempts, 10);
    let again = Insert { delay: Some(millis(5)), expires: Some(millis(5)), ..keyed("a", "k") };
    assert_eq!(desk.insert(again), Inserted::Existing { id, status: Status::Pending });
    assert_eq!(desk.view(id).timestamp_expires, None, "what was said first stands");
}

pub(super) fn a_key_is_known_in_every_state(desk: &mut Desk) {
    let (id, lease) = desk.post_running(keyed("a", "k"));
    assert_eq!(desk.insert(keyed("a", "k")), Inserted::Existing { id, status: Status::Running });
    desk.succeed(id, &lease, "IAnepO");
    assert_eq!(desk.insert(keyed("a", "k")), Inserted::Existing { id, status: Status::Done });
    let cancelled = desk.post(keyed("a", "l"));
    desk.cancel(cancelled);
    let status = Status::Cancelled;
    assert_eq!(desk.insert(keyed("a", "l")), Inserted::Existing { id: cancelled, status });
}

pub(super) fn a_refused_row_does_not_harm_the_rest_of_its_batch(desk: &mut Desk) {
    let bad = Insert { max_attempts: 0, ..task("a") };
    let batch = Batch { inserts: vec![task("a"), bad, task("a")], ..Batch::default() };
    let outcomes = desk.apply(&batch);
    assert!(matches!(outcomes.inserts[1], Inserted::Refused(_)));
    let (first, last) = (new_id(&outcomes.inserts[0]), new_id(&outcomes.inserts[2]));
    assert_eq!((desk.status(first), desk.status(last)), (Status::Pending, Status::Pending));
    assert_eq!(desk.counts().pending, 2);
}

pub(super) fn a_slot_makes_the_task_running_at_once(desk: &mut Desk) {
    let slot = desk.slot("w:6000");
    let inserted = desk.insert(Insert { slot: Some(slot.clone()), ..task("a") });
    let id = new_id(&inserted);
    assert_eq!(inserted, Inserted::New { id, created: START, claimed: true, due: Duration::ZERO });
    let view = desk.view(id);
    assert_eq!((view.status, view.attempt), (Status::Running, 1));
    assert_eq!((view.assigned_worker.as_deref(), view.lease), (Some("w:6000"), slot.lease));
    assert_eq!(view.timestamp_dispatched, Some(START));
    assert_eq!(desk.claim("a", &["other"]).tasks, []);
}

pub(super) fn a_slot_is_ignored_where_the_task_is_not_due_or_not_new(desk: &mut Desk) {
    let slot = Some(desk.slot("w"));
    let delayed = desk.post(Insert { slot: slot.clone(), delay: Some(millis(10)), ..task("a") });
    assert_eq!(desk.status(delayed), Status::Pending);
    let known = desk.post(keyed("a", "k"));
    let again = desk.insert(Insert { slot, ..keyed("a", "k") });
    assert_eq!(again, Inserted::Existing { id: known, status: Status::Pending });
}

pub(super) fn a_delayed_task_says_how_long(desk: &mut Desk) {
    let inserted = desk.insert(Insert { delay: Some(millis(1500)), ..task("a") });
    let id = new_id(&inserted);
    assert_eq!(inserted, Inserted::New { id, created: START, claimed: false, due: millis(1500) });
    assert_eq!(desk.view(id).timestamp_scheduled, START + millis(1500));
}

pub(super) fn the_later_of_delay_and_not_before_counts(desk: &mut Desk) {
    let due = |desk: &mut Desk, delay, not_before| {
        let insert = Insert { delay: Some(millis(delay)), not_before: Some(START + millis(not_before)), ..task("a") };
        let Inserted::New { due, .. } = desk.insert(insert) else { panic!("it is new") };
        due
    };
    assert_eq!(due(desk, 100, 200), millis(200));
    assert_eq!(due(desk, 300, 200), millis(300));
    desk.pass(1000);
    assert_eq!(due(desk, 0, 200), Duration::ZERO, "that time has passed");
}

pub(super) fn payloads_keep_their_bytes(desk: &mut Desk) {
    for text in ["1.0", "-0", "\"\\u00e9\"", "\"é\\u0000\"", "{\"b\" : 1,\n \"a\":[null]}", "\"\"", "null"] {
        let payload = Json::parse(text).unwrap();
        let id = desk.post(Insert { payload: payload.clone(), ..task("a") });
        assert_eq!(desk.view(id).payload, Some(payload.clone()));
        assert_eq!(desk.claim_one("a", "w").payload, payload);
    }
    let long = Json::string(&"x".repeat(48 * 1024 - 2));
    let id = desk.post(Insert { payload: long.clone(), ..task("a") });
    assert_eq!(desk.view(id).payload, Some(long));
}
