//! What the next dispatcher finds (R26).

use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;

use super::desk::{Desk, START, keyed, millis, name, priority, success, task};
use crate::store::{Finish, Insert, Inserted, Opened, Proof, Running, Slot};

pub(super) fn a_new_store_is_empty(desk: &mut Desk) {
    let opened = desk.restart();
    assert_eq!(opened, Opened { identity: opened.identity.clone(), ..Opened::default() });
    assert_eq!(desk.counts(), Default::default());
}

/// Each opening offers another id.
pub(super) fn the_id_of_a_table_is_given_once(desk: &mut Desk) {
    let first = desk.restart().identity;
    assert_eq!((desk.restart().identity, first.former.len()), (first, 0));
}

pub(super) fn running_tasks_are_loaded_by_id(desk: &mut Desk) {
    let low = desk.post(priority("a", -1));
    let high = desk.post(Insert { timeout_s: 5, ..priority("a", 1) });
    let (done, lease) = desk.post_running(task("a"));
    desk.succeed(done, &lease, "x");
    desk.claim_slots("a", vec![Slot { worker: "plain".into(), lease: None }]);
    let claimed = desk.claim_one("a", "w");
    let opened = desk.restart();
    assert_eq!(opened.running.iter().map(|running| running.id).collect::<Vec<_>>(), [low, high]);
    assert_eq!(opened.running[0], claimed);
    let expected = Running {
        id: high,
        task_type: name("a"),
        payload: task("a").payload,
        attempt: 1,
        timeout_s: 5,
        created: START,
        worker: "plain".into(),
        lease: None,
    };
    assert_eq!(opened.running[1], expected);
    assert_eq!(opened.pending_types, []);
}

pub(super) fn types_with_pending_tasks_are_named_once(desk: &mut Desk) {
    for (task_type, level) in [("b", 0), ("a", 0), ("b", 5), ("b.c", 0), ("Z", 0)] {
        desk.post(priority(task_type, level));
    }
    desk.post(Insert { delay: Some(millis(99_999)), ..task("delayed") });
    let cancelled = desk.post(task("cancelled"));
    desk.cancel(cancelled);
    desk.post_running(task("running"));
    let names = ["Z", "a", "b", "b.c", "delayed"].map(name);
    assert_eq!(desk.restart().pending_types, names);
}

pub(super) fn the_first_expiry_is_told(desk: &mut Desk) {
    desk.post(Insert { expires: Some(millis(900)), ..task("a") });
    desk.post(Insert { expires: Some(millis(500)), ..task("a") });
    desk.pass(100);
    assert_eq!(desk.restart().next_expiry, Some(millis(400)));
}

pub(super) fn ids_go_on_after_a_restart(desk: &mut Desk) {
    desk.post(task("a"));
    desk.restart();
    assert_eq!(desk.post(task("a")), TaskId(2));
}

pub(super) fn everything_is_there_after_a_restart(desk: &mut Desk) {
    let (done, lease) = desk.post_running(keyed("a", "k"));
    let finish = Finish { task: done, proof: Proof::Lease(lease.clone()), end: success("IAnepO") };
    desk.finish(finish.task, finish.proof, finish.end);
    let (failed, old) = desk.post_running(task("a"));
    desk.fail(failed, &old, None);
    let pending = desk.post(task("a"));
    let all = |desk: &Desk| [done, failed, pending].map(|id| (desk.view(id), desk.attempts(id), desk.ended(id)));
    let (before, counts) = (all(desk), desk.counts());
    desk.restart();
    assert_eq!((all(desk), desk.counts()), (before, counts));
    assert_eq!(desk.insert(keyed("a", "k")), Inserted::Existing { id: done, status: Status::Done });
}
