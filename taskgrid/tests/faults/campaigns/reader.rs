//! A program that reads the table, and keeps its transaction open.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::Setup;
use crate::load::Plan;
use crate::process::{eventually, now};
use crate::scene::{Scene, open, pass};

/// What the log may grow to while one reads for a minute.
const WAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    scene.begin_load(Plan::default());
    let log = scene.grid.database.with_extension("db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |data| data.len());
    let reader = open(&scene.grid.database);
    reader.execute_batch("begin; select count(*) from tasks").unwrap();
    let count = || reader.query_row("select count(*) from tasks", [], |row| row.get::<_, i64>(0)).unwrap();
    let (before, acknowledged, mut most) = (count(), scene.acknowledged(), 0);
    let deadline = now() + Duration::from_secs(u64::try_from(order.count).unwrap());
    while now() < deadline {
        most = most.max(size());
        pass(Duration::from_millis(100));
    }
    assert_eq!(count(), before, "a transaction sees one state");
    let meanwhile = scene.acknowledged() - acknowledged;
    assert!(meanwhile > 0 && most <= WAL_BYTES_MAX, "{meanwhile} tasks acknowledged, {most} bytes of log");
    drop(reader);
    scene.end_load();
    eventually("the log's end, when nobody reads", || (size() == 0).then_some(()));
    assert_eq!(scene.not_accepted(), 0, "no client notices a reader");
    let mut report = scene.judge(1);
    scene.grid.stop_all();
    report.more =
        format!("{meanwhile} acknowledged in {} s of reading, log of {} KiB at most", order.count, most / 1_024);
    Outcome::Held(report)
}
