//! A plain client, as one writes it in an afternoon: it posts a task without a key and without an id, and asks for
//! the result every second. What is lost it does not miss.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use taskgrid_protocol::{TaskId, Timestamp};

use crate::agenda::Local;
use crate::host::{Context, Death, Host};
use crate::options::SECOND;
use crate::record::What;
use crate::workload;

/// See the module's documentation.
pub struct PlainClient {
    /// Where the dispatcher is.
    pub server: SocketAddr,
    /// How many tasks it still posts.
    pub left: usize,
    unended: BTreeSet<TaskId>,
}

impl PlainClient {
    /// A client that is not there yet.
    pub fn new(server: SocketAddr, tasks: usize) -> Self {
        Self { server, left: tasks, unended: BTreeSet::new() }
    }

    fn post(&mut self, context: &mut Context<'_>) {
        self.left -= 1;
        let payload = serde_json::json!({ "n": 1_000 + self.left, "do": "work" });
        let data = serde_json::json!({ "type": workload::TYPES[0], "payload": payload });
        let message = serde_json::json!({ "type": "POST_TASK", "data": data });
        context.record.plain_posts.entry(payload.to_string()).or_default();
        context.out.push((self.server, message.to_string().into_bytes()));
        if self.left > 0 {
            context.later.push((context.dice.range(1, 2 * SECOND), Local::Post));
        }
    }
}

impl Host for PlainClient {
    fn start(&mut self, context: &mut Context<'_>) {
        if self.left > 0 {
            context.later.push((2 * SECOND, Local::Post));
        }
        context.later.push((SECOND, Local::Poll));
    }

    fn kill(&mut self, _context: &mut Context<'_>, _power: bool) {
        self.unended.clear();
    }

    fn datagram(&mut self, context: &mut Context<'_>, _from: SocketAddr, datagram: &[u8]) {
        let Ok(reply) = serde_json::from_slice::<serde_json::Value>(datagram) else { return };
        let data = &reply["data"];
        if let Some(id) = data["task_id"].as_i64() {
            self.unended.insert(TaskId(id));
        } else if !data["result"].is_null() {
            // A plain answer does not say to which question; one with a result ends the waiting for its task.
            let ended = self.unended.iter().find(|id| context.record.is_result_of(**id, &data["result"])).copied();
            if let Some(id) = ended {
                self.unended.remove(&id);
                context.record.tell(context.at, context.life, What::PlainResult(id));
            }
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        match local {
            Local::Post => self.post(context),
            Local::Poll => {
                for id in &self.unended {
                    let message = serde_json::json!({ "type": "GET_RESULT", "data": { "task_id": id } });
                    context.out.push((self.server, message.to_string().into_bytes()));
                }
                context.later.push((SECOND, Local::Poll));
            }
            other => unreachable!("a plain client does not wait for {other:?}"),
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
