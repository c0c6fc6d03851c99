//! What a task costs in the table, in microseconds a row, commits and syncs included. `benches/parts` counts the
//! instructions of the same, without the disk.
//!
//! `cargo run --release -p taskgrid-dispatcher --example store_speed [ROWS_IN_THE_WAY]`

#![expect(clippy::print_stdout, reason = "its output")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taskgrid_dispatcher::store::{
    Batch, Claim, End, Finish, Insert, Inserted, Proof, Query, Slot, SqliteStore, Store, look_at,
};
use taskgrid_protocol::body::{ListTasks, Priority, Status};
use taskgrid_protocol::{FileId, Json, Key, Lease, TaskId, TaskType};
use taskgrid_runtime::{Clock, wall_time};

const ROUNDS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let in_the_way: usize = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let directory = tempfile::tempdir_in(".")?;
    let path = directory.path().join("taskgrid.db");
    let mut store = SqliteStore::connect(&path)?;
    store.open(wall_time(), FileId::default())?;
    let mut speed = Speed { store, clock: Clock::new(), number: 0, worker: "127.0.0.1:6000".into() };
    speed.fill(in_the_way)?;
    println!("{in_the_way} delayed tasks of high priority and {in_the_way} done ones in the way");
    for size in [1000, 100, 10, 1] {
        speed.at_once(size)?;
        speed.through_the_backlog(size)?;
    }
    speed.reads()?;
    speed.restart(&path)?;
    Ok(())
}

struct Speed {
    store: SqliteStore,
    clock: Clock,
    number: u64,
    worker: Arc<str>,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

impl Speed {
    fn task(&mut self) -> Insert {
        self.number += 1;
        Insert {
            task_type: TaskType::new("reverse").expect("it is legal"),
            payload: Json::string("The quick brown fox jumps over the lazy dog"),
            key: Key::new(&format!("0197f0c2-7d5e-7000-8000-{:012}", self.number)).ok(),
            priority: Priority::default(),
            max_attempts: 5,
            timeout_s: 3600,
            not_before: None,
            delay: None,
            expires: None,
            slot: None,
        }
    }

    fn slot(&mut self) -> Slot {
        self.number += 1;
        Slot { worker: self.worker.clone(), lease: Lease::new(&format!("{:016}", self.number)).ok() }
    }

    fn finishes(attempts: Vec<(TaskId, Lease)>) -> Batch {
        let result = Json::string("god yzal eht revo spmuj xof nworb kciuq ehT");
        let end = End::Success(result);
        let finish = |(task, lease)| Finish { task, proof: Proof::Lease(lease), end: end.clone() };
        Batch { finishes: attempts.into_iter().map(finish).collect(), ..Batch::default() }
    }

    fn fill(&mut self, rows: usize) -> Outcome {
        let chunk = 10_000;
        for _ in 0..rows / chunk {
            let delayed = (0..chunk).map(|_| Insert {
                delay: Some(Duration::from_secs(86_400)),
                priority: Priority::new(100).expect("it is in range"),
                ..self.task()
            });
            let inserts = delayed.collect();
            self.store.apply(wall_time(), &Batch { inserts, ..Batch::default() })?;
            let inserts = self.claimed(chunk);
            let attempts = self.insert_claimed(inserts)?;
            self.store.apply(wall_time(), &Self::finishes(attempts))?;
            self.store.checkpoint(false)?;
        }
        Ok(())
    }

    fn claimed(&mut self, size: usize) -> Vec<Insert> {
        (0..size).map(|_| Insert { slot: Some(self.slot()), ..self.task() }).collect()
    }

    fn insert_claimed(&mut self, inserts: Vec<Insert>) -> Result<Vec<(TaskId, Lease)>, Box<dyn std::error::Error>> {
        let leases: Vec<Option<Lease>> = inserts.iter().map(|it| it.slot.as_ref()?.lease.clone()).collect();
        let outcomes = self.store.apply(wall_time(), &Batch { inserts, ..Batch::default() })?;
        let attempts = outcomes.inserts.iter().zip(leases).filter_map(|(inserted, lease)| match inserted {
            Inserted::New { id, claimed: true, .. } => Some((*id, lease?)),
            _ => None,
        });
        Ok(attempts.collect())
    }

    /// Inserted with its claim, then finished.
    fn at_once(&mut self, size: usize) -> Outcome {
        let (mut inserting, mut finishing) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            let inserts = self.claimed(size);
            let start = self.clock.now();
            let attempts = self.insert_claimed(inserts)?;
            let inserted = self.clock.now();
            self.store.apply(wall_time(), &Self::finishes(attempts))?;
            inserting += inserted.since(start);
            finishing += self.clock.now().since(inserted);
        }
        self.report("insert claimed", size, inserting);
        self.report("finish", size, finishing);
        Ok(())
    }

    /// Inserted, claimed, finished.
    fn through_the_backlog(&mut self, size: usize) -> Outcome {
        let [mut inserting, mut claiming, mut finishing] = [Duration::ZERO; 3];
        for _ in 0..ROUNDS {
            let inserts = (0..size).map(|_| self.task()).collect();
            let start = self.clock.now();
            self.store.apply(wall_time(), &Batch { inserts, ..Batch::default() })?;
            let inserted = self.clock.now();
            let slots = (0..size).map(|_| self.slot()).collect();
            let claims = vec![Claim { task_type: TaskType::new("reverse")?, slots }];
            let outcomes = self.store.apply(wall_time(), &Batch { claims, ..Batch::default() })?;
            let claimed = self.clock.now();
            let tasks = outcomes.claims.into_iter().flat_map(|claimed| claimed.tasks);
            let attempts = tasks.filter_map(|(_, running)| Some((running.id, running.lease?))).collect();
            self.store.apply(wall_time(), &Self::finishes(attempts))?;
            inserting += inserted.since(start);
            claiming += claimed.since(inserted);
            finishing += self.clock.now().since(claimed);
        }
        self.report("insert pending", size, inserting);
        self.report("claim", size, claiming);
        self.report("finish", size, finishing);
        Ok(())
    }

    /// Lists that find nothing, so that they look as far as they ever do.
    fn reads(&mut self) -> Outcome {
        let nothing = ListTasks { task_type: Some(TaskType::new("nobody")?), ..ListTasks::default() };
        for status in [None, Some(Status::Pending), Some(Status::Done), Some(Status::Failed)] {
            let start = self.clock.now();
            self.store.read(&Query::List(ListTasks { status, ..nothing.clone() }))?;
            println!("list of nothing, {status:?}: {:?}", self.clock.now().since(start));
        }
        let start = self.clock.now();
        self.store.read(&Query::List(ListTasks { status: Some(Status::Pending), ..ListTasks::default() }))?;
        println!("list of pending tasks: {:?}", self.clock.now().since(start));
        Ok(())
    }

    fn restart(self, path: &Path) -> Outcome {
        drop(self.store);
        let start = self.clock.now();
        let looked = look_at(path, false)?;
        let at = self.clock.now();
        let mut store = SqliteStore::connect(path)?;
        store.open(wall_time(), FileId::default())?;
        println!("look ({looked:?}): {:?}, connect and open: {:?}", at.since(start), self.clock.now().since(at));
        Ok(())
    }

    fn report(&self, what: &str, size: usize, took: Duration) {
        let micros = took.as_secs_f64() * 1e6 / (ROUNDS * size) as f64;
        println!("{size:>5} a batch  {what:<15} {micros:>8.2} µs a row");
    }
}
