//! The device as units and FIFOs, and the loop that lets them act.
//!
//! Each unit has one cycle at which it acts next; the earliest acts, and of several the first in the order of units. A unit that acts
//! gives on what is done, takes what it can, and says when it acts next: when something in it is done, when it may take again, or
//! not before a neighbour wakes it (a frame came, room came). So idle time costs nothing, and every run is the same.
//!
//! Each unit stores and forwards: a frame is given on when it is done as a whole. What waits in FIFOs are descriptors; octets lie in
//! the packet buffer until they leave.

use crate::core::{Core, edge};
use crate::cycle::accounts::Accounts;
use crate::cycle::clock::Clock;
use crate::cycle::config::HwConfig;
use crate::cycle::flight::{Flights, Side};
use crate::cycle::ids::{FifoId, UnitId, UnitKind, UnitState};
use crate::cycle::parts::{Cache, Fifo, Link, Memory, Slot, Timing};
use crate::cycle::probe::Probe;
use crate::cycle::record::{Outcome, Record, Step};
use crate::cycle::ring_dma::RingDma;
use crate::cycle::slow::SlowPath;
use crate::cycle::unit::{Times, Unit};
use crate::cycle::vf::VfQueues;
use crate::packet::{Edge, Packet};
use sealnic_abi::Counter;
use sealnic_firmware::{Destination, Output, Verdict};
use std::collections::VecDeque;

/// Never.
pub(crate) const NEVER: u64 = u64::MAX;

// Units that all pipelines share come first.
/// Before those that take read tags and credits for frames: of what is free they would leave nothing.
pub(crate) const RING_DMA: usize = 0;
pub(crate) const VF_FETCH: usize = 1;
pub(crate) const CONTROL_CPU: usize = 2;
pub(crate) const DMA_WRITE: usize = 3;
pub(crate) const MAC_TX: usize = 4;
pub(crate) const MAC_RX: usize = 5;
const SHARED: [UnitKind; 6] = [
    UnitKind::RingDma,
    UnitKind::VfFetch,
    UnitKind::ControlCpu,
    UnitKind::DmaWrite,
    UnitKind::MacTx,
    UnitKind::MacRx,
];
// Then those of each pipeline.
pub(crate) const EGRESS_PARSER: usize = 0;
pub(crate) const EGRESS_LOOKUP: usize = 1;
pub(crate) const EGRESS_SA_FETCH: usize = 2;
pub(crate) const EGRESS_COMMIT: usize = 3;
pub(crate) const EGRESS_ENGINES: usize = 4;
pub(crate) const EGRESS_ENCAP: usize = 5;
pub(crate) const INGRESS_PARSER: usize = 6;
pub(crate) const INGRESS_SA_FETCH: usize = 7;
pub(crate) const INGRESS_ENGINES: usize = 8;
pub(crate) const INGRESS_COMMIT: usize = 9;
pub(crate) const INGRESS_LOOKUP: usize = 10;
pub(crate) const INGRESS_DELIVER: usize = 11;
const PIPELINE: [UnitKind; 12] = [
    UnitKind::EgressParser,
    UnitKind::EgressLookup,
    UnitKind::EgressSaFetch,
    UnitKind::EgressCommit,
    UnitKind::EgressEngines,
    UnitKind::EgressEncap,
    UnitKind::IngressParser,
    UnitKind::IngressSaFetch,
    UnitKind::IngressEngines,
    UnitKind::IngressCommit,
    UnitKind::IngressLookup,
    UnitKind::IngressDeliver,
];

/// Index of a pipeline's unit.
pub(crate) fn unit_of(pipeline: usize, unit: usize) -> usize {
    SHARED.len() + pipeline * PIPELINE.len() + unit
}

/// Record engines of one direction of one pipeline.
pub(crate) struct Engines {
    /// For each: free from this cycle on, and the SA of its last record.
    pub(crate) engines: Vec<(u64, u32)>,
}

/// What a frame's decision produced besides the frame.
#[derive(Default)]
pub(crate) struct Made(pub(crate) Vec<(Destination, Vec<u8>)>);

