//! Register: Counter snapshot

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Counter snapshot
///
/// The counter window shows a copy, so that both halves of a counter, and all counters, belong to one moment.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CounterSnapshot(u32);

unsafe impl Send for CounterSnapshot {}
unsafe impl Sync for CounterSnapshot {}

impl core::default::Default for CounterSnapshot {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CounterSnapshot {
    type Regwidth = u32;
    type Accesswidth = u32;
    type Access = peakrdl_rust::access::RW;
    type ByteEndian = peakrdl_rust::endian::LittleEndian;
    type WordEndian = peakrdl_rust::endian::LittleEndian;

    unsafe fn from_raw(val: Self::Regwidth) -> Self {
        Self(val)
    }

    fn to_raw(self) -> Self::Regwidth {
        self.0
    }
}

impl CounterSnapshot {
    pub const LATCH_OFFSET: usize = 0;
    pub const LATCH_WIDTH: usize = 1;
    pub const LATCH_MASK: u32 = 0x1;

    /// Latch
    ///
    /// Writing 1 copies all counters into the window; it reads as 1 until the copy is whole. Writing 0 does nothing.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn latch(&self) -> bool {
        let val = (self.0 >> Self::LATCH_OFFSET) & Self::LATCH_MASK;
        val != 0
    }

    /// Latch
    ///
    /// Writing 1 copies all counters into the window; it reads as 1 until the copy is whole. Writing 0 does nothing.
    #[inline(always)]
    pub fn set_latch(&mut self, val: bool) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::LATCH_MASK << Self::LATCH_OFFSET)) | ((val & Self::LATCH_MASK) << Self::LATCH_OFFSET);
    }
}

impl core::fmt::Debug for CounterSnapshot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CounterSnapshot").field("latch", &self.latch()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CounterSnapshot::default();
        assert_eq!(reg.latch(), false);
    }
}
