//! A BAR that the kernel maps into this process.
#![allow(unsafe_code)]

use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::sync::atomic::{Ordering, fence};

/// A mapped BAR, until it is dropped.
pub(super) struct MappedBar(MmapRaw);

impl MappedBar {
    /// Maps `len` octets of the VFIO device file from `offset` on.
    pub(super) fn new(device: &File, offset: u64, len: usize) -> io::Result<Self> {
        MmapOptions::new().offset(offset).len(len).map_raw(device).map(Self)
    }

    /// The register at `offset`; `None` outside the BAR or between registers.
    fn register(&self, offset: u32) -> Option<*mut u32> {
        let at = usize::try_from(offset).ok()?;
        let fits = at.checked_add(4).is_some_and(|end| end <= self.0.len());
        (fits && at.is_multiple_of(4)).then(|| self.0.as_mut_ptr().wrapping_add(at).cast())
    }

    pub(super) fn read32(&self, offset: u32) -> Option<u32> {
        let register = self.register(offset)?;
        // SAFETY: valid and aligned: `register` lies in the mapping, which lives as long as `self`. Aliasing: there is no
        // reference into the mapping anywhere. Volatile, so that each read is one load of the bus.
        let value = unsafe { register.read_volatile() };
        // What the device wrote to memory before it answered is seen after it.
        fence(Ordering::SeqCst);
        Some(u32::from_le(value))
    }

    pub(super) fn write32(&self, offset: u32, value: u32) -> Option<()> {
        let register = self.register(offset)?;
        // What was written to memory is there before the device hears of it.
        fence(Ordering::SeqCst);
        // SAFETY: as for reading.
        unsafe { register.write_volatile(value.to_le()) };
        Some(())
    }
}
