//! Two processes want one address: the one that answers a PING there has it (R18).
//!
//! An entry is worth more than the word of a newcomer, whose address may be a slip of the pen. What restarts at its own address
//! answers at once, so a replacement costs one round trip.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use serde::Deserialize;
use taskgrid_protocol::body::{NoData, Registration};
use taskgrid_protocol::outbox::{Due, Patience};
use taskgrid_protocol::reply::pad;
use taskgrid_protocol::{
    Body, Instance, Json, Message, Outbox, ReplyTo, RequestId, Resolved, Resolver, Timers, Timestamp, Transmit, is_near,
};

use super::limits::{CONTEST_FOR, CONTESTS_MAX, FAR_PING_BYTES};

/// A registration, and how it came.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) registration: Registration,
    pub(super) ttl: Duration,
    pub(super) from: SocketAddr,
    pub(super) to: ReplyTo,
}

/// Who is at the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The process that wants it.
    Newcomer,
    /// Another one, as it says itself.
    Other(Instance),
    /// Nobody who says which process they are: nothing answers in time, or a worker of version 0.1.0.
    Nobody,
}

#[derive(Debug)]
struct Contest {
    claim: Claim,
    /// When the newcomer was first doubted.
    since: Timestamp,
    /// The PING under way. `None`: its address is being looked up, or the time is over.
    asked: Option<u64>,
    /// The time is over, and the newcomer has been told to ask again.
    is_over: bool,
}

#[derive(Debug)]
pub(super) struct Contests {
    by_address: BTreeMap<Arc<str>, Contest>,
    asked: BTreeMap<u64, Arc<str>>,
    outbox: Outbox<u64>,
    resolver: Resolver,
    /// When to stop waiting for an answer.
    ends: Timers<Arc<str>>,
    /// Random, so that no answer can be guessed.
    rng: ChaCha12Rng,
}

/// The one field of an answer to PING that matters here.
#[derive(Deserialize)]
struct Pong {
    #[serde(default)]
    instance: Option<Instance>,
}

impl Contests {
    pub(super) fn new(rng: ChaCha12Rng) -> Self {
        Self {
            by_address: BTreeMap::new(),
            asked: BTreeMap::new(),
            outbox: Outbox::default(),
            resolver: Resolver::default(),
            ends: Timers::default(),
            rng,
        }
    }

    /// A newcomer wants the address of a live entry; returns the PING, if it can leave at once. `None`: there is no room.
    #[must_use]
    pub(super) fn open(&mut self, now: Timestamp, claim: Claim) -> Option<Option<Transmit>> {
        let address: Arc<str> = claim.registration.address.as_str().into();
        if !self.by_address.contains_key(&address) && !self.make_room() {
            return None;
        }
        let mut since = now;
        if let Some(known) = self.by_address.get_mut(&address) {
            let is_same = known.claim.registration.instance == claim.registration.instance;
            if !known.is_over {
                // Sent again, or with other types: the answer goes to the last copy. Another one comes after it (R5).
                if is_same {
                    known.claim = claim;
                }
                return Some(None);
            }
            if is_same {
                since = known.since;
            }
        }
        self.ends.set(address.clone(), now + CONTEST_FOR);
        // A name may lead elsewhere since the newcomer has started.
        self.resolver.distrust(&address);
        let resolved = self.resolver.resolve(now, &address);
        self.by_address.insert(address.clone(), Contest { claim, since, asked: None, is_over: false });
        let Resolved::Fresh(addr) = resolved else { return Some(None) };
        Some(Some(self.ping(now, address, addr)))
    }

    fn make_room(&mut self) -> bool {
        if self.by_address.len() >= CONTESTS_MAX {
            self.by_address.retain(|_, contest| !contest.is_over);
        }
        self.by_address.len() < CONTESTS_MAX
    }

