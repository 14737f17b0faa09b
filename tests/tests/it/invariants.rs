//! What must hold while everything changes: random programs of commands and traffic against devices, with an observer on
//! the wire.

use crate::random_program::{LOOSE, STRICT, Step, exclusion, steps};
use proptest::test_runner::{Config, TestRunner};
use sealnic_abi::object::{Direction, DtlsVersion, Exclusion, Mapping, Port, Vnet};
use sealnic_abi::registers::Register;
use sealnic_abi::{Capability, DropReason, Enforcement, MappingKind};
use sealnic_driver::device::FlushScope;
use sealnic_driver::reconcile;
use sealnic_hw_model::{Edge, Ended, HostPort, HwModel, Offload, Packet, Segmentation};
use sealnic_tests::bed::{Delivery, Sent};
use sealnic_tests::setup::Pair;
use sealnic_tests::{Backend, Setup, TestBed, for_each_backend, outer};
use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Runs of the random program.
const CASES: u32 = 256;
fn setup() -> Setup {
    Setup::new(2)
        .vnet(STRICT, true, true)
        .vnet(LOOSE, true, false)
        .vm(0, STRICT)
        .vm(1, STRICT)
        .vm(0, LOOSE)
        .vm(1, LOOSE)
        .vm(0, STRICT)
        .with(|s| {
            s.version = DtlsVersion::Dtls12;
            s.peerings = vec![(STRICT, LOOSE)];
            s.gateways = vec![
                (STRICT, "192.0.2.254".parse().unwrap()),
                (LOOSE, "192.0.2.254".parse().unwrap()),
            ];
            (s.sizes.frame_len, s.sizes.key_history) = (4_096, 512);
        })
}

/// VMs that send a frame each time their host commands the device: in the middle of every reconciliation too.
struct Chatter {
    model: Box<dyn HwModel>,
    talk: Arc<Mutex<Talk>>,
}

#[derive(Default)]
struct Talk {
    frames: Vec<(u16, Vec<u8>)>,
    is_on: bool,
    said: u64,
    now_ns: u64,
}

impl HwModel for Chatter {
    fn read32(&mut self, offset: u32) -> u32 {
        self.model.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.model.write32(offset, value);
        let mut talk = self.talk.lock().unwrap();
        if talk.is_on && offset == Register::MailboxDoorbell.offset() {
            let (port, frame) = &talk.frames[talk.said as usize % talk.frames.len()];
            self.model
                .submit(Edge::Vf(*port), Packet::new(frame, talk.now_ns, u64::MAX));
            talk.said += 1;
        }
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.model.submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.model.collect()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model.next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.model.advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }

    fn reset(&mut self) {
        self.model.reset();
    }
}

struct World {
    bed: TestBed,
    talks: Vec<Arc<Mutex<Talk>>>,
    pairs: Vec<Pair>,
    epochs: Vec<u64>,
    revision: u32,
    /// Sender, connection id, epoch, explicit nonce of every record seen.
    nonces: HashSet<(usize, Vec<u8>, Vec<u8>)>,
    /// Frames sent of late: each change of state meets their flows again.
    recent: VecDeque<(usize, Vec<u8>)>,
    sealed: u64,
    clear: u64,
}

impl World {
    fn new(backend: &Backend) -> Self {
        let mut talks = Vec::new();
        let bed = TestBed::wrapped(backend, setup(), |_, model| {
            let talk = Arc::new(Mutex::new(Talk::default()));
            talks.push(talk.clone());
            Box::new(Chatter { model, talk })
        });
        for (host, talk) in talks.iter().enumerate() {
            let mut talk = talk.lock().unwrap();
            for (from, to) in [(0, 1), (0, 3), (2, 1), (4, 1), (1, 0), (1, 2), (3, 0), (1, 4)] {
                let vm = &bed.setup.vms[from];
                if vm.host == host {
                    talk.frames.push((
                        vm.port,
                        bed.frame(from, to, from % 2 == 0).udp(9, 3, b"chatter of a vm").build(),
                    ));
                }
            }
        }
        let pairs = bed.pairs.clone();
        Self {
            epochs: vec![1; pairs.len()],
            pairs,
            talks,
            bed,
            revision: 1,
            nonces: HashSet::new(),
            recent: VecDeque::new(),
            sealed: 0,
            clear: 0,
        }
    }

