//! The client of this repository's programs.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use taskgrid_client::{CallError, Client, Progress, Receipt, Submission, TaskId, TaskRef, WaitError};
use tokio::runtime::{Builder, Runtime};

use crate::conversations::{CLIENTS_PATIENCE, Talker, seconds};

pub(crate) struct Rust {
    runtime: Runtime,
    client: Client,
}

impl Rust {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(Client::connect(&server.to_string())).unwrap();
        let patience = Duration::from_secs(u64::from(CLIENTS_PATIENCE));
        Self { runtime, client: client.with_patience(patience) }
    }
}

impl Talker for Rust {
    fn perform(&mut self, op: &Value) -> Value {
        let client = seconds(&op["patience"])
            .map_or_else(|| self.client.clone(), |patience| self.client.clone().with_patience(patience));
        let outcome = self.runtime.block_on(perform(&client, op));
        outcome.unwrap_or_else(|error| failed(&error))
    }
}

async fn perform(client: &Client, op: &Value) -> Result<Value, WaitError> {
    let task_id = TaskId(op["task"].as_i64().unwrap_or_default());
    let task = TaskRef { task_id, file_id: op["file_id"].as_str().map(|file| file.parse().unwrap()) };
    Ok(match op["op"].as_str().unwrap() {
        "submit" => stored(&submission(client, op).await?),
        "submit_many" => {
            let tasks = op["tasks"].as_array().unwrap();
            let tasks = tasks.iter().map(|task| client.submit(task[0].as_str().unwrap(), &task[1]));
            let outcomes = client.submit_many(tasks).await.into_iter();
            json!({"ok": outcomes.map(|one| one.map_or_else(|error| failed(&error.into()), |one| stored(&one))).collect::<Value>()})
        }
        "wait" if op["timeout"].is_null() => {
            json!({"ok": client.wait(task).await?.read::<Value>().unwrap()})
        }
        "wait" => progress(client.wait_at_most(task, seconds(&op["timeout"]).unwrap()).await?)?,
        "result" => progress(client.result(task).await?)?,
        "cancel" => json!({"ok": client.cancel(task).await?.status}),
        "retry" => json!({"ok": client.retry(task).await?.status}),
        "task" => json!({"ok": client.task(task).await?}),
        "ping" => json!({"ok": client.ping().await?}),
        other => panic!("what is '{other}'?"),
    })
}

fn submission(client: &Client, op: &Value) -> Submission {
    let mut submission = client.submit(op["type"].as_str().unwrap(), &op["payload"]);
    if let Some(key) = op["key"].as_str() {
        submission = submission.key(key);
    }
    if let Some(priority) = op["priority"].as_i64() {
        submission = submission.priority(priority.try_into().unwrap());
    }
    if let Some(attempts) = op["max_attempts"].as_u64() {
        submission = submission.max_attempts(attempts.try_into().unwrap());
    }
    if let Some(delay) = seconds(&op["delay"]) {
        submission = submission.delay(delay);
    }
    if let Some(timeout) = seconds(&op["timeout"]) {
        submission = submission.timeout(timeout);
    }
    if let Some(expires) = seconds(&op["expires"]) {
        submission = submission.expires(expires);
    }
    submission
}

fn stored(receipt: &Receipt) -> Value {
    let Receipt { task, status, duplicate, workers, key, file, .. } = receipt;
    json!({"ok": {"task_id": task, "status": status, "duplicate": duplicate, "workers": workers, "key": key, "file_id": file}})
}

fn progress(progress: Progress) -> Result<Value, WaitError> {
    use taskgrid_client::machine::End;
    match progress {
        Progress::NotReady(standing) => Ok(json!({"not_ready": standing.status})),
        Progress::Ended(End::Done(result)) => Ok(json!({"ok": result.read::<Value>().unwrap()})),
        Progress::Ended(End::Failed(failed)) => Err(WaitError::Failed(failed)),
        Progress::Ended(End::Cancelled) => Err(WaitError::Cancelled),
    }
}

fn failed(error: &WaitError) -> Value {
    match error {
        WaitError::Failed(failed) => {
            let (error, attempts) = (&failed.error, failed.attempts);
            json!({"failed": {"code": error.code, "message": error.message, "attempts": attempts}})
        }
        WaitError::Cancelled => json!({"cancelled": true}),
        WaitError::Call(CallError::Rejected(rejected)) => json!({"rejected": rejected.code}),
        WaitError::Call(CallError::Unknown(unknown)) => json!({"unknown": unknown.key}),
    }
}
