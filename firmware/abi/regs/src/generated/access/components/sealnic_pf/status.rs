//! Register: Status

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

// Instances of named component types
pub use _root::components::fault_code_e as fault_code;

/// Status
///
/// State of the device.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct Status(u32);

unsafe impl Send for Status {}
unsafe impl Sync for Status {}

impl core::default::Default for Status {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for Status {
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

impl Status {
    pub const READY_OFFSET: usize = 0;
    pub const READY_WIDTH: usize = 1;
    pub const READY_MASK: u32 = 0x1;

    /// Ready
    ///
    /// Set when the reset is over and the mailbox takes requests.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn ready(&self) -> bool {
        let val = (self.0 >> Self::READY_OFFSET) & Self::READY_MASK;
        val != 0
    }

    pub const FAULT_OFFSET: usize = 1;
    pub const FAULT_WIDTH: usize = 1;
    pub const FAULT_MASK: u32 = 0x1;

    /// Fault
    ///
    /// Set when the device stopped after a fault; only a reset helps.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn fault(&self) -> bool {
        let val = (self.0 >> Self::FAULT_OFFSET) & Self::FAULT_MASK;
        val != 0
    }

    pub const FAULT_CODE_OFFSET: usize = 8;
    pub const FAULT_CODE_WIDTH: usize = 8;
    pub const FAULT_CODE_MASK: u32 = 0xFF;

    /// Fault code
    ///
    /// The first fault since the last reset.
    #[inline(always)]
    #[allow(clippy::missing_errors_doc)]
    pub fn fault_code(&self) -> Result<fault_code::FaultCodeE, peakrdl_rust::encode::UnknownVariant<u8>> {
        let val = (self.0 >> Self::FAULT_CODE_OFFSET) & Self::FAULT_CODE_MASK;
        fault_code::FaultCodeE::from_bits(val as u8)
    }
}

impl core::fmt::Debug for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Status")
            .field("ready", &self.ready())
            .field("fault", &self.fault())
            .field("fault_code", &self.fault_code())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Status::default();
        assert_eq!(reg.ready(), false);
        assert_eq!(reg.fault(), false);
        assert_eq!(reg.fault_code(), Ok(fault_code::FaultCodeE::None));
    }
}
