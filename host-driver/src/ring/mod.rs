//! Rings in host memory: many commands at a time, events as they happen, frames of the exception path.
//!
//! What a ring's entries are and who may write what when stands in [`sealnic_abi::ring`]. The device's side of a ring is
//! not trusted: an entry is copied before it is looked at, its number must be the one expected, its length must fit the
//! buffer that was given, and a device that gets any of it wrong has its ring stopped.

pub mod command;
pub mod event;
pub mod frame;

use crate::clock::Clock;
use crate::dma::{DmaBuffer, DmaError};
use crate::registers::{Registers, RingState};
use crate::transport::{Fired, Transport, TransportError};
use sealnic_abi::registers::RingError as StopCode;
use sealnic_abi::ring::{Completion, CompletionStatus, Ring, phase};
use std::time::Duration;
use zerocopy::{FromZeros, IntoBytes};

/// Why a ring failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The registers can't be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// DMA memory can't be had or reached.
    #[error(transparent)]
    Dma(#[from] DmaError),
    /// No rings here.
    #[error("no rings in host memory here: the {0} doesn't offer them; use the mailbox")]
    Unavailable(&'static str),
    /// The device stopped the ring, or did not start it.
    #[error("the device stopped the {} ring ({}); start it again, or reset the device", ring_text(*.ring), stop_text(*.code, *.fault_iova))]
    Stopped {
        /// Which ring.
        ring: Ring,
        /// Why; `None` for a code this driver doesn't know.
        code: Option<StopCode>,
        /// Where host memory could not be reached, for a DMA fault.
        fault_iova: u64,
        /// Descriptors that the device took before.
        head: u16,
    },
    /// The device did not complete a descriptor in time, or did not start or stop the ring.
    #[error("the {} ring stands still ({what} within {} ms); reset the device if this persists", ring_text(*.ring), .waited.as_millis())]
    Timeout {
        /// Which ring.
        ring: Ring,
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The device wrote what can't be true.
    #[error("the device wrote to the {} ring what can't be true: {what}; reset it, and report this if it happens again", ring_text(*.ring))]
    Misbehaving {
        /// Which ring.
        ring: Ring,
        /// What it wrote.
        what: &'static str,
    },
    /// No place for another descriptor.
    #[error("the {} ring is full; collect completions first", ring_text(*.ring))]
    Full {
        /// Which ring.
        ring: Ring,
    },
    /// A frame is too long for the ring.
    #[error("a frame of {len} octets doesn't fit the ring's buffers of {max}")]
    FrameTooLong {
        /// Its length, header included, in octets.
        len: usize,
        /// Longest, in octets.
        max: usize,
    },
}

/// Arrays of one ring and where host and device stand in them.
pub(crate) struct RingCore {
    ring: Ring,
    entries: u16,
    /// `None` on the event ring.
    descriptors: Option<DmaBuffer>,
    completions: DmaBuffer,
    /// Descriptors posted so far, modulo 65,536.
    posted: u16,
    /// Entries of the device read so far, modulo 65,536.
    seen: u16,
}

/// How long a device may take to start or stop a ring.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(1);

impl RingCore {
    /// Makes the arrays and starts the ring. `entries` is a power of two, taken down to what the device has.
    pub(crate) fn start<T: Transport + ?Sized>(
        transport: &mut T,
        clock: &mut dyn Clock,
        ring: Ring,
        entries: u16,
    ) -> Result<Self, RingError> {
        let (max_entries, _) = Registers::new(transport).ring_limits()?;
        if !transport.capabilities().dma {
            return Err(RingError::Unavailable("transport"));
        }
        if max_entries < 2 {
            return Err(RingError::Unavailable("device"));
        }
        // The greatest power of two that is not above either.
        let entries = 1 << entries.clamp(2, max_entries).ilog2();
        stop(transport, clock, ring)?;
        let descriptors = match ring.descriptor_len() {
            0 => None,
            len => Some(transport.dma_alloc(len * usize::from(entries))?),
        };
        let completions = transport.dma_alloc(ring.completion_len() * usize::from(entries))?;
        let core = Self {
            ring,
            entries,
            descriptors,
            completions,
            posted: 0,
            seen: 0,
        };
        let descriptors_iova = core.descriptors.as_ref().map_or(0, DmaBuffer::iova);
        Registers::new(transport).start_ring(ring, descriptors_iova, core.completions.iova(), entries)?;
        let deadline = clock.now() + SWITCH_TIMEOUT;
        loop {
            let state = Registers::new(transport).ring_state(ring)?;
            if state.running {
                return Ok(core);
            }
            if state.error != Some(StopCode::None) {
                return Err(stopped(ring, &state));
            }
            if clock.now() >= deadline {
                core.abandon();
                return Err(RingError::Timeout {
                    ring,
                    what: "it did not start",
                    waited: SWITCH_TIMEOUT,
                });
            }
            clock.sleep(Duration::from_micros(100));
        }
    }

    /// Entries of each array.
    pub(crate) const fn entries(&self) -> u16 {
        self.entries
    }

    /// Descriptors posted whose completions were not read yet.
    pub(crate) const fn outstanding(&self) -> u16 {
        self.posted.wrapping_sub(self.seen)
    }

    /// Place of the next descriptor, when there is one.
    pub(crate) fn next_slot(&self) -> Option<usize> {
        (self.outstanding() < self.entries).then_some(usize::from(self.posted % self.entries))
    }

    /// Place of the next completion.
    pub(crate) fn seen_slot(&self) -> usize {
        usize::from(self.seen % self.entries)
    }

    /// Writes a descriptor. The device hears of it by [`doorbell`](Self::doorbell).
    pub(crate) fn post(&mut self, descriptor: &[u8]) -> Result<(), RingError> {
        let (Some(slot), Some(array)) = (self.next_slot(), &self.descriptors) else {
            return Err(RingError::Full { ring: self.ring });
        };
        array.write(slot * descriptor.len(), descriptor)?;
        self.posted = self.posted.wrapping_add(1);
        Ok(())
    }

    /// Tells the device of all descriptors posted so far, or of all events read.
    pub(crate) fn doorbell<T: Transport + ?Sized>(&self, transport: &mut T) -> Result<(), RingError> {
        let index = if self.descriptors.is_some() {
            self.posted
        } else {
            self.seen
        };
        Ok(Registers::new(transport).ring_doorbell(self.ring, index)?)
    }

    /// Reads the next entry that the device wrote, when there is one.
    pub(crate) fn next<E: FromZeros + IntoBytes + zerocopy::FromBytes>(&mut self) -> Result<Option<E>, RingError> {
        let mut entry = E::new_zeroed();
        let at = self.seen_slot() * size_of::<E>();
        // The phase is the last word, and nothing else counts before it does.
        let seen = self.completions.load32(at + size_of::<E>() - 4)?;
        if seen > 1 {
            return Err(self.misbehaving("a phase that is neither 0 nor 1"));
        }
        if seen != phase(self.seen, u32::from(self.entries)) {
            return Ok(None);
        }
        self.completions.read(at, entry.as_mut_bytes())?;
        if self.descriptors.is_some() && self.outstanding() == 0 {
            return Err(self.misbehaving("a completion without a descriptor"));
        }
        self.seen = self.seen.wrapping_add(1);
        Ok(Some(entry))
    }

    /// Fails when the device completed what nobody asked for. Only for rings where nothing is outstanding.
    pub(crate) fn check_quiet(&mut self) -> Result<(), RingError> {
        // An entry without a descriptor is an error in itself.
        self.next::<Completion>().map(drop)
    }

    /// As [`next`](Self::next), for completions, checked: number, status, and a length within `capacity`.
    pub(crate) fn next_completion(&mut self, capacity: usize) -> Result<Option<(usize, CompletionStatus)>, RingError> {
        let expected = self.seen;
        let Some(completion) = self.next::<Completion>()? else {
            return Ok(None);
        };
        if completion.index != expected {
            return Err(self.misbehaving("a completion of another descriptor than the next"));
        }
        let Ok(status) = CompletionStatus::try_from(completion.status) else {
            return Err(self.misbehaving("a completion with an unknown status"));
        };
        let len = usize::try_from(completion.len).unwrap_or(usize::MAX);
        if status == CompletionStatus::Done && len > capacity {
            return Err(self.misbehaving("a completion longer than its buffer"));
        }
        Ok(Some((len, status)))
    }

    /// Waits for a vector or a moment, and fails when the ring stopped or the deadline passed.
    pub(crate) fn wait<T: Transport + ?Sized>(
        &self,
        transport: &mut T,
        clock: &mut dyn Clock,
        patience: &mut Patience,
    ) -> Result<Fired, RingError> {
        let state = Registers::new(transport).ring_state(self.ring)?;
        if !state.running {
            return Err(stopped(self.ring, &state));
        }
        let now = clock.now();
        let left = patience.deadline.saturating_sub(now);
        if left.is_zero() {
            return Err(RingError::Timeout {
                ring: self.ring,
                what: "no completion",
                waited: patience.allowed,
            });
        }
        let fired = transport.wait(patience.pause.min(left), clock)?;
        if clock.now() == now {
            // A transport that returns at once must not keep us here for ever.
            clock.sleep(patience.pause.min(left));
        }
        patience.pause = (patience.pause * 2).min(LONGEST_PAUSE);
        Ok(fired)
    }

    /// The device's index.
    pub(crate) fn head<T: Transport + ?Sized>(&self, transport: &mut T) -> Result<u16, RingError> {
        let state = Registers::new(transport).ring_state(self.ring)?;
        if state.running {
            Ok(state.head)
        } else {
            Err(stopped(self.ring, &state))
        }
    }

    /// Number of the next entry of the device.
    pub(crate) const fn seen(&self) -> u16 {
        self.seen
    }

    pub(crate) const fn misbehaving(&self, what: &'static str) -> RingError {
        RingError::Misbehaving { ring: self.ring, what }
    }

    /// Stops the ring. The arrays are free again only when the device says that it has stopped.
    ///
    /// Returns whether buffers that were posted may be used again.
    pub(crate) fn stop<T: Transport + ?Sized>(self, transport: &mut T, clock: &mut dyn Clock) -> bool {
        match stop(transport, clock, self.ring) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(ring = ring_text(self.ring), %error, "can't be stopped: its memory is set aside");
                self.abandon();
                false
            }
        }
    }

    /// Never uses the arrays again: the device may still write there.
    fn abandon(self) {
        if let Some(descriptors) = self.descriptors {
            descriptors.abandon();
        }
        self.completions.abandon();
    }
}

