//! What a device offers by rings in host memory and interrupts, beside the mailbox.

use crate::clock::Clock;
use crate::device::{Device, SaParams, refused_mapping};
use crate::error::Error;
use crate::keys::SaKeys;
use crate::registers::Registers;
use crate::ring::command::CommandRing;
use crate::ring::event::EventRing;
use crate::ring::frame::{FrameRings, HostPacket};
use crate::ring::{self, RingError};
use crate::transport::{Fired, Transport};
use sealnic_abi::event::{Event, HostFrame};
use sealnic_abi::mailbox::{EventDrain, MAPPING_BULK, MappingSet, Request};
use sealnic_abi::object::Mapping;
use sealnic_abi::ring::{Ring, Vector};
use std::time::Duration;

/// Rings of a device that run.
#[derive(Default)]
pub(crate) struct Rings {
    pub(crate) command: Option<CommandRing>,
    pub(crate) events: Option<EventRing>,
    pub(crate) frames: Option<FrameRings>,
    /// Entries of the event and the frame rings, for a start after a reset; 0 when nobody asked for them.
    event_entries: u16,
    frame_entries: u16,
}

/// Commands that stand in the ring at a time; each has two buffers of 4 KiB.
const COMMAND_ENTRIES: u16 = 32;
/// Events taken at most by one call of [`Device::drain_events`], by the ring, and pages by the mailbox: more than any event
/// queue holds.
const MAX_DRAIN: usize = 1 << 18;
const MAX_DRAIN_PAGES: usize = 4_096;
/// Events that a page of the mailbox holds at least.
const EVENTS_A_PAGE: usize = 40;

impl<T: Transport> Device<T> {
    /// Whether bulk commands go by the command ring; else they go by the mailbox.
    #[must_use]
    pub const fn has_command_ring(&self) -> bool {
        self.rings.command.is_some()
    }

    /// Starts the command ring, for bulk commands. It is tried when a device is attached; this is for later, when what was in
    /// its way is gone.
    ///
    /// # Errors
    /// No DMA on this transport, no rings on this device, or it does not start.
    pub fn start_command_ring(&mut self) -> Result<(), Error> {
        self.stop_command_ring();
        let ring = CommandRing::start(&mut self.transport, &mut *self.clock, COMMAND_ENTRIES)?;
        self.rings.command = Some(ring);
        Ok(())
    }

    /// Has all commands go by the mailbox.
    pub fn stop_command_ring(&mut self) {
        if let Some(ring) = self.rings.command.take() {
            ring.stop(&mut self.transport, &mut *self.clock);
        }
    }

    /// Has the device carry out a command that belongs to the bulk work: by the command ring where there is one.
    ///
    /// # Errors
    /// As [`Device::call`]; or the ring failed, and the command may or may not have been carried out. Then the mailbox is
    /// used from there on.
    pub(crate) fn bulk_call<R: Request>(&mut self, request: &R) -> Result<R::Response, Error> {
        let Some(ring) = &mut self.rings.command else {
            return Ok(self.call(request)?);
        };
        #[cfg(feature = "fault-points")]
        crate::control::fault::before(R::OPCODE);
        let result = ring.call(&mut self.transport, &mut *self.clock, self.config.timeout, request);
        #[cfg(feature = "fault-points")]
        crate::control::fault::after();
        self.check_ring(result)
    }

    /// Many commands at a time, answers in order. By the mailbox, which holds one, it goes on after an error, too.
    fn bulk_calls<'r, R: Request + 'r>(
        &mut self,
        requests: impl IntoIterator<Item = &'r R>,
        mut answered: impl FnMut(usize, Result<R::Response, Error>),
    ) -> Result<(), Error> {
        let Some(ring) = &mut self.rings.command else {
            for (at, request) in requests.into_iter().enumerate() {
                answered(at, self.call(request).map_err(Error::from));
            }
            return Ok(());
        };
        let result = ring.run(
            &mut self.transport,
            &mut *self.clock,
            self.config.timeout,
            requests,
            |at, answer| answered(at, answer.map_err(Error::from)),
        );
        self.check_ring(result)
    }

