//! Handlers by type: the one way in for those of a program and for those that are built in.

use std::collections::BTreeMap;

use taskgrid_protocol::TaskType;
use taskgrid_runtime::StartError;

use super::{Handler, builtin};

/// Handlers, each with a type of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handlers(BTreeMap<TaskType, Handler>);

impl Handlers {
    /// With one more, for a type that has a legal name and no handler yet.
    pub(crate) fn with(mut self, task_type: &str, handler: Handler) -> Result<Self, StartError> {
        let name = TaskType::new(task_type).map_err(|why| {
            let shown = task_type.escape_debug();
            StartError::configuration(format!("there can be no handler for '{shown}': {why}"))
        })?;
        if self.0.insert(name, handler).is_some() {
            return Err(StartError::configuration(format!(
                "there are two handlers for '{task_type}'; leave one out, or give it another type"
            )));
        }
        Ok(self)
    }

    /// With the built-in ones for types that have none.
    pub(crate) fn or_builtin(self) -> Self {
        let Self(mut all) = builtin::all();
        all.extend(self.0);
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_map(self) -> BTreeMap<TaskType, Handler> {
        self.0
    }
}
