//! Answers to LOOKUP_WORKER and LIST_WORKERS, cut to what travels well.

use taskgrid_protocol::body::{ListWorkersReply, Lookup, LookupReply, Since, WorkerEntry, WorkerView};
use taskgrid_protocol::limits::{PACK_LOOPBACK_MAX, PACK_REMOTE_MAX};
use taskgrid_protocol::{ErrorCode, ReplyTo, TaskType};

use super::Machine;
use super::feed::Change;

/// What an answer to LOOKUP_WORKER has room for: a datagram that needs no fragments, less its envelope.
const ENTRIES_BYTES_MAX: usize = PACK_REMOTE_MAX - 250;

impl Machine {
    pub(super) fn handle_lookup(&mut self, to: &ReplyTo, lookup: &Lookup) {
        match (&lookup.task_type, lookup.since) {
            (Some(task_type), None) => {
                let reply = self.workers_of(task_type);
                self.reply(to, &reply);
            }
            (None, Some(since)) => {
                let reply = self.changes_since(since);
                self.reply(to, &reply);
            }
            _ => self.reply_error(to, ErrorCode::BadRequest, "LOOKUP_WORKER has either 'type' or 'since'"),
        }
    }

    fn workers_of(&mut self, task_type: &TaskType) -> LookupReply {
        let (epoch, version) = (self.epoch, self.registry.feed().version());
        let count = self.registry.count(task_type);
        let mut reply = LookupReply { epoch, version, ..LookupReply::default() };
        let mut bytes = 0;
        for (address, worker) in self.registry.in_turn(task_type) {
            let entry = worker.entry(address);
            bytes += length(&entry);
            if bytes > ENTRIES_BYTES_MAX && reply.address.is_some() {
                break;
            }
            reply.address.get_or_insert_with(|| address.to_string());
            reply.workers.push(entry);
        }
        if reply.address.is_some() {
            reply.count = Some(u32::try_from(count).unwrap_or(u32::MAX));
        } else {
            reply.error = Some(format!("No worker found for type '{task_type}'"));
            reply.code = Some(ErrorCode::NoWorker);
        }
        reply
    }

    fn changes_since(&self, since: Since) -> LookupReply {
        let feed = self.registry.feed();
        let continues = since.epoch == self.epoch && (feed.reaches(since.version) || since.reset);
        let mut reply = LookupReply { epoch: self.epoch, reset: !continues, ..LookupReply::default() };
        reply.version = if continues { since.version } else { 0 };
        let mut bytes = 0;
        for (version, change) in feed.after(reply.version) {
            bytes += self.add_change(&mut reply.workers, change);
            if bytes > ENTRIES_BYTES_MAX {
                // This change is in the answer: it may be longer than planned by one name.
                reply.version = version;
                reply.more = version < feed.version();
                return reply;
            }
            reply.version = version;
        }
        reply.version = feed.version();
        reply
    }

    /// Adds a change, to the entry before it if that is the same worker's. Returns how much longer the
    /// answer is for it.
    fn add_change(&self, entries: &mut Vec<WorkerEntry>, change: &Change) -> usize {
        let (address, task_type) = &change.pair;
        let gone = change.gone.is_some();
        if let Some(last) = entries.last_mut()
            && last.address == **address
            && last.gone == gone
        {
            last.types.push(task_type.clone());
            return task_type.as_str().len() + 3;
        }
        let mut entry = match self.registry.get(address) {
            Some(worker) => worker.entry(address),
            None => WorkerEntry {
                address: address.to_string(),
                types: Vec::new(),
                capacity: 1,
                instance: None,
                batch: false,
                max_datagram: None,
                gone,
            },
        };
        entry.gone = gone;
        entry.types.push(task_type.clone());
        let bytes = length(&entry);
        entries.push(entry);
        bytes
    }

    pub(super) fn handle_list(&mut self, to: &ReplyTo, task_type: Option<&TaskType>) {
        let mut reply = ListWorkersReply { workers: Vec::new(), more: false };
        let mut bytes = 0;
        for (address, worker) in self.registry.iter() {
            if task_type.is_some_and(|wanted| !worker.types().contains(wanted)) {
                continue;
            }
            let entry = worker.entry(address);
            let view = WorkerView {
                address: entry.address,
                types: worker.types().iter().cloned().collect(),
                capacity: entry.capacity,
                running: None,
                instance: entry.instance,
            };
            bytes += length(&view);
            if bytes > PACK_LOOPBACK_MAX - 250 {
                reply.more = true;
                break;
            }
            reply.workers.push(view);
        }
        self.reply(to, &reply);
    }
}

/// The bytes of an element of an answer, with its comma.
fn length(element: &impl serde::Serialize) -> usize {
    serde_json::to_string(element).map_or(usize::MAX / 2, |text| text.len() + 1)
}
