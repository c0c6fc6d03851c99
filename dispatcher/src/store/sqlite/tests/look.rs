//! A refused file is byte for byte as it was, and so is a good one (R32).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::Status;
use taskgrid_runtime::{Exit, StartError};
use tempfile::TempDir;

use super::super::look::APPLICATION_ID;
use super::{File, open};
use crate::store::{Answer, Looked, Query, SqliteStore, Store, look_at};

/// All files of a directory, with their bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Looks, and asserts that nothing has changed.
fn look(path: &Path, thorough: bool) -> Result<Looked, StartError> {
    let before = contents(path.parent().unwrap());
    let looked = look_at(path, thorough);
    let after = contents(path.parent().unwrap());
    assert!(before == after, "the look has changed {:?} to {:?}", before.keys(), after.keys());
    looked
}

fn refused(path: &Path, exit: Exit, text: &str) {
    let error = look(path, false).expect_err("it is refused");
    assert_eq!(error.exit, exit, "{error}");
    let message = error.to_string();
    assert!(message.contains(text), "{message}");
    assert!(message.contains(&path.display().to_string()), "{message}");
}

/// A database with three tasks, all of it in the file.
fn closed() -> (TempDir, PathBuf) {
    let mut file = File::new();
    for _ in 0..3 {
        file.post();
    }
    let (directory, path) = file.close();
    assert_eq!(contents(directory.path()).len(), 1, "the log is gone");
    (directory, path)
}

/// What `kill -9` leaves: the newest commits stand in the log alone.
fn killed() -> (TempDir, PathBuf) {
    let mut file = File::new();
    for _ in 0..3 {
        file.post();
    }
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in contents(file.directory.path()) {
        fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    let path = copy.path().join("taskgrid.db");
    assert!(fs::metadata(copy.path().join("taskgrid.db-wal")).unwrap().len() > 0);
    (copy, path)
}

fn shell(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_missing_and_an_empty_file_are_new() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taskgrid.db");
    assert_eq!(look(&path, false).unwrap(), Looked::New);
    fs::write(&path, b"").unwrap();
    assert_eq!(look(&path, false).unwrap(), Looked::New);
    open(&path);
}

#[test]
fn an_interrupted_first_start_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taskgrid.db");
    shell(&path, "PRAGMA journal_mode = WAL");
    assert_eq!(look(&path, false).unwrap(), Looked::New);
    shell(&path, "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name, applied_on, checksum)");
    assert_eq!(look(&path, false).unwrap(), Looked::New);
    open(&path);
    assert_eq!(look(&path, false).unwrap(), Looked::Sound);
}

#[test]
fn our_own_file_is_sound() {
    let (_directory, path) = closed();
    assert_eq!(look(&path, false).unwrap(), Looked::Sound);
    assert_eq!(look(&path, true).unwrap(), Looked::Sound);
}

#[test]
fn what_a_kill_has_left_is_sound_and_whole() {
    let (_directory, path) = killed();
    assert_eq!(look(&path, false).unwrap(), Looked::Sound);
    let store = open(&path);
    let answer = store.read(&Query::Result(TaskId(3))).unwrap();
    assert!(matches!(answer, Answer::Result(Some(ended)) if ended.status == Status::Pending));
}

#[test]
fn a_link_leads_to_the_log_beside_its_target() {
    let (_directory, path) = closed();
    let neighbour = Connection::open(&path).unwrap();
    neighbour.execute_batch("UPDATE refinery_schema_history SET version = 99").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = look_at(&link, false).expect_err("what stands in the log is seen");
    assert!(error.to_string().contains("newer taskgrid"), "{error}");
}

#[test]
fn a_name_with_odd_characters_is_found() {
    let (directory, path) = closed();
    let odd = directory.path().join("a b%41?mode=memory#ü.db");
    fs::rename(path, &odd).unwrap();
    assert_eq!(look(&odd, false).unwrap(), Looked::Sound);
}

#[test]
fn a_log_can_be_read_while_somebody_else_reads_it() {
    let mut file = File::new();
    file.post();
    let shell = file.shell();
    let transaction = shell.unchecked_transaction().unwrap();
    transaction.query_row("SELECT count(*) FROM tasks", [], |_| Ok(())).unwrap();
    assert_eq!(look_at(&file.path(), false).unwrap(), Looked::Sound);
}

#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taskgrid.db");
    for text in ["x", "SQLite format 3", "not a database at all, but rather long. ".repeat(200).as_str()] {
        fs::write(&path, text).unwrap();
        refused(&path, Exit::Corrupt, "not an SQLite database");
    }
}

