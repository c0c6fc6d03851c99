//! The bounds and intervals of a worker, with the reason for each.

use std::time::Duration;

use taskgrid_protocol::limits::CAPACITY_MAX;

/// Leases that are remembered, so that none is started twice (R22).
pub(super) const LEASES_MAX: usize = 100_000;

/// For how long after their end (R22). No copy of a TASK stays under way for as long.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The results among them that are kept too, all together, in bytes. They answer a dispatcher that was
/// restored from a backup and asks again; of a result that had to make room only the lease is known.
pub(super) const KEPT_RESULTS_BYTES: usize = 32 * 1024 * 1024;

/// Results that wait to be stored. Above this no task is taken: the dispatcher does not keep up, and 4,096
/// of the largest are 200 MB.
pub(super) const UNSTORED_MAX: usize = 4 * CAPACITY_MAX as usize;

/// A handler that runs longer is acknowledged. The result of a shorter one is the acknowledgement (R13).
pub(super) const ACK_AFTER: Duration = Duration::from_millis(50);

/// What a dispatcher is told to wait when all slots are taken. It learns of a free slot sooner from any
/// other message.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// The longest interval between copies of a result (R21) …
pub(super) const RESULT_RESEND_MAX: Duration = Duration::from_secs(30);

/// … and for how long it is sent again.
pub(super) const RESULT_KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// A dispatcher that cannot store a result and does not say when to come back.
pub(super) const UNSAID_PAUSE: Duration = Duration::from_secs(1);

/// How often a TASK_HEARTBEAT is sent again until it is answered (R16).
pub(super) const HEARTBEAT_RESEND: Duration = Duration::from_secs(1);

/// A heartbeat comes forward for what a handler tells of its progress, but is not sent more often than this (R16): people
/// do not read faster, and while a dispatcher is silent it is sent as often anyway.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The attempts of one dispatcher up to which heartbeats carry the notes of handlers, which have 200 bytes. With the notes
/// of [`CAPACITY_MAX`] attempts a worker would send hundreds of datagrams at once, more than the receive buffer of the other
/// side has room for, and leases would get lost for the sake of words. The fractions are told always.
pub(super) const NOTED_MAX: usize = 64;

/// How often a name service is looked up whose name DNS does not know.
pub(super) const RESOLVE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a stopping worker tells name services and dispatchers so. Without it their entries expire, and what is given
/// to it is lost for a lease.
pub(super) const DEREGISTER_FOR: Duration = Duration::from_secs(2);

/// What a stopping worker waits, after the grace of its handlers, for results to be stored. With the default
/// grace that is 28 s: less than the 30 s that Kubernetes leaves between SIGTERM and SIGKILL.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);

/// A TASK_REJECT that gives a started task back is never answered, so it is sent a few times at this interval …
pub(super) const GIVE_BACK_RESEND: Duration = Duration::from_millis(200);

/// … for this long: five copies, one of which arrives even where a third of all datagrams is lost.
pub(super) const GIVE_BACK_FOR: Duration = Duration::from_millis(1_000);

const _: () = assert!(UNSTORED_MAX + (CAPACITY_MAX as usize) < LEASES_MAX);
const _: () = assert!(GIVE_BACK_FOR.as_millis() < FAREWELL.as_millis());
