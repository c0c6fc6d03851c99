//! A sync has failed, and what it did not write the operating system takes for written: no later sync tries again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use rusqlite::Connection;
use taskgrid_dispatcher::store::{Answer, Batch, Insert, Query, SqliteStore, Store, StoreError};
use taskgrid_protocol::body::Priority;
use taskgrid_protocol::{FileId, Json, TaskType, WallTime};
use taskgrid_sim::dice::Dice;
use taskgrid_sim::vfs::{Drive, Fault, Habit, Trouble};

const NOW: WallTime = WallTime::from_millis(1_795_490_715_000);

/// More operations than the checkpoint has.
const OPERATIONS_MAX: u64 = 20;

/// A reader had kept a checkpoint from being complete, and the next one's sync failed. When the dispatcher stopped it
/// closed the file in order, which copied only the rest, synced "well" and removed the log: the file was damaged.
#[test]
fn an_orderly_end_does_not_cover_up_a_lost_sync() {
    let lost = (1..=OPERATIONS_MAX).filter(|operation| loses_sync_at(*operation)).count();
    assert_eq!(lost, 2, "a checkpoint syncs the log, and then the file");
}

/// Whether the checkpoint syncs at this operation.
fn loses_sync_at(operation: u64) -> bool {
    let drive = Drive::new(Habit::Honest);
    let mut store = start(&drive);
    post(&mut store);
    let reader = Connection::open(drive.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM tasks;").unwrap();
    post(&mut store);
    assert!(store.checkpoint(false).unwrap().left > 0, "the reader is in the way");
    drop(reader);
    let at = drive.operations() + operation;
    drive.set_fault(Some(Fault { trouble: Trouble::LostSync, at, lasts: false }));
    let checkpoint = store.checkpoint(false);
    let is_lost = drive.struck() > 0;
    assert_eq!(is_lost, matches!(checkpoint, Err(StoreError::Unavailable(_))), "{checkpoint:?}");
    drive.set_fault(None);
    drop(store);
    let mut store = start(&drive);
    if is_lost {
        store.begin_new_log().unwrap();
    }
    post(&mut store);
    drive.lose_power(&mut Dice::new(operation));
    drop(store);
    let store = start(&drive);
    store.check().unwrap();
    let Answer::Stats(counts) = store.read(&Query::Stats).unwrap() else { unreachable!("it was asked for") };
    assert_eq!(counts.pending, 3, "operation {operation}");
    is_lost
}

fn start(drive: &Drive) -> SqliteStore {
    drive.look().unwrap();
    let mut store = SqliteStore::connect(&drive.database()).unwrap();
    store.open(NOW, FileId::default()).unwrap();
    store
}

/// A task that needs pages of its own.
fn post(store: &mut SqliteStore) {
    let task = Insert {
        task_type: TaskType::new("a").unwrap(),
        payload: Json::string(&"x".repeat(20_000)),
        key: None,
        priority: Priority::default(),
        max_attempts: 1,
        timeout_s: 60,
        not_before: None,
        delay: None,
        expires: None,
        slot: None,
    };
    store.apply(NOW, &Batch { inserts: vec![task], ..Batch::default() }).unwrap();
}
