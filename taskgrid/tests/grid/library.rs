//! Workers and clients in Rust programs, against a real dispatcher and name service. How such workers stop is
//! tried in [`crate::stopping`].

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use taskgrid_client::{Client, Failed, ListTasks, Progress, Standing, WaitError};
use taskgrid_worker::{Failure, StartError, Task, Worker, WorkerBuilder};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::processes::{Grid, PATIENCE, ask};

#[expect(dead_code, reason = "the test runs what its `main` does")]
#[path = "../../../worker/examples/image_hash.rs"]
mod image_hash;

#[expect(dead_code, reason = "the test runs what its `main` does")]
mod mean {
    include!("../../../worker/examples/mean.rs");

    /// What its `main` runs.
    pub(super) fn worker() -> taskgrid_worker::WorkerBuilder {
        Worker::builder().handler("mean", mean)
    }
}

/// A worker of a program's own, on a thread with a runtime like that of its `main`.
pub(crate) struct Program {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

impl Program {
    pub(crate) fn start(grid: &Grid, worker: WorkerBuilder) -> Self {
        // The lease of the tests' dispatcher.
        let worker = worker.nameservice(grid.nameservice.addr.to_string()).lease(Duration::from_secs(3));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime().block_on(worker.run_until(async {
                // Dropping the sender asks as well.
                let _ = stopped.await;
            }))
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(mut self) {
        self.stop = None;
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a client's part of a test.
pub(crate) fn as_client<T>(grid: &Grid, part: impl AsyncFnOnce(Client) -> T) -> T {
    runtime().block_on(async {
        let client = Client::connect(&grid.dispatcher.addr.to_string()).await.unwrap();
        timeout(PATIENCE, part(client)).await.expect("the grid answers")
    })
}

pub(crate) async fn result(client: &Client, task_type: &str, payload: impl Serialize) -> String {
    client.submit(task_type, payload).wait().await.unwrap().get().to_owned()
}

/// How a task fails that has one attempt.
async fn failure(client: &Client, task_type: &str, payload: impl Serialize) -> (String, String) {
    match client.submit(task_type, payload).max_attempts(1).wait().await {
        Err(WaitError::Failed(Failed { error, .. })) => (error.code, error.message),
        other => panic!("{other:?}"),
    }
}

#[derive(Deserialize)]
struct Order {
    item: String,
    count: usize,
}

async fn repeat(task: Task<Order>) -> Result<String, Failure> {
    Ok(task.payload.item.repeat(task.payload.count))
}

#[test]
fn a_rust_program_serves_a_type_with_payloads_and_results_of_its_own() {
    let grid = Grid::without_workers();
    let worker =
        Worker::builder().handler("repeat", repeat).handler("nan", |_: Task| async { Ok::<_, Failure>(f64::NAN) });
    let _program = Program::start(&grid, worker);
    as_client(&grid, async |client| {
        assert_eq!(result(&client, "repeat", json!({"item": "ab", "count": 3})).await, r#""ababab""#);
        let (code, message) = failure(&client, "repeat", json!({"item": "secret", "count": "many"})).await;
        assert_eq!(code, "BAD_PAYLOAD");
        assert!(message.contains("invalid type: string, expected usize"), "{message}");
        assert!(!message.contains("secret") && !message.contains("many"), "{message}");
        let (code, message) = failure(&client, "nan", ()).await;
        assert!(code == "FAILED" && message.contains("NaN"), "{code}: {message}");
    });
}

#[test]
fn the_built_in_types_are_served_when_asked_for() {
    let grid = Grid::without_workers();
    let _program = Program::start(&grid, Worker::builder().builtin().handler("repeat", repeat));
    assert_eq!(grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
    // A dispatcher knows only of the types that tasks have asked for.
    let known = ask(grid.nameservice.addr, &json!({"type": "LIST_WORKERS", "data": {}}));
    assert_eq!(known["workers"][0]["types"], json!(["hash", "repeat", "reverse", "sum", "upper", "wait"]), "{known}");
}

#[test]
fn a_panic_ends_an_attempt_and_not_the_worker() {
    let grid = Grid::without_workers();
    let worker = Worker::builder().concurrency(1).handler("shaky", |task: Task<u32>| async move {
        assert!(task.attempt > task.payload, "attempt {} is too early", task.attempt);
        Ok::<_, Failure>(task.attempt)
    });
    let _program = Program::start(&grid, worker);
    as_client(&grid, async |client| {
        for n in 0..5 {
            let (code, message) = failure(&client, "shaky", 1).await;
            assert_eq!(
                (code.as_str(), message.as_str()),
                ("FAILED", "the handler panicked: attempt 1 is too early"),
                "{n}"
            );
        }
        // The one slot is free, and another attempt may do better.
        assert_eq!(result(&client, "shaky", 1).await, "2");
    });
}

#[test]
fn a_failure_says_whether_and_when_to_try_again() {
    let grid = Grid::without_workers();
    let worker = Worker::builder().handler("picky", |task: Task<bool>| async move {
        match task.attempt {
            _ if task.payload => Err(Failure::permanent("not today").with_code("CLOSED")),
            1 => Err(Failure::retry_after(Duration::ZERO, "at once")),
            attempt => Ok(attempt),
        }
    });
    let _program = Program::start(&grid, worker);
    as_client(&grid, async |client| {
        assert_eq!(result(&client, "picky", false).await, "2");
        match client.submit("picky", true).wait().await {
            Err(WaitError::Failed(Failed { error, attempts, .. })) => {
                assert_eq!((error.code.as_str(), error.message.as_str(), attempts), ("CLOSED", "not today", 1));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_a_handler_tells_of_its_progress_reaches_clients_while_it_runs() {
    let grid = Grid::without_workers();
    let (seen, was_seen) = watch::channel(false);
    let worker = Worker::builder().handler("slow", move |task: Task| {
        let mut was_seen = was_seen.clone();
        async move {
            task.progress(0.25, "one of four");
            was_seen.wait_for(|seen| *seen).await?;
            Ok::<_, Failure>("done")
        }
    });
    let _program = Program::start(&grid, worker);
    as_client(&grid, async |client| {
        let task = client.submit("slow", ()).await.unwrap().task;
        let told = loop {
            match client.wait_at_most(task, Duration::from_millis(100)).await.unwrap() {
                Progress::NotReady(Standing { progress: Some(told), .. }) => break told,
                Progress::NotReady(_) => {}
                Progress::Ended(end) => panic!("{end:?}"),
            }
        };
        assert_eq!((told.fraction(), told.note()), (0.25, Some("one of four")));
        seen.send_replace(true);
        assert_eq!(client.wait(task).await.unwrap().get(), r#""done""#);
    });
}

#[test]
fn the_worker_of_the_readme_works() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("## A worker in Rust").unwrap();
    let shown = section.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    assert_eq!(shown, include_str!("../../../worker/examples/mean.rs"), "the README shows the example");
    let grid = Grid::without_workers();
    let _program = Program::start(&grid, mean::worker());
    let output = grid.run(&["submit", "mean", "[1, 2, 6]", "--json", "--wait"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3.0\n", "{output:?}");
    as_client(&grid, async |client| {
        assert_eq!(failure(&client, "mean", [0.0; 0]).await.1, "there is no mean of no numbers");
        assert_eq!(failure(&client, "mean", "12").await.0, "BAD_PAYLOAD");
    });
}

#[test]
fn the_image_worker_tells_images_apart() {
    let grid = Grid::without_workers();
    let _program = Program::start(&grid, Worker::builder().handler("image-hash", image_hash::image_hash));
    let photo = |name: &str, bright: &dyn Fn(usize, usize) -> u8| {
        let mut file = b"P6\n# made by a test\n90 80\n255\n".to_vec();
        file.extend((0..80).flat_map(|y| (0..90).flat_map(move |x| [(x, y); 3])).map(|(x, y)| bright(x, y)));
        let path = grid.dir.path().join(name);
        std::fs::write(&path, file).unwrap();
        path
    };
    let brighter = photo("brighter.ppm", &|x, _| u8::try_from(2 * x).unwrap());
    let darker = photo("darker.ppm", &|x, _| u8::try_from(200 - 2 * x).unwrap());
    let check = photo("check.ppm", &|x, y| if (x / 10 + y / 10) % 2 == 0 { 250 } else { 5 });
    as_client(&grid, async |client| {
        let hash = async |path: &Path| result(&client, "image-hash", json!({ "path": path })).await;
        assert_eq!(hash(&brighter).await, r#""ffffffffffffffff""#);
        assert_eq!(hash(&darker).await, r#""0000000000000000""#);
        assert_eq!(hash(&check).await, r#""55aa55aa55aa55aa""#);
        let small = json!({"text": "P2 # small\n9 1\n255\n0 1 0 1 0 1 0 1 0"});
        assert_eq!(result(&client, "image-hash", small).await, r#""aaaaaaaaaaaaaaaa""#);
        assert_eq!(failure(&client, "image-hash", json!({"text": "P2 9 9"})).await.0, "BAD_PAYLOAD");
        let (code, message) = failure(&client, "image-hash", json!({"path": "/nowhere.ppm"})).await;
        assert!(code == "FAILED" && message.contains("No such file"), "{code}: {message}");
    });
}

#[test]
fn a_dropped_call_leaves_a_task_that_its_key_finds_again() {
    let grid = Grid::without_workers();
    as_client(&grid, async |client| {
        // It waits for a worker that is not there, until it is seen to be stored.
        let waiting = client.submit("reverse", "OpenAI").key("once").wait();
        let stored = async {
            loop {
                let tasks = client.list(ListTasks::default()).await.unwrap().tasks;
                if let Some(task) = tasks.first() {
                    break task.id;
                }
            }
        };
        let first = tokio::select! {
            end = waiting => panic!("{end:?}"),
            id = stored => id,
        };
        let again = client.submit("reverse", "OpenAI").key("once").await.unwrap();
        assert_eq!((again.task, again.duplicate), (first, true));
    });
}

#[test]
fn a_client_outlives_the_dispatcher_that_it_talks_to() {
    let mut grid = Grid::without_workers();
    runtime().block_on(async {
        let client = Client::connect(&grid.dispatcher.addr.to_string()).await.unwrap();
        client.submit("reverse", "OpenAI").key("once").await.unwrap();
        grid.kill_and_restart_dispatcher();
        grid.add_worker(&[]);
        let end = timeout(PATIENCE, client.submit("reverse", "OpenAI").key("once").wait()).await;
        assert_eq!(end.unwrap().unwrap().get(), r#""IAnepO""#);
    });
}
