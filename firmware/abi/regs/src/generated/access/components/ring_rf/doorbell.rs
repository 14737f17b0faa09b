//! Register: Ring doorbell

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Ring doorbell
///
/// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct Doorbell(u32);

unsafe impl Send for Doorbell {}
unsafe impl Sync for Doorbell {}

impl core::default::Default for Doorbell {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for Doorbell {
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

impl Doorbell {
    pub const INDEX_OFFSET: usize = 0;
    pub const INDEX_WIDTH: usize = 16;
    pub const INDEX_MASK: u32 = 0xFFFF;

    /// Index
    ///
    /// Descriptors posted so far; on the event ring events consumed so far. Written as 0 before the ring is enabled.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn index(&self) -> u16 {
        let val = (self.0 >> Self::INDEX_OFFSET) & Self::INDEX_MASK;
        val as u16
    }

    /// Index
    ///
    /// Descriptors posted so far; on the event ring events consumed so far. Written as 0 before the ring is enabled.
    #[inline(always)]
    pub fn set_index(&mut self, val: u16) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::INDEX_MASK << Self::INDEX_OFFSET)) | ((val & Self::INDEX_MASK) << Self::INDEX_OFFSET);
    }
}

impl core::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Doorbell").field("index", &self.index()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Doorbell::default();
        assert_eq!(reg.index(), 0);
    }
}
