//! The event ring's consumer: events in order, none lost, none twice.

use super::{RingCore, RingError};
use crate::clock::Clock;
use crate::transport::Transport;
use sealnic_abi::event::Event;
use sealnic_abi::ring::{EventEntry, Ring};

/// A running event ring.
pub(crate) struct EventRing {
    core: RingCore,
    /// Number of the next event.
    number: u64,
    /// Events read that the device was not told of yet.
    untold: u16,
}

impl EventRing {
    pub(crate) fn start<T: Transport + ?Sized>(
        transport: &mut T,
        clock: &mut dyn Clock,
        entries: u16,
    ) -> Result<Self, RingError> {
        Ok(Self {
            core: RingCore::start(transport, clock, Ring::Event, entries)?,
            number: 0,
            untold: 0,
        })
    }

    /// Takes the events that are there, at most `max`, into `events`. Those stay valid when this fails.
    ///
    /// # Errors
    /// The ring failed and must not be used again.
    pub(crate) fn drain<T: Transport + ?Sized>(
        &mut self,
        transport: &mut T,
        events: &mut Vec<Event>,
        max: usize,
    ) -> Result<(), RingError> {
        let end = events.len().saturating_add(max);
        let mut told_of = None;
        loop {
            while events.len() < end
                && let Some(entry) = self.core.next::<EventEntry>()?
            {
                if entry.number != self.number {
                    return Err(self.core.misbehaving("an event out of its turn"));
                }
                self.number += 1;
                self.untold += 1;
                events.push(entry.event);
                #[cfg(feature = "fault-points")]
                crate::control::fault::here("event-read");
                // Early enough that the device never waits for a whole ring.
                if self.untold >= self.core.entries() / 2 {
                    self.tell(transport)?;
                }
            }
            if self.untold != 0 {
                self.tell(transport)?;
            }
            if told_of == Some(self.number) && events.len() < end {
                return Err(self.core.misbehaving("an index beyond the events that it wrote"));
            }
            let head = self.core.head(transport)?;
            if events.len() >= end || head == self.core.seen() {
                return Ok(());
            }
            if head.wrapping_sub(self.core.seen()) > self.core.entries() {
                return Err(self.core.misbehaving("more events than the ring holds"));
            }
            // What the device wrote before it told this index is in memory now: one event more, or it lied.
            told_of = Some(self.number);
        }
    }

    fn tell<T: Transport + ?Sized>(&mut self, transport: &mut T) -> Result<(), RingError> {
        self.core.doorbell(transport)?;
        self.untold = 0;
        #[cfg(feature = "fault-points")]
        crate::control::fault::here("events-told");
        Ok(())
    }

    pub(crate) fn stop<T: Transport + ?Sized>(self, transport: &mut T, clock: &mut dyn Clock) {
        self.core.stop(transport, clock);
    }
}