impl Output for Made {
    fn emit(&mut self, to: Destination, frame: &[u8]) {
        self.0.push((to, frame.to_vec()));
    }
}

/// The device.
pub(crate) struct CycleNic {
    pub(crate) core: Core,
    pub(crate) config: HwConfig,
    pub(crate) clock: Clock,
    pub(crate) timing: Timing,
    pub(crate) pipelines: usize,
    pub(crate) units: Vec<Unit>,
    /// Cycle at which each unit acts next.
    pub(crate) next: Vec<u64>,
    pub(crate) fifos: Vec<Fifo>,
    pub(crate) flights: Flights,
    /// Frames inside.
    pub(crate) inside: u64,
    pub(crate) vf: VfQueues,
    pub(crate) slow: SlowPath,
    pub(crate) rings: RingDma,
    pub(crate) memory: Memory,
    /// On-chip tables of each direction of each pipeline: egress and ingress in turn.
    pub(crate) flow_caches: Vec<Cache>,
    pub(crate) sa_caches: Vec<Cache>,
    pub(crate) engines: Vec<Engines>,
    pub(crate) upstream: Link,
    pub(crate) downstream: Link,
    pub(crate) line_out: Link,
    pub(crate) line_in: Link,
    /// Frames on the line that have not arrived, with the cycle at which each does.
    pub(crate) arriving: VecDeque<(Slot, u64)>,
    /// The internal way to the PCIe core is free from then on, in picoseconds.
    pub(crate) dma_bus_ps: u64,
    pub(crate) fetch_bus_ps: u64,
    /// Octets of packet buffer in use, by direction.
    pub(crate) buffered: [usize; 2],
    /// Read tags in use; when which of them are free again.
    pub(crate) outstanding_reads: u32,
    pub(crate) reads: VecDeque<(u64, u32)>,
    /// Descriptors fetched and completions owed, for what is written and read several at a time.
    pub(crate) descriptors: u32,
    pub(crate) completions: u32,
    pub(crate) rx_completions: u32,
    /// Frames inside whose effects on the device's state have begun, and among them those that arrived and are not delivered yet.
    pub(crate) acted: u64,
    pub(crate) undelivered: u64,
    /// A command waits: no new effects.
    pub(crate) is_fenced: bool,
    /// Commands so far; what was read under an earlier one is read again.
    pub(crate) command: u64,
    pub(crate) made: Made,
    pub(crate) record: Option<Record>,
    pub(crate) probe: Option<Box<dyn Probe>>,
    pub(crate) late_misses: u64,
    pub(crate) ways: [Times; WAYS.len()],
    pub(crate) accounts: Accounts,
}

/// Ways through the device.
pub(crate) const WAYS: [&str; 6] = [
    "vf_to_wire",
    "vf_to_vf",
    "wire_to_vf",
    "wire_to_host",
    "vf_to_host",
    "from_host",
];

