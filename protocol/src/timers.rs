//! Named alarms: at most one an owner, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use crate::Timestamp;

/// Alarms by key. A machine's `poll_timeout` is [`Timers::next`], its `handle_timeout` drains
/// [`Timers::pop_due`].
#[derive(Debug)]
pub struct Timers<K> {
    at: BTreeMap<K, Timestamp>,
    order: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the alarm of `key`, in place of the one it had.
    pub fn set(&mut self, key: K, at: Timestamp) {
        if let Some(before) = self.at.insert(key.clone(), at) {
            self.order.remove(&(before, key.clone()));
        }
        self.order.insert((at, key));
    }

    /// Sets the alarm of `key` unless it has one that rings earlier.
    pub fn set_earlier(&mut self, key: K, at: Timestamp) {
        if self.at.get(&key).is_none_or(|before| at < *before) {
            self.set(key, at);
        }
    }

    /// Takes the alarm of `key` away, if it has one.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }

    /// When the alarm of `key` rings.
    pub fn get(&self, key: &K) -> Option<Timestamp> {
        self.at.get(key).copied()
    }

    /// When the next alarm rings.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The owner of the earliest alarm that is due at `now`; the alarm is spent.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
}
