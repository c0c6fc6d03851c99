//! The examples, run as their reader would run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::processes::{Grid, is_installed, skipped};

fn of_the_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().unwrap()
}

/// With a worker that serves the handlers of the examples.
fn grid() -> Grid {
    let mut grid = Grid::without_workers();
    grid.add_worker(&["--handlers", of_the_project("examples/handlers").to_str().unwrap()]);
    grid
}

fn submit_json(grid: &Grid, task_type: &str, payload: &Value) -> Value {
    let output = grid.run(&["submit", task_type, &payload.to_string(), "--json", "--wait"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_thumbnail_is_made_by_a_system_tool() {
    if !is_installed("pamscale") {
        return skipped("pamscale");
    }
    let grid = grid();
    let picture = grid.dir.path().join("picture.ppm");
    fs::write(&picture, [b"P6 256 128 255\n".to_vec(), vec![200; 256 * 128 * 3]].concat()).unwrap();
    let thumbnail = grid.submit_and_wait("thumbnail", picture.to_str().unwrap());
    assert!(thumbnail.ends_with("picture.thumbnail.ppm"), "{thumbnail}");
    let bytes = fs::read(thumbnail).unwrap();
    assert!(bytes.starts_with(b"P6\n64 32\n"), "{:?}", String::from_utf8_lossy(&bytes[..20]));
    let output = grid.run(&["submit", "thumbnail", "/nowhere.ppm", "--wait"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no file /nowhere.ppm"), "{output:?}");
}

#[test]
fn a_report_is_made_by_sql_in_python() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = grid();
    let database = grid.dir.path().join("sales.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .execute_batch(
            "create table sales (day text, country text, cents integer);
             insert into sales values ('2026-10-01', 'Peru', 2000), ('2026-10-31', 'Peru', 2200),
                                      ('2026-10-15', 'Mali', 7050), ('2026-11-01', 'Mali', 1);",
        )
        .unwrap();
    let report = submit_json(&grid, "sales_report", &json!({"database": database, "month": "2026-10"}));
    let expected = json!([
        {"country": "Mali", "sales": 1, "cents": 7050, "largest": 7050},
        {"country": "Peru", "sales": 2, "cents": 4200, "largest": 2200},
    ]);
    assert_eq!(report, expected);
    let output = grid.run(&["submit", "sales_report", "{}", "--json", "--wait"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the payload has no 'database'"), "{output:?}");
}

#[test]
fn a_file_that_is_too_big_for_a_datagram_is_stored_and_its_address_sent() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = grid();
    let file = grid.dir.path().join("words.txt");
    fs::write(&file, "to be or not to be\n".repeat(20_000)).unwrap();
    let send = || {
        let output = Command::new("python3")
            .arg(of_the_project("examples/send_file.py"))
            .args([&file, grid.dir.path()])
            .arg(grid.dispatcher.addr.to_string())
            .env("PYTHONPATH", of_the_project("sdk/python"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let sent = send();
    assert!(sent.contains("'words': 120000") && sent.contains("['to', 40000]"), "{sent}");
    assert_eq!(send(), sent);
    let tasks = grid.sqlite3("select count(*) from tasks");
    assert!(tasks.is_none_or(|tasks| tasks == "1"), "the same file is the same task");
}
