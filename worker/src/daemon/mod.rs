//! The worker as a process: one task for socket and machine, one for each handler that takes its time.

mod address;
mod args;
mod hands;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use taskgrid_protocol::{Instance, TaskType};
use taskgrid_runtime::{Clock, EVENT_QUEUE, List, Names, Pulse, Shutdown, StartError, drive, random};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use args::WorkerArgs;

use crate::handlers::{Bounds, Pool, Registry, Reserved, Room, Serving};
use crate::machine::{Config, Event, Exit, Machine};
use hands::Hands;

/// Processes of one handler at a time. Builds and pipelines have some dozens; a fork bomb has all that there are.
const PROCESSES_MAX: usize = 256;

/// A worker that has its port and its handlers, and takes tasks once it is run.
#[derive(Debug)]
pub struct Worker {
    socket: UdpSocket,
    local: SocketAddr,
    config: Config,
    serving: Serving,
    /// Where handlers may come and go.
    registry: Option<(Registry, Reserved)>,
    names: Names,
}

impl Worker {
    /// Takes the port and looks at the handlers: those that are built in and the files of a directory.
    pub async fn bind(args: WorkerArgs, reserved: Reserved) -> Result<Self, StartError> {
        args.check()?;
        let bounds = Bounds { memory: u64::from(args.handler_memory) * 1024 * 1024, processes: PROCESSES_MAX };
        let room = Room { slots: args.concurrency as usize, idle: args.idle_interpreters() as usize, bounds };
        let registry = Registry::open(args.handlers.as_deref(), &List::concat(&args.types), room)?;
        let serving = registry.serving();
        Self::serving(serving, Some((registry, reserved)), args).await
    }

    /// Takes the port, to serve these handlers, and what becomes of them if there is a registry. The arguments have
    /// been checked.
    pub(crate) async fn serving(
        serving: Serving,
        registry: Option<(Registry, Reserved)>,
        args: WorkerArgs,
    ) -> Result<Self, StartError> {
        let socket = taskgrid_runtime::bind(args.listen)?;
        let local = socket.local_addr().map_err(|error| StartError::unavailable(error.to_string()))?;
        let names = Names::default();
        let nameservices = List::concat(&args.nameservice);
        let address = address::advertised(args.advertise.as_deref(), local, &nameservices, &names).await?;
        let config = Config {
            address,
            types: serving.keys().cloned().collect(),
            concurrency: args.concurrency,
            prefetch: args.prefetch,
            nameservices,
            instance: Instance::generate(&mut random()),
            announce_every: args.heartbeat,
            heartbeat_every: args.lease / 3,
            grace: args.drain_grace,
        };
        Ok(Self { socket, local, config, serving, registry, names })
    }

    /// Where dispatchers reach it.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    #[cfg(test)]
    pub(crate) fn types(&self) -> impl Iterator<Item = &TaskType> {
        self.config.types.iter()
    }

    /// Takes tasks until `shutdown` is requested and what runs has ended (R39), or another worker has taken
    /// its address (R18).
    pub async fn run(self, shutdown: Shutdown, pulse: Pulse) -> Result<(), StartError> {
        let types: Vec<&str> = self.config.types.iter().map(TaskType::as_str).collect();
        let status = format!(
            "worker listening on {}, registered as {}, {} tasks at a time",
            self.local, self.config.address, self.config.concurrency
        );
        tracing::info!("{status}: {}", types.join(", "));
        pulse.status(&status);
        let clock = Clock::new();
        let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
        let (serving, served) = tokio::sync::watch::channel(self.serving);
        // Stopped when this function returns.
        let mut beside = JoinSet::new();
        let pool = self.registry.as_ref().map(|(registry, _)| registry.pool());
        beside.spawn(drain(shutdown, events.clone(), pool.clone()));
        if let Some((registry, reserved)) = self.registry
            && let Some(warden) = registry.warden()
        {
            warden.take_charge(reserved);
            beside.spawn(warden.watch());
            beside.spawn(watch::watch(registry, serving, events.clone()));
        }
        let address = self.config.address.clone();
        let machine = Machine::new(clock.now(), self.config, random());
        let mut hands = Hands::new(served, events, self.names);
        let exit = drive(machine, self.socket, clock, event_queue, pulse, move |effect| hands.perform(effect)).await;
        if let Some(pool) = pool {
            pool.close();
            pool.ended().await;
        }
        match exit.map_err(|error| StartError::unavailable(format!("the socket failed: {error}")))? {
            Exit::Drained => {
                tracing::info!("worker stopped");
                Ok(())
            }
            Exit::AddressInUse(why) => Err(StartError::in_use(format!(
                "cannot stay registered as {address}: {}; check --advertise, or stop one of the two",
                why.escape_debug()
            ))),
        }
    }
}

async fn drain(shutdown: Shutdown, events: mpsc::Sender<Event>, pool: Option<Arc<Pool>>) {
    shutdown.requested().await;
    tracing::info!("worker stopping: it takes nothing new and finishes what runs");
    // Nobody listens any more when the worker has stopped already.
    let _ = events.send(Event::Drain).await;
    if let Some(pool) = pool {
        pool.close();
    }
}
