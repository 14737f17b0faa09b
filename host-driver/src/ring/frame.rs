//! The host frame rings: frames of the exception path, and of ports for which the host stands in.

use super::{Patience, RingCore, RingError};
use crate::clock::Clock;
use crate::dma::DmaBuffer;
use crate::registers::Registers;
use crate::transport::Transport;
use sealnic_abi::event::HostFrame;
use sealnic_abi::ring::{CompletionStatus, FrameDescriptor, Ring};
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// A frame between device and host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPacket {
    /// What it is.
    pub header: HostFrame,
    /// The frame, from its Ethernet header on, or the content of a control record.
    pub frame: Vec<u8>,
}

/// Running rings for frames, both directions.
pub(crate) struct FrameRings {
    receive: RingCore,
    transmit: RingCore,
    /// By place in the ring.
    receive_buffers: Vec<DmaBuffer>,
    transmit_buffers: Vec<DmaBuffer>,
    frame_len: usize,
}

impl FrameRings {
    pub(crate) fn start<T: Transport + ?Sized>(
        transport: &mut T,
        clock: &mut dyn Clock,
        entries: u16,
    ) -> Result<Self, RingError> {
        let (_, frame_len) = Registers::new(transport).ring_limits()?;
        let frame_len = usize::from(frame_len);
        let receive = RingCore::start(transport, clock, Ring::HostReceive, entries)?;
        let transmit = match RingCore::start(transport, clock, Ring::HostTransmit, entries) {
            Ok(transmit) => transmit,
            Err(error) => {
                receive.stop(transport, clock);
                return Err(error);
            }
        };
        let mut rings = Self {
            receive,
            transmit,
            receive_buffers: Vec::new(),
            transmit_buffers: Vec::new(),
            frame_len,
        };
        match rings.fill(transport) {
            Ok(()) => Ok(rings),
            Err(error) => {
                rings.stop(transport, clock);
                Err(error)
            }
        }
    }

    /// Takes all buffers, and gives the device those to receive to.
    fn fill<T: Transport + ?Sized>(&mut self, transport: &mut T) -> Result<(), RingError> {
        if self.frame_len < size_of::<HostFrame>() {
            return Err(self.receive.misbehaving("frames shorter than their header"));
        }
        for _ in 0..self.transmit.entries() {
            self.transmit_buffers.push(transport.dma_alloc(self.frame_len)?);
        }
        for _ in 0..self.receive.entries() {
            self.receive_buffers.push(transport.dma_alloc(self.frame_len)?);
        }
        while let Some(slot) = self.receive.next_slot() {
            self.post_buffer(slot)?;
        }
        self.receive.doorbell(transport)
    }

    fn post_buffer(&mut self, slot: usize) -> Result<(), RingError> {
        let Some(buffer) = self.receive_buffers.get(slot) else {
            return Err(RingError::Full {
                ring: Ring::HostReceive,
            });
        };
        let descriptor = FrameDescriptor {
            buffer: buffer.iova(),
            len: u32::try_from(buffer.len()).unwrap_or(0),
            reserved: 0,
        };
        self.receive.post(descriptor.as_bytes())
    }

    /// Takes the next frame, when there is one.
    ///
    /// # Errors
    /// The ring failed and must not be used again.
    pub(crate) fn receive<T: Transport + ?Sized>(
        &mut self,
        transport: &mut T,
    ) -> Result<Option<HostPacket>, RingError> {
        let slot = self.receive.seen_slot();
        let completion = match self.receive.next_completion(self.frame_len)? {
            // What the device wrote before it told its index is in memory after it.
            None if self.receive.head(transport)? != self.receive.seen() => {
                self.receive.next_completion(self.frame_len)?
            }
            completion => completion,
        };
        let Some((len, status)) = completion else {
            return Ok(None);
        };
        if status != CompletionStatus::Done {
            return Err(self
                .receive
                .misbehaving("it refuses a buffer of the longest frame's size"));
        }
        let mut octets = vec![0; len];
        let buffer = self.receive_buffers.get(slot);
        buffer.map_or(Ok(()), |buffer| buffer.read(0, &mut octets))?;
        // The place of this frame is the place of the next buffer: as many are posted as there are.
        self.post_buffer(slot)?;
        self.receive.doorbell(transport)?;
        let Ok((header, frame)) = HostFrame::read_from_prefix(&octets) else {
            return Err(self.receive.misbehaving("a frame shorter than its header"));
        };
        Ok(Some(HostPacket {
            header,
            frame: frame.to_vec(),
        }))
    }

    /// Hands a frame to the device; when all places are taken, waits for one.
    ///
    /// # Errors
    /// The frame is too long, or the ring failed and must not be used again.
    pub(crate) fn send<T: Transport + ?Sized>(
        &mut self,
        transport: &mut T,
        clock: &mut dyn Clock,
        timeout: Duration,
        header: &HostFrame,
        frame: &[u8],
    ) -> Result<(), RingError> {
        let len = size_of::<HostFrame>() + frame.len();
        if len > self.frame_len {
            return Err(RingError::FrameTooLong {
                len,
                max: self.frame_len,
            });
        }
        let mut patience = Patience::new(clock, timeout);
        let slot = loop {
            self.reap()?;
            match self.transmit.next_slot() {
                Some(slot) => break slot,
                None => self.transmit.wait(transport, clock, &mut patience)?,
            };
        };
        let Some(buffer) = self.transmit_buffers.get(slot) else {
            return Err(RingError::Full {
                ring: Ring::HostTransmit,
            });
        };
        buffer.write(0, header.as_bytes())?;
        buffer.write(size_of::<HostFrame>(), frame)?;
        let descriptor = FrameDescriptor {
            buffer: buffer.iova(),
            len: u32::try_from(len).unwrap_or(0),
            reserved: 0,
        };
        self.transmit.post(descriptor.as_bytes())?;
        self.transmit.doorbell(transport)
    }

    /// Waits until the device took all frames.
    ///
    /// # Errors
    /// The ring failed and must not be used again.
    pub(crate) fn flush<T: Transport + ?Sized>(
        &mut self,
        transport: &mut T,
        clock: &mut dyn Clock,
        timeout: Duration,
    ) -> Result<(), RingError> {
        let mut patience = Patience::new(clock, timeout);
        loop {
            self.reap()?;
            if self.transmit.outstanding() == 0 {
                return Ok(());
            }
            self.transmit.wait(transport, clock, &mut patience)?;
        }
    }

    /// Takes places back whose frames the device took.
    fn reap(&mut self) -> Result<(), RingError> {
        while self.transmit.outstanding() != 0
            && let Some((_, status)) = self.transmit.next_completion(self.frame_len)?
        {
            if status != CompletionStatus::Done {
                return Err(self.transmit.misbehaving("it refuses a frame that is right"));
            }
        }
        Ok(())
    }

    pub(crate) fn stop<T: Transport + ?Sized>(self, transport: &mut T, clock: &mut dyn Clock) {
        let buffers = [
            (self.receive.stop(transport, clock), self.receive_buffers),
            (self.transmit.stop(transport, clock), self.transmit_buffers),
        ];
        for (is_stopped, buffers) in buffers {
            if !is_stopped {
                buffers.into_iter().for_each(DmaBuffer::abandon);
            }
        }
    }
}
