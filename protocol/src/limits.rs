//! Every bound that both ends of the wire must know, with the reason for its value.

use std::time::Duration;

/// The longest datagram that UDP over IPv4 carries: 65,535 less 20 (IP) and 8 (UDP) bytes.
pub const DATAGRAM_MAX: usize = 65_507;

/// A receive buffer one byte longer than any datagram, so that nothing is cut unnoticed.
pub const RECEIVE_BUFFER: usize = DATAGRAM_MAX + 1;

/// What a packed datagram is filled to off loopback: below every common MTU, so that it is not split into
/// IP fragments, all of which must arrive.
pub const PACK_REMOTE_MAX: usize = 1_200;

/// What a packed datagram is filled to on loopback, where there is no MTU to mind.
pub const PACK_LOOPBACK_MAX: usize = 60_000;

/// Messages in one array. 1,024 of the smallest requests are about 60,000 bytes, so more do not fit anyway.
pub const ARRAY_MAX: usize = 1_024;

/// A reply to a plain client carries its fields twice up to this length, and once above it (R35).
pub const DOUBLED_REPLY_MAX: usize = 1_200;

/// How many times longer than its request an answer to a stranger may be (R37): a forged source then gains no
/// more than with QUIC, which allows the same.
pub const AMPLIFICATION_MAX: usize = 3;

/// Payload and result, as JSON text. With 48 KiB the largest TASK and the largest reply still fit into a
/// datagram.
pub const VALUE_MAX: usize = 48 * 1024;

/// Nesting of payloads and results. Parsers of other languages give up at depths between 100 and 1,000.
pub const JSON_DEPTH_MAX: usize = 32;

/// Bytes of an envelope's `id`, as JSON text without quotes.
pub const REQUEST_ID_MAX: usize = 64;

/// Bytes of an idempotency key.
pub const KEY_MAX: usize = 64;

/// Characters of a task type (R36).
pub const TASK_TYPE_MAX: usize = 64;

/// Characters of a lease.
pub const LEASE_MAX: usize = 32;

/// Characters of a lease or an instance that clients are shown.
pub const TOKEN_SHOWN_MAX: usize = 4;

/// Bytes of a worker's instance name.
pub const INSTANCE_MAX: usize = 64;

/// Bytes of a worker's address: a DNS name has at most 253, a port at most five digits.
pub const ADDRESS_MAX: usize = 260;

/// Bytes of an error message that is kept; longer ones lose their end.
pub const ERROR_MESSAGE_MAX: usize = 4_096;

/// Bytes of an error code; longer ones lose their end.
pub const ERROR_CODE_MAX: usize = 64;

/// Handlers that one worker may run at a time.
pub const CAPACITY_MAX: u32 = 1_024;

/// Leases in one TASK_HEARTBEAT: as many of ours as fit into [`PACK_REMOTE_MAX`] bytes. With what handlers tell of
/// their progress fewer do.
pub const HEARTBEAT_LEASES_MAX: usize = 16;

/// Bytes of the note that a handler adds to its progress; longer ones lose their end. A line at a terminal, or two.
pub const PROGRESS_NOTE_MAX: usize = 200;

/// The longest time a request may wait at the dispatcher for the end of a task; more is cut (R10a).
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest time a client re-sends before it says that the outcome is unknown (R5).
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Attempts of a task that says nothing about them (R25).
pub const MAX_ATTEMPTS_DEFAULT: u32 = 5;

/// The most attempts a task may ask for.
pub const MAX_ATTEMPTS_MAX: u32 = 1_000;

/// The time limit of one attempt of a task that says nothing about it (R24).
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3_600);

/// The longest time limit and the longest delay a task may ask for: ten years.
pub const SPAN_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Priorities run from `-PRIORITY_MAX` to `PRIORITY_MAX`; the higher goes first.
pub const PRIORITY_MAX: i32 = 100;

/// The longest datagram that is sent to a plain worker which has not registered another limit (R15).
pub const PLAIN_WORKER_DATAGRAM_MAX: usize = 4_096;

/// Rows in one answer to LIST_TASKS: as many as surely fit into a datagram.
pub const LIST_MAX: u32 = 100;

/// Tasks are kept at least for so long after their end, so that a key is known while anybody may send it again (R4).
pub const KEY_RETENTION: Duration = Duration::from_secs(24 * 3_600);

// What relies on what: the largest value must fit into a datagram with room for everything beside it.
const _: () = assert!(VALUE_MAX + ERROR_MESSAGE_MAX + 4_096 < PACK_LOOPBACK_MAX);
const _: () = assert!(PACK_LOOPBACK_MAX < DATAGRAM_MAX);
const _: () = assert!(PACK_REMOTE_MAX >= DOUBLED_REPLY_MAX);
