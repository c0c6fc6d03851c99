//! The protocol of NATS, as far as it is used here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use crate::peers::connect;
use crate::{Failure, Tasks};

const CONNECT: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"rust\",\"version\":\"1\"}\r\n";

/// What is received sends by itself only what keeps the connection alive.
pub(super) struct Inbound {
    stream: BufReader<OwnedReadHalf>,
    outbound: Outbound,
    line: String,
}

/// What is written here goes out together, as soon as the writer has sent what came before.
#[derive(Clone)]
pub(super) struct Outbound {
    shared: Rc<Shared>,
}

struct Shared {
    waiting: RefCell<Vec<u8>>,
    is_waiting: Notify,
    subscriptions: Cell<u32>,
}

pub(super) struct Message {
    pub(super) subject: String,
    /// Empty where no reply is wanted.
    pub(super) reply: String,
    pub(super) body: Vec<u8>,
}

pub(super) async fn open(port: u16, tasks: &mut Tasks) -> Result<(Outbound, Inbound), Failure> {
    let (read, write) = connect(port).await?.into_split();
    let shared = Shared { waiting: CONNECT.to_vec().into(), is_waiting: Notify::new(), subscriptions: Cell::new(0) };
    let outbound = Outbound { shared: Rc::new(shared) };
    tasks.spawn_local(outbound.clone().write_on(write));
    let inbound =
        Inbound { stream: BufReader::with_capacity(64 << 10, read), outbound: outbound.clone(), line: String::new() };
    Ok((outbound, inbound))
}

impl Outbound {
    /// Subjects are their own subscriptions' names: there are few of them.
    pub(super) fn subscribe(&self, subject: &str) {
        let number = self.shared.subscriptions.get() + 1;
        self.shared.subscriptions.set(number);
        self.write(&[b"SUB ", subject.as_bytes(), format!(" {number}\r\n").as_bytes()]);
    }

    pub(super) fn publish(&self, subject: &str, reply: &str, body: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", body.len());
        self.write(&[head.as_bytes(), body, b"\r\n"]);
    }

    fn write(&self, parts: &[&[u8]]) {
        let mut waiting = self.shared.waiting.borrow_mut();
        for part in parts {
            waiting.extend_from_slice(part);
        }
        self.shared.is_waiting.notify_one();
    }

    async fn write_on(self, mut stream: OwnedWriteHalf) -> Result<(), Failure> {
        loop {
            let bytes = self.shared.waiting.take();
            if bytes.is_empty() {
                self.shared.is_waiting.notified().await;
            } else {
                stream.write_all(&bytes).await?;
            }
        }
    }
}

impl Inbound {
    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 {
                return Err("NATS: closed the connection".into());
            }
            let mut words = self.line.split_whitespace();
            match words.next() {
                Some("MSG") => return self.message().await,
                Some("PING") => self.outbound.write(&[b"PONG\r\n"]),
                Some("INFO" | "PONG" | "+OK") => {}
                // A message with headers is one about a request that was not served.
                _ => return Err(format!("NATS: {}", self.line.trim_end()).into()),
            }
        }
    }

    /// `MSG subject subscription [reply] length`, and the body.
    async fn message(&mut self) -> Result<Message, Failure> {
        let words: Vec<&str> = self.line.split_whitespace().collect();
        let (subject, reply, length) = match words[..] {
            [_, subject, _, length] => (subject, "", length),
            [_, subject, _, reply, length] => (subject, reply, length),
            _ => return Err(format!("NATS: {}", self.line.trim_end()).into()),
        };
        let (subject, reply) = (subject.to_owned(), reply.to_owned());
        let mut body = vec![0; length.parse::<usize>()? + 2];
        self.stream.read_exact(&mut body).await?;
        body.truncate(body.len() - 2);
        Ok(Message { subject, reply, body })
    }
}
