//! Mistakes of a dispatcher.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_client::Status;
use taskgrid_dispatcher::machine::{Effect, Event};
use taskgrid_dispatcher::store::{Answer, Batch, Query, Running};
use taskgrid_protocol::body::{PostReply, Stored, TaskObject};
use taskgrid_protocol::{
    Beside, Body, ErrorCode, ErrorReply, Lease, Message, Node, TaskId, Timestamp, Transmit, WallTime,
};

use super::{DispatcherNode, SharedDisk};

/// TASK leaves with the claim.
pub(super) struct SendsEarly {
    inner: DispatcherNode,
    disk: SharedDisk,
    transmits: VecDeque<Transmit>,
}

impl SendsEarly {
    pub(super) fn new(inner: DispatcherNode, disk: SharedDisk) -> Self {
        Self { inner, disk, transmits: VecDeque::new() }
    }

    /// What the claims of a batch will hand out, as a copy of the table tells.
    fn foresee(&mut self, batch: &Batch) {
        let Some(mut model) = self.disk.borrow().model() else { return };
        let latest = WallTime::from_millis(i64::MAX / 4);
        let Ok(outcomes) = taskgrid_dispatcher::store::Store::apply(&mut model, latest, batch) else { return };
        for (_, running) in outcomes.claims.into_iter().flat_map(|claimed| claimed.tasks) {
            self.transmits.extend(task(&running));
        }
    }
}

wraps! {
    SendsEarly {
        fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
            let effect = self.inner.poll_effect(now);
            if let Some(Effect::Commit(batch)) = &effect {
                self.foresee(batch);
            }
            effect
        }

        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.transmits.pop_front().or_else(|| self.inner.poll_transmit())
        }
    }
    datagram, event, timeout, wake
}

fn task(running: &Running) -> Option<Transmit> {
    let to = running.worker.parse().ok()?;
    let beside = Beside {
        lease: running.lease.clone(),
        attempt: Some(running.attempt),
        timeout_s: Some(running.timeout_s),
        ..Beside::default()
    };
    let task = TaskObject {
        id: running.id,
        task_type: running.task_type.clone(),
        payload: running.payload.clone(),
        result: None,
        status: Status::Running,
        timestamp_created: running.created,
        timestamp_completed: None,
        assigned_worker: Some(running.worker.to_string()),
    };
    Some(Message::new(beside, Body::Task(task)).transmit(to, false))
}

/// A heartbeat under any lease of a task renews the current one.
pub(super) struct Renews {
    pub(super) inner: DispatcherNode,
    pub(super) disk: SharedDisk,
}

impl Renews {
    fn current(&self, task: TaskId) -> Option<Lease> {
        match self.disk.borrow().read(&Query::Task(task)) {
            Ok(Answer::Task(Some(found))) if found.0.status == Status::Running => found.0.lease,
            _ => None,
        }
    }
}

wraps! {
    Renews {
        fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, mut message: Message) {
            if let Body::TaskHeartbeat(heartbeat) = &mut message.body {
                for beat in &mut heartbeat.leases {
                    if let Some(current) = self.current(beat.task_id) {
                        beat.lease = current;
                    }
                }
            }
            self.inner.handle_datagram(now, from, message);
        }
    }
    event, timeout, transmit, effect, wake
}

/// Looks whether the task has ended, and enters the waiter a moment later.
pub(super) struct WaitsLate {
    inner: DispatcherNode,
    disk: SharedDisk,
    held: VecDeque<(Timestamp, SocketAddr, TaskId, Message)>,
}

/// Between the look and the entry.
const MOMENT: Duration = Duration::from_millis(20);

impl WaitsLate {
    pub(super) fn new(inner: DispatcherNode, disk: SharedDisk) -> Self {
        Self { inner, disk, held: VecDeque::new() }
    }

    fn has_ended(&self, task: TaskId) -> bool {
        let answer = self.disk.borrow().read(&Query::Result(task));
        matches!(answer, Ok(Answer::Result(Some(ended))) if ended.status.is_ended())
    }
}

