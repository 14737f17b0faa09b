//! Register: Mailbox status

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

// Instances of named component types
pub use _root::components::mailbox_error_e as error_code;

/// Mailbox status
///
/// Where the last request stands. Exactly one of busy, done and error is set after the first doorbell.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct MailboxStatus(u32);

unsafe impl Send for MailboxStatus {}
unsafe impl Sync for MailboxStatus {}

impl core::default::Default for MailboxStatus {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for MailboxStatus {
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

impl MailboxStatus {
    pub const BUSY_OFFSET: usize = 0;
    pub const BUSY_WIDTH: usize = 1;
    pub const BUSY_MASK: u32 = 0x1;

    /// Busy
    ///
    /// The device works on the request.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn busy(&self) -> bool {
        let val = (self.0 >> Self::BUSY_OFFSET) & Self::BUSY_MASK;
        val != 0
    }

    pub const DONE_OFFSET: usize = 1;
    pub const DONE_WIDTH: usize = 1;
    pub const DONE_MASK: u32 = 0x1;

    /// Done
    ///
    /// The response is in the response window. Cleared by the next doorbell.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn done(&self) -> bool {
        let val = (self.0 >> Self::DONE_OFFSET) & Self::DONE_MASK;
        val != 0
    }

    pub const ERROR_OFFSET: usize = 2;
    pub const ERROR_WIDTH: usize = 1;
    pub const ERROR_MASK: u32 = 0x1;

    /// Error
    ///
    /// The request was not looked at; see the error code. Cleared by the next doorbell.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn error(&self) -> bool {
        let val = (self.0 >> Self::ERROR_OFFSET) & Self::ERROR_MASK;
        val != 0
    }

    pub const ERROR_CODE_OFFSET: usize = 8;
    pub const ERROR_CODE_WIDTH: usize = 8;
    pub const ERROR_CODE_MASK: u32 = 0xFF;

    /// Error code
    ///
    /// Why the mailbox refused the last doorbell. Results of a request that was taken stand in its response header.
    #[inline(always)]
    #[allow(clippy::missing_errors_doc)]
    pub fn error_code(&self) -> Result<error_code::MailboxErrorE, peakrdl_rust::encode::UnknownVariant<u8>> {
        let val = (self.0 >> Self::ERROR_CODE_OFFSET) & Self::ERROR_CODE_MASK;
        error_code::MailboxErrorE::from_bits(val as u8)
    }
}

impl core::fmt::Debug for MailboxStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MailboxStatus")
            .field("busy", &self.busy())
            .field("done", &self.done())
            .field("error", &self.error())
            .field("error_code", &self.error_code())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = MailboxStatus::default();
        assert_eq!(reg.busy(), false);
        assert_eq!(reg.done(), false);
        assert_eq!(reg.error(), false);
        assert_eq!(reg.error_code(), Ok(error_code::MailboxErrorE::None));
    }
}
