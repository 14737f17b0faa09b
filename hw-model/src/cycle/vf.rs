//! The VMs' side: port queues, the scheduler between ports, DMA reads of frames and DMA writes of frames and completions.

use crate::cycle::config::Ports;
use crate::cycle::flight::Side;
use crate::cycle::ids::UnitState;
use crate::cycle::nic::{CycleNic, DMA_WRITE, EGRESS_PARSER, FULL, VF_FETCH, unit_of};
use crate::cycle::parts::Slot;
use crate::packet::{Edge, Packet};
use sealnic_abi::DropReason;
use std::collections::VecDeque;

/// A descriptor and a completion of a split or packed virtqueue are of this many octets (VIRTIO 1.2 sections 2.7 and 2.8).
const DESCRIPTOR_OCTETS: u64 = 16;

/// Frames that wait at a port, each with the cycle from which its descriptor is here.
#[derive(Default)]
struct Port {
    frames: VecDeque<(Slot, u64)>,
    /// What it may still send in its turn, in octets.
    credit: u64,
}

/// The ports' queues; deficit round robin between them.
pub(crate) struct VfQueues {
    ports: Vec<Port>,
    /// Ports with frames, in turn.
    active: VecDeque<u16>,
    queue_frames: usize,
    quantum: u64,
    len: u64,
}

