//! How often one source is told that what it sends is no JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::Timestamp;

/// Enough for somebody who tries things by hand, and little for a flood, of which each datagram would get an answer.
const A_SECOND_AND_SOURCE: u32 = 10;

/// Sources that are counted in one second. The others of that second get silence.
const SOURCES_MAX: usize = 1_024;

/// Counts answers to malformed datagrams by source, for the present second.
#[derive(Debug, Default)]
pub struct Refusals {
    since: Timestamp,
    counts: BTreeMap<IpAddr, u32>,
}

impl Refusals {
    /// Whether `source` gets an answer now, which is counted.
    pub fn allow(&mut self, now: Timestamp, source: IpAddr) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.counts.clear();
        }
        if self.counts.len() >= SOURCES_MAX && !self.counts.contains_key(&source) {
            return false;
        }
        let count = self.counts.entry(source).or_default();
        *count += 1;
        *count <= A_SECOND_AND_SOURCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_source_gets_ten_a_second_and_other_sources_theirs() {
        let mut refusals = Refusals::default();
        let mut allowed = |at: u64, from| refusals.allow(Timestamp::ZERO + Duration::from_millis(at), source(from));
        assert_eq!((0..500).filter(|at| allowed(*at, 1)).count(), 10);
        assert!(allowed(500, 2));
        assert_eq!((1_000..2_500).filter(|at| allowed(*at, 1)).count(), 20);
    }

    #[test]
    fn a_flood_of_sources_takes_no_more_memory() {
        let mut refusals = Refusals::default();
        assert_eq!((0..100_000).filter(|from| refusals.allow(Timestamp::ZERO, source(*from))).count(), SOURCES_MAX);
        assert_eq!(refusals.counts.len(), SOURCES_MAX);
        assert!(refusals.allow(Timestamp::ZERO + Duration::from_secs(1), source(99_999)));
    }
}
