//! `kill -9` of the dispatcher again and again, while clients post as fast as they can and workers have all that they take.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::history;
use crate::load::Plan;
use crate::process::now;
use crate::scene::{Scene, open, pass};

/// More than an array holds, so that batches are as large as they get.
const IN_FLIGHT: usize = 1_280;

/// Between two kills: enough that a dispatcher comes to full speed, and too little that any has a quiet moment.
const ALIVE: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1_000)];

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let flags = ["--concurrency", "64", "--prefetch", "64"].map(str::to_owned).into();
    let mut scene = Scene::start(dir, Setup { workers: 3, worker_flags: flags, ..Setup::default() }, order.seed);
    let plan = Plan {
        clients: IN_FLIGHT,
        sockets: Some(4),
        pace: Duration::ZERO,
        // Nobody gives up while the dispatcher is away for moments only.
        patience: Duration::from_secs(60),
        journaled: 2,
        ..Plan::default()
    };
    let (began, mut slowest) = (now(), Duration::ZERO);
    scene.begin_load(plan);
    for _ in 0..order.count {
        let span = scene.dice.between(ALIVE[0], ALIVE[1]);
        pass(span);
        scene.grid.kill(Program::Dispatcher);
        let killed = now();
        scene.grid.start_one(Program::Dispatcher);
        slowest = slowest.max(killed.elapsed());
    }
    scene.some_more(IN_FLIGHT);
    scene.end_load();
    let rate = f64::from(u32::try_from(scene.acknowledged()).unwrap()) / began.elapsed().as_secs_f64();
    let open_calls = scene.history.lock().count(|outcome| *outcome == history::Outcome::Open);
    assert_eq!(open_calls, 0, "I5: every call comes to an end");
    let mut report = scene.judge(order.count);
    assert_eq!(not_done(&scene), 0, "nothing was wrong with any task, and no worker was killed");
    scene.grid.stop_all();
    report.more = format!(
        "{IN_FLIGHT} in flight, {rate:.0} acknowledged a second, restarts included; slowest start {} ms",
        slowest.as_millis()
    );
    Outcome::Held(report)
}

fn not_done(scene: &Scene) -> i64 {
    let sql = "select count(*) from tasks where status <> 'done'";
    open(&scene.grid.database).query_row(sql, [], |row| row.get(0)).unwrap()
}
