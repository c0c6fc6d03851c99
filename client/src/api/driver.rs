//! The one task that does the talking.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use taskgrid_protocol::Key;
use taskgrid_protocol::body::PostReply;
use taskgrid_runtime::{Clock, EVENT_QUEUE, Names, Pulse, bind, drive, random, wall_time};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::error::ConnectError;
use super::keys::new_key;
use crate::machine::{Call, CallId, Config, Effect, Event, Machine, Outcome, Request, Silence};

#[derive(Debug)]
pub(super) struct Driver {
    server: String,
    events: mpsc::Sender<Event>,
    callers: Callers,
    next_call: AtomicU64,
    rng: Mutex<ChaCha12Rng>,
    runtime: Handle,
    task: AbortHandle,
}

impl Driver {
    pub(super) fn start(server: &str) -> Result<Self, ConnectError> {
        let socket = socket_towards(server)?;
        let (events, incoming) = mpsc::channel(EVENT_QUEUE);
        let callers = Callers::default();
        let machine = Machine::new(Config { server: server.to_owned() }, random());
        let perform = performer(callers.clone(), events.clone());
        let hang_up = HangUp(callers.clone());
        let task = tokio::spawn(async move {
            let _hang_up = hang_up;
            let Err(error) = drive(machine, socket, Clock::new(), incoming, Pulse::default(), perform).await;
            tracing::error!(%error, "the client's socket failed");
        });
        Ok(Self {
            server: server.to_owned(),
            events,
            callers,
            next_call: AtomicU64::new(0),
            rng: Mutex::new(random()),
            runtime: Handle::current(),
            task: task.abort_handle(),
        })
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn new_key(&self) -> Key {
        new_key(wall_time(), &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands a call to the machine. When its queue is full, this waits.
    pub(super) async fn begin(self: &Arc<Self>, request: Request, patience: Duration, pack: bool) -> Ongoing {
        let id = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        let (stored_sender, stored) = oneshot::channel();
        let (ended_sender, ended) = oneshot::channel();
        self.callers.lock().insert(id, Caller { stored: Some(stored_sender), ended: ended_sender });
        // From here on the call is abandoned when the caller's future is dropped.
        let ongoing = Ongoing { driver: Arc::clone(self), id, stored, ended };
        if self.events.send(Event::Call(Call { id, request, patience, pack })).await.is_err() {
            self.callers.lock().remove(&id);
        }
        ongoing
    }

    /// How many calls are under way.
    #[cfg(test)]
    pub(super) fn calls(&self) -> usize {
        self.callers.lock().len()
    }

    #[cfg(test)]
    pub(super) fn task(&self) -> AbortHandle {
        self.task.clone()
    }

    fn abandon(&self, id: CallId) {
        let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(Event::Abandon(id)) else { return };
        let events = self.events.clone();
        self.runtime.spawn(async move {
            // An error means that the driver is gone, and the call with it.
            let _ = events.send(event).await;
        });
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Those who await the effects of the machine.
#[derive(Clone, Debug, Default)]
struct Callers(Arc<Mutex<BTreeMap<CallId, Caller>>>);

#[derive(Debug)]
struct Caller {
    stored: Option<oneshot::Sender<PostReply>>,
    ended: oneshot::Sender<Outcome>,
}

impl Callers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallId, Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the driver ends, by an error or with its runtime, all who still wait are told.
struct HangUp(Callers);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

fn performer(callers: Callers, events: mpsc::Sender<Event>) -> impl FnMut(Effect) -> ControlFlow<Infallible> {
    let names = Names::default();
    move |effect| {
        // A send fails when the caller has lost interest, which its `Drop` reports.
        match effect {
            Effect::Stored(id, reply) => {
                if let Some(sender) = callers.lock().get_mut(&id).and_then(|caller| caller.stored.take()) {
                    let _ = sender.send(reply);
                }
            }
            Effect::Ended(id, outcome) => {
                if let Some(caller) = callers.lock().remove(&id) {
                    let _ = caller.ended.send(outcome);
                }
            }
            Effect::LookUp(name) => {
                let (names, events) = (names.clone(), events.clone());
                tokio::spawn(async move {
                    let addr = names.look_up(&name).await;
                    let _ = events.send(Event::Resolved { name, addr }).await;
                });
            }
        }
        ControlFlow::Continue(())
    }
}

/// A call under way. Dropping it abandons the call.
#[derive(Debug)]
pub(super) struct Ongoing {
    driver: Arc<Driver>,
    id: CallId,
    stored: oneshot::Receiver<PostReply>,
    ended: oneshot::Receiver<Outcome>,
}

impl Ongoing {
    /// That the task is stored, or the outcome if that comes first.
    pub(super) async fn stored(&mut self) -> Result<PostReply, Outcome> {
        tokio::select! {
            biased;
            Ok(reply) = &mut self.stored => Ok(reply),
            outcome = &mut self.ended => Err(known(outcome)),
        }
    }

    pub(super) async fn ended(&mut self) -> Outcome {
        known((&mut self.ended).await)
    }
}

fn known(outcome: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    outcome.unwrap_or(Outcome::Unknown(Silence::NoAnswer))
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if self.driver.callers.lock().remove(&self.id).is_some() {
            self.driver.abandon(self.id);
        }
    }
}

/// A socket that reaches the server at `HOST:PORT`.
pub(crate) fn socket_towards(server: &str) -> Result<UdpSocket, ConnectError> {
    check_address(server)?;
    let any = match server.parse::<SocketAddr>() {
        Ok(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        // A look-up prefers IPv4 too.
        Ok(SocketAddr::V4(_)) | Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    bind((any, 0).into()).map_err(|error| ConnectError(error.to_string()))
}

/// `HOST:PORT`, as far as that can be told without a look-up.
fn check_address(server: &str) -> Result<(), ConnectError> {
    let is_address = server.parse::<SocketAddr>().is_ok_and(|addr| addr.port() != 0);
    let is_name = server.rsplit_once(':').is_some_and(|(host, port)| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !host.is_empty() && host.bytes().all(legal) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if is_address || is_name {
        return Ok(());
    }
    Err(ConnectError(format!(
        "'{}' is not an address; write HOST:PORT, such as 127.0.0.1:4000 or [::1]:4000",
        server.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_sent() {
        for good in ["127.0.0.1:4000", "[::1]:4000", "dispatcher:4000", "a.b-c.example:1"] {
            assert_eq!(check_address(good), Ok(()));
        }
        for bad in [
            "",
            "4000",
            "dispatcher",
            "dispatcher:",
            ":4000",
            "host:0",
            "host:70000",
            "a b:1",
            "::1:4000",
            "x\u{1b}[2J:1",
        ] {
            let error = check_address(bad).unwrap_err().to_string();
            assert!(error.contains("write HOST:PORT") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
