//! Runs a load on a real socket and a real clock.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use taskgrid_protocol::Timestamp;
use taskgrid_runtime::{Clock, EVENT_QUEUE, Names, Pulse, StartError, Traffic, drive_counted, random, wall_time};
use tokio::sync::mpsc;

use super::generator::{Effect, Event, Generator};
use super::measure::{Probe, Snapshot};
use super::plan::{Amount, Pace, Plan};
use super::tally::Tally;
use super::tasks::Tasks;
use crate::api::socket_towards;
use crate::cli::Console;
use crate::machine::{Config, Machine};

/// The shortest time between two looks at the clock of an open loop. The runtime's own timers are a millisecond late,
/// which is more than a task takes; more than 5,000 wake-ups a second would show in what is measured.
const TICK_MIN: Duration = Duration::from_micros(200);

/// What a load came to, and what was measured when its counting began and ended.
pub(super) struct Ran {
    pub(super) tally: Box<Tally>,
    pub(super) began: Snapshot,
    pub(super) ended: Snapshot,
}

/// Submits all of it. An error is one of the socket, or of the address.
pub(super) async fn run(server: &str, plan: Plan, probe: &Probe, bar: Bar) -> Result<Ran, StartError> {
    let socket = socket_towards(server).map_err(|error| StartError::configuration(error.to_string()))?;
    let clock = Clock::new();
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let started = clock.now();
    let _ticker = Ticker::start(clock, started, plan.pace, events.clone()).map_err(|error| {
        StartError::unavailable(format!("cannot start a thread: {error}; look at the limits of processes (ulimit -u)"))
    })?;
    let client = Machine::new(Config { server: server.to_owned() }, random());
    let tasks = Tasks::new(&plan, random());
    let generator = Generator::new(started, wall_time(), plan, tasks, client);
    let traffic = Traffic::default();
    let (mut began, mut ended) = (None, None);
    let names = Names::default();
    let perform = |effect| {
        match effect {
            Effect::Began => began = Some(probe.look(&traffic)),
            Effect::Ended => ended = Some(probe.look(&traffic)),
            Effect::Progress { tasks, time } => bar.show(tasks, time),
            Effect::LookUp(name) => {
                let (names, events) = (names.clone(), events.clone());
                tokio::spawn(async move {
                    let addr = names.look_up(&name).await;
                    // Nobody listens any more when the load is over.
                    let _ = events.send(Event::Resolved { name, addr }).await;
                });
            }
            Effect::Done(tally) => return ControlFlow::Break(tally),
        }
        ControlFlow::Continue(())
    };
    let tally = drive_counted(generator, socket, clock, queue, Pulse::default(), traffic.clone(), perform)
        .await
        .map_err(|error| StartError::unavailable(format!("the socket failed: {error}")))?;
    let began = began.expect("counting begins before the load is over");
    let ended = ended.expect("counting ends before the load is over");
    Ok(Ran { tally, began, ended })
}

/// Wakes the generator when a task of an open loop is due, until it is dropped.
struct Ticker {
    _stop: Option<SyncSender<()>>,
}

impl Ticker {
    fn start(clock: Clock, started: Timestamp, pace: Pace, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        if pace == Pace::Closed {
            return Ok(Self { _stop: None });
        }
        let (stop, stopped) = sync_channel(1);
        let tick = move || {
            let mut at = started;
            while stopped.recv_timeout(clock.until(at)) == Err(RecvTimeoutError::Timeout) {
                // A full queue wakes the generator as well.
                let _ = events.try_send(Event::Tick);
                let earliest = clock.now() + TICK_MIN;
                let due = pace.due_before(earliest.since(started)).and_then(|number| pace.due(number));
                at = due.map_or(earliest, |due| started + due);
            }
        };
        std::thread::Builder::new().name("ticker".to_owned()).spawn(tick)?;
        Ok(Self { _stop: Some(stop) })
    }
}

/// Shows how far a load is, at a terminal and nowhere else.
pub(super) struct Bar {
    bar: ProgressBar,
    amount: Amount,
}

impl Bar {
    pub(super) fn of(console: &Console, amount: Amount) -> Self {
        if !console.err_is_terminal {
            return Self { bar: ProgressBar::hidden(), amount };
        }
        let (length, template) = match amount {
            Amount::Tasks(tasks) => (tasks, "{wide_bar} {pos}/{len}  {per_sec}  {eta} left"),
            Amount::For(span) => (millis(span), "{wide_bar} {msg}  {eta} left"),
        };
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        Self { bar: ProgressBar::new(length).with_style(style), amount }
    }

    fn show(&self, tasks: u64, time: Duration) {
        match self.amount {
            Amount::Tasks(_) => self.bar.set_position(tasks),
            Amount::For(_) => {
                self.bar.set_message(format!("{tasks} tasks"));
                self.bar.set_position(millis(time));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
