//! How a device is reached: its registers always, and where the transport can, host memory that the device reaches,
//! interrupts, and a function-level reset. Which register means what is not known here.
//!
//! Every transport keeps the same promises, so the driver does not ask which one it has; it asks
//! [`capabilities`](Transport::capabilities) what it can do.

#[cfg(feature = "model")]
pub mod model;
#[cfg(any(feature = "vfio", feature = "vfio-user"))]
mod pci;
#[cfg(any(feature = "vfio", feature = "vfio-user"))]
mod vectors;
#[cfg(feature = "vfio")]
pub mod vfio;
#[cfg(feature = "vfio-user")]
pub mod vfio_user;

use crate::clock::Clock;
use crate::dma::{DmaBuffer, DmaError};
use std::io;
use std::time::Duration;

/// Vendor id and, above it, device id of a SealNIC, as the first word of its configuration space reads.
pub(crate) const SEALNIC_ID: u32 = (sealnic_abi::PCI_DEVICE_ID as u32) << 16 | sealnic_abi::PCI_VENDOR_ID as u32;

/// A way to a device's PF.
pub trait Transport {
    /// Reads the 32-bit register at `offset` (octets from the start of BAR0, a multiple of 4), in the host's byte order.
    ///
    /// # Errors
    /// The access did not reach the device.
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError>;

    /// Writes the 32-bit register at `offset`. The write may be posted: a later read of any register comes after it, and
    /// its own failure may only be told by a later access.
    ///
    /// # Errors
    /// The access did not reach the device.
    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError>;

    /// What this transport can do beside registers.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Memory of `len` octets that the device reaches at the buffer's IOVA, zeroed, aligned to its length rounded up to a
    /// power of two, at most to 4096 and at least to 64 octets.
    ///
    /// # Errors
    /// No DMA on this transport, or no room.
    fn dma_alloc(&mut self, _len: usize) -> Result<DmaBuffer, TransportError> {
        Err(TransportError::Unsupported { what: "DMA" })
    }

    /// Has interrupt vectors 0 to `vectors` - 1 wake [`wait`](Self::wait) from now on; 0 turns interrupts off, so that the
    /// driver polls.
    ///
    /// # Errors
    /// No interrupts on this transport, fewer than that, or the transport failed.
    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        match vectors {
            0 => Ok(()),
            _ => Err(TransportError::Unsupported { what: "interrupts" }),
        }
    }

    /// Waits for an interrupt, at most `at_most`, and says which vectors fired since the last call. It may return early for
    /// no reason: the caller reads the cause itself. Without interrupts it sleeps on `clock`, so that the caller polls.
    ///
    /// # Errors
    /// The transport is broken.
    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        clock.sleep(at_most);
        Ok(Fired::NONE)
    }

    /// Resets the function (PCIe base specification, function-level reset): afterwards the device is as after power-up, but
    /// that DMA memory stays mapped, and bus mastering and interrupts are as they were before.
    ///
    /// # Errors
    /// No such reset on this transport, or the transport failed.
    fn reset(&mut self) -> Result<(), TransportError> {
        Err(TransportError::Unsupported {
            what: "a function-level reset",
        })
    }

    /// Lets the device reach host memory and send interrupts, or forbids it (command register, bus master enable). A
    /// transport with DMA begins with it allowed.
    ///
    /// # Errors
    /// No configuration space on this transport, or the transport failed.
    fn set_bus_master(&mut self, _allowed: bool) -> Result<(), TransportError> {
        Err(TransportError::Unsupported {
            what: "the PCI command register",
        })
    }
}

/// What a transport can do beside registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The device reaches memory that [`Transport::dma_alloc`] gives.
    pub dma: bool,
    /// Interrupt vectors; 0 where only polling works.
    pub vectors: u16,
    /// [`Transport::reset`] works.
    pub reset: bool,
}

/// Interrupt vectors that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired(u64);

impl Fired {
    /// No vector.
    pub const NONE: Self = Self(0);
    /// Vectors that a set holds: 0 to 63.
    pub const MAX: u16 = 64;

    /// Adds a vector; one above 63 is left out.
    pub const fn insert(&mut self, vector: u16) {
        if vector < Self::MAX {
            self.0 |= 1 << vector;
        }
    }

    /// Whether a vector fired.
    #[must_use]
    pub const fn contains(self, vector: u16) -> bool {
        vector < Self::MAX && self.0 & (1 << vector) != 0
    }

    /// Whether none fired.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        (**self).read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        (**self).write32(offset, value)
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        (**self).dma_alloc(len)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        (**self).enable_interrupts(vectors)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        (**self).wait(at_most, clock)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        (**self).reset()
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        (**self).set_bus_master(allowed)
    }
}

/// Why a transport failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Reading a register failed.
    #[error("reading the register at {offset:#06x} failed; check that the device is still attached")]
    Read {
        /// Offset of the register, in octets.
        offset: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// Writing a register failed.
    #[error("writing the register at {offset:#06x} failed; check that the device is still attached")]
    Write {
        /// Offset of the register, in octets.
        offset: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// The access lies outside what the transport maps.
    #[error("no register at {offset:#06x}: the device's BAR is smaller than this driver expects")]
    OutOfRange {
        /// Offset of the register, in octets.
        offset: u32,
    },
    /// Waiting for an interrupt failed.
    #[error("waiting for an interrupt failed; check that the device is still attached")]
    Interrupt(#[source] io::Error),
    /// The transport can't do this.
    #[error("this transport doesn't offer {what}")]
    Unsupported {
        /// What it doesn't offer.
        what: &'static str,
    },
    /// More interrupt vectors were asked for than there are.
    #[error("{wanted} interrupt vectors were asked for, the device has {available}")]
    TooManyVectors {
        /// Asked for.
        wanted: u16,
        /// Available.
        available: u16,
    },
    /// DMA memory could not be had or reached.
    #[error(transparent)]
    Dma(#[from] DmaError),
    /// The device could not be opened.
    #[error("{what} can't be opened: {source}; {hint}")]
    Open {
        /// What was opened.
        what: String,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// Somebody else has the device.
    #[error("{what} is in use by another driver; stop it first (one driver owns a device)")]
    InUse {
        /// What is in use.
        what: String,
    },
    /// The device is not what a SealNIC has to be.
    #[error("{what} is no SealNIC: {why}")]
    Unsuitable {
        /// What was looked at.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The other side of the transport went away.
    #[error(
        "the connection to {what} is lost ({why}); attach again when it is back, and install fresh keys if it was reset"
    )]
    Disconnected {
        /// What was connected.
        what: String,
        /// How that showed.
        why: String,
    },
    /// An operation on the device failed.
    #[error("{operation} failed: {source}")]
    Operation {
        /// What was tried.
        operation: &'static str,
        /// What was said.
        source: io::Error,
    },
}

impl TransportError {
    /// Refuses more interrupt vectors than there are.
    ///
    /// # Errors
    /// [`TransportError::TooManyVectors`].
    pub fn check_vectors(wanted: u16, available: u16) -> Result<(), Self> {
        if wanted > available {
            return Err(Self::TooManyVectors { wanted, available });
        }
        Ok(())
    }
}
