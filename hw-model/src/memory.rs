//! The model's DRAM and random generator.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sealnic_firmware::{Entropy, Memory};

/// Tables on the heap.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeapMemory;

impl Memory for HeapMemory {
    type Slice<T> = Box<[T]>;

    fn slice<T>(&mut self, len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }
}

/// Random octets of a model: the same for the same seed on every machine.
pub struct ModelEntropy(ChaCha12Rng);

impl ModelEntropy {
    /// Repeatable.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// Seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system has no random octets to give.
    pub fn from_os() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self(ChaCha12Rng::from_seed(seed)))
    }
}

impl Entropy for ModelEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        self.0.fill_bytes(octets);
    }
}
