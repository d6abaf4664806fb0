//! Our generator, spoken through the traits of the generation that `voprf` knows.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rand_core_06::{CryptoRng, Error, RngCore};

/// ChaCha20 over 32 bytes that the caller drew.
pub(super) struct SeededRng(ChaCha20Rng);

impl SeededRng {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }
}

impl CryptoRng for SeededRng {}

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}
