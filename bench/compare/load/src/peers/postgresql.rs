//! PostgreSQL: a table, and workers that claim with SKIP LOCKED. Three commits for each batch of tasks: stored, claimed, done.
//!
//! Nobody polls and nobody LISTENs: inside this process the client tells the worker that there are tasks, and the worker
//! tells the client which are done. Everything else goes through the table. That is in PostgreSQL's favour.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, mpsc};
use tokio_postgres::{Client, Config, NoTls};

use super::Peer;
use crate::ledger::reverse;
use crate::window::Window;
use crate::{Failure, Load, Tasks};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS tasks (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        state text NOT NULL DEFAULT 'pending',
        payload text NOT NULL,
        result text,
        created timestamptz NOT NULL DEFAULT now(),
        completed timestamptz
    );
    CREATE INDEX IF NOT EXISTS pending ON tasks (id) WHERE state = 'pending';
";

const STORE: &str = "INSERT INTO tasks (payload) SELECT unnest($1::text[])";

const CLAIM: &str = "
    UPDATE tasks SET state = 'running'
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks WHERE state = 'pending' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, payload";

const FINISH: &str = "
    UPDATE tasks SET state = 'done', result = done.result, completed = now()
    FROM unnest($1::bigint[], $2::text[]) AS done (id, result)
    WHERE tasks.id = done.id";

const READ: &str = "SELECT result FROM tasks WHERE id = ANY ($1::bigint[]) AND state = 'done'";

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

    async fn open(&self, tasks: &mut Tasks) -> Result<Client, Failure> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tasks.spawn_local(async move { Ok(connection.await?) });
        Ok(client)
    }

    async fn store(self, client: Client, window: Rc<Window>) -> Result<(), Failure> {
        let store = client.prepare(STORE).await?;
        while let Some(payloads) = window.next(self.batch).await {
            client.execute(&store, &[&payloads]).await?;
            self.pending.add_permits(payloads.len());
        }
        Ok(())
    }

    async fn claim_and_finish(self, client: Client) -> Result<(), Failure> {
        let claim = client.prepare(CLAIM).await?;
        let finish = client.prepare(FINISH).await?;
        loop {
            let wanted = self.wait_for_pending().await?;
            let mut ids = Vec::new();
            let mut results = Vec::new();
            while ids.len() < wanted {
                for row in client.query(&claim, &[&((wanted - ids.len()) as i64)]).await? {
                    ids.push(row.get::<_, i64>(0));
                    results.push(String::from_utf8(reverse(row.get::<_, &str>(1).as_bytes()))?);
                }
            }
            client.execute(&finish, &[&ids, &results]).await?;
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
        Ok(self.open(&mut Tasks::new()).await?.batch_execute(SCHEMA).await?)
    }

    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let client = self.open(tasks).await?;
            tasks.spawn_local(self.clone().claim_and_finish(client));
        }
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        let is_done = self.is_done.lock().expect("held for a moment only").take();
        let reader = self.open(tasks).await?;
        tasks.spawn_local(read_results(reader, is_done.ok_or("a run has one client")?, window.clone()));
        for _ in 0..self.connections {
            let client = self.open(tasks).await?;
            tasks.spawn_local(self.clone().store(client, window.clone()));
        }
        Ok(())
    }
}

async fn read_results(
    client: Client,
    mut is_done: mpsc::UnboundedReceiver<i64>,
    window: Rc<Window>,
) -> Result<(), Failure> {
    let read = client.prepare(READ).await?;
    let mut ids = Vec::new();
    while is_done.recv_many(&mut ids, READ_MAX).await > 0 {
        for row in client.query(&read, &[&ids]).await? {
            window.finish(row.get::<_, &str>(0).as_bytes());
        }
        ids.clear();
    }
    Ok(())
}