wraps! {
    WaitsLate {
        fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
            match &message.body {
                Body::GetResult(get) if get.wait_s.is_some() && !self.has_ended(get.task_id) => {
                    self.held.push_back((now + MOMENT, from, get.task_id, message));
                }
                _ => self.inner.handle_datagram(now, from, message),
            }
        }

        fn handle_timeout(&mut self, now: Timestamp) {
            while self.held.front().is_some_and(|(at, ..)| *at <= now) {
                let Some((_, from, task, message)) = self.held.pop_front() else { break };
                // The end has come in the meantime: this waiter is told of the next one, which never comes.
                if !self.has_ended(task) {
                    self.inner.handle_datagram(now, from, message);
                }
            }
            self.inner.handle_timeout(now);
        }

        fn poll_timeout(&self) -> Option<Timestamp> {
            self.held.front().map(|(at, ..)| *at).into_iter().chain(self.inner.poll_timeout()).min()
        }
    }
    event, transmit, effect
}

/// The first answer of DNS is the only one.
pub(super) struct Remembers {
    inner: DispatcherNode,
    names: BTreeMap<String, SocketAddr>,
}

impl Remembers {
    pub(super) fn new(inner: DispatcherNode) -> Self {
        Self { inner, names: BTreeMap::new() }
    }
}

wraps! {
    Remembers {
        fn handle_event(&mut self, now: Timestamp, event: Event) {
            if let Event::Resolved { name, addr: Some(addr) } = &event {
                self.names.insert(name.clone(), *addr);
            }
            self.inner.handle_event(now, event);
        }

        fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
            loop {
                match self.inner.poll_effect(now) {
                    Some(Effect::Resolve(name)) if self.names.contains_key(&name) => {
                        let addr = self.names.get(&name).copied();
                        self.inner.handle_event(now, Event::Resolved { name, addr });
                    }
                    effect => return effect,
                }
            }
        }
    }
    datagram, timeout, transmit, wake
}

/// "Result stored" leaves when the result has come.
pub(super) struct AnswersEarly {
    inner: DispatcherNode,
    transmits: VecDeque<Transmit>,
}

impl AnswersEarly {
    pub(super) fn new(inner: DispatcherNode) -> Self {
        Self { inner, transmits: VecDeque::new() }
    }
}

wraps! {
    AnswersEarly {
        fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
            if let Body::ResultReturn(_) = message.body {
                let stored = Stored { message: "Result stored".to_owned(), duplicate: false };
                self.transmits.extend(message.reply_to(from).answer(&stored));
            }
            self.inner.handle_datagram(now, from, message);
        }

        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.transmits.pop_front().or_else(|| self.inner.poll_transmit())
        }
    }
    event, timeout, effect, wake
}

/// Some submissions are stored and answered as if they were not.
pub(super) struct Refuses {
    inner: DispatcherNode,
    count: u32,
}

impl Refuses {
    pub(super) fn new(inner: DispatcherNode) -> Self {
        Self { inner, count: 0 }
    }
}

wraps! {
    Refuses {
        fn poll_transmit(&mut self) -> Option<Transmit> {
            let transmit = self.inner.poll_transmit()?;
            let value: serde_json::Value = serde_json::from_slice(&transmit.bytes).ok()?;
            let id = value["id"].as_u64();
            if let (Some(id), Ok(reply)) = (id, serde_json::from_value::<PostReply>(value["data"].clone()))
                && reply.message.starts_with("Task received")
            {
                self.count += 1;
                if self.count.is_multiple_of(7) {
                    let refusal = ErrorReply::new(ErrorCode::BadRequest, "nothing was stored");
                    let data = serde_json::json!({ "type": "RESPONSE", "id": id, "data": refusal });
                    return Some(Transmit { bytes: data.to_string().into_bytes(), ..transmit });
                }
            }
            Some(transmit)
        }
    }
    datagram, event, timeout, effect, wake
}
