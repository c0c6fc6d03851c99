//! How many tasks are under way, and until when new ones begin.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::ledger::Ledger;

/// A result that has not come so long after the last submission is counted as lost. A thousand tasks take many seconds where
/// each needs several syncs and the disk is in a slow phase.
const GRACE: Duration = Duration::from_secs(30);

pub(crate) struct Window {
    ledger: RefCell<Ledger>,
    /// One permit for each task that may yet begin.
    room: Semaphore,
    in_flight: u32,
    duration: Duration,
    end: Cell<Instant>,
}

impl Window {
    /// Nothing begins before `open`, so that both sides connect outside of the time that counts.
    pub(crate) fn new(in_flight: u32, duration: Duration) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The lower half differs from one run to the next, and that is all it is for.
        let run = since_epoch.as_micros() as u32;
        Self {
            ledger: RefCell::new(Ledger::new(run)),
            room: Semaphore::new(0),
            in_flight,
            duration,
            end: Cell::new(Instant::now()),
        }
    }

    pub(crate) fn open(&self) {
        self.ledger.borrow_mut().start();
        self.end.set(Instant::now() + self.duration);
        self.room.add_permits(self.in_flight as usize);
    }

    /// The payloads of the next `batch` tasks, as soon as there is room for them; none when time is up.
    pub(crate) async fn next(&self, batch: u32) -> Option<Vec<String>> {
        let permits = self.room.acquire_many(batch).await.expect("never closed");
        if Instant::now() >= self.end.get() {
            return None;
        }
        permits.forget();
        let mut ledger = self.ledger.borrow_mut();
        Some((0..batch).map(|_| ledger.begin()).collect())
    }

    /// A result was seen.
    pub(crate) fn finish(&self, result: &[u8]) {
        if self.ledger.borrow_mut().finish(result) {
            self.room.add_permits(1);
        }
    }

    /// When time is up and all results are there, or will not come any more.
    pub(crate) async fn drained(&self) {
        tokio::time::sleep_until(self.end.get().into()).await;
        let _ = timeout(GRACE, self.room.acquire_many(self.in_flight)).await;
    }

    pub(crate) fn report(&self) -> Value {
        self.ledger.borrow_mut().report()
    }
}
