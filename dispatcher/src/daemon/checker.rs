//! The thread that looks through a large file for damage, beside the work (R32).

use tokio::sync::oneshot;

use crate::store::{SqliteStore, StoreError};

/// Starts the thread; it ends when it has seen the whole file. Only damage is reported.
pub(super) fn spawn(store: SqliteStore, damaged: oneshot::Sender<StoreError>) -> std::io::Result<()> {
    std::thread::Builder::new().name("checker".to_owned()).spawn(move || match store.check() {
        Ok(()) => tracing::info!("the database was checked and is sound"),
        Err(error @ StoreError::Corrupt(_)) => {
            // Nobody listens any more when the dispatcher has stopped already.
            let _ = damaged.send(error);
        }
        Err(error) => tracing::warn!("the database could not be checked: {error}"),
    })?;
    Ok(())
}
