//! What a program asks of its client machine, and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::body::{PostReply, PostTask, Progress as TaskProgress, Status, TaskRef};
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Body, ErrorCode, Json};

/// Names a call. Whoever makes the call chooses the number, each one once and counting up: the older call
/// goes first when not all can be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Something the machine should know.
#[derive(Debug)]
pub enum Event {
    /// A new call.
    Call(Call),
    /// Nobody awaits this call any more.
    Abandon(CallId),
    /// A look-up has ended.
    Resolved {
        /// The name that was looked up.
        name: String,
        /// Its address; `None` when the look-up failed.
        addr: Option<SocketAddr>,
    },
}

/// Something to be done for the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the caller that its task is stored. Only for [`Request::Submit`] with `wait`, and followed by
    /// [`Effect::Ended`]; left out when the end of the task is known first.
    Stored(CallId, PostReply),
    /// Tell the caller how its call ended.
    Ended(CallId, Outcome),
    /// Look a name up and report with [`Event::Resolved`].
    LookUp(String),
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Names it.
    pub id: CallId,
    /// What is wanted.
    pub request: Request,
    /// After how much silence its outcome counts as unknown.
    pub patience: Duration,
    /// Whether its datagrams may travel in arrays with those of other calls.
    pub pack: bool,
}

/// What a call wants.
#[derive(Debug)]
pub enum Request {
    /// One answer to one question that reads, cancels or retries.
    Ask(Body),
    /// A task to be stored.
    Submit {
        /// The task. Without a key each copy would make a task of its own (R10), so it is sent again only after a
        /// refusal, and silence leaves it unknown whether there is a task.
        task: Box<PostTask>,
        /// Whether to go on to the task's end.
        wait: bool,
    },
    /// The end of a task.
    Watch {
        /// Which task. Where its database is not named, the one that answers first is meant from then on.
        task: TaskRef,
        /// Be content with "not ready" after this time; `None`: never.
        limit: Option<Duration>,
    },
}

/// How a call ended: the three outcomes of R6.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The dispatcher did what it was asked.
    Ok(Answer),
    /// The dispatcher refused. Nothing was stored or changed.
    Rejected(Rejected),
    /// The caller's patience has ended without a usable answer. What was asked for may have happened or
    /// not, or may still.
    Unknown(Silence),
}

/// What a successful call brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The `data` of the answer to [`Request::Ask`].
    Data(Json),
    /// The task of [`Request::Submit`] without `wait` is stored.
    Stored(PostReply),
    /// Where the task of [`Request::Watch`], or of [`Request::Submit`] with `wait`, stands.
    Progress(Progress),
}

/// Whether a task has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It has.
    Ended(End),
    /// It has not.
    NotReady(Standing),
}

/// Where a task stands that has not ended, as far as the dispatcher said so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Whether it waits or runs.
    pub status: Option<Status>,
    /// How far its attempt is, if its handler tells.
    pub progress: Option<TaskProgress>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With this result.
    Done(Json),
    /// Without a result.
    Failed(Failed),
    /// Somebody cancelled it.
    Cancelled,
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{} (attempt {attempts})", .error.message)]
pub struct Failed {
    /// What its last attempt said.
    pub error: TaskError,
    /// How many attempts it has had.
    pub attempts: u32,
}

/// A definite refusal: nothing was stored or changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence for people.
    pub message: String,
    /// Where the task stands that could not be cancelled or retried.
    pub status: Option<Status>,
}

impl Rejected {
    /// A refusal that concerns no task.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None }
    }
}

/// Why an outcome is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Silence {
    /// No answer came.
    NoAnswer,
    /// The host name could not be resolved, so nothing was sent.
    NoAddress,
    /// Answers came, but this version understands none of them.
    Garbled,
    /// The last copy of the request was refused for a passing reason, but an earlier one was never
    /// answered and may have been accepted.
    InDoubt(Rejected),
}
