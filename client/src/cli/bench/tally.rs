//! What came of a load.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Digits that are kept: a time is told to a thousandth of itself.
const DIGITS: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many were to be counted.
    pub(super) tasks: u64,
    /// Results that came and were right; where none is waited for, tasks that were stored.
    pub(super) right: u64,
    /// Results that came and were not.
    pub(super) wrong: u64,
    /// Tasks that ended while it was counted, those among them that were submitted before.
    pub(super) ended: u64,
    /// For how long it was counted.
    pub(super) took: Duration,
    /// From when a task was due until it was stored.
    pub(super) acknowledged: Latencies,
    /// From when a task was due until its result was here.
    pub(super) result: Latencies,
    /// From when a task was due until it was sent.
    pub(super) late: Latencies,
    /// Tasks that were sent later because too many were under way, and those that never were.
    pub(super) held_back: u64,
    pub(super) unsent: u64,
    /// Messages beyond one a task.
    pub(super) resent: u64,
    /// What went wrong first, in words.
    pub(super) problem: Option<String>,
}

impl Tally {
    pub(super) fn missing(&self) -> u64 {
        self.tasks.saturating_sub(self.right + self.wrong)
    }

    pub(super) fn is_perfect(&self) -> bool {
        self.right == self.tasks && self.problem.is_none()
    }

    /// Tasks a second.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 { self.ended as f64 / seconds } else { 0.0 }
    }

    /// `total` of all tasks, for one of them.
    pub(super) fn per_task(&self, total: f64) -> Option<f64> {
        (self.ended > 0).then(|| total / self.ended as f64)
    }
}

/// How long something took, many times.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("the bounds are in order"))
    }
}

impl Latencies {
    pub(super) fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(LONGEST));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that `part` of all did not exceed.
    pub(super) fn percentile(&self, part: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(1.0), Duration::ZERO);
        for micros in (1..=200).rev() {
            latencies.record(Duration::from_micros(micros));
        }
        assert_eq!(latencies.percentile(0.5), Duration::from_micros(100));
        assert_eq!(latencies.percentile(0.99), Duration::from_micros(198));
        assert_eq!(latencies.percentile(1.0), Duration::from_micros(200));
        assert_eq!(latencies.count(), 200);
    }

    #[test]
    fn long_times_are_told_to_a_thousandth_and_none_is_dropped() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(1_234));
        let told = latencies.percentile(0.5);
        assert!(told.abs_diff(Duration::from_millis(1_234)) < Duration::from_micros(1_234), "{told:?}");
        latencies.record(Duration::from_secs(86_400));
        assert!(latencies.percentile(1.0) >= Duration::from_secs(3_600));
        assert_eq!(latencies.count(), 2);
    }
}
