//! What an answer says.

use std::time::Duration;

use serde::Deserialize;
use taskgrid_protocol::body::{OrderReply, PostReply, ResultReply, Status};
use taskgrid_protocol::error::{TaskError, task_code};
use taskgrid_protocol::json::present;
use taskgrid_protocol::{Body, ErrorCode, FileId, Json};

use super::call::{Answer, End, Failed, Rejected, Request, Standing};
use super::limits::{PAUSE_DEFAULT, PAUSE_MAX, PAUSE_MIN};

/// An answer, as far as a call is concerned.
#[derive(Debug)]
pub(super) enum Said {
    /// The answer that was asked for.
    Answer(Answer),
    /// The task is stored; its end will follow.
    Stored(PostReply),
    /// The task has ended.
    Ended(End),
    /// The task has not ended, and stands in this database.
    NotReady(Standing, Option<FileId>),
    /// No. `Some`: ask again after this time.
    Refused(Rejected, Option<Duration>),
    /// The answer is too long for so short a request: ask with at least so many bytes (R37).
    Pad(usize),
    /// This version does not understand it.
    Garbled,
}

/// The fields that tell a refusal, and the one that tells the end of a task.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default, deserialize_with = "present")]
    result: Option<Json>,
    error: Option<String>,
    code: Option<ErrorCode>,
    retry_after_ms: Option<u64>,
    need_bytes: Option<usize>,
    status: Option<Status>,
    file_id: Option<FileId>,
}

impl Said {
    pub(super) fn read(data: Json, request: &Request) -> Self {
        let Ok(mut refusal) = data.read::<Refusal>() else { return Self::Garbled };
        let refused = refusal.error.is_some() || refusal.code.is_some();
        match request {
            _ if refused => Self::read_refusal(refusal, &data, request),
            Request::Ask(_) => Self::Answer(Answer::Data(data)),
            Request::Submit { wait: false, .. } => {
                data.read().map_or(Self::Garbled, |reply| Self::Answer(Answer::Stored(reply)))
            }
            Request::Submit { wait: true, .. } | Request::Watch { .. } => match refusal.result.take() {
                Some(result) => Self::Ended(End::Done(result)),
                None => data.read().map_or(Self::Garbled, Self::Stored),
            },
        }
    }

    fn read_refusal(refusal: Refusal, data: &Json, request: &Request) -> Self {
        let code = refusal.code.unwrap_or(ErrorCode::Other);
        if let (ErrorCode::PadRequest, Some(need)) = (code, refusal.need_bytes) {
            return Self::Pad(need);
        }
        let message = refusal.error.unwrap_or_else(|| format!("the server answered {code:?} and no more"));
        if matches!(request, Request::Submit { wait: true, .. } | Request::Watch { .. }) {
            match code {
                ErrorCode::NotReady => return Self::NotReady(read_standing(data, refusal.status), refusal.file_id),
                ErrorCode::TaskCancelled => return Self::Ended(End::Cancelled),
                ErrorCode::TaskFailed => return Self::Ended(End::Failed(read_failure(data, message))),
                _ => {}
            }
        }
        let pause = pause(code, refusal.retry_after_ms);
        Self::Refused(Rejected { code, message, status: refusal.status }, pause)
    }
}

/// How long to wait before asking again, if that makes sense: when the server says so, or the code does.
fn pause(code: ErrorCode, retry_after_ms: Option<u64>) -> Option<Duration> {
    let is_passing =
        matches!(code, ErrorCode::Overloaded | ErrorCode::DiskLow | ErrorCode::QueueFull | ErrorCode::ShuttingDown);
    match retry_after_ms {
        Some(millis) => Some(Duration::from_millis(millis).clamp(PAUSE_MIN, PAUSE_MAX)),
        None => is_passing.then_some(PAUSE_DEFAULT),
    }
}

/// A progress that this version does not understand is none: the task is not ready all the same.
fn read_standing(data: &Json, status: Option<Status>) -> Standing {
    Standing { status, progress: data.read::<ResultReply>().ok().and_then(|reply| reply.progress) }
}

fn read_failure(data: &Json, message: String) -> Failed {
    let reply = data.read::<ResultReply>().ok();
    let attempts = reply.as_ref().and_then(|reply| reply.attempts).unwrap_or_default();
    let error = reply.and_then(|reply| reply.task_error).unwrap_or_else(|| {
        let message = message.strip_prefix("Task failed: ").unwrap_or(&message).to_owned();
        TaskError { code: task_code::FAILED.to_owned(), message }
    });
    Failed { error, attempts }
}

/// The refusal that an order gets when an earlier copy of it was obeyed and only the answer was lost: then
/// it is a success.
pub(super) fn obeyed_before(request: &Request, refused: &Rejected) -> Option<Answer> {
    let (task_id, message, status) = match (request, refused.code, refused.status?) {
        (Request::Ask(Body::CancelTask(order)), ErrorCode::AlreadyEnded, status @ Status::Cancelled) => {
            (order.task_id, "Task cancelled", status)
        }
        (Request::Ask(Body::RetryTask(order)), ErrorCode::NotRetryable, status) => {
            (order.task_id, "Task is pending again", status)
        }
        _ => return None,
    };
    Some(Answer::Data(Json::of(&OrderReply { message: message.to_owned(), task_id, status })))
}
