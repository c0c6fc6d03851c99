//! `kill -9` while clients post as fast as they can.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::load::Plan;
use crate::process::now;
use crate::scene::{Scene, pass};

const IN_FLIGHT: usize = 512;

const SPAN: Duration = Duration::from_secs(2);

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    let plan = Plan {
        clients: IN_FLIGHT,
        pace: Duration::ZERO,
        patience: Duration::from_secs(30),
        journaled: 5,
        ..Plan::default()
    };
    let began = now();
    scene.begin_load(plan);
    for _ in 0..order.count {
        pass(SPAN);
        scene.grid.kill(Program::Dispatcher);
        scene.grid.start_one(Program::Dispatcher);
        scene.some_more(IN_FLIGHT);
    }
    scene.end_load();
    let rate = f64::from(u32::try_from(scene.acknowledged()).unwrap()) / began.elapsed().as_secs_f64();
    let mut report = scene.judge(order.count);
    scene.grid.stop_all();
    report.more = format!("{IN_FLIGHT} in flight, {rate:.0} acknowledged a second, restarts included");
    Outcome::Held(report)
}
