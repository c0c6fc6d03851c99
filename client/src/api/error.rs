//! How a call can go wrong.

use std::fmt;
use std::time::Duration;

use taskgrid_protocol::Key;

use crate::machine::{Failed, Rejected, Silence};

/// Why there is no client: a mistake in its address, or no socket to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub(super) String);

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server refused: nothing was stored or changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// No usable answer came in time: it may have happened or not.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// Why waiting for a result brought none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WaitError {
    /// The task has failed.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// Somebody has cancelled the task.
    #[error("the task was cancelled")]
    Cancelled,
    /// The call itself went wrong.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Nobody knows whether it has happened: no usable answer came for as long as the client was patient.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// Who did not answer.
    pub server: String,
    /// For how long.
    pub patience: Duration,
    /// What is known of the reason.
    pub silence: Silence,
    /// For a submission: its key. Submit the same task with it again and there will be one task, not two.
    pub key: Option<Key>,
}

impl std::error::Error for Unknown {}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, patience, .. } = self;
        let seconds = patience.as_secs_f64();
        match &self.silence {
            Silence::NoAnswer => write!(f, "no answer from {server} in {seconds} s"),
            Silence::NoAddress => write!(f, "the host name in '{server}' could not be resolved in {seconds} s"),
            Silence::Garbled => write!(f, "{server} answers, but nothing that this version understands"),
            Silence::InDoubt(refusal) => {
                write!(f, "{refusal}; but {server} never answered an earlier copy of the request")
            }
        }
    }
}
