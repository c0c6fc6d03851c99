//! Every message of the grid.

mod client;
mod names;
mod replies;
mod status;
mod work;

use serde::Serialize;
use serde_json::value::RawValue;

pub use client::{GetResult, ListTasks, ListWorkers, PostTask, Priority, Span, TaskRef};
pub use names::{Deregister, Lookup, LookupReply, NoData, RegisterReply, Registration, Since, WorkerEntry};
pub use replies::{
    AttemptView, ListTasksReply, ListWorkersReply, OrderReply, PingReply, PostReply, ResultReply, StatsReply,
    StatusCounts, TaskReply, TaskView, WorkerView,
};
pub use status::Status;
pub use work::{
    AckState, Failure, HeartbeatReply, LeaseBeat, Progress, RejectReason, ResultReturn, Stored, TaskAck, TaskCancel,
    TaskHeartbeat, TaskObject, TaskReject,
};

use crate::envelope::Outgoing;
use crate::json::object;
use crate::{Instance, Json, Lease, ReplyTo, RequestId, Transmit};

/// What may stand beside `type` and `data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Correlates the reply.
    pub id: Option<RequestId>,
    /// The right to run an attempt.
    pub lease: Option<Lease>,
    /// The worker process that it was given to (R18).
    pub instance: Option<Instance>,
    /// The number of that attempt, from 1.
    pub attempt: Option<u32>,
    /// The time limit of that attempt in seconds.
    pub timeout_s: Option<u64>,
    /// How many more tasks the sending worker can take.
    pub free_slots: Option<u32>,
}

/// One message, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What stands beside `data`.
    pub beside: Beside,
    /// `type` and `data`.
    pub body: Body,
    /// Whether it came in an array.
    pub packed: bool,
    /// How many bytes it was when it came. What is to be sent has none yet.
    pub length: usize,
}

impl Message {
    /// A message to send.
    pub fn new(beside: Beside, body: Body) -> Self {
        Self { beside, body, packed: false, length: 0 }
    }

    /// A request that is answered under `id`.
    pub fn request(id: RequestId, body: Body) -> Self {
        Self::new(Beside { id: Some(id), ..Beside::default() }, body)
    }

    /// Where the answer goes when the message came from `from`.
    pub fn reply_to(&self, from: std::net::SocketAddr) -> ReplyTo {
        ReplyTo::new(from, self.beside.id.clone(), self.packed, self.length)
    }

    /// The message as it stands on the wire.
    pub fn encode(&self) -> Vec<u8> {
        self.body.encode(&self.beside)
    }

    /// The message as a transmission to `to`; `pack` says whether it may travel in an array.
    pub fn transmit(&self, to: std::net::SocketAddr, pack: bool) -> Transmit {
        Transmit { to, bytes: self.encode(), pack }
    }
}

/// Defines [`Body`] and its two directions from one table of `type` and `data`.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:literal => $variant:ident($data:ty),)*) => {
        /// `type` and `data` of a message.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Body {
            $($(#[$doc])* $variant($data),)*
            /// An answer. What `data` holds depends on the request.
            Response(Json),
        }

        impl Body {
            /// The `type` on the wire.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Response(_) => "RESPONSE",
                }
            }

            /// `None` when no message has this `type`.
            pub(crate) fn decode(kind: &str, data: &RawValue) -> Option<Result<Self, serde_json::Error>> {
                match kind {
                    $($name => Some(object(data).map(Self::$variant)),)*
                    _ => None,
                }
            }

            fn encode(&self, beside: &Beside) -> Vec<u8> {
                match self {
                    $(Self::$variant(data) => encode($name, beside, data),)*
                    Self::Response(data) => encode("RESPONSE", beside, data),
                }
            }
        }
    };
}

/// The room that a message with a short payload has enough of.
const USUAL_LENGTH: usize = 384;

fn encode<T: Serialize>(kind: &'static str, beside: &Beside, data: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    serde_json::to_writer(&mut bytes, &Outgoing { kind, beside, data }).expect("our own messages have a JSON form");
    bytes
}

bodies! {
    // Client to dispatcher.
    /// Store a task.
    "POST_TASK" => PostTask(PostTask),
    /// Read a task's result, or wait for it.
    "GET_RESULT" => GetResult(GetResult),
    /// Read all about a task.
    "GET_TASK" => GetTask(TaskRef),
    /// Read many tasks, newest first.
    "LIST_TASKS" => ListTasks(ListTasks),
    /// End a pending or running task.
    "CANCEL_TASK" => CancelTask(TaskRef),
    /// Make a failed or cancelled task pending again.
    "RETRY_TASK" => RetryTask(TaskRef),
    /// Read counters.
    "GET_STATS" => GetStats(NoData),
    /// Read the known workers. Answered by the name service too.
    "LIST_WORKERS" => ListWorkers(ListWorkers),
    /// Read version and limits. Answered by every server.
    "PING" => Ping(NoData),

    // To the name service.
    /// Announce a worker.
    "REGISTER_WORKER" => RegisterWorker(Registration),
    /// The same thing, again and again (R27).
    "HEARTBEAT" => Heartbeat(Registration),
    /// Take a worker back.
    "DEREGISTER_WORKER" => DeregisterWorker(Deregister),
    /// Find workers, or what has changed.
    "LOOKUP_WORKER" => LookupWorker(Lookup),

    // Dispatcher to worker.
    /// Run this. `lease`, `attempt` and `timeout_s` stand beside `data`, for workers that know them.
    "TASK" => Task(TaskObject),
    /// Stop, or forget, an attempt.
    "TASK_CANCEL" => TaskCancel(TaskCancel),

    // Worker to dispatcher.
    /// The attempt is here.
    "TASK_ACK" => TaskAck(TaskAck),
    /// The attempt will not run here.
    "TASK_REJECT" => TaskReject(TaskReject),
    /// The attempts that are still running here.
    "TASK_HEARTBEAT" => TaskHeartbeat(TaskHeartbeat),
    /// An attempt has ended.
    "RESULT_RETURN" => ResultReturn(ResultReturn),
}
