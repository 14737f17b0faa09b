//! Register: Mailbox doorbell

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Mailbox doorbell
///
/// Writing it hands the request that stands in the request window to the device. While MAILBOX_STATUS.busy is set both windows belong to the device.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct MailboxDoorbell(u32);

unsafe impl Send for MailboxDoorbell {}
unsafe impl Sync for MailboxDoorbell {}

impl core::default::Default for MailboxDoorbell {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for MailboxDoorbell {
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

impl MailboxDoorbell {
    pub const REQUEST_LEN_OFFSET: usize = 0;
    pub const REQUEST_LEN_WIDTH: usize = 16;
    pub const REQUEST_LEN_MASK: u32 = 0xFFFF;

    /// Request length
    ///
    /// Length of the request in octets, header included.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn request_len(&self) -> u16 {
        let val = (self.0 >> Self::REQUEST_LEN_OFFSET) & Self::REQUEST_LEN_MASK;
        val as u16
    }

    /// Request length
    ///
    /// Length of the request in octets, header included.
    #[inline(always)]
    pub fn set_request_len(&mut self, val: u16) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::REQUEST_LEN_MASK << Self::REQUEST_LEN_OFFSET))
            | ((val & Self::REQUEST_LEN_MASK) << Self::REQUEST_LEN_OFFSET);
    }
}

impl core::fmt::Debug for MailboxDoorbell {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MailboxDoorbell")
            .field("request_len", &self.request_len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = MailboxDoorbell::default();
        assert_eq!(reg.request_len(), 0);
    }
}
