//! The bounds of the name service's memory, and what happens at each.

use std::time::Duration;

/// Workers that are registered at a time. Further ones are answered OVERLOADED.
pub(super) const WORKERS_MAX: usize = 10_000;

/// Earlier processes at an address that are remembered: more do not start within a TTL.
pub(super) const REPLACED_MAX: usize = 8;

/// Pairs of worker and type that are registered at a time: about 200 MB. Further ones are answered
/// OVERLOADED.
pub(super) const PAIRS_MAX: usize = 1_000_000;

/// Pairs that have gone and are remembered, so that those who ask what has changed hear of it. When there
/// are more, the oldest are forgotten, and who has not asked since then starts anew.
pub(super) const GONE_MAX: usize = 100_000;

/// How long they are remembered. Dispatchers ask every two seconds.
pub(super) const GONE_FOR: Duration = Duration::from_secs(600);

/// What an announced interval is taken for: a worker cannot ask to be forgotten at once, or never.
pub(super) const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// See [`INTERVAL_MIN`].
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// Announced intervals that an entry lives: two lost HEARTBEATs do no harm (R27).
pub(super) const TTL_INTERVALS: u32 = 3;

/// What a worker is told to wait when there is no room.
pub(super) const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// Addresses that two processes want at a time. Further newcomers are answered OVERLOADED.
pub(super) const CONTESTS_MAX: usize = 1_000;

/// How long a PING goes unanswered until nobody is taken to be there: five copies on a private network.
pub(super) const CONTEST_FOR: Duration = Duration::from_secs(3);

/// How long a PING to a public address is made, so that the answer may be whole (R37).
pub(super) const FAR_PING_BYTES: usize = 120;
