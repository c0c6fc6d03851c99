//! The dispatcher over a store in memory, with a disk that fills, and with restarts.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use taskgrid_dispatcher::machine::{Config, Effect, Event, Machine};
use taskgrid_dispatcher::store::{Batch, MemoryStore, Query, Store, StoreError};
use taskgrid_protocol::body::Status;
use taskgrid_protocol::{Body, FileId, Message, TaskId, Timestamp, WallTime};

use super::rng;
use super::rows::Rows;
use crate::Reached;
use crate::bench::Bench;
use crate::input::Input;
use crate::{requests, words};

const MOSTLY: [&str; 14] = [
    "POST_TASK",
    "POST_TASK",
    "POST_TASK",
    "RESPONSE",
    "TASK_ACK",
    "RESULT_RETURN",
    "RESULT_RETURN",
    "TASK_REJECT",
    "TASK_HEARTBEAT",
    "GET_RESULT",
    "GET_TASK",
    "CANCEL_TASK",
    "RETRY_TASK",
    "LIST_TASKS",
];

/// Short, so that they are over within an input.
const LEASE: Duration = Duration::from_secs(5);
const PLAIN_LEASE: Duration = Duration::from_secs(20);

pub(crate) fn run(input: &[u8]) -> Reached {
    let mut input = Input::new(input);
    let mut host = Host::new(&mut input);
    host.settle();
    while !input.is_empty() {
        host.step(&mut input);
        host.settle();
    }
    host.rest();
    host.bench.reached
}

fn config(input: &mut Input<'_>) -> Config {
    let nameservices = input.choose(&[&["127.0.0.1:5001"][..], &["names:5001"], &["names:5001", "10.0.0.7:5001"]]);
    let nameservices = nameservices.iter().map(ToString::to_string).collect();
    Config { nameservices, lease: LEASE, plain_lease: PLAIN_LEASE, ..Config::default() }
}

/// The machine's daemon.
struct Host {
    bench: Bench<Machine>,
    config: Config,
    store: MemoryStore,
    rows: Rows,
    wall: WallTime,
    batch: Option<Box<Batch>>,
    reads: VecDeque<(u64, Query)>,
    looked_up: BTreeSet<String>,
    draining: bool,
    exited: bool,
}

impl Host {
    fn new(input: &mut Input<'_>) -> Self {
        let config = config(input);
        let wall = WallTime::from_millis(1_764_000_000_000);
        let mut store = MemoryStore::default();
        let opened = store.open(wall, FileId::default()).expect("memory opens");
        Self {
            bench: Bench::new(Machine::new(Timestamp::ZERO, config.clone(), opened, rng(input))),
            config,
            store,
            rows: Rows::default(),
            wall,
            batch: None,
            reads: VecDeque::new(),
            looked_up: BTreeSet::new(),
            draining: false,
            exited: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 | 1 => {
                let span = self.bench.wait(input);
                self.wall = self.wall + span;
            }
            2 => self.commit(),
            3 | 4 => self.bring_outcomes(input),
            5 => {
                if let Some(batch) = self.batch.take() {
                    self.bench.happen(Event::DiskFull(batch));
                }
            }
            6 => self.answer_read(input.one_in(4)),
            7 => self.look_up(input),
            8 => match input.below(16) {
                0 => self.wall = WallTime::from_millis(input.choose(&[0, 1_764_000_000_000, 1_900_000_000_000])),
                1 => {
                    self.draining = true;
                    self.bench.happen(Event::Drain);
                }
                2 | 3 => self.restart(input),
                _ => {
                    let task_type = words::task_type(input).parse().expect("it is a type");
                    self.bench.happen(Event::Added(BTreeSet::from([task_type])));
                }
            },
            9 | 10 => self.bench.answer(input),
            _ => {
                let datagram = requests::datagram(input, &self.bench.overheard, &MOSTLY);
                let from = words::address(input);
                self.bench.receive(from, &datagram);
            }
        }
        if self.exited {
            self.restart(input);
        }
    }

    fn commit(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let outcomes = self.store.apply(self.wall, &batch).expect("memory takes a batch");
        self.rows.look(&self.store);
        for row in self.rows.by_id.values() {
            self.bench.reached.insert(row.status.as_str().to_owned());
        }
        self.bench.happen(Event::Committed(batch, outcomes));
    }