    /// Frames that VMs send as `sent` may show on the wire only as policy lets them.
    fn observe(&mut self, wire: &[Sent], excluded: &[Vec<Exclusion>; 2], loose_drops: [bool; 2]) {
        for sent in wire {
            let datagram = outer::read(&sent.frame);
            let Some((_, frame)) = datagram.vxlan() else {
                self.sealed += 1;
                let record = &datagram.payload;
                let (cid, epoch, nonce) = (&record[11..19], &record[3..5], &record[21..29]);
                let key = [cid, epoch].concat();
                assert!(
                    self.nonces.insert((sent.host, key, nonce.to_vec())),
                    "a nonce twice under one key"
                );
                continue;
            };
            self.clear += 1;
            let packet = etherparse::PacketHeaders::from_ethernet_slice(frame).unwrap();
            let (src, dst, protocol): (IpAddr, IpAddr, u8) = match packet.net.unwrap() {
                etherparse::NetHeaders::Ipv4(ip, _) => (ip.source.into(), ip.destination.into(), ip.protocol.0),
                etherparse::NetHeaders::Ipv6(ip, _) => (ip.source.into(), ip.destination.into(), ip.next_header.0),
                etherparse::NetHeaders::Arp(_) => panic!("ARP on the wire"),
            };
            let port = match &packet.transport {
                Some(etherparse::TransportHeader::Udp(udp)) => udp.destination_port,
                Some(etherparse::TransportHeader::Tcp(tcp)) => tcp.destination_port,
                _ => 0,
            };
            let vnet_of = |address: IpAddr| match address {
                IpAddr::V4(a) if a.octets()[0] == 10 => Some(u32::from(a.octets()[1])),
                IpAddr::V6(a) if a.segments()[0] == 0xfd00 => Some(u32::from(a.segments()[1])),
                _ => None,
            };
            let (Some(from), Some(to)) = (vnet_of(src), vnet_of(dst)) else {
                continue;
            };
            let demanded = from == STRICT || to == STRICT || loose_drops[sent.host];
            let covered = excluded[sent.host].iter().any(|exclusion| {
                let prefix = exclusion.prefix.to_ip().unwrap();
                let bits = |address: IpAddr| match address {
                    IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 4),
                    IpAddr::V6(a) => (a.to_bits(), 6),
                };
                let ((a, family), (b, other)) = (bits(prefix), bits(dst));
                exclusion.vni == from
                    && family == other
                    && (a ^ b).leading_zeros() >= u32::from(exclusion.prefix_len)
                    && [0, protocol].contains(&exclusion.protocol)
                    && [0, port].contains(&exclusion.dst_port)
            });
            assert!(
                !demanded || covered,
                "in the clear from host {}: {src} to {dst}, {protocol} port {port}",
                sent.host
            );
        }
    }

    /// What is programmed now, as the devices say.
    fn programmed(&mut self) -> ([Vec<Exclusion>; 2], [bool; 2]) {
        let excluded = [0, 1].map(|host| self.bed.device(host).exclusions().map(Result::unwrap).collect());
        let drops = [0, 1].map(|host| {
            let vnets: Vec<Vnet> = self.bed.device(host).vnets().map(Result::unwrap).collect();
            vnets
                .iter()
                .any(|v| v.vni == LOOSE && v.enforcement == u8::from(Enforcement::DropUnencrypted))
        });
        (excluded, drops)
    }

    fn send(&mut self, from: usize, frame: &[u8], offload: Offload) -> Vec<Delivery> {
        let (excluded, drops) = self.programmed();
        let vm = &self.bed.setup.vms[from];
        let (host, port) = (vm.host, vm.port);
        self.bed.push(host, Edge::Vf(port), frame, offload);
        self.bed.settle();
        let outcome = self.bed.take_frames();
        for sent in &outcome.wire {
            if outer::read(&sent.frame).vxlan().is_none() {
                assert!(!outer::shows(&sent.frame, &frame[14..]));
            }
        }
        self.observe(&outcome.wire, &excluded, drops);
        outcome.delivered
    }

    /// Sends one frame of a kind; whoever gets it gets it whole.
    fn exchange(&mut self, from: usize, to: usize, v6: bool, flow: u8, kind: u8) {
        if from == to {
            return;
        }
        let (src, dst) = (1_000 + u16::from(flow), 2 + u16::from(flow % 4));
        let payload = [from as u8 ^ 0x5a, kind, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9].repeat(9);
        let spec = self.bed.frame(from, to, v6);
        let target = self.bed.setup.vms[to].clone();
        let check = |deliveries: &[Delivery], frame: &[u8]| {
            for delivery in deliveries.iter().filter(|delivery| !delivery.is_generated) {
                assert!(delivery.frame == frame, "not what was sent");
                assert_eq!((delivery.host, delivery.port), (target.host, target.port));
            }
        };
        match kind {
            0 | 1 => {
                let frame = if kind == 0 {
                    spec.udp(src, dst, &payload)
                } else {
                    spec.tcp(src, dst, 0x18, &payload)
                }
                .build();
                let deliveries = self.send(from, &frame, Offload::default());
                check(&deliveries, &frame);
                self.recent.push_back((from, frame));
                if self.recent.len() > 6 {
                    self.recent.pop_front();
                }
            }
            2 => {
                for fragment in spec.udp(src, dst, &payload).fragments(64) {
                    let deliveries = self.send(from, &fragment, Offload::default());
                    check(&deliveries, &fragment);
                }
            }
            3 => {
                let offload = Offload {
                    segmentation: Segmentation::Udp,
                    segment_len: 40,
                    ..Offload::default()
                };
                let frame = spec.udp(src, dst, &payload).build();
                self.send(from, &frame, offload);
            }
            4 => {
                let frame = spec.tcp(src, dst, 0x11, b"the end of a flow").build();
                let deliveries = self.send(from, &frame, Offload::default());
                check(&deliveries, &frame);
            }
            _ => {
                let frame = spec
                    .udp(src, dst, &payload)
                    .with(|s| s.vlans = vec![(0x8100, 7)])
                    .build();
                let deliveries = self.send(from, &frame, Offload::default());
                check(&deliveries, &frame);
            }
        }
    }

    /// Commands, with VMs talking between any two of them; what they may say in the clear is what either state allows.
    fn command(&mut self, host: usize, command: impl FnOnce(&mut TestBed)) {
        let (before, drops_before) = self.programmed();
        {
            let mut talk = self.talks[host].lock().unwrap();
            (talk.is_on, talk.now_ns) = (true, self.bed.now_ns);
        }
        let said = self.talks[host].lock().unwrap().said;
        command(&mut self.bed);
        let mut talk = self.talks[host].lock().unwrap();
        talk.is_on = false;
        self.bed.hosts[host].ledger.vf_in += talk.said - said;
        drop(talk);
        let (after, drops_after) = self.programmed();
        self.bed.settle();
        let outcome = self.bed.take_frames();
        let excluded = [0, 1].map(|host| [&before[host][..], &after[host]].concat());
        self.observe(
            &outcome.wire,
            &excluded,
            [0, 1].map(|host| drops_before[host] && drops_after[host]),
        );
    }

    fn step(&mut self, step: Step) {
        let revision = self.revision + 1;
        let pair_at = |world: &Self, pair: usize| world.pairs[pair % world.pairs.len()];
        // Whether a command finds what it names doesn't matter here.
        match step {
            Step::Send {
                from,
                to,
                v6,
                flow,
                kind,
            } => self.exchange(from, to, v6, flow, kind),
            Step::Outside { from, v6, flow } => {
                let dst = if v6 { "2001:db8:77::1" } else { "203.0.113.9" }.parse().unwrap();
                let frame = self
                    .bed
                    .frame(from, from, v6)
                    .with(|s| s.dst = dst)
                    .udp(flow.into(), 9, b"to the outside")
                    .build();
                self.send(from, &frame, Offload::default());
            }
            Step::Flood { from } => {
                let to = (from + 1) % 5;
                for flow in 0..1_300 {
                    let frame = self.bed.frame(from, to, false).udp(flow, 999, b"").build();
                    let vm = &self.bed.setup.vms[from];
                    let (host, port) = (vm.host, vm.port);
                    self.bed.push(host, Edge::Vf(port), &frame, Offload::default());
                }
                let (excluded, drops) = self.programmed();
                self.bed.settle();
                let outcome = self.bed.take_frames();
                self.observe(&outcome.wire, &excluded, drops);
            }
            Step::RemoveSa { host, pair, read } => {
                let pair = pair_at(self, pair);
                let direction = if read { Direction::Read } else { Direction::Write };
                self.command(host, |bed| {
                    for slot in 0..2 {
                        let _ = bed.device(host).remove_sa(TestBed::sa_id(&pair, slot, direction));
                    }
                });
            }
            Step::RemoveAssociation { host, pair } => {
                let pair = pair_at(self, pair);
                self.command(host, |bed| drop(bed.device(host).remove_association(pair.id)));
            }
            Step::Rekey { pair } => self.rekey(pair % self.pairs.len()),
            Step::State { host, pair, state } => {
                let pair = pair_at(self, pair);
                self.command(host, |bed| drop(bed.device(host).set_association_state(pair.id, state)));
            }
            Step::Vnet {
                host,
                vni,
                encryption,
                drop: drops,
            } => {
                let enforcement = if drops || vni == STRICT {
                    Enforcement::DropUnencrypted
                } else {
                    Enforcement::AllowUnencrypted
                };
                let vnet = Vnet {
                    vni,
                    encryption: encryption.into(),
                    enforcement: enforcement.into(),
                    ..Vnet::ZERO
                };
                self.command(host, |bed| drop(bed.device(host).set_vnet(&vnet)));
            }
            Step::Exclude { host, which } => {
                self.command(host, |bed| drop(bed.device(host).set_exclusion(&exclusion(which))));
            }
            Step::Include { host, which } => {
                self.command(host, |bed| drop(bed.device(host).remove_exclusion(which as u32)));
            }
            Step::Map {
                host,
                vm,
                pa,
                capability,
            } => {
                self.revision = revision;
                let mappings = self.mappings(vm, pa, capability);
                self.command(host, |bed| drop(bed.device(host).set_mappings(&mappings)));
            }
            Step::Unmap { host, vm } => {
                let mappings = self.mappings(vm, 0, Capability::Supported);
                self.command(host, |bed| {
                    for mapping in &mappings {
                        let _ = bed.device(host).remove_mapping(mapping);
                    }
                });
            }
            Step::Port { vm, capability, up } => {
                let vm = self.bed.setup.vms[vm].clone();
                let port = Port {
                    capability: capability.into(),
                    up: up.into(),
                    ..vm.object()
                };
                self.command(vm.host, |bed| drop(bed.device(vm.host).set_port(&port)));
            }
            Step::RemovePort { vm } => {
                let vm = self.bed.setup.vms[vm].clone();
                self.command(vm.host, |bed| drop(bed.device(vm.host).remove_port(vm.port)));
            }
            Step::Reset { host, soft } => self.command(host, |bed| {
                if soft {
                    bed.device(host).soft_reset()
                } else {
                    bed.device(host).reset()
                }
                .unwrap();
            }),
            Step::Program {
                host,
                exclusions,
                state,
                loose_drops,
            } => {
                self.revision = revision;
                let mut setup = self.bed.setup.clone();
                (setup.state, setup.vnets[1].drop) = (state, loose_drops);
                if exclusions {
                    setup.exclusions = (0..4).map(exclusion).collect();
                }
                let mut desired = setup.desired(host);
                desired.revision = revision;
                self.command(host, |bed| {
                    reconcile(bed.device(host), &desired).unwrap();
                    bed.device(host).set_enabled(true).unwrap();
                });
            }
            Step::Enable { host, on } => self.command(host, |bed| bed.device(host).set_enabled(on).unwrap()),
            Step::Control { host, pair } => {
                let pair = pair_at(self, pair);
                self.command(host, |bed| {
                    drop(bed.device(host).seal_control_record(pair.id, 21, b"alert"));
                });
            }
            Step::Advance { ms } => {
                let (excluded, drops) = self.programmed();
                let outcome = self.bed.advance(ms * 1_000_000);
                self.observe(&outcome.wire, &excluded, drops);
            }
            Step::Flush { host } => self.command(host, |bed| drop(bed.device(host).flush_flows(FlushScope::All))),
            Step::Bump { host } => self.command(host, |bed| drop(bed.device(host).bump_policy_epoch())),
        }
    }

    fn mappings(&self, vm: usize, pa: u8, capability: Capability) -> Vec<Mapping> {
        let target = &self.bed.setup.vms[vm];
        let pa: IpAddr = match pa {
            0 | 1 => self.bed.setup.pa(pa.into()),
            // A host that nobody has an association with.
            _ => "192.0.2.77".parse().unwrap(),
        };
        let mut mappings = Vec::new();
        for src_vni in [STRICT, LOOSE] {
            for (address, prefix_len) in [(IpAddr::from(target.v4), 32), (target.v6.into(), 128)] {
                mappings.push(Mapping {
                    src_vni,
                    dst_vni: target.vni,
                    prefix: address.into(),
                    prefix_len,
                    pa: pa.into(),
                    peer_mac: target.mac,
                    kind: MappingKind::Vm.into(),
                    capability: capability.into(),
                    revision: self.revision,
                    ..Mapping::ZERO
                });
            }
        }
        mappings
    }

    /// New keys in the free slot at both ends, as far as the ends are there; then the old ones go.
    fn rekey(&mut self, index: usize) {
        let pair = self.pairs[index];
        self.epochs[index] += 1;
        let (epoch, slot) = (self.epochs[index], (self.epochs[index] % 2) as u32);
        for direction in [Direction::Read, Direction::Write] {
            for end in 0..2 {
                let host = pair.hosts[end];
                let sender = if direction == Direction::Write { end } else { 1 - end };
                let keys = self.bed.sa_keys(&pair, sender, epoch);
                let params = TestBed::sa_params(&pair, slot, direction, epoch);
                self.command(host, |bed| {
                    let _ = bed.device(host).remove_sa(params.sa);
                    let _ = bed.device(host).install_sa(&params, keys);
                });
            }
        }
        for host in pair.hosts {
            self.command(host, |bed| {
                let _ = bed
                    .device(host)
                    .activate_sa(TestBed::sa_id(&pair, slot, Direction::Write));
                let _ = bed
                    .device(host)
                    .retire_sa(TestBed::sa_id(&pair, 1 - slot, Direction::Read));
            });
        }
    }
}

#[test]
fn nothing_leaves_in_the_clear_that_policy_forbids_and_no_nonce_comes_twice_whatever_changes() {
    for_each_backend(|backend| {
        let totals = RefCell::new((0, 0));
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            max_shrink_iters: 2_000,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&steps(), |steps| {
                let mut world = World::new(backend);
                for step in steps {
                    world.step(step);
                }
                // Whatever was sealed was sealed right: no record failed to open that found its key.
                for host in 0..2 {
                    let counters = world.bed.counters(host);
                    for reason in [
                        DropReason::AuthFailed,
                        DropReason::RecordMalformed,
                        DropReason::VniMismatch,
                        DropReason::Replayed,
                    ] {
                        assert_eq!(counters.dropped(reason), 0, "{reason:?}");
                    }
                }
                let mut totals = totals.borrow_mut();
                (totals.0, totals.1) = (totals.0 + world.sealed, totals.1 + world.clear);
                Ok(())
            })
            .unwrap();
        let (sealed, clear) = totals.into_inner();
        println!("{sealed} sealed, {clear} clear");
        assert!(
            sealed > 1_000 && clear > 100,
            "the programs never got anywhere: {sealed} sealed, {clear} clear"
        );
    });
}
