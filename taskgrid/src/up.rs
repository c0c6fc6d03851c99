//! `taskgrid up`: name service, dispatcher and worker in one process. They talk over loopback UDP as always.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::JoinHandle;

use taskgrid_dispatcher::{Dispatcher, DispatcherArgs, RetentionArgs};
use taskgrid_nameservice::{NameService, NameServiceArgs};
use taskgrid_runtime::{Exit, Shutdown, StartError, Supervisor, Trigger};
use taskgrid_worker::{Reserved, Worker, WorkerArgs};
use tokio::sync::{mpsc, oneshot};

use crate::begin;

/// Where the client's verbs ask unless they are told.
const DEFAULT_DISPATCHER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);

/// Flags of `taskgrid up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// The SQLite file that holds the tasks; made if it is not there.
    #[arg(long, value_name = "FILE", default_value = "taskgrid.db", env = "TASKGRID_DATABASE")]
    database: PathBuf,

    /// A directory of handlers: each file in it is a type of task [default: ./worker_types if it exists].
    #[arg(long, value_name = "DIR", env = "TASKGRID_HANDLERS")]
    handlers: Option<PathBuf>,

    /// How many tasks to run at a time [default: see taskgrid worker --help].
    #[arg(long, value_name = "N", env = "TASKGRID_CONCURRENCY")]
    concurrency: Option<u32>,

    /// How many tasks to take beyond those [see taskgrid worker --help].
    #[arg(long, value_name = "N", default_value_t = 0, env = "TASKGRID_PREFETCH")]
    prefetch: u32,

    /// How many Python interpreters to keep while they have no task [default: see taskgrid worker --help].
    #[arg(long, value_name = "N", env = "TASKGRID_IDLE_INTERPRETERS")]
    idle_interpreters: Option<u32>,

    #[command(flatten)]
    retention: RetentionArgs,

    /// Where clients reach the dispatcher.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4000")]
    dispatcher_listen: SocketAddr,

    /// Where further workers register.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5001")]
    nameservice_listen: SocketAddr,

    /// Where the worker is reached.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:6000")]
    worker_listen: SocketAddr,
}

/// Runs all three until Ctrl-C, SIGTERM, or the end of one of them.
pub(crate) async fn run(args: UpArgs, reserved: Reserved) -> Result<(), StartError> {
    let (supervisor, shutdown) = begin("warn")?;
    let (ended, mut any_ended) = mpsc::channel(3);
    let mut parts = Vec::new();
    let started = start_all(&args, reserved, &supervisor, &ended, &mut parts).await;
    let mut outcome = match started {
        Ok(dispatcher) => {
            greet(&args, dispatcher);
            tokio::select! {
                () = shutdown.requested() => {}
                _ = any_ended.recv() => {}
            }
            Ok(())
        }
        Err(error) => Err(error),
    };
    // The worker first: what it has finished is still stored.
    while let Some(part) = parts.pop() {
        let stopped = part.stop().await;
        outcome = outcome.and(stopped);
    }
    outcome
}

