//! What is to be submitted, how fast, and for how long.

use std::time::Duration;

use clap::ValueEnum;
use taskgrid_protocol::TaskType;

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) task_type: TaskType,
    /// The length of each payload as JSON text; `None`: as short as it comes.
    pub(super) payload_bytes: Option<usize>,
    pub(super) keys: Keys,
    /// Whether requests may share datagrams.
    pub(super) pack: bool,
    /// Whether to wait for results, or only until tasks are stored.
    pub(super) wait: bool,
    pub(super) pace: Pace,
    /// The most tasks under way at a time.
    pub(super) in_flight: usize,
    pub(super) amount: Amount,
    /// What is submitted in this time is not counted.
    pub(super) warm_up: Duration,
    /// After how much silence an outcome counts as unknown.
    pub(super) patience: Duration,
}

/// When the next task is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// When an earlier one has ended.
    Closed,
    /// When its time has come, so many a second, whatever has become of the earlier ones.
    Open {
        /// Tasks a second.
        rate: f64,
    },
}

impl Pace {
    /// How long after the start the task with this number, from 0 on, is due, if that is known beforehand.
    pub(super) fn due(self, number: u64) -> Option<Duration> {
        match self {
            Self::Closed => None,
            Self::Open { rate } => Some(Duration::from_secs_f64(number as f64 / rate)),
        }
    }

    /// How many tasks are due earlier than this long after the start, if that is known beforehand.
    pub(super) fn due_before(self, span: Duration) -> Option<u64> {
        match self {
            Self::Closed => None,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of tasks")]
            Self::Open { rate } => Some((span.as_secs_f64() * rate).ceil() as u64),
        }
    }
}

/// When it is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Tasks(u64),
    For(Duration),
}

/// Which names tasks get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Keys {
    /// UUIDs that begin with the time, as the client makes them
    V7,
    /// Random UUIDs, for which the index of keys is written all over
    V4,
    /// None: each task is sent once, and one that gets lost stays lost
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_has_its_times_beforehand() {
        let pace = Pace::Open { rate: 4_000.0 };
        assert_eq!(pace.due(0), Some(Duration::ZERO));
        assert_eq!(pace.due(2), Some(Duration::from_micros(500)));
        assert_eq!(pace.due(8_000), Some(Duration::from_secs(2)));
        for (span, tasks) in [(0, 0), (1, 1), (250, 1), (251, 2), (500, 2), (1_000_000, 4_000)] {
            assert_eq!(pace.due_before(Duration::from_micros(span)), Some(tasks), "{span} µs");
        }
        assert_eq!(Pace::Closed.due(5), None);
    }
}
