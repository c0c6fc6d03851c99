//! What a peer is told when it asked for something it cannot have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The stable name of an error on the wire. The doc of each says what the sender should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ErrorCode {
    /// Another process serves this address now. Stop, or start with another address.
    AddressInUse,
    /// The task has ended, so it cannot be cancelled. Its `status` is in the reply.
    AlreadyEnded,
    /// The message is malformed. Mend it; sending it again will not help.
    BadRequest,
    /// The disk is nearly full. Nothing was stored; ask again after `retry_after_ms`.
    DiskLow,
    /// The key names a task with other contents. Nothing was stored; use a new key.
    KeyConflict,
    /// A result needs the lease that came with its TASK. Send it beside `data`.
    LeaseRequired,
    /// This lease was never issued for this task. Forget it.
    LeaseUnknown,
    /// No such task.
    NotFound,
    /// The task has not failed and was not cancelled, so it cannot be retried.
    NotRetryable,
    /// The task has not ended. Ask again, or wait with `wait_s`.
    NotReady,
    /// The name service does not know this address. Register it with its type.
    NotRegistered,
    /// The name service knows no worker for this type.
    NoWorker,
    /// A queue is full. Nothing was stored; ask again after `retry_after_ms`.
    Overloaded,
    /// As many tasks are pending as the operator allows. Nothing was stored; ask again after `retry_after_ms`.
    QueueFull,
    /// The answer is longer than a stranger may have for so short a request. Ask again, with white space or a field
    /// `pad` that makes the message `need_bytes` long.
    PadRequest,
    /// The server is stopping. Ask again after `retry_after_ms`.
    ShuttingDown,
    /// The task was cancelled; it will have no result.
    TaskCancelled,
    /// The task failed; it will have no result. The reason is in `error`.
    TaskFailed,
    /// Payload or result is longer than the limit. Store the data elsewhere and send its address.
    TooLarge,
    /// This server does not know this message. The text names the one that does, if there is one.
    UnknownMessage,
    /// A code of a newer version than this program's.
    #[serde(other)]
    Other,
}

/// The `data` of every reply that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// One sentence for people: what is wrong and what to do about it.
    pub error: String,
    /// The stable code for programs.
    pub code: ErrorCode,
    /// When asking again makes sense, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How long the request must be, if that is what is wrong (R37).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_bytes: Option<usize>,
}

impl ErrorReply {
    /// An error that asking again will not change.
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), code, retry_after_ms: None, need_bytes: None }
    }

    /// An error that passes; the peer should ask again after `wait`.
    pub fn passing(code: ErrorCode, error: impl Into<String>, wait: Duration) -> Self {
        let retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        Self { error: error.into(), code, retry_after_ms, need_bytes: None }
    }
}

/// Why an attempt of a task failed: from its handler, or from the grid itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// For programs: a handler's own word, or one of the codes in [`task_code`].
    pub code: String,
    /// For people.
    pub message: String,
}

/// The codes that the grid itself gives to a failed attempt or task.
pub mod task_code {
    /// A handler's failure that named no code of its own.
    pub const FAILED: &str = "FAILED";
    /// The handler cannot use this payload; no other attempt will fare better.
    pub const BAD_PAYLOAD: &str = "BAD_PAYLOAD";
    /// The handler took longer than `timeout_s`.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// `expires_s` passed before the task was done.
    pub const EXPIRED: &str = "EXPIRED";
    /// Three workers vanished while they ran this task (R25).
    pub const WORKER_LOST: &str = "WORKER_LOST";
    /// Nothing was heard of an attempt for a whole lease.
    pub const LEASE_LOST: &str = "LEASE_LOST";
    /// The handler took more memory or processes than its worker allows.
    pub const LIMIT_EXCEEDED: &str = "LIMIT_EXCEEDED";
    /// The result was longer than the limit.
    pub const RESULT_TOO_LARGE: &str = "RESULT_TOO_LARGE";
    /// The task does not fit into a datagram that its worker can take (R15).
    pub const TOO_LARGE_FOR_WORKER: &str = "TOO_LARGE_FOR_WORKER";
    /// The worker does not serve the type, though it was found by it.
    pub const UNKNOWN_TYPE: &str = "UNKNOWN_TYPE";
}
