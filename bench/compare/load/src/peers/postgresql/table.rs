//! The table, and one connection to it. For a single task there are statements of their own: they cost the server a sixth less
//! than those for many.

use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::{Failure, Tasks};

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

const STORE_ONE: &str = "INSERT INTO tasks (payload) VALUES ($1)";

const STORE: &str = "INSERT INTO tasks (payload) SELECT unnest($1::text[])";

const CLAIM_ONE: &str = "
    UPDATE tasks SET state = 'running'
    WHERE id = (SELECT id FROM tasks WHERE state = 'pending' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, payload";

const CLAIM: &str = "
    UPDATE tasks SET state = 'running'
    WHERE id = ANY (ARRAY(
        SELECT id FROM tasks WHERE state = 'pending' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, payload";

const FINISH_ONE: &str = "UPDATE tasks SET state = 'done', result = $2, completed = now() WHERE id = $1";

const FINISH: &str = "
    UPDATE tasks SET state = 'done', result = done.result, completed = now()
    FROM unnest($1::bigint[], $2::text[]) AS done (id, result)
    WHERE tasks.id = done.id";

const READ: &str = "SELECT result FROM tasks WHERE id = ANY ($1::bigint[]) AND state = 'done'";

pub(super) struct Table {
    client: Client,
    store_one: Statement,
    store: Statement,
    claim_one: Statement,
    claim: Statement,
    finish_one: Statement,
    finish: Statement,
    read: Statement,
}

impl Table {
    pub(super) async fn open(port: u16, tasks: &mut Tasks) -> Result<Self, Failure> {
        let client = connect(port, tasks).await?;
        Ok(Self {
            store_one: client.prepare(STORE_ONE).await?,
            store: client.prepare(STORE).await?,
            claim_one: client.prepare(CLAIM_ONE).await?,
            claim: client.prepare(CLAIM).await?,
            finish_one: client.prepare(FINISH_ONE).await?,
            finish: client.prepare(FINISH).await?,
            read: client.prepare(READ).await?,
            client,
        })
    }

    /// Makes it, where it is not there yet.
    pub(super) async fn create(port: u16) -> Result<(), Failure> {
        let mut connection = Tasks::new();
        Ok(connect(port, &mut connection).await?.batch_execute(SCHEMA).await?)
    }

    pub(super) async fn store(&self, payloads: &[String]) -> Result<(), Failure> {
        match payloads {
            [payload] => self.client.execute(&self.store_one, &[payload]).await?,
            payloads => self.client.execute(&self.store, &[&payloads]).await?,
        };
        Ok(())
    }

    /// The ids and payloads of up to `count` pending tasks.
    pub(super) async fn claim(&self, count: usize) -> Result<Vec<(i64, String)>, Failure> {
        let rows = match count {
            1 => self.client.query(&self.claim_one, &[]).await?,
            count => self.client.query(&self.claim, &[&(count as i64)]).await?,
        };
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    pub(super) async fn finish(&self, ids: &[i64], results: &[String]) -> Result<(), Failure> {
        match (ids, results) {
            ([id], [result]) => self.client.execute(&self.finish_one, &[id, result]).await?,
            (ids, results) => self.client.execute(&self.finish, &[&ids, &results]).await?,
        };
        Ok(())
    }

    pub(super) async fn read(&self, ids: &[i64]) -> Result<Vec<String>, Failure> {
        let rows = self.client.query(&self.read, &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

async fn connect(port: u16, tasks: &mut Tasks) -> Result<Client, Failure> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tasks.spawn_local(async move { Ok(connection.await?) });
    Ok(client)
}
