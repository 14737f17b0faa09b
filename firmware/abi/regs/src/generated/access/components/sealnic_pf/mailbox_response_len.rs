//! Register: Mailbox response length

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Mailbox response length
///
/// Valid while MAILBOX_STATUS.done is set.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct MailboxResponseLen(u32);

unsafe impl Send for MailboxResponseLen {}
unsafe impl Sync for MailboxResponseLen {}

impl core::default::Default for MailboxResponseLen {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for MailboxResponseLen {
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

impl MailboxResponseLen {
    pub const LEN_OFFSET: usize = 0;
    pub const LEN_WIDTH: usize = 16;
    pub const LEN_MASK: u32 = 0xFFFF;

    /// Length
    ///
    /// Length of the response in octets, header included.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn len(&self) -> u16 {
        let val = (self.0 >> Self::LEN_OFFSET) & Self::LEN_MASK;
        val as u16
    }
}

impl core::fmt::Debug for MailboxResponseLen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MailboxResponseLen").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = MailboxResponseLen::default();
        assert_eq!(reg.len(), 0);
    }
}
