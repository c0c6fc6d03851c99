//! The types that every worker has.

use super::wait::wait;
use super::{Handler, Handlers, function, hash, reverse, sum, upper};

/// All of them.
pub(super) fn all() -> Handlers {
    let handlers = [
        ("hash", Handler::Quick(hash::hash)),
        ("reverse", Handler::Quick(reverse::reverse)),
        ("sum", Handler::Quick(sum::sum)),
        ("upper", Handler::Quick(upper::upper)),
        ("wait", function(wait)),
    ];
    let all = handlers.into_iter().try_fold(Handlers::default(), |all, (name, handler)| all.with(name, handler));
    all.expect("built-in types have legal names, each of its own")
}
