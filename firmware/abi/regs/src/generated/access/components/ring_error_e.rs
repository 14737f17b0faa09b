//! Field Enum: Error

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingErrorE {
    /// None
    ///
    /// No error since the ring was enabled.
    None = 0,
    /// Bad size
    ///
    /// The number of entries is no power of two, less than 2, or more than CAP_RINGS.max_entries.
    BadSize = 1,
    /// Bad address
    ///
    /// An array does not begin at a multiple of 64 octets, or passes the end of the address space.
    BadAddress = 2,
    /// Overlap
    ///
    /// An array that the device writes overlaps another array of this ring or of a running one.
    Overlap = 3,
    /// Bad doorbell
    ///
    /// The doorbell told an index that the ring cannot be at.
    BadDoorbell = 4,
    /// DMA fault
    ///
    /// Host memory could not be read or written; FAULT_IOVA_LO and FAULT_IOVA_HI tell where.
    DmaFault = 5,
}

impl RingErrorE {
    /// Decode a bit pattern into an encoded enum variant.
    ///
    /// # Errors
    /// Returns an error if the bit pattern does not match any encoded variants.
    pub const fn from_bits(bits: u8) -> Result<Self, peakrdl_rust::encode::UnknownVariant<u8>> {
        match bits {
            0 => Ok(Self::None),
            1 => Ok(Self::BadSize),
            2 => Ok(Self::BadAddress),
            3 => Ok(Self::Overlap),
            4 => Ok(Self::BadDoorbell),
            5 => Ok(Self::DmaFault),
            bits => Err(peakrdl_rust::encode::UnknownVariant::new(bits)),
        }
    }

    /// The bit pattern of the variant
    #[must_use]
    pub const fn bits(&self) -> u8 {
        *self as u8
    }
}
