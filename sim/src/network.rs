//! What happens to datagrams between two processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::dice::Dice;
use crate::options::{Micros, Net};
use crate::record::NetCount;

/// The ways between processes, by their places in the world.
#[derive(Debug, Default)]
pub struct Network {
    /// Ways that are blocked, by the number of the fault that did it: from one of these to one of those.
    blocked: BTreeMap<u64, (Vec<usize>, Vec<usize>)>,
    next: u64,
}

/// A datagram that will arrive.
pub struct Arrival {
    /// In how long.
    pub delay: Micros,
    /// What is left of it.
    pub bytes: Vec<u8>,
}

impl Network {
    /// Blocks every way from one of `from` to one of `to`. Returns a number to unblock with.
    pub fn block(&mut self, from: Vec<usize>, to: Vec<usize>) -> u64 {
        self.next += 1;
        self.blocked.insert(self.next, (from, to));
        self.next
    }

    /// See [`Network::block`].
    pub fn unblock(&mut self, number: u64) {
        self.blocked.remove(&number);
    }

    /// Frees all ways.
    pub fn heal(&mut self) {
        self.blocked.clear();
    }

    /// Whether datagrams from this process do not reach that one.
    pub fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.values().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
    }

    /// What becomes of a datagram on a way that is not blocked: none, one or two arrivals.
    pub fn carry(net: &Net, dice: &mut Dice, count: &mut NetCount, bytes: &[u8]) -> Vec<Arrival> {
        count.sent += 1;
        if dice.chance(net.loss) {
            count.lost += 1;
            return Vec::new();
        }
        let copies = if dice.chance(net.duplicate) { 2 } else { 1 };
        count.repeated += copies - 1;
        (0..copies)
            .map(|_| {
                let mut delay = dice.range(net.delay.0, net.delay.1);
                if dice.chance(net.tail) {
                    delay += dice.range(0, net.tail_max);
                }
                let mut bytes = bytes.to_vec();
                if dice.chance(net.corrupt) {
                    count.damaged += 1;
                    damage(dice, &mut bytes);
                }
                Arrival { delay, bytes }
            })
            .collect()
    }
}

fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if dice.chance(0.2) {
        bytes.truncate(dice.index(bytes.len() + 1));
        return;
    }
    for _ in 0..=dice.index(3) {
        if !bytes.is_empty() {
            let place = dice.index(bytes.len());
            bytes[place] ^= 1 << dice.index(8);
        }
    }
}

/// Addresses of the world: one machine for each process, in a private network.
pub fn address(machine: u8, move_number: u8, port: u16) -> SocketAddr {
    ([10, 0, move_number, machine], port).into()
}
