//! How the registers of a device are reached. Which register means what is not known here.

#[cfg(feature = "model")]
pub mod model;

use crate::clock::Clock;
use std::io;
use std::time::Duration;

/// A way to a device's PF BAR0.
pub trait Transport {
    /// Reads the 32-bit register at `offset` (octets from the start of the BAR, a multiple of 4), in the host's byte order.
    ///
    /// # Errors
    /// The access did not reach the device.
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError>;

    /// Writes the 32-bit register at `offset`.
    ///
    /// # Errors
    /// The access did not reach the device.
    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError>;

    /// Waits for an interrupt, at most `at_most`. It may return early for no reason: the caller reads the cause itself.
    /// A transport without interrupts sleeps on `clock`, so that the caller polls.
    ///
    /// # Errors
    /// The transport is broken.
    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<(), TransportError> {
        clock.sleep(at_most);
        Ok(())
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        (**self).read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        (**self).write32(offset, value)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<(), TransportError> {
        (**self).wait(at_most, clock)
    }
}

/// Why a transport failed.
#[derive(Debug, thiserror::Error)]
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
}
