//! Register: Capability: mailbox

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Capability: mailbox
///
/// Longest messages that the mailbox takes and gives. Never more than the windows hold.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CapMailbox(u32);

unsafe impl Send for CapMailbox {}
unsafe impl Sync for CapMailbox {}

impl core::default::Default for CapMailbox {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CapMailbox {
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

impl CapMailbox {
    pub const REQUEST_LEN_OFFSET: usize = 0;
    pub const REQUEST_LEN_WIDTH: usize = 16;
    pub const REQUEST_LEN_MASK: u32 = 0xFFFF;

    /// Request length
    ///
    /// Longest request, in octets.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn request_len(&self) -> u16 {
        let val = (self.0 >> Self::REQUEST_LEN_OFFSET) & Self::REQUEST_LEN_MASK;
        val as u16
    }

    pub const RESPONSE_LEN_OFFSET: usize = 16;
    pub const RESPONSE_LEN_WIDTH: usize = 16;
    pub const RESPONSE_LEN_MASK: u32 = 0xFFFF;

    /// Response length
    ///
    /// Longest response, in octets.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn response_len(&self) -> u16 {
        let val = (self.0 >> Self::RESPONSE_LEN_OFFSET) & Self::RESPONSE_LEN_MASK;
        val as u16
    }
}

impl core::fmt::Debug for CapMailbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CapMailbox")
            .field("request_len", &self.request_len())
            .field("response_len", &self.response_len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CapMailbox::default();
        assert_eq!(reg.request_len(), 0);
        assert_eq!(reg.response_len(), 0);
    }
}