impl VfQueues {
    /// Queues of the device's ports, and one for frames of ports that it doesn't have.
    pub(crate) fn new(ports: usize, config: &Ports) -> Self {
        Self {
            ports: (0..=ports).map(|_| Port::default()).collect(),
            active: VecDeque::new(),
            queue_frames: config.queue_frames as usize,
            quantum: config.quantum_octets.into(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn queue(&self, port: u16) -> usize {
        usize::from(port).min(self.ports.len() - 1)
    }

    pub(crate) fn has_room(&self, port: u16) -> bool {
        self.ports[self.queue(port)].frames.len() < self.queue_frames
    }

    fn push(&mut self, port: u16, slot: Slot, ready_at: u64) {
        let queue = self.queue(port);
        if self.ports[queue].frames.is_empty() {
            self.active.push_back(queue as u16);
        }
        self.ports[queue].frames.push_back((slot, ready_at));
        self.len += 1;
    }

    /// The frame whose turn it is; else the cycle at which there may be one.
    fn choose(&mut self, now: u64, len: impl Fn(Slot) -> u64) -> Result<Slot, Option<u64>> {
        let mut earliest = None;
        let mut unready = 0;
        while unready < self.active.len() {
            let Some(queue) = self.active.front().copied() else {
                break;
            };
            let port = &mut self.ports[usize::from(queue)];
            let Some((slot, ready_at)) = port.frames.front().copied() else {
                self.active.pop_front();
                continue;
            };
            if ready_at > now {
                earliest = Some(earliest.map_or(ready_at, |at: u64| at.min(ready_at)));
                unready += 1;
                self.active.rotate_left(1);
            } else if len(slot) <= port.credit {
                return Ok(slot);
            } else if self.active.len() == 1 {
                // Nobody else to wait for.
                port.credit = len(slot);
            } else {
                // Its next turn has more to spend, and comes.
                port.credit += self.quantum;
                unready = 0;
                self.active.rotate_left(1);
            }
        }
        Err(earliest)
    }

    /// Takes the frame just chosen.
    fn take(&mut self, len: u64) {
        let Some(queue) = self.active.front().copied() else {
            return;
        };
        let port = &mut self.ports[usize::from(queue)];
        if port.frames.pop_front().is_some() {
            self.len -= 1;
        }
        port.credit = port.credit.saturating_sub(len);
        if port.frames.is_empty() {
            port.credit = 0;
            self.active.pop_front();
        }
    }

    /// All frames, taken out.
    pub(crate) fn drain(&mut self) -> Vec<Slot> {
        self.active.clear();
        self.len = 0;
        let queues = self.ports.iter_mut().flat_map(|port| port.frames.drain(..));
        queues.map(|(slot, _)| slot).collect()
    }
}

impl CycleNic {
    /// A VM puts a frame into its port's ring.
    pub(crate) fn submit_vf(&mut self, port: u16, packet: Packet, now: u64) {
        let slot = self.add(VF_FETCH, packet, Edge::Vf(port), Side::Egress, now);
        if self.vf.has_room(port) {
            let ready_at = now + self.timing.descriptor_cycles;
            self.vf.push(port, slot, ready_at);
            self.wake(VF_FETCH, ready_at);
        } else {
            self.turn_away(VF_FETCH, slot, DropReason::VfQueueFull, now);
        }
    }

    /// Chooses the next port's frame and reads it over PCIe; frames come back in order.
    pub(crate) fn vf_fetch(&mut self, now: u64) -> UnitState {
        self.reclaim_reads(now);
        let mut is_blocked = false;
        for _ in 0..self.pipelines {
            let Some(slot) = self.units[VF_FETCH].done(now) else {
                break;
            };
            let fifo = self.inputs(unit_of(self.flights[slot].front, EGRESS_PARSER)).start;
            if !self.room(VF_FETCH, fifo, slot, now) {
                is_blocked = true;
                break;
            }
            self.units[VF_FETCH].pipe.pop_front();
            self.give(VF_FETCH, fifo, slot, now);
        }
        let mut state = UnitState::WaitInput;
        if self.units[VF_FETCH].accept_at <= now {
            for _ in 0..self.pipelines {
                state = self.issue_read(now);
                if state != UnitState::Busy {
                    break;
                }
            }
        }
        if let Some((_, done_at)) = self.units[VF_FETCH].pipe.front().filter(|_| !is_blocked) {
            let at = (*done_at).max(now + 1);
            self.wake(VF_FETCH, at);
        }
        if let Some((answered, _)) = self.reads.front() {
            let at = *answered;
            self.wake(VF_FETCH, at);
        }
        if self.units[VF_FETCH].busy_until > now {
            UnitState::Busy
        } else if is_blocked {
            FULL
        } else {
            state
        }
    }

    fn read_tags(&self, slot: Slot) -> u32 {
        let len = self.flights[slot].packet.frame().len() as u32;
        len.div_ceil(self.config.pcie.max_read_octets).max(1)
    }

    fn issue_read(&mut self, now: u64) -> UnitState {
        let flights = &self.flights;
        let len_of = |slot: Slot| flights[slot].packet.frame().len() as u64;
        let slot = match self.vf.choose(now, len_of) {
            Ok(slot) => slot,
            Err(earliest) => {
                if let Some(at) = earliest {
                    self.wake(VF_FETCH, at);
                }
                return UnitState::WaitInput;
            }
        };
        let len = self.flights[slot].packet.frame().len();
        let tags = self.read_tags(slot);
        let pcie = &self.config.pcie;
        // A frame that is longer than all there is goes alone.
        let has_buffer =
            self.buffered[0] == 0 || self.buffered[0] + len <= self.config.core.packet_buffer_octets as usize;
        let has_tags = self.outstanding_reads == 0 || self.outstanding_reads + tags <= pcie.outstanding_reads;
        if !has_buffer || !has_tags {
            // Woken when a frame leaves, or when a read is answered.
            return UnitState::Credits;
        }
        let Edge::Vf(port) = self.flights[slot].from else {
            return UnitState::WaitInput;
        };
        self.read_vf(slot, port);
        let flight = &self.flights[slot];
        let front = flight
            .read
            .hash()
            .map_or(0, |hash| (hash % self.pipelines as u64) as usize);
        self.vf.take(len as u64);
        let flight = &mut self.flights[slot];
        flight.front = front;
        flight.taken = now;
        flight.buffer = (len, Side::Egress);
        self.buffered[0] += len;
        self.outstanding_reads += tags;
        let done_at = self.read_over_pcie(len as u64, tags.into(), now);
        let unit = &mut self.units[VF_FETCH];
        unit.begin(slot, done_at);
        let at = self.reads.partition_point(|(answered, _)| *answered <= done_at);
        self.reads.insert(at, (done_at, tags));
        (unit.accept_at, unit.busy_until) = (now + 1, now + 1);
        // As many frames side by side as there are pipelines count as one cycle's work together.
        unit.width = self.pipelines as u64;
        unit.work_cycles += 1;
        if self.vf.len() != 0 {
            self.wake(VF_FETCH, now + 1);
        }
        UnitState::Busy
    }

    /// Cycle at which a frame's last octet is in the packet buffer. Descriptors before it and completions behind it use the link, too.
    fn read_over_pcie(&mut self, len: u64, requests: u64, now: u64) -> u64 {
        let pcie = &self.config.pcie;
        let (overhead, batch) = (u64::from(pcie.packet_overhead_octets), pcie.descriptors_per_read);
        let now_ps = self.clock.ps(now);
        if self.descriptors == 0 {
            self.descriptors = batch;
            self.upstream.transfer(now_ps, overhead);
            self.downstream
                .transfer(now_ps, overhead + DESCRIPTOR_OCTETS * u64::from(batch));
        }
        self.descriptors -= 1;
        if self.completions == 0 {
            self.completions = pcie.completions_per_write;
            let octets = overhead + DESCRIPTOR_OCTETS * u64::from(pcie.completions_per_write);
            self.upstream.transfer(now_ps, octets);
        }
        self.completions -= 1;
        let asked_ps = self.upstream.transfer(now_ps, requests * overhead);
        let packets = len.div_ceil(pcie.max_payload_octets.into()).max(1);
        let answered_ps = asked_ps + u64::from(pcie.read_ns) * 1_000;
        let read_ps = self
            .downstream
            .transfer_later(now_ps, answered_ps, len + packets * overhead);
        // The datapath behind the link is as wide as all pipelines together.
        let words_ps = self.clock.ps(self.timing.words(len as usize)) / self.pipelines as u64;
        self.fetch_bus_ps = (self.fetch_bus_ps + words_ps).max(read_ps);
        self.clock.cycle_of_ps(self.fetch_bus_ps)
    }

    /// Writes frames and their completions to VMs and to the host.
    pub(crate) fn dma_write(&mut self, now: u64) -> UnitState {
        while let Some(slot) = self.units[DMA_WRITE].done(now) {
            let done_at = self.units[DMA_WRITE].pipe.pop_front().map_or(now, |(_, at)| at);
            let to = self.flights[slot].to.unwrap_or(Edge::Host);
            let time_ns = self.clock.ns(done_at);
            self.depart(DMA_WRITE, slot, to, time_ns, now);
        }
        let mut state = UnitState::WaitInput;
        let ahead_ps = self.clock.ps(now + 1);
        for _ in 0..self.pipelines {
            let Some((fifo, slot)) = self.offered(DMA_WRITE, now) else {
                break;
            };
            // Posted credits last for what the link can take until the next cycle.
            let free_ps = self.upstream.free_ps.max(self.dma_bus_ps);
            if free_ps >= ahead_ps {
                let at = self.clock.last_cycle_at_ps(free_ps).max(now + 1);
                self.units[DMA_WRITE].accept_at = at;
                self.wake(DMA_WRITE, at);
                state = UnitState::Credits;
                break;
            }
            self.take(fifo, now);
            let done_at = self.write_over_pcie(slot, now);
            let unit = &mut self.units[DMA_WRITE];
            unit.begin(slot, done_at);
            (unit.accept_at, unit.busy_until) = (now + 1, now + 1);
            unit.width = self.pipelines as u64;
            unit.work_cycles += 1;
            state = UnitState::Busy;
        }
        self.expect_input(DMA_WRITE, now);
        if let Some((_, done_at)) = self.units[DMA_WRITE].pipe.front() {
            self.wake(DMA_WRITE, *done_at);
        }
        state
    }

    /// Cycle at which a frame and its completion are where the VM sees them.
    fn write_over_pcie(&mut self, slot: Slot, now: u64) -> u64 {
        let len = self.flights[slot].packet.frame().len() as u64;
        let pcie = &self.config.pcie;
        let overhead = u64::from(pcie.packet_overhead_octets);
        let now_ps = self.clock.ps(now);
        let words_ps = self.clock.ps(self.timing.words(len as usize)) / self.pipelines as u64;
        self.dma_bus_ps = self.dma_bus_ps.max(now_ps) + words_ps;
        let to = self.flights[slot].to.unwrap_or(Edge::Host);
        if self.core.out.leaves_by_ring(to) {
            // It waits in the device until the ring has a buffer for it.
            return self.clock.cycle_of_ps(self.dma_bus_ps);
        }
        let packets = len.div_ceil(pcie.max_payload_octets.into()).max(1);
        let batch = u64::from(pcie.completions_per_write);
        // A descriptor of a free buffer, read before, and a completion: their share of packets that serve several frames.
        if self.rx_completions == 0 {
            self.rx_completions = pcie.completions_per_write;
            self.upstream.transfer(now_ps, 2 * overhead + DESCRIPTOR_OCTETS * batch);
            self.downstream.transfer(now_ps, overhead + DESCRIPTOR_OCTETS * batch);
        }
        self.rx_completions -= 1;
        let written_ps = self
            .upstream
            .transfer(now_ps, len + packets * overhead)
            .max(self.dma_bus_ps);
        self.clock.cycle_of_ps(written_ps + u64::from(pcie.write_ns) * 1_000)
    }
}
