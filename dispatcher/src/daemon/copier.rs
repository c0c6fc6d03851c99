//! The thread that copies a long write-ahead log into the database file while batches go on.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use crate::store::{SqliteStore, StoreError};

/// Works for the committer, on one copy at a time.
pub(super) struct Copier {
    orders: SyncSender<()>,
    copies: Receiver<Result<(), StoreError>>,
    is_busy: bool,
}

impl Copier {
    /// Starts the thread. It ends when the copier is dropped.
    pub(super) fn spawn(store: SqliteStore) -> std::io::Result<Self> {
        let (orders, wanted) = sync_channel(1);
        let (done, copies) = sync_channel(1);
        std::thread::Builder::new().name("copier".to_owned()).spawn(move || {
            while wanted.recv().is_ok() {
                if done.send(store.copy_log()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { orders, copies, is_busy: false })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to copy. It must not be busy.
    pub(super) fn begin(&mut self) {
        self.is_busy = self.orders.try_send(()).is_ok();
    }

    /// What came of the copy that was begun last, when it has just ended.
    pub(super) fn poll(&mut self) -> Option<Result<(), StoreError>> {
        match self.copies.try_recv() {
            Ok(copy) => {
                self.is_busy = false;
                Some(copy)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// The same, waited for; `Ok` when none is under way.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.is_busy) {
            return Ok(());
        }
        self.copies.recv().unwrap_or(Ok(()))
    }
}
