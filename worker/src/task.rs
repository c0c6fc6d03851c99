//! What a handler is given.

use std::fmt;

use serde::de::DeserializeOwned;
use taskgrid_protocol::body::{self, Progress};
use taskgrid_protocol::{Lease, TaskId, TaskType};
use tokio::sync::watch;

use crate::handlers::{Run, Stop, decode};

/// A task to be done, with its payload read into a type of yours.
///
/// A payload that does not fit the type fails the task with `BAD_PAYLOAD` before the handler is called: what is
/// expected and where stands in the message, what was sent does not. Without a type the payload is a
/// [`serde_json::Value`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use taskgrid_worker::{Failure, Task};
///
/// #[derive(Deserialize)]
/// struct Order {
///     item: String,
///     count: u32,
/// }
///
/// #[derive(Serialize)]
/// struct Bill {
///     text: String,
/// }
///
/// async fn bill(task: Task<Order>) -> Result<Bill, Failure> {
///     let Order { item, count } = task.payload;
///     Ok(Bill { text: format!("{count} × {item}") })
/// }
/// ```
pub struct Task<P = serde_json::Value> {
    /// The task's number.
    pub id: TaskId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The identity of this attempt. A handler may run again while an earlier run still goes on, unnoticed; what it
    /// changes outside can keep the lease beside it, and refuse the older one. `None` from a dispatcher that knows
    /// no leases.
    pub lease: Option<Lease>,
    /// The type that the task was found by.
    pub task_type: TaskType,
    /// What the client sent.
    pub payload: P,
    stop: Stop,
    progress: watch::Sender<Option<Progress>>,
}

impl<P> Task<P> {
    /// Tells how far the handler is, from 0 to 1, and in a few words what it does: up to 200 bytes, `""` for none.
    /// `taskgrid show` prints it. Only what was told last travels to the dispatcher, with the next heartbeat, so
    /// telling often costs nothing.
    ///
    /// ```
    /// # fn example(task: taskgrid_worker::Task<Vec<u32>>) {
    /// for (done, page) in task.payload.iter().enumerate() {
    ///     task.progress(done as f64 / task.payload.len() as f64, format!("page {page}"));
    ///     // …
    /// }
    /// # }
    /// ```
    pub fn progress(&self, fraction: f64, note: impl Into<String>) {
        // A fraction that is no number is a mistake of the handler's, and none that its task should fail for.
        if let Some(progress) = Progress::new(fraction, Some(note.into())) {
            self.progress.send_replace(Some(progress));
        }
    }

    /// Ends when the handler must: somebody has cancelled the task, its time limit is over, or the worker stops and
    /// its grace for running handlers is over. A second later the handler's future is dropped wherever it awaits, so
    /// this is only for a handler that has something to clear away. What it returns then hardly counts.
    ///
    /// ```
    /// # use taskgrid_worker::{Failure, Task};
    /// # async fn work(payload: String) -> Result<u32, Failure> { Ok(1) }
    /// async fn handler(task: Task<String>) -> Result<u32, Failure> {
    ///     let cancelled = task.cancelled();
    ///     tokio::select! {
    ///         result = work(task.payload) => result,
    ///         () = cancelled => {
    ///             // … remove what is half done …
    ///             Err(Failure::retry("stopped"))
    ///         }
    ///     }
    /// }
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<P> {
        let mut stop = self.stop.clone();
        async move { stop.requested().await }
    }

    /// Whether it is time to stop, for loops that await nothing. Such a loop belongs on a thread of its own, since
    /// no other task gets on meanwhile:
    ///
    /// ```
    /// use taskgrid_worker::{Failure, Task};
    ///
    /// async fn primes(task: Task<u32>) -> Result<usize, Failure> {
    ///     tokio::task::spawn_blocking(move || {
    ///         let mut found = 0;
    ///         for n in 2..task.payload {
    ///             if task.is_cancelled() {
    ///                 return Err(Failure::retry("stopped"));
    ///             }
    ///             task.progress(f64::from(n) / f64::from(task.payload), "");
    ///             found += usize::from((2..n).all(|divisor| n % divisor != 0));
    ///         }
    ///         Ok(found)
    ///     })
    ///     .await?
    /// }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.stop.is_requested()
    }
}

impl<P: DeserializeOwned> Task<P> {
    pub(crate) fn new(run: Run) -> Result<Self, body::Failure> {
        let Run { task, stop, progress } = run;
        let crate::machine::Task { id, task_type, payload, attempt, lease } = task;
        Ok(Self { id, attempt, lease, task_type, payload: decode(&payload)?, stop, progress })
    }
}

impl<P: fmt::Debug> fmt::Debug for Task<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, attempt, lease, task_type, payload, .. } = self;
        f.debug_struct("Task")
            .field("id", id)
            .field("attempt", attempt)
            .field("lease", lease)
            .field("task_type", task_type)
            .field("payload", payload)
            .finish_non_exhaustive()
    }
}
