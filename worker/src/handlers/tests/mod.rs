//! Handlers as the daemon runs them.

mod files;
mod scan;

use taskgrid_protocol::Json;

use crate::machine::Outcome;

/// The result of a handler that can use the payload.
pub(super) fn run(handler: fn(&Json) -> Outcome, payload: &str) -> String {
    handler(&Json::parse(payload).unwrap()).unwrap().get().to_owned()
}

/// Why a handler cannot use the payload, and never will.
pub(super) fn refused(handler: fn(&Json) -> Outcome, payload: &str) -> String {
    let failure = handler(&Json::parse(payload).unwrap()).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("BAD_PAYLOAD", false));
    failure.message
}
