//! The only place that asks what time it is.

use std::time::{Duration, Instant};

use taskgrid_protocol::{Timestamp, WallTime};

/// Monotonic time since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts at [`Timestamp::ZERO`].
    #[expect(clippy::new_without_default, reason = "a clock has an identity: two are not interchangeable")]
    pub fn new() -> Self {
        Self { origin: instant() }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        Timestamp::ZERO + instant().duration_since(self.origin)
    }

    /// How long until `at`; zero when it has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }
}

#[expect(clippy::disallowed_methods, reason = "here is where the time comes from")]
fn instant() -> Instant {
    Instant::now()
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "here is where the time comes from")]
pub fn wall_time() -> WallTime {
    WallTime::from_millis(chrono::Utc::now().timestamp_millis())
}