impl CycleNic {
    pub(crate) fn new(core: Core, config: &HwConfig) -> Self {
        let pipelines = config.core.pipelines as usize;
        let clock = Clock::new(config.core.clock_mhz);
        let shared = SHARED.iter().map(|kind| UnitId {
            kind: *kind,
            pipeline: 0,
        });
        let own = (0..pipelines).flat_map(|pipeline| {
            PIPELINE.iter().map(move |kind| UnitId {
                kind: *kind,
                pipeline: pipeline as u8,
            })
        });
        let mut units: Vec<Unit> = shared.chain(own).map(Unit::new).collect();
        let mut fifos = Vec::new();
        for (consumer, unit) in units.iter_mut().enumerate() {
            unit.first_input = fifos.len();
            for (input, (producer, depth)) in producers(unit.id, config).into_iter().enumerate() {
                let id = FifoId {
                    unit: unit.id,
                    input: input as u8,
                };
                fifos.push(Fifo::new(id, depth, producer, consumer));
            }
            unit.inputs = fifos.len() - unit.first_input;
            if matches!(unit.id.kind, UnitKind::EgressEngines | UnitKind::IngressEngines) {
                unit.width = config.engines.count.into();
            }
        }
        let sides = ["egress", "ingress"];
        let caches = |what: &str, sets, ways, hit| {
            (0..pipelines)
                .flat_map(|pipeline| sides.map(|side| format!("{side}{pipeline}.{what}")))
                .map(|name| Cache::new(name, sets, ways, hit))
                .collect()
        };
        let (lookup, sa) = (&config.lookup, &config.sa_fetch);
        let timing = Timing::new(config, clock);
        Self {
            flow_caches: caches("flow_cache", lookup.cache_sets, lookup.cache_ways, lookup.hit_cycles),
            sa_caches: caches("sa_cache", sa.cache_sets, sa.cache_ways, sa.hit_cycles),
            vf: VfQueues::new(core.nic.sizes().ports, &config.ports),
            slow: SlowPath::new(config.control_cpu.queue_frames),
            rings: RingDma::new(),
            memory: Memory::new(&config.memory),
            engines: (0..2 * pipelines)
                .map(|_| Engines {
                    engines: vec![(0, u32::MAX); config.engines.count as usize],
                })
                .collect(),
            upstream: Link::pcie("pcie.upstream", &config.pcie),
            downstream: Link::pcie("pcie.downstream", &config.pcie),
            line_out: Link::new("line.transmit", (timing.octet_ps, 1)),
            line_in: Link::new("line.receive", (timing.octet_ps, 1)),
            arriving: VecDeque::new(),
            dma_bus_ps: 0,
            fetch_bus_ps: 0,
            buffered: [0; 2],
            outstanding_reads: 0,
            reads: VecDeque::new(),
            descriptors: 0,
            completions: 0,
            rx_completions: 0,
            acted: 0,
            undelivered: 0,
            is_fenced: false,
            command: 0,
            made: Made::default(),
            record: None,
            probe: None,
            late_misses: 0,
            ways: std::array::from_fn(|_| Times::new()),
            accounts: Accounts::default(),
            next: vec![NEVER; units.len()],
            flights: Flights::default(),
            inside: 0,
            config: config.clone(),
            core,
            clock,
            timing,
            pipelines,
            units,
            fifos,
        }
    }

    // The loop.

    /// The unit that acts next and when; `NEVER` when all is idle.
    pub(crate) fn next_act(&self) -> (usize, u64) {
        let mut best = (0, NEVER);
        for (unit, at) in self.next.iter().enumerate() {
            if *at < best.1 {
                best = (unit, *at);
            }
        }
        best
    }

    /// Lets the unit act that is next.
    pub(crate) fn act(&mut self, unit: usize, now: u64) {
        self.next[unit] = NEVER;
        // Before new work moves the end of the old.
        self.units[unit].account_state(now);
        let state = match unit {
            RING_DMA => self.ring_dma(now),
            VF_FETCH => self.vf_fetch(now),
            CONTROL_CPU => self.control_cpu(now),
            DMA_WRITE => self.dma_write(now),
            MAC_TX => self.mac_tx(now),
            MAC_RX => self.mac_rx(now),
            _ => {
                let pipeline = (unit - SHARED.len()) / PIPELINE.len();
                match (unit - SHARED.len()) % PIPELINE.len() {
                    EGRESS_PARSER | INGRESS_PARSER => self.parser(unit, now),
                    EGRESS_LOOKUP => self.lookup(unit, pipeline, Side::Egress, now),
                    EGRESS_SA_FETCH => self.sa_fetch(unit, pipeline, Side::Egress, now),
                    EGRESS_COMMIT => self.egress_commit(unit, pipeline, now),
                    EGRESS_ENGINES => self.record_engines(unit, pipeline, Side::Egress, now),
                    EGRESS_ENCAP => self.encap(unit, pipeline, now),
                    INGRESS_SA_FETCH => self.sa_fetch(unit, pipeline, Side::Ingress, now),
                    INGRESS_ENGINES => self.record_engines(unit, pipeline, Side::Ingress, now),
                    INGRESS_COMMIT => self.ingress_commit(unit, pipeline, now),
                    INGRESS_LOOKUP => self.lookup(unit, pipeline, Side::Ingress, now),
                    _ => self.deliver(unit, pipeline, now),
                }
            }
        };
        let changed = self.units[unit].set_state(state, now);
        if let Some(probe) = &mut self.probe {
            if changed {
                probe.state(self.units[unit].id, now, state);
            }
            // Work's end shows although nothing else happens then.
            if self.units[unit].busy_until > now {
                self.next[unit] = self.next[unit].min(self.units[unit].busy_until);
            }
        }
        debug_assert!(
            self.is_conserving(unit),
            "unit {} lost or made a frame",
            self.units[unit].id
        );
    }

