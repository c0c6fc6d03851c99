//! The worker: no attempt is started twice, no slot is filled twice, and it comes to an end when it should.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taskgrid_protocol::body::{Failure, Progress};
use taskgrid_protocol::{Instance, Json, Lease, TaskId, TaskType, Timestamp};
use taskgrid_worker::machine::{Config, Effect, Event, Exit, Machine, Outcome, RunKey};

use super::rng;
use crate::Reached;
use crate::bench::Bench;
use crate::input::Input;
use crate::{requests, words};

const MOSTLY: [&str; 6] = ["TASK", "TASK", "TASK", "TASK", "TASK_CANCEL", "RESPONSE"];

const CONCURRENCY: u32 = 2;

const PREFETCH: u32 = 2;

const GRACE: Duration = Duration::from_secs(5);

/// A lease is issued for one task. What brings it for another has been damaged on the way.
type Attempt = (TaskId, Lease);

/// For how long after their end leases are remembered (R22).
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

pub(crate) fn run(input: &[u8]) -> Reached {
    let mut input = Input::new(input);
    let mut rng = rng(&mut input);
    let nameservices = input.choose(&[&["127.0.0.1:5001"][..], &["names:5001"], &["names:5001", "10.0.0.7:5001"]]);
    let config = Config {
        address: "worker:6000".to_owned(),
        types: types(&mut input),
        concurrency: CONCURRENCY,
        prefetch: PREFETCH,
        nameservices: nameservices.iter().map(ToString::to_string).collect(),
        instance: Instance::generate(&mut rng),
        announce_every: Duration::from_secs(5),
        heartbeat_every: Duration::from_secs(10),
        grace: GRACE,
    };
    let served = config.types.clone();
    let mut host = Host {
        bench: Bench::new(Machine::new(Timestamp::ZERO, config, rng)),
        served,
        handlers: BTreeMap::new(),
        stopped: BTreeSet::new(),
        attempts: BTreeMap::new(),
        looked_up: BTreeSet::new(),
        last_run: None,
        words: 0,
        draining: false,
        exited: false,
    };
    host.settle();
    while !input.is_empty() && !host.exited {
        host.step(&mut input);
        host.settle();
    }
    host.stop();
    host.bench.reached
}

fn types(input: &mut Input<'_>) -> BTreeSet<TaskType> {
    let mask = input.byte();
    let named = ["a", "b", "c"].iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 0);
    named.map(|(_, name)| name.parse().expect("it is a type")).collect()
}

/// The machine's daemon.
struct Host {
    bench: Bench<Machine>,
    served: BTreeSet<TaskType>,
    /// Handlers that run, and for which attempt.
    handlers: BTreeMap<RunKey, Option<Attempt>>,
    /// Those among them that were told to stop.
    stopped: BTreeSet<RunKey>,
    /// Attempts that were started, and when they ended.
    attempts: BTreeMap<Attempt, Option<Timestamp>>,
    looked_up: BTreeSet<String>,
    last_run: Option<RunKey>,
    /// How often a handler has told its progress.
    words: u8,
    draining: bool,
    exited: bool,
}

impl Host {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 | 1 => drop(self.bench.wait(input)),
            2 | 3 => {
                let index = input.below(CONCURRENCY as usize);
                if let Some(run) = self.handlers.keys().nth(index).copied() {
                    self.end(run, outcome(input));
                }
            }
            4 if self.looked_up.is_empty() => self.tell_progress(),
            4 => self.look_up(input),
            5 if input.one_in(4) => {
                self.served = types(input);
                self.bench.happen(Event::Types(self.served.clone()));
            }
            6 if input.one_in(8) => self.drain(),
            7 | 8 => self.bench.answer(input),
            _ => {
                let datagram = requests::datagram(input, &self.bench.overheard, &MOSTLY);
                let from = words::address(input);
                self.bench.receive(from, &datagram);
            }
        }
    }

    fn end(&mut self, run: RunKey, outcome: Outcome) {
        if let Some(Some(attempt)) = self.handlers.remove(&run) {
            self.attempts.insert(attempt, Some(self.bench.now));
        }
        self.bench.happen(Event::Ended(run, outcome));
    }

    /// The run that was started last tells how far it is, also when it has ended or was stopped. Draws nothing.
    fn tell_progress(&mut self) {
        let Some(run) = self.last_run else { return };
        self.words = self.words.wrapping_add(1);
        let note = "\u{1b}é".repeat(usize::from(self.words));
        let progress = Progress::new(f64::from(self.words) / 100.0, Some(note)).expect("it is finite");
        self.bench.happen(Event::Progress(run, progress));
    }

    fn look_up(&mut self, input: &mut Input<'_>) {
        if let Some(name) = self.looked_up.pop_first() {
            self.bench.happen(Event::Resolved { name, addr: words::looked_up(input) });
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.bench.happen(Event::Drain);
    }

    fn settle(&mut self) {
        for effect in self.bench.settle() {
            match effect {
                Effect::Run(run, task) => {
                    assert!(self.served.contains(&task.task_type), "{} is not served", task.task_type);
                    assert!(!self.draining, "a worker that stops starts nothing");
                    self.start(run, task.lease.map(|lease| (task.id, lease)));
                }
                Effect::Stop(run) => {
                    assert!(self.handlers.contains_key(&run) && self.stopped.insert(run), "{run:?} is stopped once");
                    self.bench.reached.insert("stop".to_owned());
                }
                Effect::Resolve(name) => assert!(self.looked_up.insert(name), "one look-up at a time"),
                Effect::Note(_) => {}
                Effect::Exit(exit) => {
                    let exit = match exit {
                        Exit::Drained => "Drained",
                        Exit::AddressInUse(_) => "AddressInUse",
                    };
                    self.bench.reached.insert(exit.to_owned());
                    self.exited = true;
                    // Nobody performs what comes after it.
                    break;
                }
            }
        }
    }

    fn start(&mut self, run: RunKey, attempt: Option<Attempt>) {
        self.bench.reached.insert("run".to_owned());
        if let Some(attempt) = &attempt {
            let ended = self.attempts.insert(attempt.clone(), None);
            let is_forgotten = |ended: Timestamp| self.bench.now.since(ended) > REMEMBERED_FOR;
            assert!(ended.is_none_or(|ended| ended.is_some_and(is_forgotten)), "{attempt:?} was started twice");
        }
        self.last_run = Some(run);
        let before = self.handlers.insert(run, attempt);
        assert!(before.is_none(), "{run:?} is there already");
        assert!(self.handlers.len() <= CONCURRENCY as usize, "{} handlers run", self.handlers.len());
    }

    /// It is asked to stop. Handlers end when they are told to, and nobody answers: it exits in time.
    fn stop(&mut self) {
        let deadline = self.bench.now + GRACE + Duration::from_secs(3);
        if !self.exited && !self.draining {
            self.drain();
        }
        while !self.exited {
            self.settle();
            for run in std::mem::take(&mut self.stopped) {
                if self.handlers.contains_key(&run) {
                    self.end(run, Err(Failure::passing("STOPPED", "it was told to")));
                }
            }
            self.settle();
            assert!(self.exited || self.bench.now < deadline, "it does not stop");
            self.bench.wait_for_alarm();
        }
    }
}

fn outcome(input: &mut Input<'_>) -> Outcome {
    match input.below(4) {
        0 | 1 => Ok(Json::parse(&words::value(input)).expect("it is JSON")),
        2 => Err(Failure::passing("NO", "é".repeat(3_000))),
        _ => Err(Failure::permanent("NEVER", "no")),
    }
}
