//! The test bed: devices under their drivers, VMs at their ports, a wire between, keys, and accounts of every frame.

use crate::backend::Backend;
use crate::frames::FrameSpec;
use crate::setup::{Pair, ROUTER_MAC, Setup};
use sealnic_abi::object::{Direction, DtlsVersion};
use sealnic_abi::{Counter, DropReason};
use sealnic_driver::clock::ManualClock;
use sealnic_driver::device::SaParams;
use sealnic_driver::keys::{KeyName, Sender};
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::{CounterSnapshot, Device, KeyDerivation, MailboxConfig, RunId, SaKeys, reconcile};
use sealnic_hw_model::middleware::{ImpairedWire, WireCounters};
use sealnic_hw_model::{Edge, HwModel, ModelConfig, Offload, Packet};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The driver's view of a device in these tests.
pub type TestDevice = Device<ModelTransport>;

/// A frame that reached a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Host.
    pub host: usize,
    /// Port number.
    pub port: u16,
    /// Frame.
    pub frame: Vec<u8>,
    /// Made by a device: an answer, a segment, a fragment.
    pub is_generated: bool,
    /// The sender's tag.
    pub tag: u64,
}

/// A datagram that a device put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Host.
    pub host: usize,
    /// Datagram, from its Ethernet header on.
    pub frame: Vec<u8>,
}

/// What came of something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that reached VMs.
    pub delivered: Vec<Delivery>,
    /// Datagrams on the wire.
    pub wire: Vec<Sent>,
    /// Frames for a host, with its index.
    pub host: Vec<(usize, Vec<u8>)>,
    /// Frames dropped: host, reason, number.
    pub drops: Vec<(usize, DropReason, u64)>,
}

impl Outcome {
    /// The one frame delivered, when nothing was dropped.
    #[track_caller]
    #[must_use]
    pub fn only_delivery(&self) -> &Delivery {
        assert!(self.drops.is_empty(), "dropped: {:?}", self.drops);
        let [delivery] = &self.delivered[..] else {
            panic!("{} frames delivered instead of one: {self:?}", self.delivered.len());
        };
        delivery
    }

    /// The one datagram on the wire.
    #[track_caller]
    #[must_use]
    pub fn only_datagram(&self) -> &[u8] {
        let [sent] = &self.wire[..] else {
            panic!("{} datagrams on the wire instead of one: {self:?}", self.wire.len());
        };
        &sent.frame
    }

    /// Checks that one frame was dropped, by a host, for a reason, and that nothing came out anywhere.
    #[track_caller]
    pub fn assert_dropped(&self, host: usize, reason: DropReason) {
        assert_eq!(self.drops, [(host, reason, 1)], "{self:?}");
        assert!(self.delivered.is_empty() && self.host.is_empty(), "{self:?}");
    }
}

/// Frames that went in and out at a device's edges, counted by the harness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// From VMs.
    pub vf_in: u64,
    /// From the wire.
    pub wire_in: u64,
    /// From the host, by the exception path.
    pub host_in: u64,
    /// To VMs.
    pub vf_out: u64,
    /// To the wire.
    pub wire_out: u64,
    /// To the host.
    pub host_out: u64,
}

/// One host.
pub struct Host {
    /// Its device, under the driver.
    pub device: TestDevice,
    /// The harness's own count.
    pub ledger: Ledger,
    last_drops: Vec<u64>,
}

/// The bed.
pub struct TestBed {
    /// What it was made from. Changing it changes what helpers answer, not what is programmed.
    pub setup: Setup,
    /// Hosts.
    pub hosts: Vec<Host>,
    /// Associations.
    pub pairs: Vec<Pair>,
    /// Present time, in nanoseconds; each frame sent is a microsecond later than the one before.
    pub now_ns: u64,
    /// Datagrams are kept in [`Outcome::wire`].
    pub records_wire: bool,
    /// Datagrams go where they are addressed to; else they are only recorded.
    pub is_connected: bool,
    outcome: Outcome,
    wire: ImpairedWire,
    /// Datagrams for addresses where no host is.
    off_bed: u64,
    keys: KeyDerivation,
    next_tag: u64,
}

