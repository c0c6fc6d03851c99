//! Programs that stop for a while and then go on as if nothing had happened.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::load::Plan;
use crate::scene::{Scene, pass};

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    // More long tasks than elsewhere, so that a worker that stops has some.
    scene.begin_load(Plan { long: 50, ..Plan::default() });
    let lease = Duration::from_secs(u64::from(scene.grid.setup.lease_s));
    let second = Duration::from_secs(1);
    for number in 0..order.count {
        let (program, span) = match number % 3 {
            0 => (Program::Worker(scene.dice.below(2)), lease + 2 * second),
            1 => (Program::Dispatcher, if order.brief { 2 * second } else { 12 * second }),
            _ => (Program::NameService, if order.brief { 2 * second } else { 12 * second }),
        };
        scene.grid.process(program).signal("STOP");
        pass(span);
        scene.grid.process(program).signal("CONT");
        scene.some_more(100);
    }
    let report = scene.judge(order.count);
    scene.grid.stop_all();
    Outcome::Held(report)
}