    /// A unit's frames are where its accounts say: in its FIFOs, in its pipeline, or in queues of its own.
    fn is_conserving(&self, unit: usize) -> bool {
        let own = &self.units[unit];
        let in_fifos: u64 = self.inputs(unit).map(|fifo| u64::from(self.fifos[fifo].len())).sum();
        let elsewhere = match unit {
            RING_DMA => self.rings.len(),
            VF_FETCH => self.vf.len(),
            CONTROL_CPU => self.slow.len(),
            MAC_RX => self.arriving.len() as u64,
            _ => 0,
        };
        own.is_conserving() && own.held == in_fifos + elsewhere + own.pipe.len() as u64
    }

    pub(crate) fn inputs(&self, unit: usize) -> std::ops::Range<usize> {
        let unit = &self.units[unit];
        unit.first_input..unit.first_input + unit.inputs
    }

    /// Has a unit act no later than at a cycle.
    pub(crate) fn wake(&mut self, unit: usize, at: u64) {
        self.next[unit] = self.next[unit].min(at);
    }

    // Frames on their way from unit to unit.

    /// The first of a unit's FIFOs, in turn, with a frame that may be taken.
    pub(crate) fn offered(&self, unit: usize, now: u64) -> Option<(usize, Slot)> {
        let own = &self.units[unit];
        if own.inputs == 1 {
            return Some((own.first_input, self.fifos[own.first_input].front(now)?));
        }
        (0..own.inputs).find_map(|n| {
            let fifo = own.first_input + (own.turn + n) % own.inputs;
            Some((fifo, self.fifos[fifo].front(now)?))
        })
    }

    /// Has a unit act when it may take what it couldn't at `now`: because it is at work, or because the frame came in this cycle.
    pub(crate) fn expect_input(&mut self, unit: usize, now: u64) {
        let accept_at = self.units[unit].accept_at;
        if accept_at > now || self.offered(unit, now).is_none() {
            let at = accept_at.max(now + 1);
            if self.offered(unit, at).is_some() {
                self.wake(unit, at);
            }
        }
    }

    /// Takes a frame out of a FIFO.
    pub(crate) fn take(&mut self, fifo: usize, now: u64) {
        let (producer, consumer) = (self.fifos[fifo].producer, self.fifos[fifo].consumer);
        let Some(slot) = self.fifos[fifo].pop(now) else {
            return;
        };
        self.flights[slot].taken = now;
        let unit = &mut self.units[consumer];
        unit.turn = (fifo - unit.first_input + 1) % unit.inputs.max(1);
        if std::mem::take(&mut self.fifos[fifo].is_awaited) {
            self.wake(producer, now + 1);
            // The control CPU gives its frames on beside the lookup units.
            if producer != CONTROL_CPU && self.slow.waits_for(fifo) {
                self.wake(CONTROL_CPU, now + 1);
            }
        }
        if let Some(probe) = &mut self.probe {
            let occupancy = self.fifos[fifo].len();
            probe.fifo_pop(self.fifos[fifo].id, now, self.flights[slot].id, occupancy);
        }
    }

    /// Whether a FIFO has room for a unit's frame; if not, the unit is woken when it has.
    pub(crate) fn room(&mut self, unit: usize, fifo: usize, slot: Slot, now: u64) -> bool {
        if self.fifos[fifo].has_room() {
            return true;
        }
        self.fifos[fifo].is_awaited = true;
        if unit == CONTROL_CPU {
            self.slow.wait_for(fifo);
        }
        if !std::mem::replace(&mut self.units[unit].is_stalled, true) {
            self.fifos[fifo].stalled += 1;
            if let Some(probe) = &mut self.probe {
                let occupancy = self.fifos[fifo].len();
                probe.fifo_stall(self.fifos[fifo].id, now, self.flights[slot].id, occupancy);
            }
        }
        false
    }

