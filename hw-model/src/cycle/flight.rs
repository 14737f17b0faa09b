//! Frames inside the device.

use crate::cycle::ids::FrameId;
use crate::cycle::parts::Slot;
use crate::packet::{Edge, Offload, Packet};
use sealnic_abi::Counter;
use sealnic_firmware::stages::{Arrived, EgressRead, Lookup};

/// No frame.
pub(crate) const NONE: Slot = Slot::MAX;

/// A frame inside the device, and what is known of it.
pub(crate) struct Flight {
    pub(crate) packet: Packet,
    pub(crate) id: FrameId,
    /// Where it came from; of a made frame, where what it was made from came from.
    pub(crate) from: Edge,
    /// As what it counts if it is turned away: by the tables that stood when it came.
    pub(crate) entered_as: Counter,
    /// Where it is going, once decided.
    pub(crate) to: Option<Edge>,
    /// From a VM, as read under the command numbered `read_at`.
    pub(crate) read: EgressRead,
    pub(crate) read_at: u64,
    /// From the wire, after opening.
    pub(crate) arrived: Arrived,
    pub(crate) lookup: Lookup,
    /// SA whose engine time it takes, and octets that the cipher works on.
    pub(crate) record: Option<(u32, usize)>,
    pub(crate) association: Option<u32>,
    /// Pipelines before and behind the commit unit.
    pub(crate) front: usize,
    pub(crate) home: usize,
    /// Cycle at which it came to the unit it is in, and at which that took it from its FIFO.
    pub(crate) came: u64,
    pub(crate) taken: u64,
    /// Time at the edge, in nanoseconds.
    pub(crate) entered_ns: u64,
    /// Time at which its last bit passes the line, in picoseconds.
    pub(crate) line_ps: u64,
    /// It went through the slow path.
    pub(crate) is_slow: bool,
    /// Its effects on the device's state have begun.
    pub(crate) has_acted: bool,
    /// Octets of packet buffer it holds, and in which direction's.
    pub(crate) buffer: (usize, Side),
    /// Step of the commit log at which it arrived.
    pub(crate) arrive_step: usize,
    /// Next frame of its flow that waits for the slow path.
    pub(crate) follower: Slot,
}

/// Direction through the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Egress = 0,
    Ingress = 1,
}

/// Frames by number; places are used again, so that nothing is allocated once enough are there.
#[derive(Default)]
pub(crate) struct Flights {
    flights: Vec<Flight>,
    free: Vec<Slot>,
    made: u64,
}

impl Flights {
    /// Takes a frame in.
    pub(crate) fn add(&mut self, packet: Packet, from: Edge, entered_as: Counter, side: Side, now: u64) -> Slot {
        let id = FrameId {
            number: self.made,
            tag: packet.tag,
        };
        self.made += 1;
        let entered_ns = packet.time_ns;
        let Some(slot) = self.free.pop() else {
            self.flights.push(Flight {
                packet,
                id,
                from,
                entered_as,
                to: None,
                read: EgressRead::EMPTY,
                read_at: u64::MAX,
                arrived: Arrived::EMPTY,
                lookup: Lookup::default(),
                record: None,
                association: None,
                front: 0,
                home: 0,
                came: now,
                taken: now,
                entered_ns,
                line_ps: 0,
                is_slow: false,
                has_acted: false,
                buffer: (0, side),
                arrive_step: 0,
                follower: NONE,
            });
            return (self.flights.len() - 1) as Slot;
        };
        let flight = &mut self.flights[slot as usize];
        flight.packet = packet;
        (flight.id, flight.from, flight.to) = (id, from, None);
        flight.entered_as = entered_as;
        (flight.read_at, flight.lookup) = (u64::MAX, Lookup::default());
        (flight.record, flight.association) = (None, None);
        (flight.front, flight.home) = (0, 0);
        (flight.came, flight.taken, flight.entered_ns) = (now, now, entered_ns);
        (flight.is_slow, flight.has_acted) = (false, false);
        (flight.buffer, flight.arrive_step, flight.follower) = ((0, side), 0, NONE);
        slot
    }

    /// Gives a frame's place back; its octets go to the caller.
    pub(crate) fn remove(&mut self, slot: Slot) -> Packet {
        self.free.push(slot);
        let empty = Packet {
            storage: Vec::new(),
            start: 0,
            end: 0,
            time_ns: 0,
            tag: 0,
            offload: Offload::default(),
            is_generated: false,
            verdict: None,
        };
        std::mem::replace(&mut self.flights[slot as usize].packet, empty)
    }
}

impl std::ops::Index<Slot> for Flights {
    type Output = Flight;

    fn index(&self, slot: Slot) -> &Flight {
        &self.flights[slot as usize]
    }
}

impl std::ops::IndexMut<Slot> for Flights {
    fn index_mut(&mut self, slot: Slot) -> &mut Flight {
        &mut self.flights[slot as usize]
    }
}
