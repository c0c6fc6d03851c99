//! What an operator may say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use taskgrid_protocol::TaskType;
use taskgrid_protocol::limits::CAPACITY_MAX;
use taskgrid_runtime::{List, StartError, parse_seconds};

/// Tasks at a time for each processor core. Handlers wait for files, for the network and for their results
/// to be stored more than they compute, so one for each core would leave the cores idle; and four of the
/// larger ones still fit into the memory that comes with a core.
const SLOTS_PER_CORE: usize = 4;

/// Mebibytes for a handler file unless the operator says otherwise: enough for most, and a few of them at a time
/// still fit into the memory of a small machine.
const HANDLER_MEMORY: u32 = 1_024;

/// A Python interpreter that does nothing takes about ten.
const HANDLER_MEMORY_MIN: u32 = 32;

/// Interpreters that may wait where few tasks run at a time: one for each file of a small directory, of ten MiB each, so
/// that files in turns do not push each other out.
const IDLE_AT_LEAST: u32 = 8;

/// What an operator may ask for.
const IDLE_MAX: u32 = 2 * CAPACITY_MAX;

/// A shorter lease or heartbeat would be mostly heartbeats.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Flags of `taskgrid worker`.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerArgs {
    /// Where dispatchers reach the worker. Listen on 0.0.0.0:6000 if they are on other machines.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:6000", env = "TASKGRID_LISTEN")]
    pub listen: SocketAddr,

    /// The address to register, if others reach this machine under another one than it has itself, as in a
    /// container [default: the address towards the name service, with the port of --listen].
    #[arg(long, value_name = "HOST:PORT", env = "TASKGRID_ADVERTISE")]
    pub advertise: Option<String>,

    /// The name services; the worker registers at all of them.
    #[arg(long, value_name = "HOST:PORT,…", default_value = "127.0.0.1:5001", env = "TASKGRID_NAMESERVICE")]
    pub nameservice: Vec<List<String>>,

    /// The types of task to take [default: all built-in types and every file in --handlers].
    #[arg(long, value_name = "TYPE,…", env = "TASKGRID_TYPES")]
    pub types: Vec<List<TaskType>>,

    /// How many tasks to run at a time. Lower it for handlers that need much memory or whole cores.
    #[arg(long, value_name = "N", default_value_t = default_concurrency(), env = "TASKGRID_CONCURRENCY")]
    pub concurrency: u32,

    /// How many tasks to take beyond those, so that the next one is here when a handler ends. For many short tasks: one
    /// that waits here for a long one is not given to another worker.
    #[arg(long, value_name = "N", default_value_t = 0, env = "TASKGRID_PREFETCH")]
    pub prefetch: u32,

    /// A directory of handlers: NAME.py with `def handle(payload)`, or executables that read the payload as
    /// JSON and write the result. Each is the type of its name [default: ./worker_types if it exists].
    #[arg(long, value_name = "DIR", env = "TASKGRID_HANDLERS")]
    pub handlers: Option<PathBuf>,

    /// The memory that one handler file may take, with all processes that it starts. What takes more is killed.
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = HANDLER_MEMORY,
        value_parser = clap::value_parser!(u32).range(i64::from(HANDLER_MEMORY_MIN)..),
        env = "TASKGRID_HANDLER_MEMORY"
    )]
    pub handler_memory: u32,

    /// How many Python interpreters to keep for the next tasks of their files while they have none [default: twice
    /// --concurrency, at least 8].
    #[arg(long, value_name = "N", env = "TASKGRID_IDLE_INTERPRETERS")]
    pub idle_interpreters: Option<u32>,

    /// When asked to stop, let running handlers go on for so many seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "25",
        value_parser = parse_seconds,
        env = "TASKGRID_DRAIN_GRACE"
    )]
    pub drain_grace: Duration,

    /// The --lease of the dispatcher. A third of it passes between two signs of life of running tasks.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds, env = "TASKGRID_LEASE")]
    pub lease: Duration,

    /// How often to tell the name services that the worker is there.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds, env = "TASKGRID_HEARTBEAT")]
    pub heartbeat: Duration,
}

impl WorkerArgs {
    /// The defaults, at this address and for this name service.
    pub fn listening_on(listen: SocketAddr, nameservice: String) -> Self {
        Self {
            listen,
            advertise: None,
            nameservice: vec![List::one(nameservice)],
            types: Vec::new(),
            concurrency: default_concurrency(),
            prefetch: 0,
            handlers: None,
            handler_memory: HANDLER_MEMORY,
            idle_interpreters: None,
            drain_grace: Duration::from_secs(25),
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
        }
    }

    /// How many interpreters may wait for tasks.
    pub(crate) fn idle_interpreters(&self) -> u32 {
        self.idle_interpreters.unwrap_or_else(|| (2 * self.concurrency).max(IDLE_AT_LEAST))
    }

    /// Refuses numbers that make no sense.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if !(1..=CAPACITY_MAX).contains(&self.concurrency) {
            return Err(StartError::configuration(format!("--concurrency must be from 1 to {CAPACITY_MAX}")));
        }
        if self.prefetch > CAPACITY_MAX - self.concurrency {
            return Err(StartError::configuration(format!(
                "--concurrency and --prefetch must be at most {CAPACITY_MAX} together"
            )));
        }
        if self.idle_interpreters.is_some_and(|idle| idle > IDLE_MAX) {
            return Err(StartError::configuration(format!("--idle-interpreters must be at most {IDLE_MAX}")));
        }
        if self.lease / 3 < INTERVAL_MIN {
            return Err(StartError::configuration("--lease must be at least 0.3 seconds, and that of the dispatcher"));
        }
        if self.heartbeat < INTERVAL_MIN {
            return Err(StartError::configuration("--heartbeat must be at least 0.1 seconds"));
        }
        Ok(())
    }
}

fn default_concurrency() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores * SLOTS_PER_CORE).unwrap_or(CAPACITY_MAX).min(CAPACITY_MAX)
}