    fn answer_read(&mut self, fails: bool) {
        let Some((ticket, query)) = self.reads.pop_front() else { return };
        let answer = if fails { Err(StoreError::Busy("locked".to_owned())) } else { self.store.read(&query) };
        self.bench.happen(Event::Read { ticket, answer, at: self.wall });
    }

    fn look_up(&mut self, input: &mut Input<'_>) {
        if let Some(name) = self.looked_up.pop_first() {
            self.bench.happen(Event::Resolved { name, addr: words::looked_up(input) });
        }
    }

    /// All that the machine waits for happens.
    fn bring_outcomes(&mut self, input: &mut Input<'_>) {
        for _ in 0..4 {
            if self.batch.is_none() && self.reads.is_empty() && self.looked_up.is_empty() {
                break;
            }
            self.commit();
            while !self.reads.is_empty() {
                self.answer_read(false);
            }
            while !self.looked_up.is_empty() {
                self.look_up(input);
            }
            self.settle();
        }
    }

    /// The process dies, and another one takes up what is in the table. The batch that was being committed is in
    /// it, or is not.
    fn restart(&mut self, input: &mut Input<'_>) {
        if let Some(batch) = self.batch.take().filter(|_| input.one_in(2)) {
            self.store.apply(self.wall, &batch).expect("memory takes a batch");
            self.rows.look(&self.store);
        }
        self.reads.clear();
        self.looked_up.clear();
        (self.draining, self.exited) = (false, false);
        let opened = self.store.open(self.wall, FileId::default()).expect("memory opens");
        self.bench.node = Machine::new(self.bench.now, self.config.clone(), opened, rng(input));
        self.bench.reached.insert("restart".to_owned());
    }

    fn settle(&mut self) {
        for effect in self.bench.settle() {
            match effect {
                Effect::Commit(batch) => {
                    let before = self.batch.replace(batch);
                    assert!(before.is_none(), "one commit at a time");
                }
                Effect::Read { ticket, query } => self.reads.push_back((ticket, query)),
                Effect::Resolve(name) => assert!(self.looked_up.insert(name), "one look-up at a time"),
                Effect::Exit => {
                    assert!(self.draining && self.batch.is_none() && self.reads.is_empty());
                    self.exited = true;
                    // Nobody performs what comes after it.
                    break;
                }
            }
        }
        for message in std::mem::take(&mut self.bench.sent) {
            self.check_sent(&message);
        }
        for (_, answer) in std::mem::take(&mut self.bench.answers) {
            self.check_answer(&answer);
        }
    }

    /// TASK speaks of what is in the table (R12).
    fn check_sent(&self, message: &Message) {
        let Body::Task(task) = &message.body else { return };
        let row = self.rows.by_id.get(&task.id).expect("TASK is of a row");
        assert_eq!(
            (row.status, &row.lease),
            (Status::Running, &message.beside.lease),
            "TASK is of the current attempt"
        );
    }

    /// "Task received" too (R7).
    fn check_answer(&self, answer: &serde_json::Value) {
        let is_receipt = answer["message"].as_str().is_some_and(|message| message.starts_with("Task received"));
        if is_receipt {
            let id = answer["task_id"].as_i64().map(TaskId);
            assert!(id.is_some_and(|id| self.rows.by_id.contains_key(&id)), "{answer} is of a row");
        }
    }

    /// Everybody falls silent, and the disk is in order. No attempt outlives its lease, and a dispatcher that was
    /// asked to stop has stopped.
    fn rest(&mut self) {
        let mut nothing = Input::new(&[]);
        let running = |host: &Self| -> BTreeSet<_> {
            let rows = host.rows.by_id.values().filter(|row| row.status == Status::Running);
            rows.map(|row| (row.id, row.lease.clone(), row.timestamp_dispatched)).collect()
        };
        // Later than any clock was, so that every hand-over has a time of its own.
        self.wall = WallTime::from_millis(6_000_000_000_000);
        self.bring_outcomes(&mut nothing);
        let before = running(self);
        // Twice the longest lease, in steps of half the shortest.
        for _ in 0..16 {
            if self.exited {
                return;
            }
            let step = LEASE / 2;
            self.bench.wait_for(step);
            self.wall = self.wall + step;
            self.settle();
            self.bring_outcomes(&mut nothing);
        }
        assert!(!self.draining, "it does not stop");
        let stuck: Vec<_> = before.intersection(&running(self)).cloned().collect();
        assert!(stuck.is_empty(), "nobody ends {stuck:?}");
    }
}
