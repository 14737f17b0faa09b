//! Field Enum: Error code

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxErrorE {
    /// None
    ///
    /// The request was taken; its own result stands in the response header.
    None = 0,
    /// Busy
    ///
    /// The doorbell rang while an earlier request was under way; the later one was ignored.
    Busy = 1,
    /// Bad length
    ///
    /// The length given to the doorbell is shorter than a request header, longer than the window, or no multiple of four.
    BadLength = 2,
    /// Not ready
    ///
    /// The device is in reset or in fault and takes no requests.
    NotReady = 3,
}

impl MailboxErrorE {
    /// Decode a bit pattern into an encoded enum variant.
    ///
    /// # Errors
    /// Returns an error if the bit pattern does not match any encoded variants.
    pub const fn from_bits(bits: u8) -> Result<Self, peakrdl_rust::encode::UnknownVariant<u8>> {
        match bits {
            0 => Ok(Self::None),
            1 => Ok(Self::Busy),
            2 => Ok(Self::BadLength),
            3 => Ok(Self::NotReady),
            bits => Err(peakrdl_rust::encode::UnknownVariant::new(bits)),
        }
    }

    /// The bit pattern of the variant
    #[must_use]
    pub const fn bits(&self) -> u8 {
        *self as u8
    }
}