    /// Gives the command ring up when it failed; the device's own errors are none of the ring's.
    fn check_ring<V>(&mut self, result: Result<V, Error>) -> Result<V, Error> {
        if let Err(error @ Error::Ring(_)) = &result
            && let Some(ring) = self.rings.command.take()
        {
            tracing::warn!(%error, "the command ring failed; commands go by the mailbox from now on");
            ring.stop(&mut self.transport, &mut *self.clock);
        }
        result
    }

    /// Adds or changes mappings, many messages at a time. Unlike [`Device::set_mappings`] it goes on after a refusal: those
    /// after the refused one may be in place, too. For tables that no traffic uses yet, and for those where order means
    /// nothing.
    ///
    /// # Errors
    /// [`Error::MappingRefused`] names the first that was refused.
    pub fn load_mappings(&mut self, mappings: &[Mapping]) -> Result<(), Error> {
        let requests: Vec<MappingSet> = mappings
            .chunks(MAPPING_BULK)
            .map(|chunk| {
                let mut request = MappingSet::ZERO;
                request.items[..chunk.len()].copy_from_slice(chunk);
                // A chunk is never longer than the bulk.
                request.count = u32::try_from(chunk.len()).unwrap_or(0);
                request
            })
            .collect();
        let mut first = Ok(());
        self.bulk_calls(&requests, |bulk, answer| {
            if let (Ok(()), Err(error)) = (&first, answer) {
                let chunk = mappings.chunks(MAPPING_BULK).nth(bulk).unwrap_or_default();
                first = Err(refused_mapping(error, bulk, chunk));
            }
        })?;
        first
    }

    /// Installs SAs as [`Device::install_sa`] does, many at a time. All keys are wiped here in any case.
    ///
    /// # Errors
    /// The first error; SAs after the one at fault may be installed, too.
    pub fn install_sas(&mut self, sas: impl IntoIterator<Item = (SaParams, SaKeys)>) -> Result<(), Error> {
        let requests: Vec<_> = sas
            .into_iter()
            .map(|(params, keys)| self.sa_install(&params, keys))
            .collect();
        let mut first = Ok(());
        self.bulk_calls(requests.iter().map(|request| &*request.0), |_, answer| {
            if let (Ok(()), Err(error)) = (&first, answer) {
                first = Err(error);
            }
        })?;
        first
    }

    /// Has events come by a ring of so many entries, a power of two, from now on; [`Device::drain_events`] takes them from
    /// there.
    ///
    /// # Errors
    /// No DMA on this transport, no rings on this device, or no room.
    pub fn enable_event_ring(&mut self, entries: u16) -> Result<(), Error> {
        if let Some(ring) = self.rings.events.take() {
            ring.stop(&mut self.transport, &mut *self.clock);
        }
        self.rings.event_entries = entries;
        self.rings.events = Some(EventRing::start(&mut self.transport, &mut *self.clock, entries)?);
        Ok(self.unmask_interrupts()?)
    }

    /// Takes the events that the device has, as many as any event queue holds; where it makes more meanwhile, the next call
    /// takes those.
    ///
    /// # Errors
    /// A command or the ring failed, or the device made no sense, before there was an event.
    pub fn drain_events(&mut self) -> Result<Vec<Event>, Error> {
        self.take_events(MAX_DRAIN)
    }

    /// Whether events come by a ring.
    #[must_use]
    pub const fn has_event_ring(&self) -> bool {
        self.rings.events.is_some()
    }