impl TestBed {
    /// Makes the devices, programs them, installs keys, and lets traffic flow.
    #[must_use]
    pub fn new(backend: &Backend, setup: Setup) -> Self {
        Self::wrapped(backend, setup, |_, model| model)
    }

    /// As [`new`](Self::new), with something around each host's model.
    #[must_use]
    pub fn wrapped(
        backend: &Backend,
        setup: Setup,
        mut wrap: impl FnMut(usize, Box<dyn HwModel>) -> Box<dyn HwModel>,
    ) -> Self {
        let hosts = (0..setup.hosts)
            .map(|host| {
                let model = (backend.make)(&ModelConfig {
                    sizes: setup.sizes,
                    seed: Some(setup.seed << 8 | host as u64),
                });
                let model = wrap(host, model);
                let device = Device::attach_with(
                    ModelTransport::new(model),
                    Box::new(ManualClock::default()),
                    MailboxConfig::default(),
                )
                .expect("the model is a SealNIC");
                Host {
                    device,
                    ledger: Ledger::default(),
                    last_drops: vec![0; DropReason::ALL.len()],
                }
            })
            .collect();
        let mut run = [0; 16];
        run[..8].copy_from_slice(&setup.seed.to_le_bytes());
        let mut bed = Self {
            pairs: setup.pairs(),
            hosts,
            now_ns: 1_000,
            records_wire: true,
            is_connected: true,
            outcome: Outcome::default(),
            wire: ImpairedWire::new(setup.impairments),
            off_bed: 0,
            keys: KeyDerivation::new(b"secret of the test bed", &RunId::from_octets(run)),
            next_tag: 1,
            setup,
        };
        for host in 0..bed.hosts.len() {
            bed.program(host);
        }
        if bed.setup.keys {
            for pair in bed.pairs.clone() {
                bed.install(&pair, 0, bed.first_epoch());
                bed.activate(&pair, 0);
            }
        }
        for host in &mut bed.hosts {
            host.device.set_enabled(true).unwrap();
        }
        bed
    }

    /// Makes a host's device what the setup says.
    pub fn program(&mut self, host: usize) {
        let desired = self.setup.desired(host);
        reconcile(&mut self.hosts[host].device, &desired).unwrap();
    }

    /// Lowest epoch of protected records.
    #[must_use]
    pub fn first_epoch(&self) -> u64 {
        if self.setup.version == DtlsVersion::Dtls12 {
            1
        } else {
            3
        }
    }

    /// A host's device.
    pub fn device(&mut self, host: usize) -> &mut TestDevice {
        &mut self.hosts[host].device
    }

    /// A host's model, for frames.
    pub fn model(&mut self, host: usize) -> &mut dyn HwModel {
        self.hosts[host].device.transport_mut().model_mut()
    }

    // Keys.

    /// Keys of one end of an association in an epoch. Slots let several SAs of an epoch have keys of their own.
    #[must_use]
    pub fn sa_keys(&self, pair: &Pair, sender: usize, epoch: u64) -> SaKeys {
        self.keys.sa_keys(&KeyName {
            association: &pair.id.to_le_bytes(),
            sender: if sender == 0 { Sender::First } else { Sender::Second },
            epoch,
            version: self.setup.version,
            suite: self.setup.suite,
        })
    }

    /// SA number at either end: an association has two slots of a write and a read SA each.
    #[must_use]
    pub fn sa_id(pair: &Pair, slot: u32, direction: Direction) -> u32 {
        pair.id * 4 + slot * 2 + u32::from(direction == Direction::Read)
    }

    /// Parameters of an SA.
    #[must_use]
    pub fn sa_params(pair: &Pair, slot: u32, direction: Direction, epoch: u64) -> SaParams {
        SaParams::new(Self::sa_id(pair, slot, direction), pair.id, direction, epoch)
    }

    /// Installs an epoch's SAs in both directions at both ends, the reading ones first.
    pub fn install(&mut self, pair: &Pair, slot: u32, epoch: u64) {
        for direction in [Direction::Read, Direction::Write] {
            for end in 0..2 {
                let sender = if direction == Direction::Write { end } else { 1 - end };
                let keys = self.sa_keys(pair, sender, epoch);
                let params = Self::sa_params(pair, slot, direction, epoch);
                self.device(pair.hosts[end]).install_sa(&params, keys).unwrap();
            }
        }
    }

