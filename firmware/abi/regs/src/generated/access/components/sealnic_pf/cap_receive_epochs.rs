//! Register: Capability: receive epochs

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Capability: receive epochs
///
/// How many receive epochs of one association may be live at once.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CapReceiveEpochs(u32);

unsafe impl Send for CapReceiveEpochs {}
unsafe impl Sync for CapReceiveEpochs {}

impl core::default::Default for CapReceiveEpochs {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CapReceiveEpochs {
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

impl CapReceiveEpochs {
    pub const COUNT_OFFSET: usize = 0;
    pub const COUNT_WIDTH: usize = 8;
    pub const COUNT_MASK: u32 = 0xFF;

    /// Count
    ///
    /// Greatest number of live receive epochs per association.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn count(&self) -> u8 {
        let val = (self.0 >> Self::COUNT_OFFSET) & Self::COUNT_MASK;
        val as u8
    }
}

impl core::fmt::Debug for CapReceiveEpochs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CapReceiveEpochs")
            .field("count", &self.count())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CapReceiveEpochs::default();
        assert_eq!(reg.count(), 0);
    }
}
