//! The cycle model under load: a NIC of some hardware, a peer that takes no time, and what passes the NIC's edges.

use crate::backend::{Backend, settle};
use crate::{Setup, TestBed};
use sealnic_hw_model::cycle::{
    CycleModel, CycleStats, Direction, FifoId, FrameId, HwConfig, Probe, Topology, UnitId, UnitState,
};
use sealnic_hw_model::{Edge, Ended, FunctionalModel, HostPort, HwModel, ModelConfig, Packet};
use std::io;
use std::sync::{Arc, Mutex};

/// A cycle model with a second handle, for figures that no bus shows.
#[derive(Clone)]
pub struct Timed(Arc<Mutex<CycleModel>>);

impl Timed {
    /// A device of this hardware.
    #[must_use]
    pub fn new(config: &ModelConfig, hardware: &HwConfig) -> Self {
        Self(Arc::new(Mutex::new(
            CycleModel::new(config, hardware).expect("hardware and random octets are there"),
        )))
    }

    /// Does something with the model.
    pub fn with<R>(&self, work: impl FnOnce(&mut CycleModel) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }

    /// Figures so far.
    #[must_use]
    pub fn stats(&self) -> CycleStats {
        self.with(CycleModel::stats)
    }
}

impl HwModel for Timed {
    fn read32(&mut self, offset: u32) -> u32 {
        self.with(|model| model.read32(offset))
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.with(|model| model.write32(offset, value));
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.with(|model| model.submit(from, packet));
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.with(HwModel::collect)
    }

    fn ended(&mut self) -> Option<Ended> {
        self.with(HwModel::ended)
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.with(|model| model.next_event_ns())
    }

    fn advance(&mut self, now_ns: u64) {
        self.with(|model| model.advance(now_ns));
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.with(|model| model.connect(host));
    }

    fn reset(&mut self) {
        self.with(HwModel::reset);
    }
}

/// The backend whose models take no time.
#[must_use]
pub fn functional() -> Backend {
    Backend {
        name: "functional",
        make: |config| Box::new(FunctionalModel::new(config).expect("the operating system gives random octets")),
        slowest_ns: 0,
    }
}

/// A frame that passed the wire port: direction, time of its last bit in picoseconds, octets with FCS, the giver's tag.
pub type Mark = (Direction, u64, u32, u64);

/// A frame's stay in a unit: its tag, the unit, and the cycles in which the unit took it and gave it on.
pub type Stay = (u64, UnitId, u64, u64);

/// What an observer has seen.
#[derive(Clone, Default)]
pub struct Seen {
    /// Frames on the line, in order.
    pub marks: Arc<Mutex<Vec<Mark>>>,
    /// Each frame's stay in each unit.
    pub stages: Arc<Mutex<Vec<Stay>>>,
    /// Stages are kept, too.
    pub keeps_stages: bool,
}

impl Probe for Seen {
    fn topology(&mut self, _: &Topology) {}
    fn origin(&mut self, _: u64) {}
    fn fifo_push(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}
    fn fifo_pop(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}
    fn fifo_stall(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}
    fn state(&mut self, _: UnitId, _: u64, _: UnitState) {}

    fn stage(&mut self, frame: FrameId, unit: UnitId, start: u64, end: u64) {
        if self.keeps_stages {
            self.stages.lock().unwrap().push((frame.tag, unit, start, end));
        }
    }

