//! The device's way into the host that it is plugged into.

/// The device's way into the host: memory by IOVA and interrupt vectors.
///
/// What is behind it decides whether an access may happen at all (bus mastering, power state, translation).
pub trait HostPort: Send {
    /// Reads host memory from `iova` on: all of it, or nothing and `octets` unchanged.
    ///
    /// # Errors
    /// See [`DmaFault`].
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault>;

    /// Writes host memory from `iova` on: all of it, or nothing.
    ///
    /// # Errors
    /// See [`DmaFault`].
    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault>;

    /// Signals an interrupt vector. One that the host has masked stays pending; one that it has not set up is lost.
    fn interrupt(&mut self, vector: u16);
}

/// Why host memory could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DmaFault {
    /// The function may not master the bus (command register, power state).
    BusMasterOff,
    /// Some octet has no translation, or the range wraps round.
    NotMapped,
    /// The translation exists and doesn't permit this access.
    NotPermitted,
    /// The memory behind the translation failed.
    Backing,
}

impl std::fmt::Display for DmaFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BusMasterOff => "the function may not master the bus",
            Self::NotMapped => "no translation for the address",
            Self::NotPermitted => "the translation doesn't permit this access",
            Self::Backing => "the memory behind the translation failed",
        })
    }
}

impl std::error::Error for DmaFault {}