    /// Gives a unit's frame on into a FIFO that has room.
    pub(crate) fn give(&mut self, unit: usize, fifo: usize, slot: Slot, now: u64) {
        self.gone(unit, slot, now);
        self.units[unit].is_stalled = false;
        self.fifos[fifo].push(slot, now);
        let consumer = self.fifos[fifo].consumer;
        self.came(consumer, slot, now);
        let at = self.units[consumer].accept_at.max(now + 1);
        self.wake(consumer, at);
        if let Some(probe) = &mut self.probe {
            let occupancy = self.fifos[fifo].len();
            probe.fifo_push(self.fifos[fifo].id, now, self.flights[slot].id, occupancy);
        }
    }

    /// A frame has left a unit.
    pub(crate) fn gone(&mut self, unit: usize, slot: Slot, now: u64) {
        let flight = &self.flights[slot];
        self.units[unit].leave(flight.came, now);
        if let Some(probe) = &mut self.probe {
            probe.stage(flight.id, self.units[unit].id, flight.taken, now);
        }
    }

    /// A frame has come to a unit.
    pub(crate) fn came(&mut self, unit: usize, slot: Slot, now: u64) {
        self.units[unit].enter(now);
        let flight = &mut self.flights[slot];
        (flight.came, flight.taken) = (now, now);
    }

    /// Takes a frame into the device, at a unit.
    pub(crate) fn add(&mut self, unit: usize, packet: Packet, from: Edge, side: Side, now: u64) -> Slot {
        self.account_inside(now);
        self.accounts.entered += 1;
        self.inside += 1;
        let entered_as = match from {
            Edge::Vf(_) => Counter::VfIn,
            Edge::Wire => Counter::WireIn,
            Edge::Host => self.core.nic.host_frame_counts_as(packet.frame()),
        };
        let slot = self.flights.add(packet, from, entered_as, side, now);
        self.came(unit, slot, now);
        slot
    }

    fn remove(&mut self, slot: Slot, now: u64) -> Packet {
        self.account_inside(now);
        self.inside -= 1;
        let flight = &self.flights[slot];
        if flight.has_acted {
            self.acted -= 1;
        }
        let (octets, side) = flight.buffer;
        if octets != 0 {
            self.buffered[side as usize] -= octets;
            if side == Side::Egress && self.vf.len() != 0 {
                self.wake(VF_FETCH, now + 1);
            }
        }
        self.flights.remove(slot)
    }

    /// A frame ends in a unit.
    pub(crate) fn end(&mut self, unit: usize, slot: Slot, verdict: Verdict, now: u64) {
        let flight = &self.flights[slot];
        self.units[unit].end(flight.came, now, verdict);
        if let Some(probe) = &mut self.probe {
            probe.stage(flight.id, self.units[unit].id, flight.taken, now);
        }
        let is_generated = flight.packet.is_generated;
        self.core.out.begin(self.clock.ns(now), flight.id.tag);
        if !is_generated {
            self.core.out.end(verdict);
        }
        self.accounts.ended += 1;
        self.remove(slot, now);
    }

    /// A frame leaves the device by a unit, at a time that has not passed.
    pub(crate) fn depart(&mut self, unit: usize, slot: Slot, to: Edge, time_ns: u64, now: u64) {
        self.gone(unit, slot, now);
        let flight = &self.flights[slot];
        let way = match (flight.from, to) {
            (Edge::Vf(_), Edge::Wire) => 0,
            (Edge::Vf(_), Edge::Vf(_)) => 1,
            (Edge::Wire, Edge::Vf(_)) => 2,
            (Edge::Wire, _) => 3,
            (Edge::Vf(_), Edge::Host) => 4,
            (Edge::Host, _) => 5,
        };
        self.ways[way].add(time_ns.saturating_sub(flight.entered_ns));
        self.accounts.left += 1;
        let mut packet = self.remove(slot, now);
        packet.time_ns = time_ns;
        packet.offload = Default::default();
        if self.core.out.leaves_by_ring(to) {
            // The ring takes it from here, by what stands in host memory.
            let frame = packet.frame();
            self.note(|| Step::ToHost { frame: frame.to_vec() }, |_| Outcome::default());
        }
        self.core.out.push(to, packet);
    }

