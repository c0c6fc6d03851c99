//! beanstalkd: it keeps no results, so a worker puts them into a second tube.

use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::{Peer, connect};
use crate::ledger::reverse;
use crate::window::Window;
use crate::{Failure, Load, Tasks};

#[derive(Clone)]
pub(crate) struct Beanstalkd {
    port: u16,
    connections: u32,
    batch: u32,
}

impl Beanstalkd {
    pub(crate) fn new(load: &Load) -> Self {
        Self { port: load.port, connections: load.connections, batch: load.batch }
    }
}

impl Peer for Beanstalkd {
    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let connection = Connection::open(self.port, "results", "tasks").await?;
            tasks.spawn_local(work(connection, self.batch));
        }
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let results = Connection::open(self.port, "tasks", "results").await?;
            tasks.spawn_local(read_results(results, self.batch, window.clone()));
            let connection = Connection::open(self.port, "tasks", "results").await?;
            tasks.spawn_local(submit(connection, self.batch, window.clone()));
        }
        Ok(())
    }
}

async fn submit(mut connection: Connection, batch: u32, window: Rc<Window>) -> Result<(), Failure> {
    while let Some(payloads) = window.next(batch).await {
        for payload in &payloads {
            connection.write_put(payload.as_bytes()).await?;
        }
        connection.expect("INSERTED", payloads.len()).await?;
    }
    Ok(())
}

/// The result stands in its tube before the task is deleted, so that a worker that dies loses neither.
async fn work(mut connection: Connection, batch: u32) -> Result<(), Failure> {
    loop {
        let jobs = connection.reserve(batch).await?;
        for job in &jobs {
            connection.write_put(&reverse(&job.body)).await?;
        }
        connection.expect("INSERTED", jobs.len()).await?;
        connection.delete(&jobs).await?;
    }
}

async fn read_results(mut connection: Connection, batch: u32, window: Rc<Window>) -> Result<(), Failure> {
    loop {
        let jobs = connection.reserve(batch).await?;
        for job in &jobs {
            window.finish(&job.body);
        }
        connection.delete(&jobs).await?;
    }
}

struct Job {
    id: u64,
    body: Vec<u8>,
}

struct Connection {
    stream: BufStream<TcpStream>,
}

impl Connection {
    async fn open(port: u16, used: &str, watched: &str) -> Result<Self, Failure> {
        let mut connection = Self { stream: BufStream::new(connect(port).await?) };
        let hello = format!("use {used}\r\nwatch {watched}\r\nignore default\r\n");
        connection.stream.write_all(hello.as_bytes()).await?;
        connection.expect("USING", 1).await?;
        connection.expect("WATCHING", 2).await?;
        Ok(connection)
    }

    /// With the default priority, no delay, and a minute to run.
    async fn write_put(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(format!("put 1024 0 60 {}\r\n", body.len()).as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.write_all(b"\r\n").await?;
        Ok(())
    }

    /// Waits for one job, and takes up to `batch` if they are there.
    async fn reserve(&mut self, batch: u32) -> Result<Vec<Job>, Failure> {
        self.stream.write_all(b"reserve\r\n").await?;
        for _ in 1..batch {
            self.stream.write_all(b"reserve-with-timeout 0\r\n").await?;
        }
        self.stream.flush().await?;
        let mut jobs = Vec::new();
        for _ in 0..batch {
            let line = self.line().await?;
            if line == "TIMED_OUT" {
                continue;
            }
            let mut words = line.split(' ');
            let (Some("RESERVED"), Some(id), Some(length)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("beanstalkd: asked for a job, got {line}").into());
            };
            let mut body = vec![0; length.parse::<usize>()? + 2];
            self.stream.read_exact(&mut body).await?;
            body.truncate(body.len() - 2);
            jobs.push(Job { id: id.parse()?, body });
        }
        Ok(jobs)
    }

    async fn delete(&mut self, jobs: &[Job]) -> Result<(), Failure> {
        for job in jobs {
            self.stream.write_all(format!("delete {}\r\n", job.id).as_bytes()).await?;
        }
        self.expect("DELETED", jobs.len()).await
    }

    /// Sends what was written, and reads `count` replies that begin with `word`.
    async fn expect(&mut self, word: &str, count: usize) -> Result<(), Failure> {
        self.stream.flush().await?;
        for _ in 0..count {
            let line = self.line().await?;
            if line.split(' ').next() != Some(word) {
                return Err(format!("beanstalkd: expected {word}, got {line}").into());
            }
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err("beanstalkd: closed the connection".into());
        }
        Ok(line.trim_end().to_owned())
    }
}
