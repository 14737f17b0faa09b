//! Events that wait for the host, in a ring over caller-supplied memory.

use crate::memory::Memory;
use sealnic_abi::event::Event;

/// A bounded queue of events.
pub struct EventRing<M: Memory> {
    ring: M::Slice<Event>,
    head: usize,
    len: usize,
}

impl<M: Memory> EventRing<M> {
    /// An empty ring.
    pub fn new(memory: &mut M, capacity: usize) -> Self {
        Self {
            ring: memory.slice(capacity.max(1), || Event::ZERO),
            head: 0,
            len: 0,
        }
    }

    /// Adds an event; `false` when there is no room.
    pub(crate) fn push(&mut self, event: Event) -> bool {
        let capacity = self.ring.len();
        if self.len == capacity {
            return false;
        }
        self.ring[(self.head + self.len) % capacity] = event;
        self.len += 1;
        true
    }

    /// The oldest event.
    pub(crate) fn first(&self) -> Option<Event> {
        (self.len != 0).then(|| self.ring[self.head])
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.first()?;
        self.head = (self.head + 1) % self.ring.len();
        self.len -= 1;
        Some(event)
    }

    /// Events waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Room left.
    pub(crate) fn room(&self) -> usize {
        self.ring.len() - self.len
    }
}
