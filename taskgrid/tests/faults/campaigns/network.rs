//! All programs talk through relays that lose, double, delay and reorder datagrams.

use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::Setup;
use crate::load::Plan;
use crate::relay::{Log, Weather};
use crate::scene::{Report, Scene, pass};

/// Up to this loss no handler may run twice (I13); above, it is counted.
const LOSS_BORNE: u32 = 30;

const LOSSES: &[u32] = &[1, 5, 30, 60];

/// The count says how many of the losses are tried.
pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let (mut all, mut by_loss) = (Report::default(), Vec::new());
    for loss in LOSSES.iter().take(order.count) {
        let dir = dir.join(format!("loss-{loss}"));
        std::fs::create_dir(&dir).unwrap();
        let (report, log) = one(&dir, order, *loss);
        if *loss <= LOSS_BORNE {
            assert_eq!(report.duplicates.total(), 0, "I13: {loss} % lost: {}", report.duplicates);
        }
        let Log { delivered, lost, doubled, late, .. } = log;
        all.faults += usize::try_from(lost + doubled + late).unwrap();
        all.acknowledged += report.acknowledged;
        all.unknown += report.unknown;
        all.duplicates.of += report.duplicates.of;
        for (cause, count) in report.duplicates.by_cause {
            *all.duplicates.by_cause.entry(cause).or_default() += count;
        }
        let (sent, acknowledged) = (lost + delivered, report.acknowledged);
        by_loss.push(format!("at {loss} % loss {lost} of {sent} datagrams lost, {acknowledged} acknowledged"));
    }
    all.more = by_loss.join(", ");
    Outcome::Held(all)
}

fn one(dir: &Path, order: &Order, loss: u32) -> (Report, Log) {
    let weather = Weather { loss, doubled: 5, late: 10, delay: Duration::from_millis(400) };
    // With the default lease many signs of life fall into one, so that some arrive.
    let lease_s = if loss <= LOSS_BORNE { 30 } else { 3 };
    let mut scene = Scene::start(dir, Setup { weather: Some(weather), lease_s, ..Setup::default() }, order.seed);
    let (patience, span) = if order.brief { (8, 4) } else { (30, 60) };
    scene.begin_load(Plan { patience: Duration::from_secs(patience), ..Plan::default() });
    pass(Duration::from_secs(span));
    let report = scene.judge(0);
    let log = scene.grid.relays.lock().clone();
    (report, log)
}