#[test]
fn a_path_that_cannot_be_a_database_needs_a_person_and_a_missing_directory_may_be_mounted_yet() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for (path, exit) in [
        (directory.path().to_owned(), Exit::Configuration),
        ("/dev/null".into(), Exit::Configuration),
        (file.join("taskgrid.db"), Exit::Configuration),
        (directory.path().join("missing/taskgrid.db"), Exit::Unavailable),
    ] {
        let error = look_at(&path, false).expect_err("it is refused");
        assert_eq!(error.exit, exit, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn databases_of_other_programs_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    shell(&path, "CREATE TABLE tasks (id INTEGER PRIMARY KEY); INSERT INTO tasks VALUES (1)");
    refused(&path, Exit::Corrupt, "another program");
    let path = directory.path().join("marked.db");
    shell(&path, "PRAGMA application_id = 7");
    refused(&path, Exit::Corrupt, "another program");
    let path = directory.path().join("journal.db");
    shell(&path, "CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(9000))");
    fs::write(directory.path().join("journal.db-journal"), "an unfinished transaction").unwrap();
    refused(&path, Exit::Corrupt, "-journal");
}

#[test]
fn a_copy_by_way_of_sql_text_is_ours() {
    let (_directory, path) = closed();
    // What `.dump` does not carry over, and a row that it could not read.
    shell(&path, "PRAGMA application_id = 0; DROP TRIGGER tasks_deleted; DELETE FROM tasks WHERE id = 2");
    assert_eq!(look(&path, false).unwrap(), Looked::Sound);
    let store = open(&path);
    let Answer::Stats(counts) = store.read(&Query::Stats).unwrap() else { panic!("counts are answered") };
    assert_eq!(counts.pending, 2);
    let mark: i32 = Connection::open(&path).unwrap().query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();
    assert_eq!(mark, APPLICATION_ID);
}

#[test]
fn a_newer_schema_is_refused() {
    for make in [closed, killed] {
        let (_directory, path) = make();
        shell(
            &path,
            "INSERT INTO refinery_schema_history SELECT 99, name, applied_on, checksum FROM refinery_schema_history",
        );
        refused(&path, Exit::Corrupt, "newer taskgrid (schema 99");
    }
}

#[test]
fn another_schema_of_the_same_number_is_refused() {
    let (_directory, path) = closed();
    shell(&path, "UPDATE refinery_schema_history SET checksum = '1'");
    refused(&path, Exit::Corrupt, "not the one that was released");
}

#[test]
fn damage_is_refused_with_the_way_to_recover() {
    let (_directory, path) = closed();
    let sound = fs::read(&path).unwrap();
    // The page after the first: a b-tree of the schema or of a table.
    let mut damaged = sound.clone();
    damaged[4096..4200].fill(0xA5);
    fs::write(&path, &damaged).unwrap();
    refused(&path, Exit::Corrupt, ".recover");
    fs::write(&path, &sound[..sound.len() - 5000]).unwrap();
    refused(&path, Exit::Corrupt, "damaged");
    fs::write(&path, &sound[..2000]).unwrap();
    refused(&path, Exit::Corrupt, "damaged");
}

#[test]
fn an_emptied_file_beside_a_log_is_refused() {
    let (_directory, path) = killed();
    fs::write(&path, b"").unwrap();
    refused(&path, Exit::Corrupt, "damaged");
}

#[test]
fn flipped_bytes_are_found_or_harmless_but_never_written_over() {
    let (_directory, path) = closed();
    let sound = fs::read(&path).unwrap();
    let mut found = 0;
    for offset in (0..sound.len()).step_by(509) {
        let mut flipped = sound.clone();
        flipped[offset] ^= 0xFF;
        fs::write(&path, &flipped).unwrap();
        found += u32::from(look(&path, true).is_err());
    }
    assert!(found > 0, "some of these hit what a check looks at");
}

/// What an operator can mend is not called damage, and not a failure of the disk.
#[test]
fn what_keeps_the_file_from_being_opened_is_told_for_what_it_is() {
    let (directory, path) = closed();
    let log = directory.path().join("taskgrid.db-wal");
    fs::create_dir(&log).unwrap();
    for refused in [look_at(&path, false).unwrap_err(), SqliteStore::connect(&path).unwrap_err()] {
        assert_eq!(refused.exit, Exit::Configuration, "{refused}");
        assert!(refused.to_string().contains("-wal"), "{refused}");
    }
    fs::remove_dir(&log).unwrap();
    SqliteStore::connect(&path).unwrap();
}

#[test]
fn a_lock_that_another_program_holds_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taskgrid.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = SqliteStore::connect(&path).unwrap_err();
    assert_eq!(refused.exit, Exit::InUse, "{refused}");
}

#[test]
fn damage_that_only_opening_finds_is_damage() {
    let (_directory, path) = closed();
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4_096].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let refused = SqliteStore::connect(&path).unwrap_err();
    assert_eq!(refused.exit, Exit::Corrupt, "{refused}");
}
