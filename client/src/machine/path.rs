//! The way to the server, whose address may be a DNS name (R28).

use std::net::SocketAddr;

use taskgrid_protocol::{Resolver, Timestamp};

use super::limits::LOOK_UP_AGAIN_AFTER;

#[derive(Debug)]
pub(super) enum Path {
    /// An address stays what it is.
    Fixed(SocketAddr),
    /// A name may stand for another address tomorrow.
    Named(Named),
}

#[derive(Debug)]
pub(super) struct Named {
    name: String,
    resolver: Resolver,
    addr: Option<SocketAddr>,
    /// When to look up again a name that has no address yet.
    again_at: Option<Timestamp>,
}

impl Path {
    pub(super) fn new(server: String) -> Self {
        match server.parse() {
            Ok(addr) => Self::Fixed(addr),
            Err(_) => Self::Named(Named { name: server, resolver: Resolver::default(), addr: None, again_at: None }),
        }
    }

    /// The address to send to, if it is known. An old one is good enough: should it prove wrong, the
    /// look-up that this begins redirects what was sent there.
    pub(super) fn addr(&mut self, now: Timestamp) -> Option<SocketAddr> {
        match self {
            Self::Fixed(addr) => Some(*addr),
            Self::Named(named) => {
                named.addr = named.resolver.resolve(now, &named.name).any();
                named.again_at = named.addr.is_none().then_some(now + LOOK_UP_AGAIN_AFTER);
                named.addr
            }
        }
    }

    /// A prompt answer did not come: the server may have moved.
    pub(super) fn distrust(&mut self, now: Timestamp) {
        if let Self::Named(named) = self {
            named.resolver.distrust(&named.name);
            self.addr(now);
        }
    }

    /// A look-up has ended. Returns the address if the server has got its first one, or another.
    pub(super) fn handle_resolved(
        &mut self,
        now: Timestamp,
        name: &str,
        addr: Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let Self::Named(named) = self else { return None };
        named.resolver.handle_resolved(now, name, addr);
        let found = addr?;
        named.again_at = None;
        (named.addr.replace(found) != Some(found)).then_some(found)
    }

    /// Whoever still wants the address asks for it again.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if let Self::Named(named) = self {
            named.again_at = named.again_at.filter(|at| *at > now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Fixed(_) => None,
            Self::Named(named) => named.again_at,
        }
    }

    /// The next name to look up, if any.
    pub(super) fn poll(&mut self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::Named(named) => named.resolver.poll(),
        }
    }
}