    fn ping(&mut self, now: Timestamp, address: Arc<str>, addr: SocketAddr) -> Transmit {
        // JavaScript has no integers beyond 53 bits.
        let id = self.rng.next_u64() >> 11;
        let mut ping = Message::request(RequestId::number(id), Body::Ping(NoData {})).transmit(addr, false);
        if !is_near(addr.ip()) {
            pad(&mut ping, FAR_PING_BYTES);
        }
        if let Some(contest) = self.by_address.get_mut(&address) {
            contest.asked = Some(id);
        }
        self.asked.insert(id, address);
        self.outbox.put(now, id, ping, Patience::until(now + CONTEST_FOR))
    }

    /// The name of an address was looked up.
    pub(super) fn handle_resolved(&mut self, now: Timestamp, name: &str, addr: Option<SocketAddr>) -> Option<Transmit> {
        self.resolver.handle_resolved(now, name, addr);
        let (address, contest) = self.by_address.get_key_value(name)?;
        let waits = !contest.is_over && contest.asked.is_none();
        let address = address.clone();
        addr.filter(|_| waits).map(|addr| self.ping(now, address, addr))
    }

    /// A PING was answered from this source.
    pub(super) fn handle_answer(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        id: Option<&RequestId>,
        data: &Json,
    ) -> Option<(Claim, Found)> {
        let id = id.and_then(RequestId::as_number)?;
        let pong: Pong = data.read().ok()?;
        let address = self.asked.get(&id)?.clone();
        self.outbox.answered(now, &id);
        let claim = &self.by_address.get(&address)?.claim;
        let found = match pong.instance {
            Some(instance) if claim.registration.instance.as_ref() == Some(&instance) => Found::Newcomer,
            Some(instance) => Found::Other(instance),
            // A worker of version 0.1.0 says nothing of itself, but registers from the port at which it listens.
            None if claim.from == from => Found::Newcomer,
            None => Found::Nobody,
        };
        if found == Found::Nobody {
            return self.give_up(&address);
        }
        self.close(&address).map(|claim| (claim, found))
    }

    /// The next one for which nothing has answered in time. It stays known until its newcomer comes again.
    pub(super) fn pop_unanswered(&mut self, now: Timestamp) -> Option<(Claim, Found)> {
        let address = self.ends.pop_due(now)?;
        self.give_up(&address)
    }

    fn give_up(&mut self, address: &Arc<str>) -> Option<(Claim, Found)> {
        let contest = self.by_address.get_mut(address)?;
        contest.is_over = true;
        let (claim, asked) = (contest.claim.clone(), contest.asked.take());
        self.ends.cancel(address);
        self.forget(asked);
        Some((claim, Found::Nobody))
    }

    /// Since when the newcomer at an address is doubted.
    pub(super) fn since(&self, address: &str) -> Option<Timestamp> {
        self.by_address.get(address).map(|contest| contest.since)
    }

    /// It is decided, or there is nothing to decide any more; returns what the newcomer wants that waits for an answer.
    pub(super) fn close(&mut self, address: &Arc<str>) -> Option<Claim> {
        let contest = self.by_address.remove(address)?;
        self.ends.cancel(address);
        self.forget(contest.asked);
        (!contest.is_over).then_some(contest.claim)
    }

    fn forget(&mut self, asked: Option<u64>) {
        if let Some(id) = asked {
            self.outbox.forget(&id);
            self.asked.remove(&id);
        }
    }

    /// The addresses whose entry is gone.
    pub(super) fn without(&self, is_live: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        self.by_address.keys().filter(|address| !is_live(address)).cloned().collect()
    }

    /// A copy of a PING that must leave now.
    pub(super) fn poll_copy(&mut self, now: Timestamp) -> Option<Transmit> {
        loop {
            match self.outbox.poll(now, &mut self.rng)? {
                Due::Resend(copy) => return Some(copy),
                Due::Expired(id) => drop(self.asked.remove(&id)),
            }
        }
    }

    pub(super) fn poll_name(&mut self) -> Option<String> {
        self.resolver.poll()
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        [self.ends.next(), self.outbox.next()].into_iter().flatten().min()
    }
}
