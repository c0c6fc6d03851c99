//! Re-sending until answered, the one way in which every side does it (R5).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_core::RngCore;

use crate::{Timers, Timestamp, Transmit, is_near};

/// The first re-send where nothing is known of the path, on loopback and private networks.
const FIRST_NEAR: Duration = Duration::from_millis(200);
/// The same anywhere else (RFC 8961 asks for one second without knowledge).
const FIRST_FAR: Duration = Duration::from_secs(1);
/// What a measured interval stays within.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(5);

/// How long to go on, and how patiently.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The first interval; `None` takes it from measured round trips.
    pub first: Option<Duration>,
    /// The longest interval.
    pub ceiling: Duration,
    /// When to give up, if ever.
    pub deadline: Option<Timestamp>,
}

impl Patience {
    /// Measured intervals up to five seconds, until `deadline`.
    pub fn until(deadline: Timestamp) -> Self {
        Self { first: None, ceiling: INTERVAL_MAX, deadline: Some(deadline) }
    }

    /// Measured intervals up to `ceiling`, with no end.
    pub fn forever(ceiling: Duration) -> Self {
        Self { first: None, ceiling, deadline: None }
    }

    /// The same interval each time, with no end.
    pub fn every(interval: Duration) -> Self {
        Self { first: Some(interval), ceiling: interval, deadline: None }
    }
}

/// What the passing of time asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<K> {
    /// This copy must leave now.
    Resend(Transmit),
    /// The deadline has passed without an answer; the entry is gone.
    Expired(K),
}

/// Messages that await their answers, by key.
#[derive(Debug)]
pub struct Outbox<K> {
    entries: BTreeMap<K, Entry>,
    timers: Timers<K>,
    round_trip: RoundTrip,
}

#[derive(Debug)]
struct Entry {
    transmit: Transmit,
    patience: Patience,
    sent_at: Timestamp,
    interval: Duration,
    resent: bool,
}

impl<K: Ord> Default for Outbox<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), timers: Timers::default(), round_trip: RoundTrip::default() }
    }
}

impl<K: Ord + Clone> Outbox<K> {
    /// Keeps `transmit` under `key` until it is answered; the caller sends the returned first copy.
    pub fn put(&mut self, now: Timestamp, key: K, transmit: Transmit, patience: Patience) -> Transmit {
        let interval =
            patience.first.unwrap_or_else(|| self.round_trip.interval(transmit.to.ip())).min(patience.ceiling);
        let copy = transmit.clone();
        self.entries.insert(key.clone(), Entry { transmit, patience, sent_at: now, interval, resent: false });
        self.arm(key, now + interval);
        copy
    }

    /// The answer to `key` has come. Says whether it was awaited.
    pub fn answered(&mut self, now: Timestamp, key: &K) -> bool {
        let Some(entry) = self.take(key) else { return false };
        let took = now.since(entry.sent_at);
        if entry.resent {
            // Karn: nobody knows which copy was answered.
            self.round_trip.suspect(took);
        } else {
            self.round_trip.sample(now, took);
        }
        true
    }

    /// Stops waiting for `key`, without an answer. Also for answers that were delayed on purpose and say
    /// nothing of the path.
    pub fn forget(&mut self, key: &K) -> bool {
        self.take(key).is_some()
    }

    /// The peer asked for patience: nothing is sent before `at`.
    pub fn postpone(&mut self, key: &K, at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.resent = true;
            self.arm(key.clone(), at);
        }
    }

    /// Sends the next copies of `key` to another address, the first of them at once.
    pub fn redirect(&mut self, now: Timestamp, key: &K, to: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.transmit.to = to;
            self.arm(key.clone(), now);
        }
    }

    /// Whether more than one copy of `key` may have reached the peer, so that its answer may be to any of them.
    pub fn was_resent(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.resent)
    }

    /// Whether `key` still awaits its answer.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// How many messages await their answers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing awaits an answer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys that await their answers.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// When [`Outbox::poll`] has something to say.
    pub fn next(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// What is due at `now`, one thing a call, until `None`.
    pub fn poll(&mut self, now: Timestamp, rng: &mut impl RngCore) -> Option<Due<K>> {
        let key = self.timers.pop_due(now)?;
        let entry = self.entries.get_mut(&key)?;
        if entry.patience.deadline.is_some_and(|deadline| deadline <= now) {
            self.entries.remove(&key);
            return Some(Due::Expired(key));
        }
        let steady = entry.patience.first == Some(entry.patience.ceiling);
        entry.resent = true;
        if !steady {
            entry.interval = (entry.interval * 2).min(entry.patience.ceiling);
        }
        let wait = if steady { entry.interval } else { jittered(entry.interval, rng) };
        let copy = entry.transmit.clone();
        self.arm(key, now + wait);
        Some(Due::Resend(copy))
    }

    fn arm(&mut self, key: K, at: Timestamp) {
        let deadline = self.entries.get(&key).and_then(|entry| entry.patience.deadline);
        let at = deadline.map_or(at, |deadline| at.min(deadline));
        self.timers.set(key, at);
    }

    fn take(&mut self, key: &K) -> Option<Entry> {
        self.timers.cancel(key);
        self.entries.remove(key)
    }
}

/// `span` times U(0.75, 1.25), so that those who failed together do not come back together.
pub fn jittered(span: Duration, rng: &mut impl RngCore) -> Duration {
    span.mul_f64(0.75 + f64::from(rng.next_u32()) / f64::from(u32::MAX) / 2.0)
}

