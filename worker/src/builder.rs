//! A worker in a program of one's own.

use std::fmt;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskgrid_runtime::{List, Pulse, StartError, Supervisor, Trigger, flush_log, on_signal};

use crate::handlers::{Handlers, function};
use crate::{Failure, Task, Worker, WorkerArgs};

/// Where [`WorkerBuilder`] looks for a name service unless it is told.
const DEFAULT_NAMESERVICE: &str = "127.0.0.1:5001";

impl Worker {
    /// A worker for handlers of your own. It serves those, and nothing else.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), taskgrid_worker::StartError> {
    /// use taskgrid_worker::{Failure, Task, Worker};
    ///
    /// Worker::builder()
    ///     .handler("shout", |task: Task<String>| async move { Ok::<_, Failure>(task.payload.to_uppercase()) })
    ///     .nameservice("grid.example:5001")
    ///     .listen(([0, 0, 0, 0], 6000))
    ///     .run()
    ///     .await
    /// # }
    /// ```
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder {
            handlers: Ok(Handlers::default()),
            builtin: false,
            // Any free port: there may be more workers on a machine, in whatever programs.
            args: WorkerArgs {
                nameservice: Vec::new(),
                ..WorkerArgs::listening_on((Ipv4Addr::LOCALHOST, 0).into(), DEFAULT_NAMESERVICE.to_owned())
            },
        }
    }
}

/// Says what a [`Worker`] serves, and where it is. Made by [`Worker::builder`].
///
/// What is not said is as with `taskgrid worker`, except that it listens on any free port. Mistakes are reported by
/// [`run`](WorkerBuilder::run); where one speaks of a flag such as `--advertise`, the method of that name is meant.
#[must_use = "a worker does nothing until it is run"]
pub struct WorkerBuilder {
    handlers: Result<Handlers, StartError>,
    builtin: bool,
    args: WorkerArgs,
}

impl WorkerBuilder {
    /// Serves the tasks of a type with a function: an `async fn` or a closure that returns a future.
    ///
    /// The payload is read into whatever the function takes (see [`Task`]). Its result is whatever has a JSON form
    /// without NaN and infinities, up to 48 KiB; its error whatever becomes a [`Failure`]. A panic fails the
    /// attempt, which is then tried again, unless the program was built with `panic = "abort"`.
    ///
    /// The function may be called again before an earlier call has ended: [`concurrency`](Self::concurrency) says
    /// how often at a time. What its calls share, it owns:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use taskgrid_worker::{Failure, Task, Worker};
    ///
    /// let greeting = Arc::new(String::from("Hello"));
    /// let worker = Worker::builder().handler("greet", move |task: Task<String>| {
    ///     let greeting = Arc::clone(&greeting);
    ///     async move { Ok::<_, Failure>(format!("{greeting}, {}!", task.payload)) }
    /// });
    /// ```
    ///
    /// A handler that computes for longer than a moment without awaiting does so in
    /// [`tokio::task::spawn_blocking`]: the worker's own conversation with the grid stands on the same runtime. See
    /// [`Task::is_cancelled`].
    pub fn handler<P, R, E, F>(self, task_type: &str, handler: impl Fn(Task<P>) -> F + Send + Sync + 'static) -> Self
    where
        P: DeserializeOwned + 'static,
        R: Serialize + 'static,
        E: Into<Failure> + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        let handlers = self.handlers.and_then(|handlers| handlers.with(task_type, function(handler)));
        Self { handlers, ..self }
    }

    /// Serves the built-in types too: `reverse`, `upper`, `hash`, `sum` and `wait`. A handler of yours takes the
    /// place of a built-in one of the same type.
    pub fn builtin(self) -> Self {
        Self { builtin: true, ..self }
    }

    /// A name service, `HOST:PORT`. Called several times, the worker registers at all of them; `127.0.0.1:5001`
    /// unless said.
    pub fn nameservice(mut self, address: impl Into<String>) -> Self {
        self.args.nameservice.push(List::one(address.into()));
        self
    }

