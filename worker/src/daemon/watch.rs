//! Notices handlers that are dropped into the directory, or taken away.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::handlers::{Registry, Serving};
use crate::machine::Event;

/// How soon a dropped file is a type. Looking at a few hundred files takes about a millisecond.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks at the directory again and again. New handlers are there before the machine hears of them.
pub(super) async fn watch(mut registry: Registry, serving: watch::Sender<Serving>, events: mpsc::Sender<Event>) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        // A directory may be on a slow network.
        let looked = tokio::task::spawn_blocking(move || {
            let changed = registry.rescan();
            (registry, changed)
        });
        let Ok((looked, changed)) = looked.await else { return };
        registry = looked;
        if changed {
            let now_serving = registry.serving();
            let types = now_serving.keys().cloned().collect();
            serving.send_replace(now_serving);
            if events.send(Event::Types(types)).await.is_err() {
                return;
            }
        }
    }
}
