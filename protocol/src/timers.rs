//! Named alarms: at most one an owner, the earliest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::Timestamp;

/// Entries of the heap that are kept although they are spent, beside as many as there are alarms. Fewer would have a
/// handful of alarms sorted again and again.
const SPENT_MAX: usize = 64;

/// Alarms by key. A machine's `poll_timeout` is [`Timers::next`], its `handle_timeout` drains
/// [`Timers::pop_due`].
///
/// Nearly all alarms are taken away before they ring, since what they guard against does not happen. So taking one away
/// leaves its entry in the heap, to be passed over later: that costs half as much as to find it there.
#[derive(Debug)]
pub struct Timers<K> {
    at: BTreeMap<K, Timestamp>,
    /// Every alarm, and some that were taken away or set anew since. The first is no such one.
    order: BinaryHeap<Reverse<(Timestamp, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), order: BinaryHeap::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the alarm of `key`, in place of the one it had.
    pub fn set(&mut self, key: K, at: Timestamp) {
        let before = self.at.insert(key.clone(), at);
        if before == Some(at) {
            return;
        }
        self.order.push(Reverse((at, key)));
        if let Some(before) = before {
            self.pass_over_spent(before);
        }
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
            self.pass_over_spent(at);
        }
    }

    /// When the alarm of `key` rings.
    pub fn get(&self, key: &K) -> Option<Timestamp> {
        self.at.get(key).copied()
    }

    /// When the next alarm rings.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    /// The owner of the earliest alarm that is due at `now`; the alarm is spent.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let Reverse((at, key)) = self.order.pop()?;
        self.at.remove(&key);
        self.pass_over_spent(at);
        Some(key)
    }

    /// After an alarm that was to ring at `at` is no more: sees to it that the first of the heap is one that rings, and
    /// that most of them are.
    fn pass_over_spent(&mut self, at: Timestamp) {
        if self.order.len() > 2 * self.at.len() + SPENT_MAX {
            let Self { at, order } = self;
            order.retain(|Reverse((when, key))| at.get(key) == Some(when));
        }
        if self.next().is_some_and(|first| first < at) {
            return;
        }
        while let Some(Reverse((when, key))) = self.order.peek()
            && self.at.get(key) != Some(when)
        {
            self.order.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use rand_chacha::ChaCha8Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    fn at(millis: u32) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis.into())
    }

    /// Set, set anew, taken away and rung in any order, against a set that is kept in order.
    #[test]
    fn alarms_ring_in_order_whatever_was_taken_away_in_between() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut timers = Timers::default();
        let mut expected: BTreeSet<(Timestamp, u32)> = BTreeSet::new();
        for now in 0..20_000 {
            let (key, wait, what) = (rng.next_u32() % 50, rng.next_u32() % 100, rng.next_u32() % 4);
            expected.retain(|(_, other)| *other != key);
            if what == 0 {
                timers.cancel(&key);
            } else {
                timers.set(key, at(now + wait));
                expected.insert((at(now + wait), key));
            }
            assert_eq!(timers.next(), expected.first().map(|(at, _)| *at));
            while let Some(rung) = timers.pop_due(at(now)) {
                assert_eq!(expected.pop_first().map(|(_, key)| key), Some(rung));
            }
            assert!(expected.first().is_none_or(|(first, _)| *first > at(now)));
            assert!(timers.order.len() <= 2 * timers.at.len() + SPENT_MAX + 1);
        }
    }

    #[test]
    fn an_alarm_that_is_set_to_the_same_time_again_rings_once() {
        let mut timers = Timers::default();
        timers.set(1, at(5));
        timers.set(1, at(7));
        timers.set(1, at(5));
        assert_eq!((timers.pop_due(at(9)), timers.pop_due(at(9)), timers.next()), (Some(1), None, None));
    }
}