    /// Lets both ends seal under a slot's SAs.
    pub fn activate(&mut self, pair: &Pair, slot: u32) {
        for host in pair.hosts {
            let sa = Self::sa_id(pair, slot, Direction::Write);
            self.device(host).activate_sa(sa).unwrap();
        }
    }

    // Frames.

    /// A frame between two VMs, with their MACs and addresses.
    #[must_use]
    pub fn frame(&self, from: usize, to: usize, v6: bool) -> FrameSpec {
        let (from, to) = (&self.setup.vms[from], &self.setup.vms[to]);
        FrameSpec::new(from.mac, to.mac, from.address(v6), to.address(v6))
    }

    /// Sends a frame from a VM and waits until nothing moves any more.
    pub fn send(&mut self, vm: usize, frame: &[u8]) -> Outcome {
        self.send_offload(vm, frame, Offload::default())
    }

    /// As [`send`](Self::send), with a request for checksum or segmentation.
    pub fn send_offload(&mut self, vm: usize, frame: &[u8], offload: Offload) -> Outcome {
        let vm = &self.setup.vms[vm];
        self.send_at(vm.host, vm.port, frame, offload)
    }

    /// As [`send_offload`](Self::send_offload), at any port.
    pub fn send_at(&mut self, host: usize, port: u16, frame: &[u8], offload: Offload) -> Outcome {
        self.push(host, Edge::Vf(port), frame, offload);
        self.settle();
        self.take()
    }

    /// Puts a datagram on the wire in front of a host's device.
    pub fn inject(&mut self, host: usize, frame: &[u8]) -> Outcome {
        self.push(host, Edge::Wire, frame, Offload::default());
        self.settle();
        self.take()
    }

    /// As [`inject`](Self::inject), with the MACs that the underlay's router would have written.
    pub fn inject_routed(&mut self, host: usize, frame: &[u8]) -> Outcome {
        let mut frame = frame.to_vec();
        frame[..6].copy_from_slice(&self.setup.mac(host));
        frame[6..12].copy_from_slice(&ROUTER_MAC);
        self.inject(host, &frame)
    }

    /// Gives a frame to a host's exception path.
    pub fn from_host(&mut self, host: usize, frame: &[u8]) -> Outcome {
        self.push(host, Edge::Host, frame, Offload::default());
        self.settle();
        self.take()
    }

    /// Hands a frame to a device, and leaves what comes of it for later.
    pub fn push(&mut self, host: usize, edge: Edge, frame: &[u8], offload: Offload) {
        self.now_ns += 1_000;
        self.next_tag += 1;
        let mut packet = Packet::new(frame, self.now_ns, self.next_tag);
        packet.offload = offload;
        self.submit(host, edge, packet);
    }

    fn submit(&mut self, host: usize, edge: Edge, packet: Packet) {
        let ledger = &mut self.hosts[host].ledger;
        *match edge {
            Edge::Vf(_) => &mut ledger.vf_in,
            Edge::Wire => &mut ledger.wire_in,
            Edge::Host => &mut ledger.host_in,
        } += 1;
        self.model(host).submit(edge, packet);
    }

    /// Lets time pass.
    pub fn advance(&mut self, by_ns: u64) -> Outcome {
        self.now_ns += by_ns;
        for host in 0..self.hosts.len() {
            let now_ns = self.now_ns;
            self.model(host).advance(now_ns);
        }
        self.settle();
        self.take()
    }