    /// Where dispatchers reach the worker; any free port of 127.0.0.1 unless said. `([0, 0, 0, 0], 6000)` if they
    /// are on other machines. With a port that stays the same, a dispatcher notices sooner that the worker was
    /// started anew.
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.args.listen = address.into();
        self
    }

    /// The address to register, `HOST:PORT`, if others reach this machine under another one than it has itself, as
    /// in a container.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.args.advertise = Some(address.into());
        self
    }

    /// How many tasks to run at a time, from 1 to 1,024; four for each processor core unless said. Lower it for
    /// handlers that need much memory or whole cores.
    pub fn concurrency(mut self, tasks: u32) -> Self {
        self.args.concurrency = tasks;
        self
    }

    /// How many tasks to take beyond those that run, so that the next one is here when a handler ends; none unless said.
    /// For many short tasks: one that waits here for a long one is not given to another worker.
    pub fn prefetch(mut self, tasks: u32) -> Self {
        self.args.prefetch = tasks;
        self
    }

    /// The `--lease` of the dispatcher, 30 seconds unless said. A third of it passes between two signs of life of
    /// running tasks.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.args.lease = lease;
        self
    }

    /// How often to tell the name services that the worker is there; every 5 seconds unless said.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.args.heartbeat = interval;
        self
    }

    /// When the worker is asked to stop, handlers that run may go on for so long; 25 seconds unless said.
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.args.drain_grace = grace;
        self
    }

    /// Takes tasks until Ctrl-C or SIGTERM, then finishes what runs and returns. A second signal ends the process
    /// at once. A supervisor such as systemd is told when the worker is ready, that it is alive, and when it stops.
    pub async fn run(self) -> Result<(), StartError> {
        let supervisor = Supervisor::of_process();
        let shutdown = on_signal(&supervisor)
            .map_err(|error| StartError::unavailable(format!("cannot listen for signals: {error}")))?;
        let outcome = self.serve(shutdown.requested(), supervisor.pulse()).await;
        flush_log();
        outcome
    }

    /// Takes tasks until `stop` ends, then finishes what runs and returns.
    ///
    /// Dropping the future stops the worker on the spot, like a crash: its tasks run again elsewhere, once their
    /// leases are over.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), taskgrid_worker::StartError> {
    /// # use taskgrid_worker::Worker;
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let worker = tokio::spawn(Worker::builder().builtin().run_until(async { stopped.await.unwrap_or(()) }));
    /// // …
    /// drop(stop);
    /// worker.await.expect("a worker does not panic")
    /// # }
    /// ```
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        // The process is somebody else's, who may have more to tell than of this worker.
        self.serve(stop, Pulse::default()).await
    }

    async fn serve(self, stop: impl Future<Output = ()>, pulse: Pulse) -> Result<(), StartError> {
        let worker = self.bind().await?;
        let (trigger, shutdown) = Trigger::new();
        let stopping = async {
            stop.await;
            trigger.pull();
            pending().await
        };
        tokio::select! {
            outcome = worker.run(shutdown, pulse) => outcome,
            outcome = stopping => outcome,
        }
    }

    async fn bind(self) -> Result<Worker, StartError> {
        let Self { handlers, builtin, mut args } = self;
        let handlers = handlers?;
        let handlers = if builtin { handlers.or_builtin() } else { handlers };
        if handlers.is_empty() {
            return Err(StartError::configuration(
                "this worker has no handler; give it one with 'handler', or those that are built in with 'builtin'",
            ));
        }
        if args.nameservice.is_empty() {
            args.nameservice.push(List::one(DEFAULT_NAMESERVICE.to_owned()));
        }
        args.check()?;
        Worker::serving(Arc::new(handlers.into_map()), None, args).await
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handlers, builtin, args } = self;
        f.debug_struct("WorkerBuilder")
            .field("handlers", handlers)
            .field("builtin", builtin)
            .field("args", args)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo(task: Task) -> Result<serde_json::Value, Failure> {
        Ok(task.payload)
    }

    async fn refused(worker: WorkerBuilder) -> String {
        worker.run_until(pending()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn mistakes_are_told_in_a_sentence_before_anything_is_sent() {
        let nothing = refused(Worker::builder()).await;
        assert!(nothing.contains("has no handler"), "{nothing}");
        let illegal = refused(Worker::builder().handler("../\u{1b}sh", echo)).await;
        assert!(illegal.contains("../\\u{1b}sh") && illegal.contains("a task type has"), "{illegal}");
        let twice = refused(Worker::builder().handler("echo", echo).handler("echo", echo)).await;
        assert!(twice.contains("two handlers for 'echo'"), "{twice}");
        let first = refused(Worker::builder().handler("", echo).handler("echo", echo).handler("echo", echo)).await;
        assert!(first.contains("a task type has"), "{first}");
        let busy = refused(Worker::builder().handler("echo", echo).concurrency(0)).await;
        assert!(busy.contains("--concurrency"), "{busy}");
        let greedy = refused(Worker::builder().handler("echo", echo).concurrency(1_000).prefetch(25)).await;
        assert!(greedy.contains("--prefetch"), "{greedy}");
        let nowhere = refused(Worker::builder().handler("echo", echo).nameservice("here")).await;
        assert!(nowhere.contains("--nameservice 'here'"), "{nowhere}");
    }

    #[tokio::test]
    async fn it_serves_what_it_was_given_and_the_built_in_types_only_when_asked() {
        let types = async |worker: WorkerBuilder| {
            let worker = worker.bind().await.unwrap();
            worker.types().map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(types(Worker::builder().handler("echo", echo)).await, ["echo"]);
        let all = ["echo", "hash", "reverse", "sum", "upper", "wait"];
        assert_eq!(types(Worker::builder().handler("echo", echo).handler("wait", echo).builtin()).await, all);
        assert_eq!(types(Worker::builder().builtin().handler("echo", echo)).await, all);
    }

    #[tokio::test]
    async fn it_can_be_moved_to_another_thread_and_ends_when_it_is_told_to() {
        let worker = tokio::spawn(Worker::builder().builtin().run_until(async {}));
        worker.await.unwrap().unwrap();
    }
}
