//! Locks, full disks, and the pragmas that protect from worse (R8, R31).

use rusqlite::Connection;

use super::super::connect::SQLITE_VERSION_MIN;
use super::{File, task};
use crate::store::{Batch, Insert, Store, StoreError};

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> T {
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[test]
fn the_version_loses_no_commits() {
    assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN, "{}", rusqlite::version());
}

#[test]
fn a_commit_is_synced_and_the_schema_is_not_trusted() {
    let file = File::new();
    let writer = file.store.writer.get().unwrap();
    assert_eq!(pragma::<String>(&writer, "journal_mode"), "wal");
    assert_eq!(pragma::<i64>(&writer, "synchronous"), 2, "FULL");
    assert_eq!(pragma::<i64>(&writer, "wal_autocheckpoint"), 0);
    let reader = file.store.readers.get().unwrap();
    for connection in [&writer, &reader] {
        assert_eq!(pragma::<i64>(connection, "trusted_schema"), 0);
        assert_eq!(pragma::<i64>(connection, "cell_size_check"), 1);
    }
    assert_eq!(pragma::<i64>(&reader, "busy_timeout"), 5000);
    reader.execute("DELETE FROM tasks", []).expect_err("a reader cannot write");
}

#[test]
fn a_lock_elsewhere_is_busy_and_nothing_has_happened() {
    let mut file = File::new();
    file.store.writer.get().unwrap().busy_timeout(std::time::Duration::ZERO).unwrap();
    let shell = file.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(file.try_post(), Err(StoreError::Busy(_))));
    assert_eq!(file.counts()[0], 0, "readers do not wait for it");
    shell.execute_batch("ROLLBACK").unwrap();
    file.post();
    assert_eq!(file.counts()[0], 1);
}

#[test]
fn a_reader_elsewhere_is_not_in_the_way() {
    let mut file = File::new();
    file.post();
    let shell = file.shell();
    let transaction = shell.unchecked_transaction().unwrap();
    let count =
        |shell: &Connection| -> i64 { shell.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap() };
    assert_eq!(count(&transaction), 1);
    file.post();
    assert_eq!(count(&transaction), 1, "it sees one state");
    drop(transaction);
    assert_eq!(count(&shell), 2);
}

#[test]
fn a_full_disk_undoes_the_batch_and_no_more() {
    let mut file = File::new();
    file.post();
    let limit_pages = |file: &File, more: i64| {
        let writer = file.store.writer.get().unwrap();
        let pages: i64 = pragma(&writer, "page_count");
        writer.pragma_query_value(None, &format!("max_page_count = {}", pages + more), |_| Ok(())).unwrap_or_else(
            |_| {
                writer.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(())).unwrap();
            },
        );
    };
    limit_pages(&file, 2);
    let large = Insert { payload: taskgrid_protocol::Json::string(&"x".repeat(40_000)), ..task("a") };
    let batch = Batch { inserts: vec![task("a"), large.clone(), task("a")], ..Batch::default() };
    for _ in 0..3 {
        let error = file.store.apply(super::NOW, &batch).expect_err("there is no room");
        assert!(matches!(error, StoreError::Full(_)), "{error}");
    }
    assert_eq!(file.counts()[0], 1, "nothing of the batch is there");
    file.post();
    assert_eq!(file.counts()[0], 2, "what fits is stored, on the same connection");
    limit_pages(&file, 1000);
    file.apply(&batch);
    assert_eq!(file.counts()[0], 5);
    file.store.check().unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_told_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let error = crate::store::SqliteStore::connect(directory.path()).expect_err("it is a directory");
    assert!(error.to_string().starts_with("cannot open the database"), "{error}");
}
