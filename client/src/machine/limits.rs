//! The client's own bounds and paces, each with the reason for its value.

use std::time::Duration;

use taskgrid_protocol::limits::{AMPLIFICATION_MAX, DATAGRAM_MAX};

/// Calls under way at a time: as many as a dispatcher lets wait (R10a).
pub const CALLS_MAX: usize = 100_000;

/// Requests that await a prompt answer are sent up to this sum of costs; the rest waits its turn. Half the
/// receive buffer that a dispatcher asks for, so that one client's burst cannot overflow it.
pub(super) const WINDOW_MAX: usize = 2 * 1024 * 1024;

/// What a datagram of its own costs in a receive buffer beside its bytes: a buffer of 212,992 bytes was
/// measured to hold 166 datagrams of 200 bytes.
pub(super) const DATAGRAM_COST: usize = 1_083;

/// How often a request that waits for the end of a task is sent again (R10a).
pub(super) const WAIT_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A wait is cut into slices of this part of the caller's patience: ten seconds of thirty. After each the
/// dispatcher is asked for a sign of life, with two thirds of the patience left to hear one.
pub(super) const SLICES_PER_PATIENCE: u32 = 3;

/// The longest interval between two such questions. With twenty seconds to go, 30 % loss each way then
/// leaves less than one false alarm in a hundred thousand.
pub(super) const LIFE_SIGN_CEILING: Duration = Duration::from_secs(1);

/// When to ask again after a passing refusal that does not say so itself.
pub(super) const PAUSE_DEFAULT: Duration = Duration::from_secs(1);

/// What a refusal may ask for. The lower bound keeps a mistaken `"retry_after_ms":0` from becoming a
/// flood, the upper one a mistaken year from becoming a hang.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How often a host name that has never been resolved is looked up.
pub(super) const LOOK_UP_AGAIN_AFTER: Duration = Duration::from_secs(1);

// Waiting slices must be long enough to be sent again within them.
const _: () = assert!(
    taskgrid_protocol::limits::ANSWER_DEADLINE.as_secs() >= 2 * SLICES_PER_PATIENCE as u64 * WAIT_AGAIN_AFTER.as_secs()
);

/// The longest request that is padded because the server asks for it: the longest answer needs no more.
pub(super) const PAD_MAX: usize = DATAGRAM_MAX.div_ceil(AMPLIFICATION_MAX);