async fn start_all(
    args: &UpArgs,
    reserved: Reserved,
    supervisor: &Supervisor,
    ended: &mpsc::Sender<()>,
    parts: &mut Vec<Part>,
) -> Result<SocketAddr, StartError> {
    // Before any of them beats: it is ready when all are.
    let [of_nameservice, of_dispatcher, of_worker] = std::array::from_fn(|_| supervisor.pulse());
    let nameservice = NameServiceArgs::listening_on(args.nameservice_listen);
    let nameservice = Part::start(parts, ended, "name service", async move |shutdown, ready| {
        let part = NameService::bind(nameservice).await?;
        ready.send(part.local_addr()).ok();
        part.run(shutdown, of_nameservice).await
    })
    .await?;
    let nameservice = from_inside(nameservice);
    let dispatcher = DispatcherArgs {
        database: args.database.clone(),
        retention: args.retention,
        ..DispatcherArgs::listening_on(args.dispatcher_listen, nameservice.to_string())
    };
    let dispatcher = Part::start(parts, ended, "dispatcher", async move |shutdown, ready| {
        let part = Dispatcher::bind(dispatcher).await?;
        ready.send(part.local_addr()).ok();
        part.run(shutdown, of_dispatcher).await
    })
    .await?;
    let defaults = WorkerArgs::listening_on(args.worker_listen, nameservice.to_string());
    let worker = WorkerArgs {
        handlers: args.handlers.clone(),
        concurrency: args.concurrency.unwrap_or(defaults.concurrency),
        prefetch: args.prefetch,
        idle_interpreters: args.idle_interpreters,
        ..defaults
    };
    Part::start(parts, ended, "worker", async move |shutdown, ready| {
        let part = Worker::bind(worker, reserved).await?;
        ready.send(part.local_addr()).ok();
        part.run(shutdown, of_worker).await
    })
    .await?;
    Ok(dispatcher)
}

/// How the others reach a part that listens at `addr`: one that listens everywhere cannot be sent to there.
fn from_inside(addr: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    if addr.ip().is_unspecified() { SocketAddr::new(loopback, addr.port()) } else { addr }
}

/// One of the three, on a thread of its own.
struct Part {
    name: &'static str,
    trigger: Trigger,
    thread: JoinHandle<Result<(), StartError>>,
}

impl Part {
    /// Starts it and waits until it has its port.
    async fn start<S>(
        parts: &mut Vec<Self>,
        ended: &mpsc::Sender<()>,
        name: &'static str,
        serve: S,
    ) -> Result<SocketAddr, StartError>
    where
        S: AsyncFnOnce(Shutdown, oneshot::Sender<SocketAddr>) -> Result<(), StartError> + Send + 'static,
    {
        let (trigger, shutdown) = Trigger::new();
        let (ready, is_ready) = oneshot::channel();
        let ended = ended.clone();
        let failed = move |error: io::Error| StartError::unavailable(format!("cannot start the {name}: {error}"));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let outcome = runtime.block_on(serve(shutdown, ready));
            runtime.shutdown_background();
            // Nobody listens when the others are being stopped already.
            let _ = ended.try_send(());
            outcome
        });
        let part = Self { name, trigger, thread: thread.map_err(failed)? };
        match is_ready.await {
            Ok(addr) => {
                parts.push(part);
                Ok(addr)
            }
            // It dropped the sender, so it has ended, and says why.
            Err(_) => Err(part.stop().await.err().unwrap_or_else(|| stopped(name))),
        }
    }

    async fn stop(self) -> Result<(), StartError> {
        self.trigger.pull();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(outcome)) => outcome,
            _ => Err(stopped(self.name)),
        }
    }
}

fn stopped(name: &str) -> StartError {
    StartError::new(Exit::Disk, format!("the {name} stopped unexpectedly"))
}

/// Prints how to go on. A thread of its own waits for standard output, which may be a pipe that nobody empties.
fn greet(args: &UpArgs, dispatcher: SocketAddr) {
    let elsewhere =
        if dispatcher == DEFAULT_DISPATCHER { String::new() } else { format!(" --dispatcher {dispatcher}") };
    let database = args.database.display();
    let greeting = format!(
        "TaskGrid is up: dispatcher on {dispatcher}, tasks in {database}\n\
         In a second terminal:\n  \
         taskgrid submit reverse OpenAI --wait{elsewhere}\n  \
         sqlite3 -readonly {database} 'select id,type,status,result from tasks'\n\
         Ctrl-C stops it; pending tasks stay in the file.\n"
    );
    // Without the thread, or without a reader, the grid is up all the same.
    let _ = std::thread::Builder::new().name("greeting".to_owned()).spawn(move || {
        let _ = io::stdout().write_all(greeting.as_bytes());
    });
}