    /// As [`Device::drain_events`], but not many more than `max`.
    ///
    /// # Errors
    /// As [`Device::drain_events`].
    pub fn take_events(&mut self, max: usize) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        if let Some(mut ring) = self.rings.events.take() {
            return match ring.drain(&mut self.transport, &mut events, max) {
                Ok(()) => {
                    self.rings.events = Some(ring);
                    Ok(events)
                }
                Err(error) => {
                    tracing::warn!(%error, taken = events.len(), "the event ring failed; events are asked for by the mailbox from now on");
                    ring.stop(&mut self.transport, &mut *self.clock);
                    // What left the device is not thrown away; the next call tells of the device's state.
                    if events.is_empty() {
                        Err(error.into())
                    } else {
                        Ok(events)
                    }
                }
            };
        }
        for _ in 0..max.div_ceil(EVENTS_A_PAGE).min(MAX_DRAIN_PAGES) {
            let page = match self.call(&EventDrain {
                max: EVENTS_A_PAGE as u32,
            }) {
                Ok(page) => page,
                Err(error) if events.is_empty() => return Err(error.into()),
                // What left the device is not thrown away; the next call tells of the device's state.
                Err(_) => break,
            };
            let Some(items) = usize::try_from(page.count)
                .ok()
                .and_then(|count| page.items.get(..count))
            else {
                return Err(Error::Misbehaving {
                    what: "an event page counts more events than it has room for",
                });
            };
            events.extend_from_slice(items);
            if page.left == 0 {
                break;
            }
            if items.is_empty() {
                return Err(Error::Misbehaving {
                    what: "the event queue never gets empty",
                });
            }
        }
        Ok(events)
    }

    /// Opens the exception path with rings of so many entries, a power of two.
    ///
    /// # Errors
    /// No DMA on this transport, no rings on this device, or no room.
    pub fn enable_frame_rings(&mut self, entries: u16) -> Result<(), Error> {
        if let Some(rings) = self.rings.frames.take() {
            rings.stop(&mut self.transport, &mut *self.clock);
        }
        self.rings.frame_entries = entries;
        self.rings.frames = Some(FrameRings::start(&mut self.transport, &mut *self.clock, entries)?);
        Ok(self.unmask_interrupts()?)
    }

    /// Whether the exception path is open.
    #[must_use]
    pub const fn has_frame_rings(&self) -> bool {
        self.rings.frames.is_some()
    }

    /// Closes the exception path. Frames for the host wait in the device then, and are dropped when it has no more room.
    ///
    /// # Errors
    /// The transport failed.
    pub fn disable_frame_rings(&mut self) -> Result<(), Error> {
        if let Some(rings) = self.rings.frames.take() {
            rings.stop(&mut self.transport, &mut *self.clock);
        }
        Ok(self.unmask_interrupts()?)
    }

    /// Takes the frames for the host that are there, at most `max`.
    ///
    /// # Errors
    /// The rings are not enabled, or failed: then they are to be enabled again.
    pub fn receive_frames(&mut self, max: usize) -> Result<Vec<HostPacket>, Error> {
        let mut packets = Vec::new();
        self.with_frames(|rings, transport, _, _| {
            while packets.len() < max
                && let Some(packet) = rings.receive(transport)?
            {
                packets.push(packet);
            }
            Ok(())
        })
        // What left the device is not thrown away.
        .or_else(|error| if packets.is_empty() { Err(error) } else { Ok(()) })?;
        Ok(packets)
    }

    /// Hands a frame to the device.
    ///
    /// # Errors
    /// The rings are not enabled, the frame is too long, or the rings failed: then they are to be enabled again.
    pub fn send_frame(&mut self, header: &HostFrame, frame: &[u8]) -> Result<(), Error> {
        self.with_frames(|rings, transport, clock, timeout| rings.send(transport, clock, timeout, header, frame))
    }

    /// Waits until the device took every frame that was handed to it.
    ///
    /// # Errors
    /// As [`Device::send_frame`].
    pub fn flush_frames(&mut self) -> Result<(), Error> {
        self.with_frames(|rings, transport, clock, timeout| rings.flush(transport, clock, timeout))
    }

    fn with_frames(
        &mut self,
        work: impl FnOnce(&mut FrameRings, &mut T, &mut dyn Clock, Duration) -> Result<(), RingError>,
    ) -> Result<(), Error> {
        let Some(mut rings) = self.rings.frames.take() else {
            return Err(RingError::Unavailable("exception path, which is not enabled,").into());
        };
        match work(&mut rings, &mut self.transport, &mut *self.clock, self.config.timeout) {
            Err(error) if !matches!(error, RingError::FrameTooLong { .. }) => {
                tracing::warn!(%error, "the exception path failed");
                rings.stop(&mut self.transport, &mut *self.clock);
                Err(error.into())
            }
            result => {
                self.rings.frames = Some(rings);
                Ok(result?)
            }
        }
    }

    /// Has the device interrupt from now on, instead of being polled.
    ///
    /// # Errors
    /// The transport has too few interrupt vectors, or failed.
    pub fn enable_interrupts(&mut self) -> Result<(), Error> {
        let vectors = u16::try_from(Vector::ALL.len()).unwrap_or(0);
        self.transport.enable_interrupts(vectors)?;
        Ok(self.unmask_interrupts()?)
    }

    /// Polls the device from now on.
    ///
    /// # Errors
    /// The transport failed.
    pub fn disable_interrupts(&mut self) -> Result<(), Error> {
        Ok(self.transport.enable_interrupts(0)?)
    }

    /// Waits for an interrupt, at most `at_most`, and says what fired. It may return early for no reason.
    ///
    /// # Errors
    /// The transport is broken.
    pub fn wait_for_interrupt(&mut self, at_most: Duration) -> Result<Fired, Error> {
        Ok(self.transport.wait(at_most, &mut *self.clock)?)
    }

    /// Resets the whole function (PCIe function-level reset), and finds the device again.
    ///
    /// # Errors
    /// The transport can't, or the device does not come back with a new generation.
    pub fn function_reset(&mut self) -> Result<(), Error> {
        let before = self.identity().generation;
        self.transport.reset()?;
        self.finish_reset(before)
    }

    pub(crate) fn unmask_interrupts(&mut self) -> Result<(), crate::transport::TransportError> {
        let (events, frames) = (self.rings.events.is_some(), self.rings.frames.is_some());
        Registers::new(&mut self.transport).unmask_interrupts(events, frames)
    }

    /// Stops what an earlier driver may have left running, and starts the command ring where it can run.
    pub(crate) fn begin_rings(&mut self) {
        if !self.transport.capabilities().dma {
            return;
        }
        match CommandRing::start(&mut self.transport, &mut *self.clock, COMMAND_ENTRIES) {
            Ok(ring) => self.rings.command = Some(ring),
            Err(RingError::Unavailable(what)) => {
                tracing::debug!(what, "no rings; all commands go by the mailbox");
                return;
            }
            Err(error) => tracing::warn!(%error, "no command ring; all commands go by the mailbox"),
        }
        for ring in [Ring::Event, Ring::HostReceive, Ring::HostTransmit] {
            if let Err(error) = ring::stop(&mut self.transport, &mut *self.clock, ring) {
                tracing::warn!(%error, "a ring of an earlier driver may still run");
            }
        }
    }

    /// Starts anew, after a reset, what ran before: a reset stops all rings.
    pub(crate) fn restart_rings(&mut self) {
        let had = (self.rings.command.is_some(), self.rings.events.is_some());
        let had_frames = self.rings.frames.is_some();
        self.stop_rings();
        let failed = |error: RingError| tracing::warn!(%error, "a ring does not start after the reset");
        let (transport, clock) = (&mut self.transport, &mut *self.clock);
        if had.0 {
            self.rings.command = CommandRing::start(transport, clock, COMMAND_ENTRIES)
                .map_err(failed)
                .ok();
        }
        if had.1 {
            self.rings.events = EventRing::start(transport, clock, self.rings.event_entries)
                .map_err(failed)
                .ok();
        }
        if had_frames {
            self.rings.frames = FrameRings::start(transport, clock, self.rings.frame_entries)
                .map_err(failed)
                .ok();
        }
    }

    /// After a reset that somebody else made: as after one's own.
    #[cfg(feature = "control")]
    pub(crate) fn start_rings_again(&mut self) -> Result<(), Error> {
        self.restart_rings();
        Ok(self.unmask_interrupts()?)
    }

    pub(crate) fn stop_rings(&mut self) {
        let (transport, clock) = (&mut self.transport, &mut *self.clock);
        if let Some(ring) = self.rings.command.take() {
            ring.stop(transport, clock);
        }
        if let Some(ring) = self.rings.events.take() {
            ring.stop(transport, clock);
        }
        if let Some(rings) = self.rings.frames.take() {
            rings.stop(transport, clock);
        }
    }
}
