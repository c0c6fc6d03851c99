//! The id of a file, and what becomes of it in a copy (R32).

use std::path::Path;

use rusqlite::Connection;
use taskgrid_protocol::TaskId;

use super::{File, NOW, fresh};
use crate::store::identity::{FORMER_MAX, Identity};
use crate::store::{SqliteStore, Store, back_up};

fn identity(path: &Path) -> Identity {
    SqliteStore::connect(path).unwrap().open(NOW, fresh()).unwrap().identity
}

#[test]
fn a_file_from_before_there_were_ids_gets_one_at_its_next_start() {
    let file = File::new();
    file.shell().execute_batch("DELETE FROM meta WHERE name = 'file_id'").unwrap();
    let (_directory, path) = file.close();
    let given = identity(&path);
    assert_eq!(identity(&path), given);
}

#[test]
fn a_restored_copy_gets_an_id_and_remembers_what_the_former_one_vouches_for() {
    let mut file = File::new();
    let last = (0..3).map(|_| file.post()).last().unwrap();
    let copies = ["one.db", "two.db"].map(|name| file.directory.path().join(name));
    for copy in &copies {
        back_up(&file.path(), copy, |_| ()).unwrap();
    }
    file.post();
    let (_directory, path) = file.close();
    let original = identity(&path);
    let [one, two] = copies.each_ref().map(|copy| identity(copy));
    assert!(original.id != one.id && one.id != two.id, "{original:?} {one:?} {two:?}");
    assert_eq!(one.former, [(original.id, last)]);
    assert_eq!(identity(&copies[0]), one, "only the first opening changes it");
}

/// Rows may be missing in it, and what was stored since it was made certainly is.
#[test]
fn a_copy_by_way_of_sql_text_gets_an_id_of_its_own() {
    let mut file = File::new();
    file.post();
    let (_directory, path) = file.close();
    let before = identity(&path);
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 0").unwrap();
    let after = identity(&path);
    assert_ne!(after.id, before.id);
    assert_eq!(after.former, [(before.id, TaskId(1))]);
}

#[test]
fn of_many_former_ids_the_newest_are_remembered() {
    let file = File::new();
    let (_directory, path) = file.close();
    for _ in 0..FORMER_MAX + 3 {
        Connection::open(&path)
            .unwrap()
            .execute_batch("UPDATE sqlite_sequence SET seq = seq + 1; INSERT INTO meta VALUES ('backup_at', 'then')")
            .unwrap();
        identity(&path);
    }
    let former = identity(&path).former;
    assert_eq!(former.len(), FORMER_MAX as usize);
    let numbers: std::collections::BTreeSet<_> = former.into_iter().map(|(_, newest)| newest).collect();
    assert!(!numbers.contains(&TaskId(0)), "{numbers:?}");
}
