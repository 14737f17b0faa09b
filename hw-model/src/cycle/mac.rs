//! The MACs: frames on the line, with preamble, frame check sequence and gap.

use crate::cycle::config::{FCS_OCTETS, LEAST_FRAME_OCTETS, LINE_OVERHEAD_OCTETS};
use crate::cycle::flight::Side;
use crate::cycle::ids::{Direction, UnitState};
use crate::cycle::nic::{CycleNic, FULL, INGRESS_PARSER, MAC_RX, MAC_TX, unit_of};
use crate::packet::{Edge, Packet};
use sealnic_abi::DropReason;

/// Least gap between frames, in octets (IEEE 802.3 clause 4.4.2).
const GAP_OCTETS: u64 = 12;

/// Frames that may be on the line towards the device, besides those on their way through its receiver, so that one who sends faster than
/// the line can't fill the memory.
const MOST_ON_LINE: u64 = 4_096;

/// What a frame without FCS takes on the line, preamble and gap included, in octets.
fn line_octets(frame_len: usize) -> u64 {
    (frame_len as u64 + FCS_OCTETS).max(LEAST_FRAME_OCTETS) + LINE_OVERHEAD_OCTETS
}

impl CycleNic {
    /// Sends what waits, pipeline after pipeline, bit behind bit.
    pub(crate) fn mac_tx(&mut self, now: u64) -> UnitState {
        while let Some(slot) = self.units[MAC_TX].done(now) {
            self.units[MAC_TX].pipe.pop_front();
            let time_ns = self.clock.ns_of_ps(self.flights[slot].line_ps);
            self.depart(MAC_TX, slot, Edge::Wire, time_ns, now);
        }
        let next_ps = self.clock.ps(now + 1);
        let gap_ps = GAP_OCTETS * self.timing.octet_ps;
        while let Some((fifo, slot)) = self.offered(MAC_TX, now) {
            if self.line_out.free_ps >= next_ps {
                // The next frame is at hand when the line is free.
                let at = self.clock.last_cycle_at_ps(self.line_out.free_ps).max(now + 1);
                self.units[MAC_TX].accept_at = at;
                self.wake(MAC_TX, at);
                break;
            }
            self.take(fifo, now);
            let now_ps = self.clock.ps(now);
            let octets = line_octets(self.flights[slot].packet.frame().len());
            let before = self.clock.cycle_of_ps(self.line_out.free_ps.max(now_ps));
            let free_ps = self.line_out.transfer(now_ps, octets);
            let after = self.clock.cycle_of_ps(free_ps);
            let last_bit_ps = free_ps - gap_ps + u64::from(self.config.link.transmit_ns) * 1_000;
            self.flights[slot].line_ps = last_bit_ps;
            let done_at = self.clock.cycle_of_ps(last_bit_ps);
            let unit = &mut self.units[MAC_TX];
            unit.begin(slot, done_at);
            unit.busy_until = after;
            unit.work_cycles += after - before;
            if let Some(probe) = &mut self.probe {
                let len = octets - LINE_OVERHEAD_OCTETS;
                probe.wire(Direction::Transmit, self.flights[slot].id, last_bit_ps, len as u32);
            }
        }
        self.expect_input(MAC_TX, now);
        if let Some((_, done_at)) = self.units[MAC_TX].pipe.front() {
            self.wake(MAC_TX, *done_at);
        }
        if self.units[MAC_TX].busy_until > now {
            UnitState::Busy
        } else {
            UnitState::WaitInput
        }
    }

    /// A frame whose last bit arrives at a time, or as soon after it as the line lets it.
    pub(crate) fn submit_wire(&mut self, packet: Packet, now: u64) {
        let at_ps = self.clock.ps_of_ns(packet.time_ns);
        let octets = line_octets(packet.frame().len());
        let slot = self.add(MAC_RX, packet, Edge::Wire, Side::Ingress, now);
        let shortest_ps = (LEAST_FRAME_OCTETS + LINE_OVERHEAD_OCTETS) * self.timing.octet_ps;
        let in_receiver = u64::from(self.config.link.receive_ns) * 1_000 / shortest_ps;
        if self.arriving.len() as u64 >= MOST_ON_LINE + in_receiver {
            self.turn_away(MAC_RX, slot, DropReason::WireQueueFull, now);
            return;
        }
        let gap_ps = GAP_OCTETS * self.timing.octet_ps;
        let start_ps = (at_ps + gap_ps).saturating_sub(self.line_in.duration_ps(octets));
        let last_bit_ps = self.line_in.transfer_later(self.clock.ps(now), start_ps, octets) - gap_ps;
        self.flights[slot].line_ps = last_bit_ps;
        let received_ps = last_bit_ps + u64::from(self.config.link.receive_ns) * 1_000;
        let arrives = self.clock.cycle_of_ps(received_ps).max(now + 1);
        self.arriving.push_back((slot, arrives));
        self.wake(MAC_RX, arrives);
    }

    /// Puts what arrives into the packet buffer, and hands it to its pipeline.
    pub(crate) fn mac_rx(&mut self, now: u64) -> UnitState {
        while let Some((slot, arrives)) = self.arriving.front().copied() {
            if arrives > now {
                self.wake(MAC_RX, arrives);
                break;
            }
            self.arriving.pop_front();
            self.received(slot, now);
        }
        let mut state = UnitState::WaitInput;
        for _ in 0..self.pipelines {
            let Some(slot) = self.units[MAC_RX].done(now) else {
                break;
            };
            let fifo = self.inputs(unit_of(self.flights[slot].front, INGRESS_PARSER)).start;
            if !self.room(MAC_RX, fifo, slot, now) {
                state = FULL;
                break;
            }
            self.units[MAC_RX].pipe.pop_front();
            self.give(MAC_RX, fifo, slot, now);
        }
        if state != FULL && !self.units[MAC_RX].pipe.is_empty() {
            self.wake(MAC_RX, now + 1);
        }
        state
    }

    fn received(&mut self, slot: u32, now: u64) {
        let flight = &mut self.flights[slot];
        let len = flight.packet.frame().len();
        if let Some(probe) = &mut self.probe {
            let on_line = line_octets(len) - LINE_OVERHEAD_OCTETS;
            probe.wire(Direction::Receive, flight.id, flight.line_ps, on_line as u32);
        }
        let room = self.config.core.packet_buffer_octets as usize;
        if self.buffered[1] != 0 && self.buffered[1] + len > room {
            self.turn_away(MAC_RX, slot, DropReason::WireQueueFull, now);
            return;
        }
        self.buffered[1] += len;
        flight.buffer = (len, Side::Ingress);
        flight.taken = now;
        let preview = self.core.nic.ingress_preview(flight.packet.frame());
        flight.record = preview.record.map(|(_, sa, octets)| (sa, octets));
        flight.association = preview.record.map(|(association, ..)| association);
        flight.front = match flight.association {
            Some(association) => association as usize % self.pipelines,
            // By source address and port, which a flow keeps.
            None => {
                let octets = flight.packet.frame().iter().skip(26).take(10);
                octets.map(|octet| usize::from(*octet)).sum::<usize>() % self.pipelines
            }
        };
        let unit = &mut self.units[MAC_RX];
        unit.begin(slot, now);
        unit.work_cycles += 1;
        unit.width = self.pipelines as u64;
    }
}
