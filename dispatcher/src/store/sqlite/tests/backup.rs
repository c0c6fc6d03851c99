//! Copies of a database in use, and what opening one does (R32).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use taskgrid_protocol::{FileId, TaskId};
use taskgrid_runtime::Exit;

use super::{File, NOW, open, task};
use crate::store::sqlite::backup::{LEAP, MARK};
use crate::store::{BackedUp, BackupStep, Batch, Insert, Inserted, Store, back_up};

fn copy_of(file: &File, name: &str) -> std::path::PathBuf {
    let copy = file.directory.path().join(name);
    back_up(&file.path(), &copy, |_| ()).unwrap();
    copy
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Opens a copy as a dispatcher does, posts to it, and returns the new task's number.
fn next_id(path: &Path) -> TaskId {
    let mut store = open(path);
    let outcomes = store.apply(NOW, &Batch { inserts: vec![task("a")], ..Batch::default() }).unwrap();
    let Inserted::New { id, .. } = outcomes.inserts[0] else { panic!("it is new") };
    id
}

#[test]
fn a_copy_is_one_file_with_all_tasks_and_the_original_stays_as_it_was() {
    let mut file = File::new();
    file.store.checkpoint(true).unwrap();
    let ids: Vec<TaskId> = (0..20).map(|_| file.post()).collect();
    let ours = || ["taskgrid.db", "taskgrid.db-wal"].map(|name| fs::read(file.directory.path().join(name)).unwrap());
    let before = ours();
    assert!(!before[1].is_empty(), "some of it stands in the log alone");
    let copy = file.directory.path().join("copy.db");
    let done = back_up(&file.path(), &copy, |_| ()).unwrap();
    assert_eq!(done, BackedUp { tasks: 20, bytes: fs::metadata(&copy).unwrap().len() });
    assert_eq!(ours(), before);
    let names = ["copy.db", "taskgrid.db", "taskgrid.db-shm", "taskgrid.db-wal"].map(str::to_owned);
    assert_eq!(names_in(file.directory.path()), names.into());
    let shell = Connection::open(&copy).unwrap();
    let count: i64 = shell.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(count, ids.len() as i64);
    assert_eq!(names_in(file.directory.path()).len(), 4, "a look into it leaves no log beside it");
}

#[cfg(unix)]
#[test]
fn a_copy_is_no_more_open_to_others_than_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    for mode in [0o600, 0o640] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let copy = copy_of(&file, &format!("{mode}.db"));
        assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, mode);
    }
}

/// A copy in steps is begun anew by SQLite when another connection has written meanwhile.
#[test]
fn what_is_written_while_it_is_copied_neither_delays_it_nor_is_in_it() {
    let mut file = File::new();
    let payload = taskgrid_protocol::Json::string(&"x".repeat(40_000));
    let inserts = vec![Insert { payload, ..task("a") }; 500];
    file.apply(&Batch { inserts, ..Batch::default() });
    let copy = file.directory.path().join("copy.db");
    let database = file.path();
    let (mut steps, mut checks) = (Vec::new(), 0);
    let done = back_up(&database, &copy, |step| match step {
        BackupStep::Copied(bytes, of) => {
            file.post();
            file.store.checkpoint(false).unwrap();
            steps.push((bytes, of));
        }
        BackupStep::Checking => checks += 1,
    });
    assert_eq!(done.unwrap().tasks, 500);
    assert!(steps.len() > 3 && steps.is_sorted() && checks == 1, "{steps:?}");
    let (bytes, of) = steps[steps.len() - 1];
    assert_eq!((bytes, of), (of, steps[0].1));
    assert_eq!(file.counts()[0], 500 + steps.len() as u64);
    let wal = file.store.checkpoint(true).unwrap();
    assert_eq!((wal.bytes, wal.left), (0, 0), "the log starts again once the copy is made");
}

#[test]
fn numbers_that_were_given_after_the_copy_never_name_another_task() {
    let mut file = File::new();
    let last = (0..3).map(|_| file.post()).last().unwrap();
    let copy = copy_of(&file, "copy.db");
    let later = file.post();
    assert_eq!(next_id(&copy), TaskId(last.0 + LEAP + 1));
    assert_eq!(next_id(&copy), TaskId(last.0 + LEAP + 2), "only the first opening leaps");
    assert_eq!(file.post(), TaskId(later.0 + 1), "the original goes on as ever");
    assert_eq!(file.restart().post(), TaskId(later.0 + 2));
}

#[test]
fn a_copy_of_a_copy_leaps_once() {
    let mut file = File::new();
    let last = file.post();
    let first = copy_of(&file, "first.db");
    let second = file.directory.path().join("second.db");
    back_up(&first, &second, |_| ()).unwrap();
    assert_eq!(next_id(&second), TaskId(last.0 + LEAP + 1));
}

#[test]
fn a_copy_of_an_empty_database_leaps_too() {
    let file = File::new();
    assert_eq!(next_id(&copy_of(&file, "copy.db")), TaskId(LEAP + 1));
}

