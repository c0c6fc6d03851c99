//! The table: tasks inserted with their claim, then finished. The calls of the operating system are none of its
//! instructions.

use std::sync::Arc;

use taskgrid_dispatcher::store::{Batch, End, Finish, Insert, Inserted, Proof, Slot, SqliteStore, Store};
use taskgrid_protocol::body::Priority;
use taskgrid_protocol::{FileId, Json, Key, Lease, TaskType, WallTime};

use crate::count::counting;

const TASKS: usize = 2_000;

pub(crate) fn lives(size: usize) -> u64 {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let mut store = SqliteStore::connect(&directory.path().join("taskgrid.db")).expect("it can be made");
    let mut now = WallTime::from_millis(1_764_000_000_000);
    store.open(now, FileId::default()).expect("it is new");
    let worker: Arc<str> = "127.0.0.1:6000".into();
    for first in (0..TASKS).step_by(size) {
        now = WallTime::from_millis(now.as_millis() + 1);
        let inserts: Vec<Insert> = (first..first + size).map(|number| claimed(number, &worker)).collect();
        let leases: Vec<Lease> = inserts.iter().filter_map(|insert| insert.slot.as_ref()?.lease.clone()).collect();
        let batch = Batch { inserts, ..Batch::default() };
        let outcomes = counting(|| store.apply(now, &batch)).expect("there is room");
        let finish = |(inserted, lease): (&Inserted, Lease)| {
            let Inserted::New { id, claimed: true, .. } = inserted else { panic!("{inserted:?}") };
            let end = End::Success(Json::string("god yzal eht revo spmuj xof nworb kciuq ehT"));
            Finish { task: *id, proof: Proof::Lease(lease), end }
        };
        let finishes = outcomes.inserts.iter().zip(leases).map(finish).collect();
        let batch = Batch { finishes, ..Batch::default() };
        drop(counting(|| store.apply(now, &batch)).expect("there is room"));
    }
    TASKS as u64
}

fn claimed(number: usize, worker: &Arc<str>) -> Insert {
    Insert {
        task_type: TaskType::new("reverse").expect("it is legal"),
        payload: Json::string("The quick brown fox jumps over the lazy dog"),
        key: Key::new(&format!("0197f0c2-7d5e-7000-8000-{number:012}")).ok(),
        priority: Priority::default(),
        max_attempts: 5,
        timeout_s: 3_600,
        not_before: None,
        delay: None,
        expires: None,
        slot: Some(Slot { worker: worker.clone(), lease: Lease::new(&format!("8dv37bpz6d0n{number:010}")).ok() }),
    }
}
