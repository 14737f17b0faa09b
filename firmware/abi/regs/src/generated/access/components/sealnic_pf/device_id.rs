//! Register: Device identity

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Device identity
///
/// Which device this is.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct DeviceId(u32);

unsafe impl Send for DeviceId {}
unsafe impl Sync for DeviceId {}

impl core::default::Default for DeviceId {
    fn default() -> Self {
        Self(0x5EA1)
    }
}

impl peakrdl_rust::reg::Register for DeviceId {
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

impl DeviceId {
    pub const DEVICE_OFFSET: usize = 0;
    pub const DEVICE_WIDTH: usize = 16;
    pub const DEVICE_MASK: u32 = 0xFFFF;

    /// Device
    ///
    /// The device's number, equal to the PCI device id.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn device(&self) -> u16 {
        let val = (self.0 >> Self::DEVICE_OFFSET) & Self::DEVICE_MASK;
        val as u16
    }

    pub const REVISION_OFFSET: usize = 16;
    pub const REVISION_WIDTH: usize = 8;
    pub const REVISION_MASK: u32 = 0xFF;

    /// Revision
    ///
    /// Revision of the implementation; it has no influence on the ABI.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn revision(&self) -> u8 {
        let val = (self.0 >> Self::REVISION_OFFSET) & Self::REVISION_MASK;
        val as u8
    }
}

impl core::fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DeviceId")
            .field("device", &self.device())
            .field("revision", &self.revision())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = DeviceId::default();
        assert_eq!(reg.device(), 24225);
        assert_eq!(reg.revision(), 0);
    }
}