/// First pause between two looks at a ring; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// How long to go on waiting.
pub(crate) struct Patience {
    deadline: Duration,
    allowed: Duration,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(clock: &mut dyn Clock, allowed: Duration) -> Self {
        Self {
            deadline: clock.now() + allowed,
            allowed,
            pause: FIRST_PAUSE,
        }
    }
}

/// Stops a ring, whoever started it.
pub(crate) fn stop<T: Transport + ?Sized>(
    transport: &mut T,
    clock: &mut dyn Clock,
    ring: Ring,
) -> Result<(), RingError> {
    Registers::new(transport).stop_ring(ring)?;
    let deadline = clock.now() + SWITCH_TIMEOUT;
    while Registers::new(transport).ring_state(ring)?.running {
        if clock.now() >= deadline {
            return Err(RingError::Timeout {
                ring,
                what: "it did not stop",
                waited: SWITCH_TIMEOUT,
            });
        }
        clock.sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn stopped(ring: Ring, state: &RingState) -> RingError {
    RingError::Stopped {
        ring,
        code: state.error,
        fault_iova: state.fault_iova,
        head: state.head,
    }
}

const fn ring_text(ring: Ring) -> &'static str {
    match ring {
        Ring::Command => "command",
        Ring::Event => "event",
        Ring::HostReceive => "host receive",
        Ring::HostTransmit => "host transmit",
    }
}

fn stop_text(code: Option<StopCode>, fault_iova: u64) -> String {
    match code {
        // It was reset, or is gone.
        Some(StopCode::None) => "without an error: it was reset".into(),
        Some(StopCode::BadSize) => "it doesn't accept the size".into(),
        Some(StopCode::BadAddress) => "it doesn't accept an address".into(),
        Some(StopCode::Overlap) => "arrays overlap".into(),
        Some(StopCode::BadDoorbell) => "it doesn't accept the doorbell's index".into(),
        Some(StopCode::DmaFault) => format!(
            "DMA fault: host memory at IOVA {fault_iova:#x} can't be reached; is bus mastering on, and is it mapped?"
        ),
        None => "for an unknown reason".into(),
    }
}