    fn wire(&mut self, direction: Direction, frame: FrameId, end_ps: u64, len: u32) {
        self.marks.lock().unwrap().push((direction, end_ps, len, frame.tag));
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two hosts with pairs of VMs, a VNet and an association each; VM `2 n` stands at port `n` of the first host, VM `2 n + 1` at that of
/// the second. The first host has the NIC under test, the second seals what the wire brings.
pub struct LoadBed {
    /// The bed; its wire is cut: the load carries frames itself.
    pub bed: TestBed,
    /// The NIC under test.
    pub nic: Timed,
    /// Time of the first frame, at which the NIC's clock began.
    pub first_ns: u64,
}

/// A load, in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Size at the VM with FCS, in octets.
    pub frame_len: usize,
    /// Frames.
    pub frames: usize,
    /// Flows that they belong to, in turn.
    pub flows: u16,
    /// Time of a frame on the line in picoseconds: the wire brings one each. The VM sends whenever its ring has room.
    pub slot_ps: u64,
    /// Frames of the VM.
    pub egress: bool,
    /// Frames of the wire.
    pub ingress: bool,
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct LoadOutcome {
    /// When the load began, in picoseconds like the times on the line.
    pub start_ps: u64,
    /// Times at which frames' last bits left on the line, in picoseconds.
    pub sent_ps: Vec<u64>,
    /// Times at which frames' last bits came from the line, in picoseconds.
    pub received_ps: Vec<u64>,
    /// Times at which frames reached the VM, in nanoseconds.
    pub delivered_ns: Vec<u64>,
    /// Frames that ended inside.
    pub ended: usize,
}

impl LoadBed {
    /// A bed with a NIC of this hardware.
    #[must_use]
    pub fn new(hardware: &HwConfig, setup: Setup) -> Self {
        let config = ModelConfig {
            sizes: setup.sizes,
            seed: Some(setup.seed << 8),
        };
        let nic = Timed::new(&config, hardware);
        let handle = nic.clone();
        let mut bed = TestBed::wrapped(&functional(), setup, move |host, model| {
            if host == 0 { Box::new(handle.clone()) } else { model }
        });
        bed.is_connected = false;
        bed.records_wire = false;
        Self { bed, nic, first_ns: 0 }
    }

    /// Port of a flow's VM: flows take turns between the pairs of VMs.
    #[must_use]
    pub fn port(&self, flow: u16) -> u16 {
        flow % (self.bed.setup.vms.len() / 2) as u16
    }

    /// A frame between two VMs: from that of the first host, or from that of the second.
    #[must_use]
    pub fn frame(&self, from: usize, flow: u16, frame_len: usize) -> Vec<u8> {
        // Ethernet, IPv4, UDP and FCS are 46.
        let payload = vec![0x5a; frame_len - 46];
        let pair = 2 * usize::from(self.port(flow));
        let frame = self.bed.frame(pair + from, pair + 1 - from, false);
        frame.udp(flow, 5_000, &payload).build()
    }

    /// What the wire brings when the peer's VM sends a frame.
    pub fn sealed(&mut self, port: u16, frame: &[u8], time_ns: u64, tag: u64) -> Packet {
        self.bed.hosts[1].ledger.vf_in += 1;
        self.bed.hosts[1].ledger.wire_out += 1;
        let mac = self.bed.setup.mac(0);
        let peer = self.bed.model(1);
        peer.submit(Edge::Vf(port), Packet::new(frame, time_ns, tag));
        let (edge, mut packet) = peer.collect().expect("the peer seals");
        assert_eq!(edge, Edge::Wire);
        packet.frame_mut()[..6].copy_from_slice(&mac);
        packet.time_ns = time_ns;
        packet
    }

    /// Hands a frame of the VM to the NIC.
    pub fn from_vm(&mut self, port: u16, frame: &[u8], time_ns: u64, tag: u64) {
        self.bed.hosts[0].ledger.vf_in += 1;
        self.bed
            .model(0)
            .submit(Edge::Vf(port), Packet::new(frame, time_ns, tag));
    }

    /// Hands a datagram to the NIC.
    pub fn from_wire(&mut self, packet: Packet) {
        self.bed.hosts[0].ledger.wire_in += 1;
        self.bed.model(0).submit(Edge::Wire, packet);
    }

    /// Takes what left the NIC.
    pub fn collect(&mut self) -> Vec<(Edge, Packet)> {
        let mut packets = Vec::new();
        while let Some((edge, packet)) = self.bed.model(0).collect() {
            let ledger = &mut self.bed.hosts[0].ledger;
            *match edge {
                Edge::Vf(_) => &mut ledger.vf_out,
                Edge::Wire => &mut ledger.wire_out,
                Edge::Host => &mut ledger.host_out,
            } += 1;
            packets.push((edge, packet));
        }
        packets
    }

    /// Has every flow decided, and waits until nothing moves.
    pub fn make_known(&mut self, flows: u16) {
        self.first_ns = self.bed.now_ns + 5_000;
        for flow in 0..flows {
            self.bed.now_ns += 5_000;
            let now_ns = self.bed.now_ns;
            let frame = self.frame(0, flow, 64);
            let port = self.port(flow);
            self.from_vm(port, &frame, now_ns, 0);
            let frame = self.frame(1, flow, 64);
            let packet = self.sealed(port, &frame, now_ns, 0);
            self.from_wire(packet);
        }
        self.rest();
        let known = self.collect().len();
        assert_eq!(known, 2 * usize::from(flows), "every flow is known");
        while self.nic.ended().is_some() {}
    }

    /// Waits until nothing moves.
    pub fn rest(&mut self) {
        settle(self.bed.model(0));
        self.bed.now_ns += 1_000_000;
        let now_ns = self.bed.now_ns;
        self.bed.model(0).advance(now_ns);
    }

    /// Puts a load on the NIC until it has taken all of it and nothing moves.
    pub fn load(&mut self, load: &Load) -> LoadOutcome {
        self.rest();
        let seen = Seen::default();
        self.nic.with(|nic| nic.set_probe(Box::new(seen.clone())));
        let start_ns = self.bed.now_ns;
        let mut frames = [0, 1].map(|from| {
            (0..load.flows)
                .map(|flow| self.frame(from, flow, load.frame_len))
                .collect::<Vec<_>>()
        });
        let mut given = [0; 2];
        if !load.egress {
            given[0] = load.frames;
        }
        if !load.ingress {
            given[1] = load.frames;
        }
        let mut outcome = LoadOutcome {
            start_ps: (start_ns - self.first_ns) * 1_000,
            ..LoadOutcome::default()
        };
        let mut now_ns = start_ns;
        while given != [load.frames; 2] {
            now_ns += 100;
            while given[0] < load.frames {
                let flow = given[0] % usize::from(load.flows);
                let port = self.port(flow as u16);
                if !self.nic.with(|nic| nic.has_room(port)) {
                    break;
                }
                let frame = std::mem::take(&mut frames[0][flow]);
                self.from_vm(port, &frame, now_ns, given[0] as u64);
                frames[0][flow] = frame;
                given[0] += 1;
            }
            let until_ns = now_ns + 100;
            while given[1] < load.frames {
                let at_ns = start_ns + 200 + (given[1] as u64 + 1) * load.slot_ps / 1_000;
                if at_ns > until_ns {
                    break;
                }
                let flow = given[1] % usize::from(load.flows);
                let port = self.port(flow as u16);
                let frame = std::mem::take(&mut frames[1][flow]);
                let packet = self.sealed(port, &frame, at_ns, given[1] as u64);
                frames[1][flow] = frame;
                now_ns = now_ns.max(at_ns);
                self.from_wire(packet);
                given[1] += 1;
            }
            self.bed.model(0).advance(now_ns);
            self.note(&mut outcome);
        }
        self.bed.now_ns = now_ns;
        self.rest();
        self.note(&mut outcome);
        while self.nic.ended().is_some() {
            outcome.ended += 1;
        }
        self.nic.with(CycleModel::take_probe);
        let marks = seen.marks.lock().unwrap();
        let times = |direction| {
            let marks = marks.iter().filter(|mark| mark.0 == direction);
            marks.map(|mark| mark.1).collect()
        };
        outcome.sent_ps = times(Direction::Transmit);
        outcome.received_ps = times(Direction::Receive);
        outcome
    }

    fn note(&mut self, outcome: &mut LoadOutcome) {
        for (edge, packet) in self.collect() {
            if matches!(edge, Edge::Vf(_)) {
                outcome.delivered_ns.push(packet.time_ns);
            }
        }
    }
}
