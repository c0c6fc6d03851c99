//! Processes whose address is another one's, for as long as somebody may still say otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use taskgrid_protocol::{Instance, Timestamp};

use crate::machine::limits::FORMER_MAX;

/// By address and process, until when that one is known as a former one.
#[derive(Debug, Default)]
pub(super) struct Former {
    until: BTreeMap<(Arc<str>, Instance), Timestamp>,
}

impl Former {
    pub(super) fn note(&mut self, address: Arc<str>, process: Instance, until: Timestamp) {
        if self.until.len() >= FORMER_MAX
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone())
        {
            self.until.remove(&first);
        }
        self.until.insert((address, process), until);
    }

    pub(super) fn until(&self, address: &Arc<str>, process: &Instance) -> Option<Timestamp> {
        // As a rule there are none, and then the key is not worth making.
        if self.until.is_empty() {
            return None;
        }
        self.until.get(&(address.clone(), process.clone())).copied()
    }

    pub(super) fn iter(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Instance)> {
        let current = self.until.iter().filter(move |(_, until)| now < **until);
        current.map(|((address, process), _)| (&**address, process))
    }
}
