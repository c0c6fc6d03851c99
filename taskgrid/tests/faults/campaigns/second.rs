//! A second dispatcher on a database that is in use.

use std::path::Path;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::load::Plan;
use crate::process::{ANY_PORT, taskgrid};
use crate::scene::Scene;

/// The exit code for what somebody else uses.
const IN_USE: i32 = 75;

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    scene.begin_load(Plan::default());
    let database = scene.grid.database.clone();
    for number in 0..order.count {
        let args = ["dispatcher", "--listen", ANY_PORT, "--database", database.to_str().unwrap()];
        let output = taskgrid().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(IN_USE), "second dispatcher {number}: {output:?}");
        // Also of a lock whose holder has just died.
        scene.grid.kill(Program::Dispatcher);
        scene.grid.start_one(Program::Dispatcher);
    }
    let mut report = scene.judge(order.count);
    scene.grid.stop_all();
    report.more = format!("{0} of {0} refused", order.count);
    Outcome::Held(report)
}
