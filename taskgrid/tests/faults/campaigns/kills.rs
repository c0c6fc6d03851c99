//! `kill -9` of each program and of all at once, again and again, while clients post tasks.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::dice::Dice;
use crate::grid::{Grid, Program, Setup};
use crate::load::Plan;
use crate::process::now;
use crate::scene::{Report, Scene, pass};

/// After so many kills all is checked, so that a failure is near its cause.
const KILLS_A_CHECK: usize = 100;

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    let pause_max = if order.brief { 1_000 } else { 3_000 };
    let (mut report, mut killed, mut slowest) = (Report::default(), 0, Duration::ZERO);
    while killed < order.count {
        scene.begin_load(Plan::default());
        let until = order.count.min(killed + KILLS_A_CHECK);
        while killed < until {
            pass(scene.dice.between(Duration::from_millis(200), Duration::from_millis(pause_max)));
            let victims = victims(&mut scene.dice, scene.grid.programs());
            killed += victims.len();
            slowest = slowest.max(kill_and_restart(&mut scene.grid, &victims));
        }
        report = scene.judge(killed);
        if killed < order.count {
            println!("so far {killed} kills, {} acknowledged, 0 lost", report.acknowledged);
        }
    }
    scene.grid.stop_all();
    report.more = format!("slowest start of a dispatcher {} ms", slowest.as_millis());
    Outcome::Held(report)
}

/// Mostly one; the dispatcher, which holds the most, the most often.
fn victims(dice: &mut Dice, all: Vec<Program>) -> Vec<Program> {
    match dice.below(8) {
        0..=2 => vec![Program::Dispatcher],
        3..=5 => vec![Program::Worker(dice.below(all.len() - 2))],
        6 => vec![Program::NameService],
        _ => all,
    }
}

/// Returns how long the dispatcher took to start, if it was among them.
fn kill_and_restart(grid: &mut Grid, victims: &[Program]) -> Duration {
    for victim in victims {
        grid.kill(*victim);
    }
    let mut took = Duration::ZERO;
    for victim in victims {
        let began = now();
        grid.start_one(*victim);
        if *victim == Program::Dispatcher {
            took = began.elapsed();
        }
    }
    took
}