/// The dispatcher may die at any moment of the first opening: either the numbers have moved on, or they still will.
#[test]
fn the_leap_and_the_mark_are_one_transaction() {
    let mut file = File::new();
    file.post();
    let copy = copy_of(&file, "copy.db");
    let shell = Connection::open(&copy).unwrap();
    let state = || -> (i64, i64) {
        let seq = "SELECT seq FROM sqlite_sequence WHERE name = 'tasks'";
        let marks = "SELECT count(*) FROM meta WHERE name = ?1";
        (shell.query_row(seq, [], |row| row.get(0)).unwrap(), shell.query_row(marks, [MARK], |row| row.get(0)).unwrap())
    };
    assert_eq!(state(), (1, 1));
    // What follows in the same transaction fails: all of it is undone.
    shell.execute_batch("ALTER TABLE counters RENAME TO hidden").unwrap();
    let mut store = crate::store::SqliteStore::connect(&copy).unwrap();
    store.open(NOW, FileId::default()).unwrap_err();
    assert_eq!(state(), (1, 1));
    shell.execute_batch("ALTER TABLE hidden RENAME TO counters").unwrap();
    store.open(NOW, FileId::default()).unwrap();
    assert_eq!(state(), (1 + LEAP, 0));
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let file = File::new();
    let taken = file.directory.path().join("taken");
    fs::write(&taken, "precious").unwrap();
    for target in [taken.as_path(), &file.path(), file.directory.path()] {
        let refused = back_up(&file.path(), target, |_| ()).unwrap_err();
        assert_eq!(refused.exit, Exit::Configuration);
        assert!(refused.to_string().contains("exists already"), "{refused}");
    }
    // It comes into being while the copy is made.
    let late = file.directory.path().join("late");
    let refused = back_up(&file.path(), &late, |_| fs::write(&late, "precious").unwrap()).unwrap_err();
    assert!(refused.to_string().contains("exists already"), "{refused}");
    assert_eq!([fs::read(&taken).unwrap(), fs::read(&late).unwrap()], [b"precious", b"precious"]);
    assert!(!names_in(file.directory.path()).iter().any(|name| name.ends_with(".partial")));
}

#[test]
fn what_a_killed_copy_has_left_is_used_and_two_at_a_time_are_refused() {
    let mut file = File::new();
    file.post();
    let (copy, partial) = (file.directory.path().join("copy.db"), file.directory.path().join("copy.db.partial"));
    fs::write(&partial, "half a copy".repeat(100_000)).unwrap();
    let mut second = None;
    back_up(&file.path(), &copy, |_| {
        assert!(!copy.exists(), "it has no name before it is whole");
        second.get_or_insert_with(|| back_up(&file.path(), &copy, |_| ()).unwrap_err());
    })
    .unwrap();
    assert_eq!(second.unwrap().exit, Exit::InUse);
    assert!(!partial.exists());
    assert_eq!(next_id(&copy), TaskId(1 + LEAP + 1));
}

#[test]
fn damage_is_not_copied() {
    let mut file = File::new();
    let inserts = vec![task("a"); 2_000];
    file.apply(&Batch { inserts, ..Batch::default() });
    let (directory, path) = file.close();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let refused = back_up(&path, &directory.path().join("copy.db"), |_| ()).unwrap_err();
    assert_eq!(refused.exit, Exit::Corrupt);
    assert!(refused.to_string().contains("taskgrid.db is damaged"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(!names_in(directory.path()).iter().any(|name| name.starts_with("copy")));
}

#[test]
fn what_is_no_database_of_ours_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("letter"), "Dear Sir or Madam, ".repeat(500)).unwrap();
    fs::write(at("empty"), "").unwrap();
    Connection::open(at("theirs")).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let cases = [
        ("missing", Exit::Configuration, "--database"),
        ("letter", Exit::Corrupt, "not an SQLite database"),
        ("empty", Exit::Corrupt, "not an SQLite database"),
        ("theirs", Exit::Corrupt, "another program"),
    ];
    for (name, exit, words) in cases {
        let refused = back_up(&at(name), &at("copy"), |_| ()).unwrap_err();
        assert_eq!(refused.exit, exit, "{refused}");
        assert!(refused.to_string().contains(words) && refused.to_string().contains(name), "{refused}");
    }
    assert_eq!(names_in(directory.path()), ["empty", "letter", "theirs"].map(str::to_owned).into());
    let nowhere = back_up(&at("theirs"), &at("no/such/place"), |_| ()).unwrap_err();
    assert!(nowhere.to_string().contains("no/such/place"), "{nowhere}");
}

#[test]
fn a_newer_schema_is_left_to_the_newer_program() {
    let file = File::new();
    let insert = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                  SELECT 1000, 'later', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    file.shell().execute_batch(insert).unwrap();
    let refused = back_up(&file.path(), &file.directory.path().join("copy.db"), |_| ()).unwrap_err();
    assert!(refused.to_string().contains("newer taskgrid"), "{refused}");
}
