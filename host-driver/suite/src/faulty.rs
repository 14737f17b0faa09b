//! A transport that loses doorbells, repeats them, and damages and cuts messages, as a bad link or a bad device would.

use sealnic_abi::registers::{Location, Register, Window};
use sealnic_driver::clock::Clock;
use sealnic_driver::dma::DmaBuffer;
use sealnic_driver::transport::{Capabilities, Fired};
use sealnic_driver::{Transport, TransportError};
use std::time::Duration;

/// What happened on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Doorbells that did not reach the device.
    pub lost: u64,
    /// Doorbells that reached it twice.
    pub repeated: u64,
    /// Words of a message that were changed.
    pub damaged: u64,
    /// Responses whose length was changed.
    pub cut: u64,
}

/// A transport with faults in the mailbox's messages.
pub struct FaultyTransport<T> {
    inner: T,
    state: u64,
    /// One doorbell in so many goes wrong; 0 for none.
    pub one_in: u64,
    /// What went wrong so far.
    pub faults: Faults,
    /// The request as it was written, to be given again.
    request: Vec<(u32, u32)>,
    spoil: Option<Spoil>,
}

#[derive(Clone, Copy, PartialEq)]
enum Spoil {
    Response,
    Length,
}

impl<T> FaultyTransport<T> {
    /// A transport without faults so far.
    pub const fn new(inner: T, seed: u64) -> Self {
        Self {
            inner,
            state: seed,
            one_in: 0,
            faults: Faults {
                lost: 0,
                repeated: 0,
                damaged: 0,
                cut: 0,
            },
            request: Vec::new(),
            spoil: None,
        }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl<T: Transport> FaultyTransport<T> {
    fn doorbell(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.spoil = None;
        let goes_wrong = self.one_in != 0 && self.random().is_multiple_of(self.one_in);
        match if goes_wrong { self.random() % 5 } else { 5 } {
            0 => {
                self.faults.lost += 1;
                return Ok(());
            }
            1 => {
                self.inner.write32(offset, value)?;
                self.faults.repeated += 1;
                // The device wiped its window: the whole message goes again.
                for (offset, word) in std::mem::take(&mut self.request) {
                    self.inner.write32(offset, word)?;
                }
            }
            2 => {
                if let Some(&(offset, word)) = self.request.last() {
                    self.faults.damaged += 1;
                    let bit = self.random() % 32;
                    self.inner.write32(offset, word ^ (1 << bit))?;
                }
            }
            3 => self.spoil = Some(Spoil::Response),
            4 => self.spoil = Some(Spoil::Length),
            _ => {}
        }
        self.request.clear();
        self.inner.write32(offset, value)
    }
}

impl<T: Transport> Transport for FaultyTransport<T> {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        let value = self.inner.read32(offset)?;
        Ok(match (self.spoil, Location::decode(offset)) {
            (Some(Spoil::Length), Some(Location::Register(Register::MailboxResponseLen))) => {
                self.spoil = None;
                self.faults.cut += 1;
                value.saturating_sub(4 * (1 + (self.random() as u32) % 8))
            }
            (
                Some(Spoil::Response),
                Some(Location::Window {
                    window: Window::MailboxResponse,
                    ..
                }),
            ) => {
                self.spoil = None;
                self.faults.damaged += 1;
                let bit = self.random() % 32;
                value ^ (1 << bit)
            }
            _ => value,
        })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        match Location::decode(offset) {
            Some(Location::Register(Register::MailboxDoorbell)) => self.doorbell(offset, value),
            Some(Location::Window {
                window: Window::MailboxRequest,
                ..
            }) => {
                self.request.push((offset, value));
                self.inner.write32(offset, value)
            }
            _ => self.inner.write32(offset, value),
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        self.inner.dma_alloc(len)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        self.inner.enable_interrupts(vectors)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        self.inner.wait(at_most, clock)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.inner.reset()
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        self.inner.set_bus_master(allowed)
    }
}

/// A transport that changes words on their way, by a function of offset and value.
pub struct Changed<T, R, W> {
    /// What it stands before.
    pub inner: T,
    /// Changes what is read.
    pub read: R,
    /// Changes what is written.
    pub write: W,
}

impl<T: Transport, R: FnMut(u32, u32) -> u32, W: FnMut(u32, u32) -> u32> Transport for Changed<T, R, W> {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        let value = self.inner.read32(offset)?;
        Ok((self.read)(offset, value))
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        let value = (self.write)(offset, value);
        self.inner.write32(offset, value)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        self.inner.dma_alloc(len)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        self.inner.enable_interrupts(vectors)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        self.inner.wait(at_most, clock)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.inner.reset()
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        self.inner.set_bus_master(allowed)
    }
}
