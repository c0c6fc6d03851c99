//! Loads one of TaskGrid+'s peers with small tasks, works on them, and checks each result.
//!
//! Client and worker are two threads of this process with connections of their own. They share nothing but what
//! `peers::postgresql` says. One JSON document on standard output tells what came of it.

mod ledger;
mod peers;
mod window;

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use peers::Peer;
use window::Window;

type Failure = Box<dyn Error + Send + Sync>;

/// What one side has under way.
type Tasks = JoinSet<Result<(), Failure>>;

#[derive(Clone, Parser)]
struct Load {
    system: System,
    /// Where it listens, on loopback.
    #[arg(long)]
    port: u16,
    /// How many tasks may be submitted and not yet seen with their result.
    #[arg(long, default_value_t = 64)]
    in_flight: u32,
    /// How many tasks share a commit, or a write.
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// How many connections submit. As many work, and as many read results, where the system asks for it.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// For so long new tasks are submitted.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum System {
    Postgresql,
    Beanstalkd,
    Nats,
    /// Background jobs, which gearmand puts into its queue; results come through a second function.
    GearmandBackground,
    /// The client's connection waits for the result.
    GearmandForeground,
}

fn main() -> ExitCode {
    let load = Load::parse();
    let outcome = match load.system {
        System::Postgresql => run(peers::postgresql::Postgresql::new(&load), &load),
        System::Beanstalkd => run(peers::beanstalkd::Beanstalkd::new(&load), &load),
        System::Nats => run(peers::nats::Nats::new(&load), &load),
        System::GearmandBackground => run(peers::gearmand::Background::new(&load), &load),
        System::GearmandForeground => run(peers::gearmand::Foreground::new(&load), &load),
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The worker's side starts first and is ready before the client's clock runs.
fn run<P: Peer>(peer: P, load: &Load) -> Result<serde_json::Value, Failure> {
    block_on(peer.prepare())?;
    let (ready, is_ready) = mpsc::channel();
    let worker = peer.clone();
    thread::spawn(move || {
        // Ends with the process, or ends it when something goes wrong.
        let failure = block_on(async move {
            let mut tasks = Tasks::new();
            if let Err(failure) = worker.work(&mut tasks).await {
                return failure;
            }
            let _ = ready.send(());
            first_failure(&mut tasks).await
        });
        eprintln!("worker: {failure}");
        std::process::exit(1);
    });
    is_ready.recv_timeout(Duration::from_secs(10))?;
    block_on(submit(peer, load))
}

async fn submit<P: Peer>(peer: P, load: &Load) -> Result<serde_json::Value, Failure> {
    let window = Rc::new(Window::new(load.in_flight, Duration::from_secs_f64(load.seconds)));
    let mut tasks = Tasks::new();
    peer.submit(&window, &mut tasks).await?;
    window.open();
    tokio::select! {
        () = window.drained() => {}
        failure = first_failure(&mut tasks) => return Err(failure),
    }
    Ok(window.report())
}

/// Waits for the first task that goes wrong; those that end well are done.
async fn first_failure(tasks: &mut Tasks) -> Failure {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return failure,
            Err(panic) => return panic.into(),
        }
    }
    std::future::pending().await
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a machine that runs servers has room for a runtime"), future)
}
