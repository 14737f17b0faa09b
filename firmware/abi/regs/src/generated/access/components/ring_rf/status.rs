//! Register: Ring status

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

// Instances of named component types
pub use _root::components::ring_error_e as error;

/// Ring status
///
/// State of the ring.
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
    pub const RUNNING_OFFSET: usize = 0;
    pub const RUNNING_WIDTH: usize = 1;
    pub const RUNNING_MASK: u32 = 0x1;

    /// Running
    ///
    /// Set while the ring works.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn running(&self) -> bool {
        let val = (self.0 >> Self::RUNNING_OFFSET) & Self::RUNNING_MASK;
        val != 0
    }

    pub const ERROR_OFFSET: usize = 8;
    pub const ERROR_WIDTH: usize = 8;
    pub const ERROR_MASK: u32 = 0xFF;

    /// Error
    ///
    /// Why the ring did not start, or stopped. Cleared when it is started.
    #[inline(always)]
    #[allow(clippy::missing_errors_doc)]
    pub fn error(&self) -> Result<error::RingErrorE, peakrdl_rust::encode::UnknownVariant<u8>> {
        let val = (self.0 >> Self::ERROR_OFFSET) & Self::ERROR_MASK;
        error::RingErrorE::from_bits(val as u8)
    }
}

impl core::fmt::Debug for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Status")
            .field("running", &self.running())
            .field("error", &self.error())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Status::default();
        assert_eq!(reg.running(), false);
        assert_eq!(reg.error(), Ok(error::RingErrorE::None));
    }
}
