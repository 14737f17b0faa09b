//! DMA memory for devices in the same process.

use super::DmaMemory;
use std::sync::{Mutex, PoisonError};

/// Octets behind a lock, shared with a model: every access is whole and ordered.
#[derive(Debug)]
pub struct HeapMemory(Mutex<Box<[u8]>>);

impl HeapMemory {
    /// Zeroed memory.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(Mutex::new(vec![0; len].into_boxed_slice()))
    }

    fn with<V>(&self, at: usize, len: usize, access: impl FnOnce(&mut [u8]) -> V) -> Option<V> {
        // Octets are never half-written by a panic: a copy can't panic.
        let mut octets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        octets.get_mut(at..at.checked_add(len)?).map(access)
    }
}

impl DmaMemory for HeapMemory {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn read(&self, at: usize, octets: &mut [u8]) -> Option<()> {
        self.with(at, octets.len(), |memory| octets.copy_from_slice(memory))
    }

    fn write(&self, at: usize, octets: &[u8]) -> Option<()> {
        self.with(at, octets.len(), |memory| memory.copy_from_slice(octets))
    }

    fn load32(&self, at: usize) -> Option<u32> {
        let mut word = [0; 4];
        at.is_multiple_of(4).then(|| self.read(at, &mut word))??;
        Some(u32::from_le_bytes(word))
    }

    fn store32(&self, at: usize, value: u32) -> Option<()> {
        at.is_multiple_of(4).then(|| self.write(at, &value.to_le_bytes()))?
    }
}
