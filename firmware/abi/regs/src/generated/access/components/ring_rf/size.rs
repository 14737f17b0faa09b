//! Register: Ring size

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Ring size
///
/// How many entries each array has. Taken when the ring is enabled.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct Size(u32);

unsafe impl Send for Size {}
unsafe impl Sync for Size {}

impl core::default::Default for Size {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for Size {
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

impl Size {
    pub const ENTRIES_OFFSET: usize = 0;
    pub const ENTRIES_WIDTH: usize = 16;
    pub const ENTRIES_MASK: u32 = 0xFFFF;

    /// Entries
    ///
    /// Number of entries: a power of two from 2 to CAP_RINGS.max_entries.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn entries(&self) -> u16 {
        let val = (self.0 >> Self::ENTRIES_OFFSET) & Self::ENTRIES_MASK;
        val as u16
    }

    /// Entries
    ///
    /// Number of entries: a power of two from 2 to CAP_RINGS.max_entries.
    #[inline(always)]
    pub fn set_entries(&mut self, val: u16) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::ENTRIES_MASK << Self::ENTRIES_OFFSET))
            | ((val & Self::ENTRIES_MASK) << Self::ENTRIES_OFFSET);
    }
}

impl core::fmt::Debug for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Size").field("entries", &self.entries()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Size::default();
        assert_eq!(reg.entries(), 0);
    }
}
