//! `taskgrid`: the daemons and the client's verbs in one program.

mod backup;
mod completions;
#[cfg(test)]
mod documentation;
mod man;
mod up;

use std::process::ExitCode;

use backup::BackupArgs;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use completions::CompletionsArgs;
use man::ManArgs;
use taskgrid_dispatcher::{Dispatcher, DispatcherArgs};
use taskgrid_nameservice::{NameService, NameServiceArgs};
use taskgrid_runtime::{
    Shutdown, StartError, Supervisor, flush_log, init_log, on_signal, outlive_file_size_limit, say,
    without_empty_variables,
};
use taskgrid_worker::{Reserved, Worker, WorkerArgs};
use up::UpArgs;

/// Messages come and go by the hundred thousand, and a batch is made by one thread and dropped by another. Measured beside
/// glibc's allocator: a fifth less work for workers and clients, an eighth less for the dispatcher's socket thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A durable task queue in one program: tasks in an SQLite table, JSON over UDP, no broker.
#[derive(Debug, Parser)]
#[command(name = "taskgrid", version = env!("TASKGRID_VERSION"), propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it:
  taskgrid up                              start everything on this machine
  taskgrid submit reverse OpenAI --wait    in a second terminal: prints IAnepO
  taskgrid list                            what has become of your tasks";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine, in one process
    Up(UpArgs),
    /// Start a dispatcher: it keeps the tasks and hands them to workers
    Dispatcher(DispatcherArgs),
    /// Start a name service: it knows which workers serve which type of task
    Nameservice(NameServiceArgs),
    /// Start a worker: it runs tasks
    Worker(WorkerArgs),
    /// Copy the database, also while the dispatcher runs
    Backup(BackupArgs),
    #[command(flatten)]
    Client(taskgrid_client::cli::Command),
    /// Print what a shell needs to complete verbs and flags
    Completions(CompletionsArgs),
    /// Write the pages of the manual
    Man(ManArgs),
}

/// The verb by which a worker starts this program once more, to end its handlers if it is killed. It is not for people,
/// so neither help nor manual nor completions have it.
const GUARD: &str = "guard-handlers";

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == GUARD) {
        taskgrid_worker::guard();
        return ExitCode::SUCCESS;
    }
    let command = command();
    // Before anything else opens a file.
    let reserved = Reserved::take(GUARD);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&StartError::unavailable(format!("cannot start: {error}"))),
    };
    let code = runtime.block_on(run(command, reserved));
    // A name that is still being looked up must not hold back the end.
    runtime.shutdown_background();
    flush_log();
    code
}

/// What was asked for. Ends the program itself for `--help` and mistakes.
fn command() -> Command {
    let matches = without_empty_variables(Cli::command()).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command
}

async fn run(command: Command, reserved: Reserved) -> ExitCode {
    if let Err(error) = outlive_file_size_limit() {
        return fail(&no_signals(error));
    }
    let outcome = match command {
        Command::Client(verb) => return verb.run().await,
        Command::Up(args) => up::run(args, reserved).await,
        Command::Dispatcher(args) => dispatcher(args).await,
        Command::Nameservice(args) => nameservice(args).await,
        Command::Worker(args) => worker(args, reserved).await,
        Command::Completions(args) => completions::print(&args, Cli::command()),
        Command::Man(args) => man::write(&args, Cli::command()),
        Command::Backup(args) => backup::run(args),
    };
    outcome.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

async fn dispatcher(args: DispatcherArgs) -> Result<(), StartError> {
    let (supervisor, shutdown) = begin("info")?;
    Dispatcher::bind(args).await?.run(shutdown, supervisor.pulse()).await
}

async fn nameservice(args: NameServiceArgs) -> Result<(), StartError> {
    let (supervisor, shutdown) = begin("info")?;
    NameService::bind(args).await?.run(shutdown, supervisor.pulse()).await
}

async fn worker(args: WorkerArgs, reserved: Reserved) -> Result<(), StartError> {
    let (supervisor, shutdown) = begin("info")?;
    Worker::bind(args, reserved).await?.run(shutdown, supervisor.pulse()).await
}

/// What all daemons begin with: the log, at this level, the supervisor, and the wish to stop.
fn begin(level: &str) -> Result<(Supervisor, Shutdown), StartError> {
    init_log(level);
    let supervisor = Supervisor::of_process();
    let shutdown = on_signal(&supervisor).map_err(no_signals)?;
    Ok((supervisor, shutdown))
}

fn no_signals(error: std::io::Error) -> StartError {
    StartError::unavailable(format!("cannot listen for signals: {error}"))
}

/// Says what went wrong, and exits with the code that belongs to it.
fn fail(error: &StartError) -> ExitCode {
    say(&format!("taskgrid: {error}"));
    ExitCode::from(error.exit as u8)
}
