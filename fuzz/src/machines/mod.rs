//! One file for each machine: how it reads its input, and what must hold for it alone.

pub(crate) mod client;
pub(crate) mod dispatcher;
pub(crate) mod nameservice;
mod rows;
pub(crate) mod worker;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use crate::input::Input;

/// Chance is a part of the input.
fn rng(input: &mut Input<'_>) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(input.byte().into())
}
