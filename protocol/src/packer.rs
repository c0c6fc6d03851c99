//! Puts messages for the same address into one datagram.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Transmit;
use crate::limits::{ARRAY_MAX, PACK_LOOPBACK_MAX, PACK_REMOTE_MAX};

/// Collects what one round of a driver has to send. Arrays are filled only with what is ready anyway:
/// nothing ever waits for company.
#[derive(Debug, Default)]
pub struct Packer {
    open: BTreeMap<SocketAddr, Open>,
    ready: Vec<(SocketAddr, Vec<u8>)>,
}

/// What an array has room for at first. Most hold more than one message, or they would not be packed.
const ROOM: usize = 4_096;

#[derive(Debug)]
struct Open {
    /// The messages, separated by commas, behind room for an opening bracket.
    bytes: Vec<u8>,
    count: usize,
}

impl Open {
    fn with(first: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ROOM.max(first.len() + 2));
        bytes.push(b'[');
        bytes.extend_from_slice(first);
        Self { bytes, count: 1 }
    }

    fn fits(&self, next: &[u8], max: usize) -> bool {
        self.count < ARRAY_MAX && self.bytes.len() + next.len() + 2 <= max
    }

    fn push(&mut self, next: &[u8]) {
        self.bytes.push(b',');
        self.bytes.extend_from_slice(next);
        self.count += 1;
    }

    fn close(mut self) -> Vec<u8> {
        self.bytes.push(b']');
        self.bytes
    }
}

impl Packer {
    /// Adds a message.
    pub fn push(&mut self, transmit: Transmit) {
        let Transmit { to, bytes, pack } = transmit;
        if !pack {
            self.ready.push((to, bytes));
            return;
        }
        let max = if to.ip().is_loopback() { PACK_LOOPBACK_MAX } else { PACK_REMOTE_MAX };
        if let Some(open) = self.open.get_mut(&to) {
            if open.fits(&bytes, max) {
                open.push(&bytes);
                return;
            }
            let full = std::mem::replace(open, Open::with(&bytes));
            self.ready.push((to, full.close()));
            return;
        }
        self.open.insert(to, Open::with(&bytes));
    }

    /// Hands over all datagrams that were collected.
    pub fn drain(&mut self) -> impl Iterator<Item = (SocketAddr, Vec<u8>)> {
        let open = std::mem::take(&mut self.open);
        let closed = open.into_iter().map(|(to, open)| (to, open.close()));
        std::mem::take(&mut self.ready).into_iter().chain(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(to: SocketAddr, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut packer = Packer::default();
        for n in 0..count {
            packer.push(Transmit { to, bytes: format!("{{\"n\":{n}}}").into_bytes(), pack: true });
        }
        packer.drain().collect()
    }

    #[test]
    fn what_is_ready_travels_together_and_nothing_is_lost() {
        for (ip, most) in [([127, 0, 0, 1], PACK_LOOPBACK_MAX), ([10, 0, 0, 1], PACK_REMOTE_MAX)] {
            let datagrams = packed((ip, 1).into(), 3_000);
            let mut seen = 0;
            for (_, bytes) in &datagrams {
                assert!(bytes.len() <= most);
                let messages: Vec<serde_json::Value> = serde_json::from_slice(bytes).unwrap();
                assert!(messages.len() <= ARRAY_MAX);
                for message in messages {
                    assert_eq!(message["n"], seen);
                    seen += 1;
                }
            }
            assert_eq!(seen, 3_000);
        }
    }

    #[test]
    fn what_may_not_be_packed_stays_alone() {
        let mut packer = Packer::default();
        let to = ([127, 0, 0, 1], 1).into();
        packer.push(Transmit { to, bytes: b"{}".to_vec(), pack: false });
        packer.push(Transmit { to, bytes: b"{}".to_vec(), pack: false });
        assert_eq!(packer.drain().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [b"{}", b"{}"]);
    }
}
