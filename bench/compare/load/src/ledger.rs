//! What was submitted and when, and what came back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Each task's payload names its run and its number, so that a result tells by itself whose it is.
pub(crate) struct Ledger {
    run: u32,
    /// When each task was submitted; none once its result was seen.
    open: Vec<Option<Instant>>,
    latencies: Vec<Duration>,
    started: Instant,
    last_result: Instant,
    wrong: u64,
    repeated: u64,
    /// Results of an earlier run, which ended before the last of them were taken off their queue.
    stale: u64,
}

impl Ledger {
    pub(crate) fn new(run: u32) -> Self {
        let now = Instant::now();
        Self {
            run,
            open: Vec::new(),
            latencies: Vec::new(),
            started: now,
            last_result: now,
            wrong: 0,
            repeated: 0,
            stale: 0,
        }
    }

    /// From now on time counts.
    pub(crate) fn start(&mut self) {
        self.started = Instant::now();
        self.last_result = self.started;
    }

    pub(crate) fn begin(&mut self) -> String {
        self.open.push(Some(Instant::now()));
        payload(self.run, self.open.len() - 1)
    }

    /// Whether this is the first result of an open task.
    pub(crate) fn finish(&mut self, result: &[u8]) -> bool {
        let Some((run, number)) = parse(&reverse(result)) else {
            self.wrong += 1;
            return false;
        };
        if run != self.run {
            self.stale += 1;
            return false;
        }
        let Some(begun) = self.open.get_mut(number) else {
            self.wrong += 1;
            return false;
        };
        let Some(begun) = begun.take() else {
            self.repeated += 1;
            return false;
        };
        self.last_result = Instant::now();
        self.latencies.push(self.last_result - begun);
        true
    }

    pub(crate) fn report(&mut self) -> Value {
        self.latencies.sort_unstable();
        let seconds = (self.last_result - self.started).as_secs_f64();
        json!({
            "tasks": self.latencies.len(),
            "seconds": seconds,
            "tasks_per_second": self.latencies.len() as f64 / seconds.max(f64::EPSILON),
            "p50_ms": self.percentile(50),
            "p99_ms": self.percentile(99),
            "lost": self.open.iter().flatten().count(),
            "wrong": self.wrong,
            "repeated": self.repeated,
            "stale": self.stale,
        })
    }

    /// In milliseconds; of sorted latencies.
    fn percentile(&self, percent: usize) -> Option<f64> {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map(|latency| latency.as_secs_f64() * 1000.0)
    }
}

/// 24 bytes, as long as a small task's payload is in practice.
fn payload(run: u32, number: usize) -> String {
    format!("task-{run:08x}-{number:010}")
}

/// The run and the number in a payload that is just as one must be.
fn parse(text: &[u8]) -> Option<(u32, usize)> {
    let text = std::str::from_utf8(text).ok()?;
    let (run, number) = text.strip_prefix("task-")?.split_once('-')?;
    let (run, number) = (u32::from_str_radix(run, 16).ok()?, number.parse().ok()?);
    (text == payload(run, number)).then_some((run, number))
}

/// What a worker does with a task.
pub(crate) fn reverse(payload: &[u8]) -> Vec<u8> {
    payload.iter().rev().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_once_and_only_where_it_is_right() {
        let mut ledger = Ledger::new(7);
        let first = ledger.begin();
        let second = ledger.begin();
        assert!(ledger.finish(&reverse(first.as_bytes())));
        assert!(!ledger.finish(&reverse(first.as_bytes())), "repeated");
        assert!(!ledger.finish(second.as_bytes()), "not reversed");
        let report = ledger.report();
        assert_eq!(
            (&report["tasks"], &report["lost"], &report["wrong"], &report["repeated"]),
            (&json!(1), &json!(1), &json!(1), &json!(1))
        );
    }

    #[test]
    fn a_result_of_another_run_changes_nothing() {
        let mut ledger = Ledger::new(7);
        ledger.begin();
        assert!(!ledger.finish(&reverse(payload(8, 0).as_bytes())));
        let report = ledger.report();
        assert_eq!((&report["lost"], &report["wrong"], &report["stale"]), (&json!(1), &json!(0), &json!(1)));
    }
}