    /// Carries frames until nothing moves any more.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for host in 0..self.hosts.len() {
                // A model that takes time is waited for.
                while let Some(at_ns) = self.model(host).next_event_ns() {
                    self.now_ns = self.now_ns.max(at_ns);
                    self.model(host).advance(at_ns);
                }
                while let Some((edge, packet)) = self.model(host).collect() {
                    moved = true;
                    self.collected(host, edge, packet);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn collected(&mut self, host: usize, edge: Edge, packet: Packet) {
        let ledger = &mut self.hosts[host].ledger;
        match edge {
            Edge::Vf(port) => {
                ledger.vf_out += 1;
                self.outcome.delivered.push(Delivery {
                    host,
                    port,
                    frame: packet.frame().to_vec(),
                    is_generated: packet.is_generated,
                    tag: packet.tag,
                });
            }
            Edge::Host => {
                ledger.host_out += 1;
                self.outcome.host.push((host, packet.frame().to_vec()));
            }
            Edge::Wire => {
                ledger.wire_out += 1;
                if self.records_wire {
                    self.outcome.wire.push(Sent {
                        host,
                        frame: packet.frame().to_vec(),
                    });
                }
                if self.is_connected {
                    let mut out = VecDeque::new();
                    self.wire.carry(packet, &mut out);
                    self.route(out);
                }
            }
        }
    }

    /// Lets out what the wire holds back.
    pub fn flush_wire(&mut self) -> Outcome {
        let mut out = VecDeque::new();
        self.wire.flush(&mut out);
        self.route(out);
        self.settle();
        self.take()
    }

    /// What the wire did.
    #[must_use]
    pub fn wire_counters(&self) -> WireCounters {
        self.wire.counters()
    }

    /// Datagrams that left for addresses where no host of the bed is.
    #[must_use]
    pub fn off_bed(&self) -> u64 {
        self.off_bed
    }

    /// The underlay's router: by outer destination address, with new MACs.
    fn route(&mut self, packets: VecDeque<Packet>) {
        for mut packet in packets {
            let to = destination(packet.frame())
                .and_then(|address| (0..self.hosts.len()).find(|host| self.setup.pa(*host) == address));
            let Some(to) = to else {
                self.off_bed += 1;
                continue;
            };
            let mac = self.setup.mac(to);
            let frame = packet.frame_mut();
            // A frame that a wire has damaged there is not mended.
            if frame[..6] == ROUTER_MAC {
                frame[..6].copy_from_slice(&mac);
                frame[6..12].copy_from_slice(&ROUTER_MAC);
            }
            packet.time_ns = self.now_ns;
            self.submit(to, Edge::Wire, packet);
        }
    }

    /// Takes what happened since it was last taken.
    pub fn take(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let counters = host.device.counters().unwrap();
            for ((reason, count), last) in counters.drops().zip(&mut host.last_drops) {
                if count != *last {
                    outcome.drops.push((index, reason, count - *last));
                    *last = count;
                }
            }
        }
        outcome
    }

    /// Takes the frames without asking the devices for counters: for long runs.
    pub fn take_frames(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome)
    }

    // Accounts.

    /// A host's counters.
    pub fn counters(&mut self, host: usize) -> CounterSnapshot {
        self.hosts[host].device.counters().unwrap()
    }

    /// Checks that every device's account balances, and that it agrees with the harness's.
    pub fn check(&mut self) {
        for host in 0..self.hosts.len() {
            let counters = self.counters(host);
            counters.check_balance().unwrap();
            let ledger = self.hosts[host].ledger;
            let get = |counter| counters.get(counter);
            assert_eq!(get(Counter::VfIn), ledger.vf_in, "from VMs, host {host}");
            assert_eq!(get(Counter::WireIn), ledger.wire_in, "from the wire, host {host}");
            // Control records enter by the mailbox, and are counted by the device alone.
            assert!(get(Counter::HostIn) >= ledger.host_in, "from host {host}");
            assert_eq!(get(Counter::VfOut), ledger.vf_out, "to VMs, host {host}");
            let wire_out = get(Counter::WireSealed) + get(Counter::WireClear);
            assert_eq!(wire_out, ledger.wire_out, "to the wire, host {host}");
            assert_eq!(get(Counter::HostOut), ledger.host_out, "to host {host}");
            assert_eq!(get(Counter::Held), 0, "held by host {host}");
        }
        let wire = self.wire.counters();
        assert_eq!(
            wire.sent + wire.duplicated,
            wire.lost + wire.delivered + self.wire.held() as u64,
            "the wire's account"
        );
    }
}

impl Drop for TestBed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

/// Outer destination address of a datagram.
fn destination(frame: &[u8]) -> Option<IpAddr> {
    match (frame.get(12..14)?, frame.get(14..)?) {
        ([0x08, 0x00], ip) => {
            let octets: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        }
        ([0x86, 0xdd], ip) => {
            let octets: [u8; 16] = ip.get(24..40)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}
