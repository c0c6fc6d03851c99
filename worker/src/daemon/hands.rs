//! Does what the machine asks for: runs handlers, looks names up, tells the operator.

use std::collections::BTreeMap;
use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::CAPACITY_MAX;
use taskgrid_runtime::Names;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

use crate::handlers::{Handler, Run, Running, Serving};
use crate::machine::{Effect, Event, Exit, Note, Outcome, RunKey, Task};

/// A handler may tell its progress as often as it likes. This often is it passed on.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Dropping it stops all handlers.
pub(super) struct Hands {
    serving: watch::Receiver<Serving>,
    events: mpsc::Sender<Event>,
    names: Names,
    tasks: JoinSet<()>,
    /// How to stop what runs. Those that have ended are swept out from time to time.
    stops: BTreeMap<RunKey, watch::Sender<bool>>,
}

impl Hands {
    pub(super) fn new(serving: watch::Receiver<Serving>, events: mpsc::Sender<Event>, names: Names) -> Self {
        Self { serving, events, names, tasks: JoinSet::new(), stops: BTreeMap::new() }
    }

    pub(super) fn perform(&mut self, effect: Effect) -> ControlFlow<Exit> {
        match effect {
            Effect::Run(run, task) => self.run(run, task),
            Effect::Stop(run) => {
                if let Some(stop) = self.stops.remove(&run) {
                    // It may have ended just now.
                    let _ = stop.send(true);
                }
            }
            Effect::Resolve(name) => {
                let (names, events) = (self.names.clone(), self.events.clone());
                self.spawn(async move {
                    let addr = names.look_up(&name).await;
                    report(&events, Event::Resolved { name, addr }).await;
                });
            }
            Effect::Note(note) => tell(&note),
            Effect::Exit(exit) => return ControlFlow::Break(exit),
        }
        ControlFlow::Continue(())
    }

    fn run(&mut self, run: RunKey, task: Task) {
        let handler = self.serving.borrow().get(&task.task_type).cloned();
        let outcome = match handler {
            Some(Handler::Long(handler)) => {
                let (given, line) = Run::new(task);
                self.remember(run, line.stop);
                let (running, events) = (handler.run(given), self.events.clone());
                self.spawn(async move {
                    let outcome = listen(run, running, line.progress, &events).await;
                    report(&events, Event::Ended(run, outcome)).await;
                });
                return;
            }
            Some(Handler::Quick(handler)) => handler(&task.payload),
            // Its file was taken away a moment ago.
            None => Err(Failure::passing(task_code::UNKNOWN_TYPE, "the handler of this type is gone")),
        };
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(Event::Ended(run, outcome)) {
            let events = self.events.clone();
            self.spawn(async move { report(&events, event).await });
        }
    }

    fn remember(&mut self, run: RunKey, stop: watch::Sender<bool>) {
        // The machine has at most `CAPACITY_MAX` running, so at least half of so many have ended.
        if self.stops.len() >= 2 * CAPACITY_MAX as usize {
            self.stops.retain(|_, stop| !stop.is_closed());
        }
        self.stops.insert(run, stop);
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }
}

/// Waits for the outcome, and reports what the handler tells of its progress.
async fn listen(
    run: RunKey,
    mut running: Running,
    mut progress: watch::Receiver<Option<Progress>>,
    events: &mpsc::Sender<Event>,
) -> Outcome {
    let mut pace = interval(TELL_EVERY);
    loop {
        tokio::select! {
            biased;
            outcome = &mut running => return outcome,
            Some(told) = latest(&mut progress, &mut pace) => report(events, Event::Progress(run, told)).await,
        }
    }
}

/// What was told last, when something new was. Never, when the handler has ended.
async fn latest(progress: &mut watch::Receiver<Option<Progress>>, pace: &mut Interval) -> Option<Progress> {
    if progress.changed().await.is_err() {
        pending::<()>().await;
    }
    pace.tick().await;
    progress.borrow_and_update().clone()
}

async fn report(events: &mpsc::Sender<Event>, event: Event) {
    // Nobody listens any more when the worker has stopped already.
    let _ = events.send(event).await;
}

fn tell(note: &Note) {
    match note {
        Note::Registered(service) => tracing::info!("registered at name service {service}"),
        Note::Silent(service) => tracing::warn!("name service {service} does not answer; trying on"),
        Note::Refused(service, why) => {
            tracing::warn!("name service {service} does not take the registration: {why:?}; trying on");
        }
        Note::Contested(from) => {
            tracing::warn!(
                "another worker, at {from:?}, wants the address of this one and was refused; check its --advertise"
            );
        }
        Note::Unwanted(task, why) => tracing::warn!("the result of task {task} was not stored: {why:?}"),
        Note::Unstored(count) => {
            tracing::warn!("{count} results could not be stored; their tasks will run again");
        }
    }
}
