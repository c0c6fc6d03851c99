//! PostgreSQL: a table, and workers that claim with SKIP LOCKED. Three commits for each batch of tasks: stored, claimed,
//! done.
//!
//! Nobody polls and nobody LISTENs: inside this process the client tells the worker that there are tasks, and the worker
//! tells the client which are done. Everything else goes through the table. That is in PostgreSQL's favour.

mod table;

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, mpsc};

use super::Peer;
use crate::ledger::reverse;
use crate::window::Window;
use crate::{Failure, Load, Tasks};
use table::Table;

/// As many results as one query reads: as many as the largest batch of the comparison.
const READ_MAX: usize = 100;

#[derive(Clone)]
pub(crate) struct Postgresql {
    port: u16,
    connections: u32,
    batch: u32,
    /// A permit for each committed task that nobody claims yet.
    pending: Arc<Semaphore>,
    done: mpsc::UnboundedSender<i64>,
    /// Taken by the client's side.
    is_done: Arc<Mutex<Option<mpsc::UnboundedReceiver<i64>>>>,
}

impl Postgresql {
    pub(crate) fn new(load: &Load) -> Self {
        // Bounded by the tasks in flight.
        let (done, is_done) = mpsc::unbounded_channel();
        Self {
            port: load.port,
            connections: load.connections,
            batch: load.batch,
            pending: Arc::new(Semaphore::new(0)),
            done,
            is_done: Arc::new(Mutex::new(Some(is_done))),
        }
    }

    async fn store(self, table: Table, window: Rc<Window>) -> Result<(), Failure> {
        while let Some(payloads) = window.next(self.batch).await {
            table.store(&payloads).await?;
            self.pending.add_permits(payloads.len());
        }
        Ok(())
    }

    async fn claim_and_finish(self, table: Table) -> Result<(), Failure> {
        loop {
            let wanted = self.wait_for_pending().await?;
            let mut ids = Vec::new();
            let mut results = Vec::new();
            // Others may lock a row at the same moment and leave this one with fewer; there are enough for all.
            while ids.len() < wanted {
                for (id, payload) in table.claim(wanted - ids.len()).await? {
                    ids.push(id);
                    results.push(String::from_utf8(reverse(payload.as_bytes()))?);
                }
            }
            table.finish(&ids, &results).await?;
            for id in ids {
                self.done.send(id)?;
            }
        }
    }

    /// Waits for one pending task, and takes up to a batch if they are there.
    async fn wait_for_pending(&self) -> Result<usize, Failure> {
        self.pending.acquire().await?.forget();
        Ok(1 + self.pending.forget_permits(self.batch as usize - 1))
    }
}

impl Peer for Postgresql {
    async fn prepare(&self) -> Result<(), Failure> {
        Table::create(self.port).await
    }

    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let table = Table::open(self.port, tasks).await?;
            tasks.spawn_local(self.clone().claim_and_finish(table));
        }
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        let is_done = self.is_done.lock().expect("held for a moment only").take();
        let table = Table::open(self.port, tasks).await?;
        tasks.spawn_local(read_results(table, is_done.ok_or("a run has one client")?, window.clone()));
        for _ in 0..self.connections {
            let table = Table::open(self.port, tasks).await?;
            tasks.spawn_local(self.clone().store(table, window.clone()));
        }
        Ok(())
    }
}

async fn read_results(
    table: Table,
    mut is_done: mpsc::UnboundedReceiver<i64>,
    window: Rc<Window>,
) -> Result<(), Failure> {
    let mut ids = Vec::new();
    while is_done.recv_many(&mut ids, READ_MAX).await > 0 {
        for result in table.read(&ids).await? {
            window.finish(result.as_bytes());
        }
        ids.clear();
    }
    Ok(())
}
