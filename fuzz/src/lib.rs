//! What fuzzers feed to the decoder and to the machines, and what must hold meanwhile.
//!
//! An input is a string of bytes. To the decoder it is a datagram; to a machine it is a sequence of things that
//! happen: time passes, a datagram comes, a disk is full. Any bytes will do, so that a fuzzer guided by coverage
//! (`fuzz/run`), a seeded generator and the files of `corpus/` and `finds/` all go the same way. A broken promise
//! is a panic.

mod bench;
mod decode;
mod input;
mod machines;
mod replies;
mod requests;
mod words;

use std::collections::BTreeSet;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// What can be fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The decoder of datagrams.
    Decode,
    /// The dispatcher's machine, over a store in memory.
    Dispatcher,
    /// The worker's machine.
    Worker,
    /// The name service's machine.
    NameService,
    /// The client's machine.
    Client,
}

/// What an input has led to: the messages that were sent, the codes of errors, what became of tasks. It tells
/// whether a corpus goes anywhere.
pub type Reached = BTreeSet<String>;

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Decode, Self::Dispatcher, Self::Worker, Self::NameService, Self::Client];

    /// What its directories and its program are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Dispatcher => "dispatcher",
            Self::Worker => "worker",
            Self::NameService => "nameservice",
            Self::Client => "client",
        }
    }

    /// Feeds it an input. Panics when something does not hold.
    pub fn run(self, input: &[u8]) -> Reached {
        match self {
            Self::Decode => decode::run(input),
            Self::Dispatcher => machines::dispatcher::run(input),
            Self::Worker => machines::worker::run(input),
            Self::NameService => machines::nameservice::run(input),
            Self::Client => machines::client::run(input),
        }
    }
}

/// An input that comes from a seed alone.
pub fn random_input(seed: u64) -> Vec<u8> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    // Long enough for what takes several steps, short enough to be read when it finds something.
    let mut input = vec![0; 16 + rng.next_u32() as usize % 1_024];
    rng.fill_bytes(&mut input);
    input
}
