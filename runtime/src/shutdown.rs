//! Stopping on request.

use tokio::sync::watch;

use crate::{Supervisor, flush_log};

/// Asks everybody who holds a [`Shutdown`] to stop. Dropping it asks too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Knows when it is time to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Trigger {
    /// A pair that belongs together.
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Shutdown(receiver))
    }

    /// Asks all to stop.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Returns when it is time to stop.
    pub async fn requested(mut self) {
        // An error means that the trigger is gone, which asks just as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// A [`Shutdown`] that Ctrl-C or SIGTERM requests, which the supervisor is told of. A second signal ends the process
/// at once.
///
/// Must be called inside a tokio runtime that lives as long as the program.
pub fn on_signal(supervisor: &Supervisor) -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (trigger, shutdown) = Trigger::new();
    let supervisor = supervisor.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !first {
                flush_log();
                std::process::exit(130);
            }
            supervisor.stopping();
            trigger.pull();
        }
    });
    Ok(shutdown)
}
