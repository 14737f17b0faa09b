//! Register: Capability: replay window

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Capability: replay window
///
/// Longest replay window that an SA may ask for.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CapReplayWindow(u32);

unsafe impl Send for CapReplayWindow {}
unsafe impl Sync for CapReplayWindow {}

impl core::default::Default for CapReplayWindow {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CapReplayWindow {
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

impl CapReplayWindow {
    pub const RECORDS_OFFSET: usize = 0;
    pub const RECORDS_WIDTH: usize = 32;
    pub const RECORDS_MASK: u32 = 0xFFFF_FFFF;

    /// Records
    ///
    /// Greatest window, in records.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn records(&self) -> u32 {
        let val = (self.0 >> Self::RECORDS_OFFSET) & Self::RECORDS_MASK;
        val
    }
}

impl core::fmt::Debug for CapReplayWindow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CapReplayWindow")
            .field("records", &self.records())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CapReplayWindow::default();
        assert_eq!(reg.records(), 0);
    }
}
