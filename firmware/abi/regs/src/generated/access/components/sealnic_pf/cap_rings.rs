//! Register: Capability: rings

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Capability: rings
///
/// What the rings in host memory take. All zero when the device reaches no host memory: then there is the mailbox alone.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CapRings(u32);

unsafe impl Send for CapRings {}
unsafe impl Sync for CapRings {}

impl core::default::Default for CapRings {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CapRings {
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

impl CapRings {
    pub const MAX_ENTRIES_OFFSET: usize = 0;
    pub const MAX_ENTRIES_WIDTH: usize = 16;
    pub const MAX_ENTRIES_MASK: u32 = 0xFFFF;

    /// Entries
    ///
    /// Greatest number of entries of a ring.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn max_entries(&self) -> u16 {
        let val = (self.0 >> Self::MAX_ENTRIES_OFFSET) & Self::MAX_ENTRIES_MASK;
        val as u16
    }

    pub const HOST_FRAME_LEN_OFFSET: usize = 16;
    pub const HOST_FRAME_LEN_WIDTH: usize = 16;
    pub const HOST_FRAME_LEN_MASK: u32 = 0xFFFF;

    /// Host frame length
    ///
    /// Longest frame on the host frame rings, in octets, its HostFrame header included.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn host_frame_len(&self) -> u16 {
        let val = (self.0 >> Self::HOST_FRAME_LEN_OFFSET) & Self::HOST_FRAME_LEN_MASK;
        val as u16
    }
}

impl core::fmt::Debug for CapRings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CapRings")
            .field("max_entries", &self.max_entries())
            .field("host_frame_len", &self.host_frame_len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CapRings::default();
        assert_eq!(reg.max_entries(), 0);
        assert_eq!(reg.host_frame_len(), 0);
    }
}
