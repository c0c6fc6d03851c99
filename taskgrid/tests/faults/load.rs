//! Clients that post tasks until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use taskgrid_client::machine::End as Ended;
use taskgrid_client::{CallError, Client, ErrorCode, Progress, Rejected, TaskId};
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::history::{End, Outcome, Read, Shared};
use crate::journal::{LONG, SHORT};

/// Why a key that is taken is refused.
pub(crate) const KEY_CONFLICT: &str = "KeyConflict";

/// How much, and of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Each makes one call after the other.
    pub(crate) clients: usize,
    /// Clients share so many sockets, and what is ready at the same time shares datagrams; `None`: neither.
    pub(crate) sockets: Option<usize>,
    /// From one call to the next, where the client is not to be as fast as it can.
    pub(crate) pace: Duration,
    /// How long a client asks before an outcome counts as unknown.
    pub(crate) patience: Duration,
    /// Tasks in a thousand whose handlers keep a journal. A process each, so they cannot be all.
    pub(crate) journaled: u32,
    /// Of those, the ones in a hundred that take long.
    pub(crate) long: u32,
}

impl Default for Plan {
    fn default() -> Self {
        let (pace, patience) = (Duration::from_millis(50), Duration::from_secs(10));
        Self { clients: 16, sockets: None, pace, patience, journaled: 100, long: 20 }
    }
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    /// `name` tells its keys from those of other loads.
    pub(crate) fn start(name: &str, server: SocketAddr, plan: Plan, history: Shared, mut dice: Dice) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let name = name.to_owned();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let mut sockets = Vec::new();
                for _ in 0..plan.sockets.unwrap_or(plan.clients) {
                    let client = Client::connect(&server.to_string()).await.unwrap().with_patience(plan.patience);
                    sockets.push(if plan.sockets.is_some() { client.packed() } else { client });
                }
                let mut clients = JoinSet::new();
                for number in 0..plan.clients {
                    let client = sockets[number % sockets.len()].clone();
                    let (name, history) = (format!("{name}-{number}"), history.clone());
                    clients.spawn(Poster { name, client, plan, history, dice: dice.child() }.run(stopped.clone()));
                }
                clients.join_all().await;
            });
        });
        Self { stop, thread }
    }

    /// Returns when the last call has ended.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Poster {
    name: String,
    client: Client,
    plan: Plan,
    history: Shared,
    dice: Dice,
}

impl Poster {
    async fn run(mut self, stop: Arc<AtomicBool>) {
        let mut pace = tokio::time::interval(self.plan.pace.max(Duration::from_micros(1)));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            if !self.plan.pace.is_zero() {
                pace.tick().await;
            }
            number += 1;
            let (key, task_type) = (format!("{}-{number}", self.name), self.a_type());
            let payload = format!("task {key}");
            let outcome = self.post(&key, task_type, &payload).await;
            match outcome {
                // Asking again with the same key finds out, at least some do.
                Outcome::Unknown if self.dice.chance(0.5) => drop(self.post(&key, task_type, &payload).await),
                Outcome::Stored { .. } if self.dice.chance(0.02) => {
                    self.post(&key, task_type, &payload).await;
                    // The key is taken: a definite refusal.
                    self.post(&key, task_type, "something else").await;
                }
                Outcome::Stored { task, .. } if self.dice.chance(0.05) => self.read(task).await,
                _ => {}
            }
        }
    }

    fn a_type(&mut self) -> &'static str {
        if !self.dice.chance(f64::from(self.plan.journaled) / 1_000.0) {
            "reverse"
        } else if self.dice.chance(f64::from(self.plan.long) / 100.0) {
            LONG
        } else {
            SHORT
        }
    }

    async fn post(&self, key: &str, task_type: &str, payload: &str) -> Outcome {
        let json = serde_json::to_string(payload).unwrap();
        let place = self.history.lock().invoke(&self.name, key, task_type, &json);
        // A worker that dies costs an attempt, and many die here.
        let outcome = match self.client.submit(task_type, payload).key(key).max_attempts(20).await {
            Ok(receipt) => Outcome::Stored { task: receipt.task.0, duplicate: receipt.duplicate },
            Err(CallError::Rejected(rejected)) => Outcome::Rejected(format!("{:?}", rejected.code)),
            Err(CallError::Unknown(_)) => Outcome::Unknown,
        };
        self.history.lock().posts[place].outcome = outcome.clone();
        outcome
    }

    async fn read(&self, task: i64) {
        match self.client.wait_at_most(TaskId(task), Duration::from_millis(500)).await {
            Ok(Progress::Ended(end)) => self.history.lock().reads.push(Read { task, end: end.into() }),
            Err(CallError::Rejected(Rejected { code: ErrorCode::NotFound, .. })) => {
                panic!("I19: task {task} was acknowledged a moment ago, and is not found");
            }
            Ok(Progress::NotReady(_)) | Err(_) => {}
        }
    }
}

impl From<Ended> for End {
    fn from(end: Ended) -> Self {
        match end {
            Ended::Done(result) => Self::Done(result.get().to_owned()),
            Ended::Failed(failed) => Self::Failed(failed.error.code),
            Ended::Cancelled => Self::Cancelled,
        }
    }
}

/// Asks how each of these tasks has ended.
pub(crate) fn read_all(server: SocketAddr, tasks: Vec<i64>) -> Vec<Read> {
    /// Calls at a time.
    const CALLS: usize = 256;
    runtime().block_on(async {
        let client = Client::connect(&server.to_string()).await.unwrap();
        let mut reads = Vec::with_capacity(tasks.len());
        for some in tasks.chunks(CALLS) {
            let mut calls = JoinSet::new();
            for task in some.iter().copied() {
                let client = client.clone().packed();
                calls.spawn(async move { (task, client.result(TaskId(task)).await) });
            }
            for (task, read) in calls.join_all().await {
                match read {
                    Ok(Progress::Ended(end)) => reads.push(Read { task, end: end.into() }),
                    other => panic!("acknowledged task {task} has ended, and reading it gives {other:?}"),
                }
            }
        }
        reads
    })
}

/// The dispatcher's own count of tasks, by status.
pub(crate) fn counts(server: SocketAddr) -> Vec<(&'static str, i64)> {
    let tasks = runtime().block_on(async {
        let client = Client::connect(&server.to_string()).await.unwrap();
        client.stats().await.unwrap().tasks
    });
    [
        ("pending", tasks.pending),
        ("running", tasks.running),
        ("done", tasks.done),
        ("failed", tasks.failed),
        ("cancelled", tasks.cancelled),
    ]
    .map(|(status, count)| (status, i64::try_from(count).unwrap()))
    .into()
}

/// Posts one task, with little patience.
pub(crate) fn one(key: &str, task_type: &str, server: SocketAddr, patience: Duration, history: &Shared) -> Outcome {
    runtime().block_on(async {
        let client = Client::connect(&server.to_string()).await.unwrap().with_patience(patience);
        let (name, plan) = (key.to_owned(), Plan::default());
        let poster = Poster { name, client, plan, history: history.clone(), dice: Dice::new(0) };
        poster.post(key, task_type, key).await
    })
}
