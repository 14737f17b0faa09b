//! Host memory that a device reaches.
//!
//! What a device writes may change at any time and may be anything, so nothing here hands out a reference into it: octets
//! are copied in and out, and the words that device and driver signal each other with are loaded and stored whole, in
//! order. A buffer keeps its memory alive; after its transport let go of the device every access is an error.

mod arena;
mod heap;
#[cfg(any(feature = "vfio", feature = "vfio-user"))]
pub(crate) mod mapped;

pub use arena::{DmaArena, DmaBuffer};
pub use heap::HeapMemory;

use std::io;

/// Memory as device and driver share it. Offsets are in octets; an access outside the memory does nothing and returns
/// `None`.
pub trait DmaMemory: Send + Sync {
    /// Size in octets.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies octets out, in no particular order.
    fn read(&self, at: usize, octets: &mut [u8]) -> Option<()>;

    /// Copies octets in, in no particular order.
    fn write(&self, at: usize, octets: &[u8]) -> Option<()>;

    /// Loads a little-endian word whole; accesses after it see what the device wrote before that word. `at` is a multiple
    /// of 4.
    fn load32(&self, at: usize) -> Option<u32>;

    /// Stores a little-endian word whole; the device that sees it sees everything written before. `at` is a multiple of 4.
    fn store32(&self, at: usize, value: u32) -> Option<()>;
}

/// What went wrong with DMA memory.
#[derive(Debug, thiserror::Error)]
pub enum DmaError {
    /// No room in the arena.
    #[error("no room for {wanted} octets in the DMA arena of {capacity}; give the transport a larger arena")]
    NoRoom {
        /// Octets asked for.
        wanted: usize,
        /// Octets of the whole arena.
        capacity: usize,
    },
    /// The access lies outside the buffer.
    #[error("octets {at} to {} lie outside a DMA buffer of {capacity}", at.saturating_add(*.len))]
    OutOfBounds {
        /// First octet.
        at: usize,
        /// Octets.
        len: usize,
        /// Size of the buffer, in octets.
        capacity: usize,
    },
    /// The memory isn't mapped for the device any more.
    #[error("this DMA buffer outlived its transport: the device doesn't reach it any more; attach again")]
    Unmapped,
    /// The memory could not be had.
    #[error("{len} octets of memory for DMA can't be had: {source}; raise the limit on locked memory (ulimit -l)")]
    Memory {
        /// Octets asked for.
        len: usize,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Whether DMA memory stands on huge pages: a device behind an IOMMU then needs a translation for each 2 MiB only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HugePages {
    /// Where the system has some to give, else ordinary pages.
    #[default]
    WhereAvailable,
    /// Ordinary pages only.
    Never,
}

/// How much memory a transport sets apart for DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaConfig {
    /// Size, in octets; rounded up to whole pages.
    pub len: usize,
    /// Which pages.
    pub huge_pages: HugePages,
    /// IOVA of its first octet, a multiple of 2 MiB. The default, 16 MiB, lies below every range that x86 reserves.
    pub iova: u64,
}

impl Default for ArenaConfig {
    fn default() -> Self {
        Self {
            len: 4 << 20,
            huge_pages: HugePages::default(),
            iova: 16 << 20,
        }
    }
}