    /// Frames that a decision made besides its own, as frames of a unit.
    pub(crate) fn adopt(&mut self, unit: usize, parent: Slot, now: u64) -> Vec<Slot> {
        let mut slots = Vec::new();
        for (to, frame) in std::mem::take(&mut self.made.0) {
            let origin = &self.flights[parent];
            let (from, tag, entered_ns) = (origin.from, origin.id.tag, origin.entered_ns);
            let (association, home) = (origin.association, origin.home);
            let packet = Packet {
                is_generated: true,
                ..Packet::new(&frame, entered_ns, tag)
            };
            let slot = self.add(unit, packet, from, Side::Egress, now);
            let record = association.filter(|_| to == Destination::Wire);
            let record = record.and_then(|association| self.sealed_record(association, frame.len()));
            let flight = &mut self.flights[slot];
            (flight.to, flight.home, flight.record) = (Some(edge(to)), home, record);
            flight.has_acted = true;
            self.acted += 1;
            slots.push(slot);
        }
        slots
    }

    /// SA and ciphered octets of a datagram that an association's SA sealed.
    pub(crate) fn sealed_record(&self, association: u32, datagram_len: usize) -> Option<(u32, usize)> {
        let sealing = self.core.nic.sealing(association)?;
        Some((sealing.sa, datagram_len.saturating_sub(sealing.overhead)))
    }

    /// Notes a step that changes state, and what it did.
    pub(crate) fn note(&mut self, step: impl FnOnce() -> Step, outcome: impl FnOnce(&Self) -> Outcome) -> usize {
        if self.record.is_none() {
            return 0;
        }
        let (time_ns, outcome) = (self.core.now_ns, outcome(self));
        self.record
            .as_mut()
            .map_or(0, |record| record.add(time_ns, step(), outcome))
    }
}

/// The units that put frames into a unit's FIFOs, and how deep each is.
fn producers(unit: UnitId, config: &HwConfig) -> Vec<(usize, u32)> {
    let pipelines = config.core.pipelines as usize;
    let depth = config.fifos.depth_frames;
    let one = |producer: usize| vec![(producer, depth)];
    let own = |producer: usize| one(unit_of(unit.pipeline.into(), producer));
    let all = |producer: usize| (0..pipelines).map(move |pipeline| (unit_of(pipeline, producer), depth));
    match unit.kind {
        UnitKind::RingDma | UnitKind::VfFetch | UnitKind::MacRx | UnitKind::ControlCpu => Vec::new(),
        UnitKind::EgressParser => one(VF_FETCH),
        UnitKind::EgressLookup => own(EGRESS_PARSER),
        // A frame goes to the pipeline of its association from whichever looked it up.
        UnitKind::EgressSaFetch => all(EGRESS_LOOKUP).collect(),
        UnitKind::EgressCommit => own(EGRESS_SA_FETCH),
        UnitKind::EgressEngines => own(EGRESS_COMMIT),
        UnitKind::EgressEncap => own(EGRESS_ENGINES),
        UnitKind::MacTx => all(EGRESS_ENCAP).chain([(CONTROL_CPU, depth)]).collect(),
        UnitKind::IngressParser => one(MAC_RX),
        UnitKind::IngressSaFetch => own(INGRESS_PARSER),
        UnitKind::IngressEngines => own(INGRESS_SA_FETCH),
        UnitKind::IngressCommit => own(INGRESS_ENGINES),
        UnitKind::IngressLookup => own(INGRESS_COMMIT),
        UnitKind::IngressDeliver => own(INGRESS_LOOKUP),
        UnitKind::DmaWrite => all(EGRESS_COMMIT)
            .chain(all(INGRESS_COMMIT))
            .chain(all(INGRESS_DELIVER))
            .chain([(CONTROL_CPU, depth)])
            .collect(),
    }
}

/// What a unit does when a frame can't go on.
pub(crate) const FULL: UnitState = UnitState::OutputFull;
