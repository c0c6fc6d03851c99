//! Chance that can be replayed.

use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

pub(crate) struct Dice(ChaCha12Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// Others, whose throws do not depend on how often these are thrown.
    pub(crate) fn child(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % end as u64).unwrap()
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        f64::from(self.0.next_u32()) < probability * f64::from(u32::MAX)
    }

    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        from + (to - from).mul_f64(f64::from(self.0.next_u32()) / f64::from(u32::MAX))
    }
}
