//! Register: Capability: counters

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Capability: counters
///
/// How much of the counter window means something.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CapCounters(u32);

unsafe impl Send for CapCounters {}
unsafe impl Sync for CapCounters {}

impl core::default::Default for CapCounters {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CapCounters {
    type Regwidth = u32;
    type Accesswidth = u32;
    type Access = peakrdl_rust::access::R;
    type ByteEndian = peakrdl_rust::endian::LittleEndian;
    type WordEndian = peakrdl_rust::endian::LittleEndian;

    unsafe fn from_raw(val: Self::Regwidth) -> Self {
        Self(val)
    }

    fn to_raw(self) -> Self::Regwidth {
        self.0
    }
}

impl CapCounters {
    pub const COUNT_OFFSET: usize = 0;
    pub const COUNT_WIDTH: usize = 16;
    pub const COUNT_MASK: u32 = 0xFFFF;

    /// Count
    ///
    /// Number of 64-bit counters, from index 0; the rest of the window reads as zero.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn count(&self) -> u16 {
        let val = (self.0 >> Self::COUNT_OFFSET) & Self::COUNT_MASK;
        val as u16
    }
}

impl core::fmt::Debug for CapCounters {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CapCounters").field("count", &self.count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CapCounters::default();
        assert_eq!(reg.count(), 0);
    }
}
