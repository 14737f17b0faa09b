//! Field Enum: Fault code

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCodeE {
    /// None
    ///
    /// No fault since the last reset.
    None = 0,
    /// Self-test
    ///
    /// A known-answer test failed: the device refuses to seal or open.
    SelfTest = 1,
    /// Memory
    ///
    /// An uncorrectable error in a table or in packet memory.
    Memory = 2,
    /// Firmware
    ///
    /// The control firmware stopped by itself after an internal check failed.
    Firmware = 3,
    /// Watchdog
    ///
    /// The control firmware stopped answering.
    Watchdog = 4,
    /// Bus
    ///
    /// A DMA or an interrupt could not be delivered to the host.
    Bus = 5,
}

impl FaultCodeE {
    /// Decode a bit pattern into an encoded enum variant.
    ///
    /// # Errors
    /// Returns an error if the bit pattern does not match any encoded variants.
    pub const fn from_bits(bits: u8) -> Result<Self, peakrdl_rust::encode::UnknownVariant<u8>> {
        match bits {
            0 => Ok(Self::None),
            1 => Ok(Self::SelfTest),
            2 => Ok(Self::Memory),
            3 => Ok(Self::Firmware),
            4 => Ok(Self::Watchdog),
            5 => Ok(Self::Bus),
            bits => Err(peakrdl_rust::encode::UnknownVariant::new(bits)),
        }
    }

    /// The bit pattern of the variant
    #[must_use]
    pub const fn bits(&self) -> u8 {
        *self as u8
    }
}
