//! The thread that reads the table for clients, beside the writer.

use std::sync::mpsc::{SyncSender, sync_channel};

use taskgrid_runtime::wall_time;
use tokio::sync::mpsc;

use crate::machine::{Event, READS_MAX};
use crate::store::{Query, SqliteStore, Store};

/// Starts the thread; it ends when the sender is dropped. The channel holds as many reads as the machine
/// ever has under way, so sending never waits.
pub(super) fn spawn(store: SqliteStore, events: mpsc::Sender<Event>) -> std::io::Result<SyncSender<(u64, Query)>> {
    let (sender, reads) = sync_channel::<(u64, Query)>(READS_MAX);
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        for (ticket, query) in reads {
            let answer = store.read(&query);
            if let Err(error) = &answer {
                tracing::warn!("a read failed: {error}");
            }
            if events.blocking_send(Event::Read { ticket, answer, at: wall_time() }).is_err() {
                return;
            }
        }
    })?;
    Ok(sender)
}
