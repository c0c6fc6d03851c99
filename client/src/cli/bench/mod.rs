//! `taskgrid bench`: a load, on a grid of its own or on one that runs, and what it costs whom.

mod args;
mod document;
mod generator;
mod grid;
mod guard;
mod measure;
mod plan;
mod preload;
mod report;
mod run;
mod server;
mod tally;
mod tasks;
mod warm_up;

use std::time::Duration;

use taskgrid_runtime::StartError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::session::Session;
use super::text::escape_line;
use super::{Console, Done, Exit};
pub use args::BenchArgs;
use document::{Document, Preloaded};
use grid::Grid;
use measure::Probe;
use run::{Bar, run};
use warm_up::warm_up;

/// How long statistics may take at the end: they are no more than a line of the report.
const STATS_PATIENCE: Duration = Duration::from_secs(2);

impl BenchArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut interrupts = Interrupts::listen().map_err(|error| failed(console, &error))?;
        let Some(server) = &self.dispatcher else { return self.run_on_own_grid(console, interrupts).await };
        tokio::select! {
            done = self.run_on(server, console) => done,
            () = interrupts.next() => Err(interrupted(console)),
        }
    }

    /// On a grid that runs already.
    async fn run_on(&self, server: &str, console: &mut Console) -> Done {
        let preloaded = self.submit_before(server, console).await?;
        self.measure(server, &Probe::of_ourselves(), preloaded, console).await
    }

    /// Whatever happens, nothing of the grid is left behind.
    async fn run_on_own_grid(&self, console: &mut Console, mut interrupts: Interrupts) -> Done {
        let made = Grid::new(&self.directory(), self.concurrency());
        let mut grid = made.map_err(|error| failed(console, &error))?;
        let done = tokio::select! {
            done = self.start_and_run(&mut grid, console) => done,
            () = interrupts.next() => Err(interrupted(console)),
        };
        grid.end().await;
        done
    }

    async fn start_and_run(&self, grid: &mut Grid, console: &mut Console) -> Done {
        if grid.is_in_memory() {
            let directory = self.directory();
            let directory = escape_line(&directory.to_string_lossy()).into_owned();
            console.tell(&format!("{directory} is in memory, where syncs cost nothing: name a disk with --directory."));
        }
        let server = grid.start().await.map_err(|error| failed(console, &error))?;
        let preloaded = grid.watch(self.submit_before(&server, console)).await;
        let mut preloaded = preloaded.map_err(|error| failed(console, &error))??;
        if let Some(preloaded) = &mut preloaded {
            let took = grid.restart_dispatcher().await.map_err(|error| failed(console, &error))?;
            preloaded.first_answer_ms = Some(took.as_secs_f64() * 1_000.0);
        }
        let measured = grid.watch(self.measure(&server, &grid.probe(), preloaded, console)).await;
        measured.unwrap_or_else(|error| Err(failed(console, &error)))
    }

    /// What is to be in the table before.
    async fn submit_before(&self, server: &str, console: &mut Console) -> Result<Option<Preloaded>, Exit> {
        let Some(preload) = self.preload else { return Ok(None) };
        self.find(server, console).await?;
        let bar = Bar::of(console, preload.amount());
        let submitted = preload.submit(server, &self.task_type, self.deadline, bar).await;
        let (preloaded, problem) = submitted.map_err(|error| failed(console, &error))?;
        match problem {
            None => Ok(Some(preloaded)),
            Some(problem) => {
                console.tell(&format!("The preload failed: {}", escape_line(&problem)));
                Err(Exit::TaskFailed)
            }
        }
    }

    /// Whether anybody is there.
    async fn find(&self, server: &str, console: &mut Console) -> Done {
        let mut session = Session::open_at(server, self.deadline, self.output, console).await?;
        let client = session.client.clone();
        session.ask(client.ping()).await.map(drop)
    }

    async fn measure(&self, server: &str, probe: &Probe, preloaded: Option<Preloaded>, console: &mut Console) -> Done {
        let plan = self.plan();
        if plan.wait {
            let mut session = Session::open_at(server, self.deadline, self.output, console).await?;
            warm_up(&mut session, &plan).await?;
        } else {
            self.find(server, console).await?;
        }
        let bar = Bar::of(console, plan.amount);
        let ran = run(server, plan.clone(), probe, bar).await.map_err(|error| failed(console, &error))?;
        let longest_checkpoint = self.longest_checkpoint(server, console).await?;
        let document = Document::new(&plan, &ran, longest_checkpoint, preloaded);
        if self.output.wants_json() {
            console.print_json(&document);
        } else {
            report::print(console, &document, plan.wait);
        }
        if ran.tally.is_perfect() {
            return Ok(());
        }
        report::tell_problem(console, &document, ran.tally.problem.as_deref());
        Err(Exit::TaskFailed)
    }

    async fn longest_checkpoint(&self, server: &str, console: &mut Console) -> Result<Option<u64>, Exit> {
        let patience = self.deadline.min(STATS_PATIENCE);
        let session = Session::open_at(server, patience, self.output, console).await?;
        Ok(session.client.stats().await.ok().and_then(|stats| stats.checkpoint_max_ms))
    }
}

fn failed(console: &mut Console, error: &StartError) -> Exit {
    // Of logs only the lines are kept.
    let text: Vec<String> = error.to_string().lines().map(|line| escape_line(line).into_owned()).collect();
    console.tell(&text.join("\n"));
    if error.exit == taskgrid_runtime::Exit::Configuration { Exit::Usage } else { Exit::Unavailable }
}

fn interrupted(console: &mut Console) -> Exit {
    console.tell("Interrupted.");
    Exit::Interrupted
}

/// Whoever wants us to stop: Ctrl-C, a supervisor, a terminal that is closed.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn listen() -> Result<Self, StartError> {
        let listen =
            |kind| signal(kind).map_err(|error| StartError::unavailable(format!("cannot listen for signals: {error}")));
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
