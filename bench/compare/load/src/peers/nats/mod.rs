//! NATS JetStream: it keeps messages and no results, so a worker publishes them to a second stream. Two connections, one for
//! each side, as NATS has it: many messages share one.

mod wire;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::Peer;
use crate::ledger::reverse;
use crate::window::Window;
use crate::{Failure, Load, Tasks};
use wire::{Inbound, Message, Outbound, open};

/// How many messages a worker asks for at a time. It has asked for twice as many from the start, so that it does not wait
/// while it asks again.
const PULL: u64 = 256;

#[derive(Clone)]
pub(crate) struct Nats {
    port: u16,
    batch: u32,
}

impl Nats {
    pub(crate) fn new(load: &Load) -> Self {
        Self { port: load.port, batch: load.batch }
    }
}

impl Peer for Nats {
    async fn prepare(&self) -> Result<(), Failure> {
        let mut connection = Tasks::new();
        let (outbound, mut inbound) = open(self.port, &mut connection).await?;
        outbound.subscribe("prepared");
        // A task leaves its stream when it is acknowledged; results stay, as rows of a table would.
        let tasks = json!({"name": "TASKS", "subjects": ["tasks"], "retention": "workqueue", "storage": "file"});
        let results = json!({"name": "RESULTS", "subjects": ["results"], "retention": "limits", "storage": "file"});
        let workers = json!({"stream_name": "TASKS", "config": {
            "durable_name": "workers", "ack_policy": "explicit", "max_ack_pending": 10_000,
        }});
        for (request, body) in [
            ("$JS.API.STREAM.CREATE.TASKS", tasks),
            ("$JS.API.STREAM.CREATE.RESULTS", results),
            ("$JS.API.CONSUMER.DURABLE.CREATE.TASKS.workers", workers),
        ] {
            outbound.publish(request, "prepared", body.to_string().as_bytes());
            inbound.next().await?.accepted()?;
        }
        Ok(())
    }

    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure> {
        let (outbound, inbound) = open(self.port, tasks).await?;
        outbound.subscribe("assigned");
        outbound.subscribe("stored.*");
        pull(&outbound);
        pull(&outbound);
        tasks.spawn_local(work(outbound, inbound));
        Ok(())
    }

    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure> {
        let (outbound, mut inbound) = open(self.port, tasks).await?;
        outbound.subscribe("acknowledged");
        // A consumer of an earlier run may still be there for some seconds, and would deliver to its own subject.
        let finished = format!("finished.{}", std::process::id());
        outbound.subscribe(&finished);
        let consumer = json!({"stream_name": "RESULTS", "config": {
            "deliver_subject": finished, "deliver_policy": "new", "ack_policy": "none", "mem_storage": true,
        }});
        outbound.publish("$JS.API.CONSUMER.CREATE.RESULTS", "acknowledged", consumer.to_string().as_bytes());
        inbound.next().await?.accepted()?;
        tasks.spawn_local(read_results(inbound, window.clone()));
        tasks.spawn_local(publish(outbound, self.batch, window.clone()));
        Ok(())
    }
}

/// Acknowledgements are read beside the results: what was refused ends the run, and no result comes of it.
async fn publish(outbound: Outbound, batch: u32, window: Rc<Window>) -> Result<(), Failure> {
    while let Some(payloads) = window.next(batch).await {
        for payload in &payloads {
            outbound.publish("tasks", "acknowledged", payload.as_bytes());
        }
    }
    Ok(())
}

async fn read_results(mut inbound: Inbound, window: Rc<Window>) -> Result<(), Failure> {
    loop {
        let message = inbound.next().await?;
        match message.subject.as_str() {
            "acknowledged" => message.accepted()?,
            _ => window.finish(&message.body),
        }
    }
}

/// A task is acknowledged after its result is, so that a worker that dies loses neither.
async fn work(outbound: Outbound, mut inbound: Inbound) -> Result<(), Failure> {
    let mut unstored = BTreeMap::new();
    let mut taken = 0;
    loop {
        let message = inbound.next().await?;
        if let Some(number) = message.subject.strip_prefix("stored.") {
            message.accepted()?;
            let task: String = unstored.remove(&number.parse()?).ok_or("NATS: a result was acknowledged twice")?;
            outbound.publish(&task, "", b"+ACK");
            continue;
        }
        taken += 1;
        outbound.publish("results", &format!("stored.{taken}"), &reverse(&message.body));
        unstored.insert(taken, message.reply);
        if taken % PULL == 0 {
            pull(&outbound);
        }
    }
}

fn pull(outbound: &Outbound) {
    let request = json!({"batch": PULL});
    outbound.publish("$JS.API.CONSUMER.MSG.NEXT.TASKS.workers", "assigned", request.to_string().as_bytes());
}

impl Message {
    /// Whether JetStream did what it was asked for.
    fn accepted(&self) -> Result<(), Failure> {
        let reply: Value = serde_json::from_slice(&self.body)?;
        match reply.get("error") {
            None => Ok(()),
            Some(error) => Err(format!("NATS: {error}").into()),
        }
    }
}
