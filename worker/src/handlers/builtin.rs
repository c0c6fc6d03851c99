//! The types that every worker has.

use std::collections::BTreeMap;
use std::sync::Arc;

use taskgrid_protocol::TaskType;

use super::wait::Wait;
use super::{Handler, hash, reverse, sum, upper};

/// All of them, by type.
pub(super) fn all() -> BTreeMap<TaskType, Handler> {
    let handlers = [
        ("hash", Handler::Quick(hash::hash)),
        ("reverse", Handler::Quick(reverse::reverse)),
        ("sum", Handler::Quick(sum::sum)),
        ("upper", Handler::Quick(upper::upper)),
        ("wait", Handler::Long(Arc::new(Wait))),
    ];
    let named = |(name, handler)| (TaskType::new(name).expect("built-in types have legal names"), handler);
    handlers.into_iter().map(named).collect()
}
