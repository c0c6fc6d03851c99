//! A copy of the database, made beside a dispatcher that works, and what a dispatcher makes of it.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::Value;

use crate::processes::{Grid, Process, eventually, start_dispatcher, taskgrid};

/// What numbers leave out after a restore.
const LEAP: i64 = 1_000_000;

fn backup(database: &Path, file: &Path) -> Output {
    taskgrid().arg("backup").arg(file).arg("--database").arg(database).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn submit(grid: &Grid, key: &str) -> i64 {
    let output = grid.run(&["submit", "reverse", key, "--key", key]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

#[test]
fn a_backup_under_load_restores_every_task_that_was_acknowledged_before_it() {
    let mut grid = Grid::start();
    let copies = tempfile::tempdir().unwrap();
    let restored = copies.path().join("tasks.db");
    let before = std::thread::scope(|scope| {
        let load = scope.spawn(|| grid.run(&["bench", "--tasks", "8000", "--in-flight", "64"]));
        let mut before = 0;
        let mut copied = 0;
        while !load.is_finished() {
            before = submit(&grid, &format!("key-{copied}"));
            let _ = std::fs::remove_file(&restored);
            let output = backup(&grid.database(), &restored);
            assert!(output.status.success(), "{output:?}");
            copied += 1;
            let copy = Connection::open(&restored).unwrap();
            let known = "SELECT count(*) FROM tasks WHERE request_key LIKE 'key-%'";
            assert_eq!(copy.query_row(known, [], |row| row.get::<_, i64>(0)).unwrap(), copied);
        }
        let bench = load.join().unwrap();
        assert!(bench.status.success(), "nobody notices a backup: {bench:?}");
        assert!(copied > 1);
        before
    });
    let last = grid.submit("reverse", "acknowledged after the backup").parse::<i64>().unwrap();
    let known: i64 = {
        let copy = Connection::open(&restored).unwrap();
        copy.query_row("SELECT max(id) FROM tasks", [], |row| row.get(0)).unwrap()
    };
    assert!(known >= before && last > known);
    // The copy takes the place of the original, at the same address.
    grid.dispatcher.process.kill();
    let addr = grid.dispatcher.addr.to_string();
    grid.dispatcher = start_dispatcher(copies.path(), &addr, grid.nameservice.addr);
    let dispatcher = &grid.dispatcher.process;
    assert_eq!(dispatcher.times_said("is a backup of"), 1, "{dispatcher}");
    assert_eq!(submit(&grid, "key-0"), submit(&grid, "key-0"), "keys are known");
    let key: String = "key-0".chars().rev().collect();
    assert_eq!(grid.result(&submit(&grid, "key-0").to_string()), key);
    let lost = grid.run(&["result", &last.to_string()]);
    assert!(said(&lost).contains("not found"), "it is not in the backup, and nobody else has its number: {lost:?}");
    let new = submit(&grid, "new");
    assert!(new > known + LEAP && new < known + LEAP + 100, "{known}, then {new}");
    grid.dispatcher.process.kill();
    grid.dispatcher = start_dispatcher(copies.path(), &addr, grid.nameservice.addr);
    let newer = submit(&grid, "newer");
    assert!(newer > new && newer < new + 100, "only the first start leaps: {new}, then {newer}");
    assert_eq!(grid.dispatcher.process.times_said("is a backup of"), 0);
}

#[test]
fn a_backup_needs_no_dispatcher_and_says_what_it_has_copied() {
    let mut grid = Grid::without_workers();
    grid.submit("reverse", "OpenAI");
    grid.dispatcher.process.kill();
    let before = std::fs::read(grid.database()).unwrap();
    let file = grid.dir.path().join("it's a copy.db");
    let database = grid.database();
    let args = ["--output", "json", "--database", database.to_str().unwrap()];
    let output = taskgrid().arg("backup").arg(&file).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["tasks"], &told["file"]), (&1.into(), &file.to_str().unwrap().into()));
    assert_eq!(told["bytes"].as_u64().unwrap(), std::fs::metadata(&file).unwrap().len());
    assert_eq!(std::fs::read(grid.database()).unwrap(), before);
    let again = backup(&grid.database(), &file);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(said(&again).contains("exists already") && said(&again).lines().count() == 1, "{again:?}");
    let line = backup(&grid.database(), &grid.dir.path().join("second.db"));
    assert!(String::from_utf8_lossy(&line.stdout).contains("second.db: 1 task, "), "{line:?}");
    let addr = grid.dispatcher.addr.to_string();
    grid.dispatcher = start_dispatcher(grid.dir.path(), &addr, grid.nameservice.addr);
    assert_eq!(grid.submit("reverse", "the original goes on"), "2");
}

#[test]
fn a_killed_backup_leaves_no_file_and_the_next_one_makes_it() {
    let grid = Grid::without_workers();
    let fill =
        "INSERT INTO tasks (type, payload) WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 2000)
                SELECT 'reverse', json_quote(hex(zeroblob(20000))) FROM n";
    Connection::open(grid.database()).unwrap().execute_batch(fill).unwrap();
    let (file, partial) = (grid.dir.path().join("copy.db"), grid.dir.path().join("copy.db.partial"));
    let mut killed = Process::start(taskgrid().arg("backup").arg(&file).arg("--database").arg(grid.database()));
    eventually("the first bytes of the copy", || partial.exists().then_some(()));
    killed.kill();
    assert!(!file.exists());
    let output = backup(&grid.database(), &file);
    assert!(output.status.success(), "{output:?}");
    assert!(!partial.exists());
    let copy = Connection::open(&file).unwrap();
    assert_eq!(copy.query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap(), 2_000);
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    let mut grid = Grid::without_workers();
    let bytes = grid.stop_and_damage();
    let file = grid.dir.path().join("copy.db");
    let output = backup(&grid.database(), &file);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(said(&output).contains("tasks.db") && said(&output).contains(".recover"), "{output:?}");
    assert!(!file.exists() && std::fs::read(grid.database()).unwrap() == bytes);
    let nothing = backup(Path::new("/nowhere/tasks.db"), &file);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(said(&nothing).contains("--database"), "{nothing:?}");
}

/// A receipt, as `--output json` prints it.
fn receipt(grid: &Grid, payload: &str) -> (String, String) {
    let output = grid.run(&["submit", "reverse", payload, "--output", "json"]);
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    (receipt["task_id"].to_string(), receipt["file_id"].as_str().unwrap().to_owned())
}

/// A database was lost, and its dispatcher began a new one. A client that held a number from before was given the result
/// of another task.
#[test]
fn a_number_of_a_lost_database_never_brings_the_result_of_another_task() {
    let mut grid = Grid::start();
    let (task, lost) = receipt(&grid, "precious");
    grid.result(&task);
    grid.dispatcher.process.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let addr = grid.dispatcher.addr.to_string();
    grid.dispatcher = start_dispatcher(elsewhere.path(), &addr, grid.nameservice.addr);
    let (same, own) = receipt(&grid, "other");
    assert_eq!(same, task);
    assert_eq!(grid.result(&same), "rehto");
    for verb in ["result", "show", "cancel", "retry"] {
        let output = grid.run(&[verb, &task, "--file-id", &lost]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(output.stdout.is_empty() && said(&output).contains("another database"), "{output:?}");
    }
    let output = grid.run(&["result", &task, "--file-id", &own]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "rehto", "{output:?}");
    let ping: Value = serde_json::from_slice(&grid.run(&["ping", "--output", "json"]).stdout).unwrap();
    assert_eq!(ping["file_id"], own.as_str());
}

#[test]
fn a_restored_database_answers_for_numbers_of_the_backup_under_their_former_id() {
    let mut grid = Grid::start();
    let (kept, before) = receipt(&grid, "kept");
    grid.result(&kept);
    let copies = tempfile::tempdir().unwrap();
    let copied = backup(&grid.database(), &copies.path().join("tasks.db"));
    assert!(copied.status.success(), "{copied:?}");
    let (lost, _) = receipt(&grid, "lost");
    grid.dispatcher.process.kill();
    let addr = grid.dispatcher.addr.to_string();
    grid.dispatcher = start_dispatcher(copies.path(), &addr, grid.nameservice.addr);
    let ask = |task: &str| grid.run(&["result", task, "--file-id", &before]);
    assert_eq!(String::from_utf8_lossy(&ask(&kept).stdout).trim(), "tpek");
    assert_eq!(ask(&lost).status.code(), Some(3));
    assert_ne!(receipt(&grid, "new").1, before);
}
