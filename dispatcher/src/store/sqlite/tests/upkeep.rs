//! Checkpoints and checks, between batches.

use std::time::Duration;

use taskgrid_protocol::body::ListTasks;

use super::{File, task};
use crate::store::{Answer, Batch, Query, Store, StoreError};

#[test]
fn a_checkpoint_empties_the_log_so_that_it_does_not_grow() {
    let mut file = File::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        for _ in 0..20 {
            file.post();
        }
        let wal = file.store.checkpoint(false).unwrap();
        assert_eq!(wal.left, 0);
        sizes.push(wal.bytes);
    }
    assert!(sizes[0] > 0);
    assert!(sizes[2] <= sizes[0] * 2, "the log starts again from its beginning: {sizes:?}");
    let wal = file.store.checkpoint(true).unwrap();
    assert_eq!((wal.bytes, wal.left), (0, 0));
}

#[test]
fn what_was_copied_beside_the_work_is_left_out_of_the_checkpoint_that_follows() {
    let mut file = File::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        file.apply(&Batch { inserts: vec![task("a"); 2000], ..Batch::default() });
        file.store.copy_log().unwrap();
        file.post();
        let wal = file.store.checkpoint(false).unwrap();
        assert_eq!(wal.left, 0);
        sizes.push(wal.bytes);
    }
    assert!(sizes[2] <= sizes[0] * 2, "the log starts again from its beginning: {sizes:?}");
    let file = file.restart();
    assert_eq!(file.counts()[0], 3 * 2001);
    file.store.check().unwrap();
}

#[test]
fn a_reader_keeps_back_what_a_checkpoint_copies() {
    let mut file = File::new();
    file.store.checkpoint(true).unwrap();
    let shell = file.shell();
    let transaction = shell.unchecked_transaction().unwrap();
    transaction.query_row("SELECT count(*) FROM tasks", [], |_| Ok(())).unwrap();
    file.post();
    let wal = file.store.checkpoint(false).unwrap();
    assert!(wal.left > 0, "{wal:?}");
    drop(transaction);
    assert_eq!(file.store.checkpoint(false).unwrap().left, 0);
}

#[test]
fn a_new_log_leaves_nothing_of_the_old_one() {
    let mut file = File::new();
    file.post();
    let log = file.directory.path().join("taskgrid.db-wal");
    let old = std::fs::metadata(&log).unwrap().len();
    let shell = file.shell();
    let transaction = shell.unchecked_transaction().unwrap();
    transaction.query_row("SELECT count(*) FROM tasks", [], |_| Ok(())).unwrap();
    file.post();
    let refused = file.store.begin_new_log();
    assert!(matches!(refused, Err(StoreError::Busy(_))), "another program reads the old one: {refused:?}");
    drop(transaction);
    file.store.begin_new_log().unwrap();
    let new = std::fs::metadata(&log).unwrap().len();
    assert!(new > 0 && new < old, "{new} bytes after {old}: one page of one commit, which is synced");
    assert_eq!(file.counts()[0], 2);
}

#[test]
fn the_check_in_the_background_finds_damage() {
    let mut file = File::new();
    file.apply(&Batch { inserts: vec![task("a"); 2000], ..Batch::default() });
    file.store.check().unwrap();
    let (directory, path) = file.close();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 100].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let store = crate::store::SqliteStore::connect(&path).unwrap();
    let found = store.check();
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    drop(directory);
}

/// R31: a read that takes long would keep the log from starting again.
#[test]
fn a_read_that_takes_too_long_is_given_up_and_the_next_one_is_not() {
    let mut file = File::new();
    file.apply(&Batch { inserts: vec![task("a"); 4000], ..Batch::default() });
    let filter = ListTasks { task_type: Some(super::name("b")), limit: Some(20), ..ListTasks::default() };
    let query = Query::List(filter);
    let given_up = file.store.read_within(Duration::ZERO, &query);
    assert!(matches!(given_up, Err(StoreError::TooSlow(_))), "{given_up:?}");
    assert!(matches!(file.store.read(&query), Ok(Answer::List(..))));
}

#[test]
fn clones_share_the_connections() {
    let mut file = File::new();
    let clone = file.store.clone();
    file.post();
    let file = File { directory: tempfile::tempdir().unwrap(), store: clone };
    assert_eq!(file.counts()[0], 1);
}
