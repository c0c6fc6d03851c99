//! The dispatcher as a process: one task for socket and machine, one thread that commits, one that reads.

mod args;
mod checker;
mod committer;
mod copier;
mod lock;
mod reader;
mod space;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use taskgrid_protocol::FileId;
use taskgrid_runtime::{Clock, EVENT_QUEUE, Exit, Names, Pulse, Shutdown, StartError, drive, wall_time};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

pub use args::{DispatcherArgs, Kept, RetentionArgs};

use crate::machine::{Config, Effect, Event, Machine};
use crate::store::{Batch, Looked, Query, SqliteStore, Store, StoreError, look_at};
use lock::DatabaseLock;

/// A dispatcher that has its port and its database, and serves once it is run.
#[derive(Debug)]
pub struct Dispatcher {
    socket: UdpSocket,
    local: SocketAddr,
    config: Config,
    database: PathBuf,
    store: SqliteStore,
    /// Too large to be checked before the start: it is checked beside the work.
    unchecked: bool,
    lock: DatabaseLock,
}

impl Dispatcher {
    /// Takes port and database. The database is looked at before anything is written to it: a file that is
    /// refused stays as it was (R32).
    pub async fn bind(args: DispatcherArgs) -> Result<Self, StartError> {
        let config = args.config()?;
        let mut lock = DatabaseLock::take(&args.database)?;
        let is_suspect = lock.is_suspect();
        let looked = look_at(&args.database, is_suspect)?;
        let socket = taskgrid_runtime::bind(args.listen)?;
        let local = socket.local_addr().map_err(|error| StartError::unavailable(error.to_string()))?;
        space::make_room(&args.database);
        let store = SqliteStore::connect(&args.database).inspect_err(|error| {
            if error.exit == Exit::Disk {
                lock.suspect();
            }
        })?;
        if is_suspect {
            store.begin_new_log().map_err(|error| stopped_by(&args.database, &error))?;
        }
        lock.trust();
        Ok(Self { socket, local, config, database: args.database, store, unchecked: looked == Looked::Unchecked, lock })
    }

    /// Where clients and workers reach it.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` is requested or the disk fails.
    pub async fn run(mut self, shutdown: Shutdown, pulse: Pulse) -> Result<(), StartError> {
        let mut rng = taskgrid_runtime::random();
        let opened = self.store.open(wall_time(), FileId::generate(&mut rng)).map_err(|error| {
            if matches!(error, StoreError::Unavailable(_) | StoreError::Corrupt(_)) {
                self.lock.suspect();
            }
            stopped_by(&self.database, &error)
        })?;
        let status = format!("dispatcher listening on {}, database {}", self.local, self.database.display());
        let (running, pending) = (opened.running.len(), opened.pending_types.len());
        tracing::info!("{status}: {running} running, {pending} types with pending tasks");
        pulse.status(&status);
        let clock = Clock::new();
        let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
        let (failed, failure) = oneshot::channel();
        let (damaged, damage) = oneshot::channel();
        let threads = |error: std::io::Error| StartError::unavailable(format!("cannot start a thread: {error}"));
        let full = space::spawn(&self.database, self.config.min_free, clock, events.clone()).map_err(threads)?;
        let (batches, committer) =
            committer::spawn(self.store.clone(), clock, events.clone(), full, failed).map_err(threads)?;
        let reads = reader::spawn(self.store.clone(), events.clone()).map_err(threads)?;
        if self.unchecked {
            checker::spawn(self.store.clone(), damaged).map_err(threads)?;
        }
        let drain = events.clone();
        tokio::spawn(async move {
            shutdown.requested().await;
            // Nobody listens any more when the dispatcher has stopped already.
            let _ = drain.send(Event::Drain).await;
        });
        let machine = Machine::new(clock.now(), self.config, opened, rng);
        let hands = Hands { batches, reads, events, names: Names::default() };
        tokio::select! {
            served = drive(machine, self.socket, clock, event_queue, pulse, move |effect| hands.perform(effect)) => {
                served.map_err(|error| StartError::unavailable(format!("the socket failed: {error}")))?;
            }
            Ok(error) = failure => {
                self.lock.suspect();
                return Err(stopped_by(&self.database, &error));
            }
            Ok(error) = damage => {
                self.lock.suspect();
                return Err(stopped_by(&self.database, &error));
            }
        }
        // The committer makes its last checkpoint.
        if committer.join().is_err() {
            return Err(StartError::new(Exit::Disk, "the committer stopped unexpectedly"));
        }
        tracing::info!("dispatcher stopped");
        Ok(())
    }
}

/// Does what the machine asks for.
struct Hands {
    batches: SyncSender<Box<Batch>>,
    reads: SyncSender<(u64, Query)>,
    events: mpsc::Sender<Event>,
    names: Names,
}

impl Hands {
    fn perform(&self, effect: Effect) -> ControlFlow<()> {
        match effect {
            // A thread that is gone has reported why; the select in `run` sees it.
            Effect::Commit(batch) => drop(self.batches.send(batch)),
            Effect::Read { ticket, query } => drop(self.reads.send((ticket, query))),
            Effect::Resolve(name) => {
                let (names, events) = (self.names.clone(), self.events.clone());
                tokio::spawn(async move {
                    let addr = names.look_up(&name).await;
                    // Nobody listens any more when the dispatcher has stopped already.
                    let _ = events.send(Event::Resolved { name, addr }).await;
                });
            }
            Effect::Exit => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

fn stopped_by(database: &Path, error: &StoreError) -> StartError {
    let (exit, remedy) = match error {
        StoreError::Corrupt(_) => (Exit::Corrupt, "start again to see what is damaged"),
        StoreError::Busy(_) => (Exit::InUse, "stop the program that holds the lock"),
        StoreError::Full(_) => (Exit::Disk, "make space and start again"),
        StoreError::Unavailable(_) | StoreError::TooSlow(_) => {
            (Exit::Disk, "look at the disk, then start again: the file is checked then")
        }
    };
    StartError::new(exit, format!("stopped because of the database {}: {error}; {remedy}", database.display()))
}
