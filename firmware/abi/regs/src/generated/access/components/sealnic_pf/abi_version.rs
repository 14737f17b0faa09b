//! Register: ABI version

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// ABI version
///
/// Version of everything that device and driver agree on. A driver refuses a device whose major version it does not know.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct AbiVersion(u32);

unsafe impl Send for AbiVersion {}
unsafe impl Sync for AbiVersion {}

impl core::default::Default for AbiVersion {
    fn default() -> Self {
        Self(0x1_0001)
    }
}

impl peakrdl_rust::reg::Register for AbiVersion {
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

impl AbiVersion {
    pub const MINOR_OFFSET: usize = 0;
    pub const MINOR_WIDTH: usize = 16;
    pub const MINOR_MASK: u32 = 0xFFFF;

    /// Minor
    ///
    /// Raised by additions that an older driver may ignore.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn minor(&self) -> u16 {
        let val = (self.0 >> Self::MINOR_OFFSET) & Self::MINOR_MASK;
        val as u16
    }

    pub const MAJOR_OFFSET: usize = 16;
    pub const MAJOR_WIDTH: usize = 16;
    pub const MAJOR_MASK: u32 = 0xFFFF;

    /// Major
    ///
    /// Raised by changes that an older driver would misunderstand.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn major(&self) -> u16 {
        let val = (self.0 >> Self::MAJOR_OFFSET) & Self::MAJOR_MASK;
        val as u16
    }
}

impl core::fmt::Debug for AbiVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AbiVersion")
            .field("minor", &self.minor())
            .field("major", &self.major())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = AbiVersion::default();
        assert_eq!(reg.minor(), 1);
        assert_eq!(reg.major(), 1);
    }
}
