//! How workers in Rust programs stop their handlers, and themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taskgrid_client::WaitError;
use taskgrid_worker::{Failure, Task, Worker, WorkerBuilder};
use tokio::sync::Notify;

use crate::library::{Program, as_client, result};
use crate::processes::Grid;

/// A handler that waits to be cancelled, and what it has come to.
#[derive(Clone, Default)]
struct Patient {
    started: Arc<Notify>,
    told: Arc<Notify>,
}

impl Patient {
    async fn handle(self, task: Task) -> Result<(), Failure> {
        task.progress(0.5, "half of it");
        self.started.notify_one();
        task.cancelled().await;
        assert!(task.is_cancelled());
        self.told.notify_one();
        Err(Failure::retry("stopped"))
    }

    fn worker(&self) -> WorkerBuilder {
        let patient = self.clone();
        Worker::builder().concurrency(1).handler("patient", move |task| patient.clone().handle(task)).builtin()
    }
}

#[test]
fn a_handler_is_told_that_its_task_was_cancelled_and_its_slot_is_free_again() {
    let grid = Grid::without_workers();
    let patient = Patient::default();
    let _program = Program::start(&grid, patient.worker());
    as_client(&grid, async |client| {
        let receipt = client.submit("patient", ()).await.unwrap();
        patient.started.notified().await;
        client.cancel(receipt.task).await.unwrap();
        patient.told.notified().await;
        assert_eq!(result(&client, "reverse", "abc").await, r#""cba""#);
        assert_eq!(client.wait(receipt.task).await.unwrap_err(), WaitError::Cancelled);
    });
}

#[test]
fn a_handler_is_told_that_its_time_is_over() {
    let grid = Grid::without_workers();
    let patient = Patient::default();
    let _program = Program::start(&grid, patient.worker());
    as_client(&grid, async |client| {
        let waiting = client.submit("patient", ()).timeout(Duration::from_secs(1)).max_attempts(1).wait();
        let Err(WaitError::Failed(failed)) = waiting.await else { panic!("it cannot succeed") };
        assert_eq!(failed.error.code, "TIMEOUT");
        patient.told.notified().await;
    });
}

#[test]
fn a_handler_that_does_not_listen_is_dropped_and_its_slot_is_free_again() {
    let grid = Grid::without_workers();
    let (started, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let given = (Arc::clone(&started), Arc::clone(&dropped));
    let worker = Worker::builder().concurrency(1).builtin().handler("deaf", move |_: Task| {
        let (started, dropped) = given.clone();
        async move {
            let _flag = Flag(dropped);
            started.notify_one();
            std::future::pending::<Result<(), Failure>>().await
        }
    });
    let _program = Program::start(&grid, worker);
    as_client(&grid, async |client| {
        let receipt = client.submit("deaf", ()).await.unwrap();
        started.notified().await;
        client.cancel(receipt.task).await.unwrap();
        assert_eq!(result(&client, "reverse", "abc").await, r#""cba""#);
    });
    assert!(dropped.load(Ordering::Acquire), "it had the only slot");
}

/// Is set when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_worker_that_is_asked_to_stop_gives_back_what_it_cannot_finish() {
    let grid = Grid::without_workers();
    let patient = Patient::default();
    let first = Program::start(&grid, patient.worker().drain_grace(Duration::ZERO));
    let task = as_client(&grid, async |client| {
        let task = client.submit("patient", ()).await.unwrap().task;
        patient.started.notified().await;
        task
    });
    first.stop();
    let second = Worker::builder().handler("patient", |task: Task| async move { Ok::<_, Failure>(task.id.0) });
    let _second = Program::start(&grid, second);
    let end = as_client(&grid, async |client| client.wait(task).await.unwrap());
    assert_eq!(end.read::<i64>().unwrap(), task.0);
}
