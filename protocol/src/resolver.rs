//! Addresses that may be DNS names, seen from a machine that cannot look them up itself (R28).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::Timestamp;

/// How long an answer is good for. Containers get new addresses when they start, and the TTL that their
/// name server announces (600 s with Docker) knows nothing of it.
pub const FRESH_FOR: Duration = Duration::from_secs(5);

/// How long a failed look-up stands before the next one begins: name servers are asked no faster.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Names that are remembered. Workers are bounded by less; when it is full, the names that have not been
/// asked for in [`FRESH_FOR`] make room.
const NAMES_MAX: usize = 16_384;

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Looked up at most [`FRESH_FOR`] ago, or not a name at all but an address.
    Fresh(SocketAddr),
    /// Looked up longer ago; a new look-up is under way.
    Stale(SocketAddr),
    /// Not known; a look-up is under way.
    Unknown,
}

impl Resolved {
    /// The address, also an old one.
    pub fn any(self) -> Option<SocketAddr> {
        match self {
            Self::Fresh(addr) | Self::Stale(addr) => Some(addr),
            Self::Unknown => None,
        }
    }
}

/// A cache of DNS answers. It names the look-ups it wants through [`Resolver::poll`]; the driver does them
/// and reports each with [`Resolver::handle_resolved`].
#[derive(Debug, Default)]
pub struct Resolver {
    names: BTreeMap<String, Entry>,
    wanted: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry {
    addr: Option<SocketAddr>,
    /// When the last look-up ended; `None` while the first is under way.
    answered_at: Option<Timestamp>,
    /// When the last look-up failed, unless one has succeeded since.
    failed_at: Option<Timestamp>,
    asked_at: Timestamp,
    under_way: bool,
}

impl Resolver {
    /// The address behind `HOST:PORT`. Asks for a look-up when the answer is missing or old, but not
    /// right after one has failed.
    pub fn resolve(&mut self, now: Timestamp, name: &str) -> Resolved {
        if let Ok(addr) = name.parse() {
            return Resolved::Fresh(addr);
        }
        if !self.names.contains_key(name) && !self.make_room(now) {
            return Resolved::Unknown;
        }
        let entry = self.names.entry(name.to_owned()).or_insert(Entry {
            addr: None,
            answered_at: None,
            failed_at: None,
            asked_at: now,
            under_way: false,
        });
        entry.asked_at = now;
        let is_fresh = entry.answered_at.is_some_and(|at| now.since(at) <= FRESH_FOR);
        if let (Some(addr), true) = (entry.addr, is_fresh) {
            return Resolved::Fresh(addr);
        }
        let has_just_failed = entry.failed_at.is_some_and(|at| now.since(at) < RETRY_AFTER);
        if !entry.under_way && !has_just_failed {
            entry.under_way = true;
            self.wanted.insert(name.to_owned());
        }
        entry.addr.map_or(Resolved::Unknown, Resolved::Stale)
    }

    /// A send to this name has timed out: its address is not to be trusted until it is looked up again.
    pub fn distrust(&mut self, name: &str) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.answered_at = None;
        }
    }

    /// The next name to look up, if any.
    pub fn poll(&mut self) -> Option<String> {
        self.wanted.pop_first()
    }

    /// A look-up has ended. A failed one leaves the old address in place, as stale.
    pub fn handle_resolved(&mut self, now: Timestamp, name: &str, addr: Option<SocketAddr>) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.under_way = false;
            entry.failed_at = addr.is_none().then_some(now);
            if addr.is_some() {
                entry.addr = addr;
                entry.answered_at = Some(now);
            }
        }
    }

    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.names.len() >= NAMES_MAX {
            self.names.retain(|_, entry| entry.under_way || now.since(entry.asked_at) <= FRESH_FOR);
        }
        self.names.len() < NAMES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "worker-reverse:6000";

    fn addr(last: u8) -> SocketAddr {
        ([172, 18, 0, last], 6000).into()
    }

    #[test]
    fn an_address_needs_no_look_up() {
        let mut resolver = Resolver::default();
        assert_eq!(resolver.resolve(Timestamp::ZERO, "172.18.0.2:6000"), Resolved::Fresh(addr(2)));
        assert_eq!(resolver.poll(), None);
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time_and_again_when_old() {
        let mut resolver = Resolver::default();
        let now = Timestamp::ZERO;
        assert_eq!(resolver.resolve(now, NAME), Resolved::Unknown);
        assert_eq!(resolver.resolve(now, NAME), Resolved::Unknown);
        assert_eq!(resolver.poll().as_deref(), Some(NAME));
        assert_eq!(resolver.poll(), None);
        resolver.handle_resolved(now, NAME, Some(addr(2)));
        assert_eq!(resolver.resolve(now + FRESH_FOR, NAME), Resolved::Fresh(addr(2)));
        let later = now + FRESH_FOR + Duration::from_millis(1);
        assert_eq!(resolver.resolve(later, NAME), Resolved::Stale(addr(2)));
        assert_eq!(resolver.poll().as_deref(), Some(NAME));
        resolver.handle_resolved(later, NAME, Some(addr(3)));
        assert_eq!(resolver.resolve(later, NAME), Resolved::Fresh(addr(3)));
    }

    #[test]
    fn a_failed_look_up_keeps_the_old_address_and_is_tried_again() {
        let mut resolver = Resolver::default();
        resolver.resolve(Timestamp::ZERO, NAME);
        resolver.poll();
        resolver.handle_resolved(Timestamp::ZERO, NAME, Some(addr(2)));
        resolver.distrust(NAME);
        assert_eq!(resolver.resolve(Timestamp::ZERO, NAME), Resolved::Stale(addr(2)));
        resolver.poll();
        resolver.handle_resolved(Timestamp::ZERO, NAME, None);
        assert_eq!(resolver.resolve(Timestamp::ZERO, NAME), Resolved::Stale(addr(2)));
        assert_eq!(resolver.poll(), None, "not at once");
        assert_eq!(resolver.resolve(Timestamp::ZERO + RETRY_AFTER, NAME), Resolved::Stale(addr(2)));
        assert_eq!(resolver.poll().as_deref(), Some(NAME));
    }
}