/// Smoothed round-trip time, as in RFC 9002, section 5.
#[derive(Debug, Default)]
struct RoundTrip {
    smoothed: Option<(Duration, Duration)>,
    /// The longest since the last one that was taken into account …
    longest: Duration,
    /// … and when that is the next time. Hundreds of answers come at once, after the same time as a batch was stored, and
    /// each as a sample of its own they would leave no deviation (RFC 7323, appendix G).
    next_sample: Timestamp,
    /// What a round trip may have come to take, as far as an answer after a re-send can tell. Without it a
    /// peer that has become slower than the interval would get everything twice and never be measured
    /// again (RFC 6298, section 5).
    suspected: Duration,
}

impl RoundTrip {
    fn sample(&mut self, now: Timestamp, sample: Duration) {
        self.suspected = Duration::ZERO;
        self.longest = self.longest.max(sample);
        if now < self.next_sample {
            return;
        }
        let sample = std::mem::take(&mut self.longest);
        self.next_sample = now + sample.min(FIRST_FAR);
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, deviation)) => {
                let error = mean.abs_diff(sample);
                ((mean * 7 + sample) / 8, (deviation * 3 + error) / 4)
            }
        });
    }

    /// A little more, so that the next answer can win; but not more than where nothing is known, since the
    /// answer may as well have been late because copies got lost.
    fn suspect(&mut self, upper_bound: Duration) {
        self.suspected = (upper_bound * 5 / 4).min(FIRST_FAR);
    }

    fn interval(&self, to: IpAddr) -> Duration {
        let interval = match self.smoothed {
            Some((mean, deviation)) => {
                (mean + (deviation * 4).max(Duration::from_millis(10))).clamp(INTERVAL_MIN, INTERVAL_MAX)
            }
            None if is_near(to) => FIRST_NEAR,
            None => FIRST_FAR,
        };
        interval.max(self.suspected)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn message() -> Transmit {
        Transmit { to: ([127, 0, 0, 1], 4000).into(), bytes: b"{}".to_vec(), pack: false }
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    /// Runs an unanswered entry to its end and returns when the copies left.
    fn copies(patience: Patience) -> Vec<Timestamp> {
        let mut outbox = Outbox::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        outbox.put(Timestamp::ZERO, 1, message(), patience);
        let mut copies = vec![Timestamp::ZERO];
        while let Some(at) = outbox.next() {
            match outbox.poll(at, &mut rng) {
                Some(Due::Resend(_)) => copies.push(at),
                Some(Due::Expired(_)) | None => break,
            }
        }
        copies
    }

    #[test]
    fn an_unanswered_message_backs_off_until_its_deadline() {
        let copies = copies(Patience::until(seconds(30)));
        assert_eq!(copies[1], Timestamp::from_micros(200_000));
        assert!(copies.windows(2).all(|pair| pair[1].since(pair[0]) <= Duration::from_millis(6_250)));
        assert!((8..=14).contains(&copies.len()), "{} copies", copies.len());
    }

    #[test]
    fn an_answer_ends_it_and_an_unmistakable_one_sets_the_pace() {
        let mut outbox = Outbox::default();
        outbox.put(Timestamp::ZERO, 1, message(), Patience::until(seconds(30)));
        assert!(outbox.answered(Timestamp::from_micros(400_000), &1));
        assert!(!outbox.answered(Timestamp::from_micros(400_000), &1));
        outbox.put(seconds(1), 2, message(), Patience::until(seconds(30)));
        assert_eq!(outbox.next(), Some(seconds(1) + Duration::from_millis(1_200)));
    }

    /// A disk that is slow every third time, and hundreds of messages in each batch.
    #[test]
    fn answers_that_come_together_count_once() {
        let mut outbox = Outbox::default();
        let mut now = Timestamp::ZERO;
        for batch in 0..100 {
            let took = Duration::from_millis(if batch % 3 == 2 { 350 } else { 150 });
            for message in 0..500 {
                outbox.put(now, message, self::message(), Patience::until(now + Duration::from_secs(30)));
            }
            // Of the first batches nothing is known yet.
            assert!(batch < 24 || outbox.next().is_some_and(|at| at > now + took), "batch {batch} was sent again");
            now = now + took;
            (0..500).for_each(|message| assert!(outbox.answered(now, &message)));
        }
    }

    #[test]
    fn a_peer_that_has_become_slow_is_not_sent_everything_twice() {
        let mut outbox = Outbox::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (slow, mut now, mut copies) = (Duration::from_millis(500), Timestamp::ZERO, 0);
        for exchange in 0..100 {
            outbox.put(now, exchange, message(), Patience::until(now + Duration::from_secs(30)));
            let answered_at = now + slow;
            while let Some(at) = outbox.next().filter(|at| *at <= answered_at) {
                copies += usize::from(matches!(outbox.poll(at, &mut rng), Some(Due::Resend(_))));
            }
            assert!(outbox.answered(answered_at, &exchange));
            now = answered_at;
        }
        assert!(copies <= 3, "{copies} of 100 exchanges were sent again");
    }

    #[test]
    fn a_peer_that_asks_for_patience_gets_it() {
        let mut outbox = Outbox::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        outbox.put(Timestamp::ZERO, 1, message(), Patience::forever(Duration::from_secs(5)));
        outbox.postpone(&1, seconds(9));
        assert_eq!(outbox.poll(seconds(8), &mut rng), None);
        assert_eq!(outbox.poll(seconds(9), &mut rng), Some(Due::Resend(message())));
    }
}
