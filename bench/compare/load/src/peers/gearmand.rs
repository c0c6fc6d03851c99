//! gearmand. Background jobs go through its queue, and nobody keeps what they return, so a worker submits the result as a
//! job of a second function. Foreground jobs return it on the client's connection, and no queue keeps them.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::{Peer, connect};
use crate::ledger::reverse;
use crate::window::Window;
use crate::{Failure, Load, Tasks};

const CAN_DO: u32 = 1;
const PRE_SLEEP: u32 = 4;
const NOOP: u32 = 6;
const SUBMIT_JOB: u32 = 7;
const JOB_CREATED: u32 = 8;
const GRAB_JOB: u32 = 9;
const NO_JOB: u32 = 10;
const JOB_ASSIGN: u32 = 11;
const WORK_COMPLETE: u32 = 13;
const SUBMIT_JOB_BG: u32 = 18;

#[derive(Clone)]
pub(crate) struct Background {
    port: u16,
    connections: u32,
}

impl Background {
    pub(crate) fn new(load: &Load) -> Self {
        Self { port: load.port, connections: load.connections }
    }
}

impl Peer for Background {
    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.port).await?;
            connection.can_do("tasks").await?;
            tasks.spawn_local(async move {
                loop {
                    let job = connection.grab().await?;
                    // The result is in the queue before the task leaves it.
                    connection.submit_in_background("results", &reverse(&job.data)).await?;
                    connection.complete(&job, b"").await?;
                }
            });
        }
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let mut results = Connection::open(self.port).await?;
            results.can_do("results").await?;
            let seen = window.clone();
            tasks.spawn_local(async move {
                loop {
                    let job = results.grab().await?;
                    seen.finish(&job.data);
                    results.complete(&job, b"").await?;
                }
            });
            let mut connection = Connection::open(self.port).await?;
            let window = window.clone();
            tasks.spawn_local(async move {
                while let Some(payloads) = window.next(1).await {
                    connection.submit_in_background("tasks", payloads[0].as_bytes()).await?;
                }
                Ok(())
            });
        }
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Foreground {
    port: u16,
    connections: u32,
}

impl Foreground {
    pub(crate) fn new(load: &Load) -> Self {
        Self { port: load.port, connections: load.connections }
    }
}

impl Peer for Foreground {
    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.port).await?;
            connection.can_do("tasks").await?;
            tasks.spawn_local(async move {
                loop {
                    let job = connection.grab().await?;
                    connection.complete(&job, &reverse(&job.data)).await?;
                }
            });
        }
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.port).await?;
            let window = window.clone();
            tasks.spawn_local(async move {
                while let Some(payloads) = window.next(1).await {
                    let data = payloads[0].as_bytes();
                    connection.send(SUBMIT_JOB, &[b"tasks", data, data]).await?;
                    connection.receive(JOB_CREATED).await?;
                    window.finish(connection.receive(WORK_COMPLETE).await?.after_handle()?);
                }
                Ok(())
            });
        }
        Ok(())
    }
}

struct Job {
    handle: Vec<u8>,
    data: Vec<u8>,
}

struct Packet {
    kind: u32,
    body: Vec<u8>,
}

impl Packet {
    /// What follows the job's handle.
    fn after_handle(&self) -> Result<&[u8], Failure> {
        self.body.splitn(2, |byte| *byte == 0).nth(1).ok_or_else(|| "gearmand: a result without a handle".into())
    }
}

struct Connection {
    stream: BufStream<TcpStream>,
}

impl Connection {
    async fn open(port: u16) -> Result<Self, Failure> {
        Ok(Self { stream: BufStream::new(connect(port).await?) })
    }

    async fn can_do(&mut self, function: &str) -> Result<(), Failure> {
        self.send(CAN_DO, &[function.as_bytes()]).await
    }

    /// A queue that keeps jobs wants one name for each, and the payload is unique.
    async fn submit_in_background(&mut self, function: &str, data: &[u8]) -> Result<(), Failure> {
        self.send(SUBMIT_JOB_BG, &[function.as_bytes(), data, data]).await?;
        self.receive(JOB_CREATED).await?;
        Ok(())
    }

    /// Waits for a job as clients do: asks, sleeps when there is none, and asks again when woken.
    async fn grab(&mut self) -> Result<Job, Failure> {
        loop {
            self.send(GRAB_JOB, &[]).await?;
            let reply = self.receive_other_than(NOOP).await?;
            match reply.kind {
                NO_JOB => {
                    self.send(PRE_SLEEP, &[]).await?;
                    self.receive(NOOP).await?;
                }
                JOB_ASSIGN => {
                    let mut parts = reply.body.splitn(3, |byte| *byte == 0).map(<[u8]>::to_vec);
                    let (Some(handle), Some(_), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
                        return Err("gearmand: a job without data".into());
                    };
                    return Ok(Job { handle, data });
                }
                kind => return Err(format!("gearmand: asked for a job, got packet {kind}").into()),
            }
        }
    }

    /// Goes out with the next packet: a worker asks for the next job at once, and there is no reply.
    async fn complete(&mut self, job: &Job, result: &[u8]) -> Result<(), Failure> {
        self.write(WORK_COMPLETE, &[&job.handle, result]).await
    }

    async fn send(&mut self, kind: u32, parts: &[&[u8]]) -> Result<(), Failure> {
        self.write(kind, parts).await?;
        Ok(self.stream.flush().await?)
    }

    async fn write(&mut self, kind: u32, parts: &[&[u8]]) -> Result<(), Failure> {
        let body = parts.join(&0);
        self.stream.write_all(b"\0REQ").await?;
        self.stream.write_u32(kind).await?;
        self.stream.write_u32(body.len() as u32).await?;
        Ok(self.stream.write_all(&body).await?)
    }

    async fn receive(&mut self, kind: u32) -> Result<Packet, Failure> {
        // Sleepers are woken for jobs that others took, which may tell them while they wait for something else.
        let packet = if kind == NOOP { self.packet().await? } else { self.receive_other_than(NOOP).await? };
        if packet.kind == kind {
            return Ok(packet);
        }
        let body = String::from_utf8_lossy(&packet.body);
        Err(format!("gearmand: expected packet {kind}, got {}: {body}", packet.kind).into())
    }

    async fn receive_other_than(&mut self, kind: u32) -> Result<Packet, Failure> {
        loop {
            let packet = self.packet().await?;
            if packet.kind != kind {
                return Ok(packet);
            }
        }
    }

    async fn packet(&mut self) -> Result<Packet, Failure> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await?;
        if header != *b"\0RES" {
            return Err("gearmand: not a packet".into());
        }
        let kind = self.stream.read_u32().await?;
        let length = self.stream.read_u32().await?;
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await?;
        Ok(Packet { kind, body })
    }
}
