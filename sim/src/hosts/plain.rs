//! A plain worker, as one writes it in an afternoon: it registers, runs one task after another, and sends each
//! result once.

use std::collections::VecDeque;
use std::net::SocketAddr;

use taskgrid_protocol::body::TaskObject;
use taskgrid_protocol::codec::{self, Element};
use taskgrid_protocol::{Body, Timestamp};

use crate::agenda::Local;
use crate::host::{Context, Death, Host};
use crate::options::SECOND;
use crate::record::Step;
use crate::workload::{self, Deed};

/// How often it says that it is there.
const ANNOUNCE_EVERY: u64 = 15 * SECOND;

/// See the module's documentation.
pub struct PlainWorker {
    /// Where it says that it is reached.
    pub name: String,
    /// What it serves.
    pub task_type: &'static str,
    /// Where the first name service is.
    pub nameservice: SocketAddr,
    alive: bool,
    /// The first one runs.
    queue: VecDeque<(SocketAddr, TaskObject, Deed)>,
}

impl PlainWorker {
    /// A worker that is not there yet.
    pub fn new(name: String, task_type: &'static str, nameservice: SocketAddr) -> Self {
        Self { name, task_type, nameservice, alive: false, queue: VecDeque::new() }
    }

    fn begin(&mut self, context: &mut Context<'_>) {
        let Some((_, task, deed)) = self.queue.front() else { return };
        context.record.ran(context.at, context.life, task.id, None, Step::Start);
        // Its author did not think of handlers that hang.
        let span = if let Deed::Ends(span, _) = deed { *span } else { SECOND };
        context.later.push((span, Local::PlainEnds(task.id)));
    }
}

impl Host for PlainWorker {
    fn start(&mut self, context: &mut Context<'_>) {
        self.alive = true;
        context.later.push((0, Local::Announce));
    }

    fn kill(&mut self, _context: &mut Context<'_>, _power: bool) {
        self.alive = false;
        self.queue.clear();
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        let mut tasks = Vec::new();
        codec::decode(datagram, from, &mut |element| {
            if let Element::Message(message) = element
                && let Body::Task(task) = message.body
            {
                tasks.push(task);
            }
        });
        for task in tasks {
            let deed = workload::handle(context.options, context.dice, &task.payload, u32::MAX);
            self.queue.push_back((from, task, deed));
            if self.queue.len() == 1 {
                self.begin(context);
            }
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        match local {
            Local::Announce if self.alive => {
                let data = serde_json::json!({ "type": self.task_type, "address": self.name });
                let message = serde_json::json!({ "type": "REGISTER_WORKER", "data": data });
                context.out.push((self.nameservice, message.to_string().into_bytes()));
                context.later.push((ANNOUNCE_EVERY, Local::Announce));
            }
            Local::PlainEnds(task_id) => {
                let (to, task, deed) = self.queue.pop_front()?;
                assert_eq!(task.id, task_id, "one task runs after another");
                let outcome = match deed {
                    Deed::Ends(_, outcome) => outcome,
                    Deed::Hangs => Err(taskgrid_protocol::body::Failure::passing("HUNG", "it hung")),
                    Deed::Kills => return Some(Death::Failed),
                };
                context.record.ran(context.at, context.life, task.id, None, Step::End(outcome.clone()));
                let data = match outcome {
                    Ok(result) => serde_json::json!({ "task_id": task.id, "result": result }),
                    Err(failure) => serde_json::json!({ "task_id": task.id, "error": failure }),
                };
                let message = serde_json::json!({ "type": "RESULT_RETURN", "data": data });
                context.out.push((to, message.to_string().into_bytes()));
                self.begin(context);
            }
            Local::Announce => {}
            Local::Stop => return Some(Death::Stopped),
            other => unreachable!("a plain worker does not wait for {other:?}"),
        }
        None
    }

    fn settle(&mut self, _context: &mut Context<'_>) -> Option<Death> {
        None
    }

    fn wake_at(&self) -> Option<Timestamp> {
        None
    }
}
