//! Jumps of the wall clock, by libfaketime. The monotonic clock goes on as it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::load::Plan;
use crate::process::eventually;
use crate::scene::{Scene, open, pass};

/// An hour and a year, to and fro, in seconds from the true time.
const OFFSETS: &[&str] = &["+3600", "-3600", "+31536000", "-31536000"];

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let Some(library) = library() else { return Outcome::Skipped("no libfaketime (package faketime)".to_owned()) };
    let offset = dir.join("offset.txt");
    set(&offset, "+0");
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut scene = Scene::start(dir, Setup { environment, ..Setup::default() }, order.seed);
    scene.begin_load(Plan { long: 50, ..Plan::default() });
    for number in 0..order.count {
        set(&offset, OFFSETS[number % OFFSETS.len()]);
        let jumps = number + 1;
        eventually(&format!("jump {jumps} in the log of the dispatcher"), || {
            (scene.grid.process(Program::Dispatcher).times_said("wall clock has jumped") >= jumps).then_some(())
        });
        // Longer than a lease would be that the jump had cut short.
        pass(Duration::from_millis(500));
        scene.some_more(50);
    }
    let mut report = scene.judge(order.count);
    assert_eq!(report.duplicates.total(), 0, "a jump made handlers run twice: {}", report.duplicates);
    let lost = "select count(*) from task_attempts";
    let lost: i64 = open(&scene.grid.database).query_row(lost, [], |row| row.get(0)).unwrap();
    assert_eq!(lost, 0, "attempts ended by a jump");
    assert_eq!(scene.not_accepted(), 0, "no client notices a jump");
    scene.grid.stop_all();
    report.more = "no lease ended by them, no time in the table goes back".to_owned();
    Outcome::Held(report)
}

fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    places
        .chain([PathBuf::from("/usr/lib")])
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
}

/// In one step: it is read all the time.
fn set(file: &Path, offset: &str) {
    let new = file.with_extension("new");
    fs::write(&new, offset).unwrap();
    fs::rename(new, file).unwrap();
}
