//! What the name service is asked, and its answers.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::json::optional_object;
use crate::{ErrorCode, Instance, TaskType};

/// The `data` of a message that says all with its `type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoData {}

/// REGISTER_WORKER and HEARTBEAT: one and the same thing (R27). A HEARTBEAT may name the address alone,
/// which renews all that is known of it. Unknown fields are passed over: they are of newer workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The one type that the worker serves, or …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
    /// … all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TaskType>,
    /// Where it is reached: `HOST:PORT`. A DNS name stays a DNS name.
    pub address: String,
    /// How many tasks it runs at a time, all types together; 1 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Its process. A worker that says this one understands leases; without it, it is a plain worker (R15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// How often it will send HEARTBEAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<Span>,
    /// It understands TASKs that come in arrays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// The longest datagram it takes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_datagram: Option<u32>,
}

impl Registration {
    /// All types that are announced.
    pub fn all_types(&self) -> impl Iterator<Item = &TaskType> {
        self.task_type.iter().chain(&self.types)
    }
}

/// DEREGISTER_WORKER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deregister {
    /// Which worker.
    pub address: String,
    /// Only if this process is the one that is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

/// The answer to REGISTER_WORKER and HEARTBEAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReply {
    /// `Successfully registered`.
    pub message: String,
    /// For how long, in seconds, without another HEARTBEAT.
    pub ttl_s: u64,
    /// Another process wanted this address and was refused; where its registration came from (R18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contested: Option<String>,
}

/// LOOKUP_WORKER: the workers of a type, or (`since`) what has changed for all types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The type to serve.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
    /// What the asker knows already.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub since: Option<Since>,
}

/// A point in the history of one run of a name service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The run: random per start of the name service.
    pub epoch: u64,
    /// The last change that is known.
    pub version: u64,
    /// This continues an answer that was `reset` and had `more`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// The answer to LOOKUP_WORKER.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupReply {
    /// The worker to use, the next one at each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `No worker found for type 'reverse'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// NO_WORKER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// As many workers of the type as fit, or the changes since `since`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerEntry>,
    /// How many workers the type has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The run of the name service.
    #[serde(default)]
    pub epoch: u64,
    /// The last change that the answer covers.
    #[serde(default)]
    pub version: u64,
    /// `since` was of another run or too old: these are not changes, the asker starts anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// There are further changes: ask again with `version`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A worker in an answer to LOOKUP_WORKER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// Where it is reached.
    pub address: String,
    /// In an answer to `since`: the types that it serves, or no longer serves (`gone`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TaskType>,
    /// How many tasks it runs at a time.
    pub capacity: u32,
    /// Its process; a plain worker has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// It understands TASKs that come in arrays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// The longest datagram it takes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_datagram: Option<u32>,
    /// It no longer serves these types.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}
