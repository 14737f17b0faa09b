//! What rings in host memory take of the cycle model's time: PCIe, read tags, the control CPU.

use crate::laws::{Clock, any_hardware, pcie_ps};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::mailbox::Opcode;
use sealnic_abi::object::Port;
use sealnic_abi::ring::{CommandDescriptor, CompletionStatus, Ring};
use sealnic_hw_model::cycle::stats::{ResourceStats, WayStats};
use sealnic_hw_model::cycle::{CycleModel, CycleStats, HwConfig};
use sealnic_hw_model::pci::{Backing, MsixTable};
use sealnic_hw_model::{Edge, ModelConfig};
use sealnic_tests::pf::{HostRing, IOVA, Pf, bed_of};
use sealnic_tests::timed::{LoadBed, Timed, functional};
use sealnic_tests::{Random, Setup};
use zerocopy::IntoBytes;

/// A completion is written in two parts, its phase last.
const COMPLETION: [u64; 2] = [12, 4];

fn resource<'a>(stats: &'a CycleStats, name: &str) -> Option<&'a ResourceStats> {
    stats.resources.iter().find(|resource| resource.name == name)
}

fn way<'a>(stats: &'a CycleStats, name: &str) -> &'a WayStats {
    stats.latency.iter().find(|way| way.way == name).unwrap()
}

/// Commands of so many octets that mean nothing: read, refused and answered.
fn post_long(ring: &mut HostRing, pf: &Pf, count: usize) {
    pf.memory.write(0x8_0000, &[0; 8_192]).unwrap();
    let descriptor = CommandDescriptor {
        request: IOVA + 0x8_0000,
        response: IOVA + 0x8_1000,
        request_len: 4_096,
        response_len: 4_096,
        ..CommandDescriptor::ZERO
    };
    (0..count).for_each(|_| ring.post(descriptor.as_bytes()));
}

#[test]
fn a_lone_command_takes_exactly_what_the_hardware_file_adds_up_to() {
    let mut random = Random::new(6);
    for round in 0..40 {
        let mut hw = any_hardware(&mut random);
        hw.control_cpu.command_cycles = random.pick(&[1, 300, 5_000]);
        let model = Timed::new(
            &ModelConfig {
                seed: Some(1),
                ..ModelConfig::default()
            },
            &hw,
        );
        let pf = Pf::new(Box::new(model.clone()), MsixTable::Hosts);
        // The device's clock begins here.
        pf.function().model().advance(1_000);
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], 4_096);
        ring.bell();
        pf.go_on();
        let answer_len = ring.completion().unwrap().1 as u64;

        let clock = Clock(hw.core.clock_mhz.into());
        let overhead = u64::from(hw.pcie.packet_overhead_octets);
        let read = |from: u64, len: u64| {
            let requests = len.div_ceil(hw.pcie.max_read_octets.into());
            let packets = len.div_ceil(hw.pcie.max_payload_octets.into());
            let asked = clock.ps(from) + pcie_ps(&hw, requests * overhead) + u64::from(hw.pcie.read_ns) * 1_000;
            clock.up(asked + pcie_ps(&hw, len + packets * overhead)).max(from + 1)
        };
        // Descriptor and request, one behind the other; then the CPU; then answer and completion, a packet or more in a cycle at most.
        let began = 1;
        let asked = read(read(began, 32), 16);
        let cpu = &hw.control_cpu;
        let command = u64::from(cpu.command_cycles) * u64::from(hw.core.clock_mhz);
        let (mut at, mut free) = (asked + command.div_ceil(cpu.clock_mhz.into()), 0);
        for len in [answer_len].into_iter().chain(COMPLETION) {
            while free >= clock.ps(at + 1) {
                at += 1;
            }
            let packets = len.div_ceil(hw.pcie.max_payload_octets.into());
            free = clock.ps(at).max(free) + pcie_ps(&hw, len + packets * overhead);
            at += 1;
        }
        let seen = clock.up(free + u64::from(hw.pcie.write_ns) * 1_000);

        let stats = model.stats();
        let lane = resource(&stats, "ring.command").unwrap();
        let octets = 32 + 16 + answer_len + COMPLETION.iter().sum::<u64>();
        assert_eq!((lane.requests, lane.octets), (1, octets));
        let busy = (lane.utilisation * stats.cycles as f64).round() as u64;
        assert_eq!(busy, at - began, "hardware {round}: {hw:?}");
        // The histogram keeps two digits.
        let latency = &way(&stats, "command_ring").latency_ns;
        let (took, expected) = (latency.max as f64, seen as f64 * 1_000.0 / f64::from(hw.core.clock_mhz));
        assert!(
            latency.count == 1 && (took / expected - 1.0).abs() < 0.02,
            "{took} ns, not {expected}"
        );
    }
}

/// A NIC with a slow way to the host, and its side for rings.
fn narrow(change: impl FnOnce(&mut HwConfig)) -> (LoadBed, Pf) {
    let mut hw = HwConfig::default_preset().unwrap();
    (hw.pcie.generation, hw.pcie.lanes, hw.pcie.outstanding_reads) = (3, 1, 16);
    hw.control_cpu.command_cycles = 1;
    change(&mut hw);
    let setup = Setup::two_hosts().with(|s| s.suite = sealnic_abi::object::CipherSuite::Aes128Gcm);
    let mut bed = LoadBed::new(&hw, setup);
    bed.make_known(1);
    let pf = Pf::new(Box::new(bed.nic.clone()), MsixTable::Hosts);
    (bed, pf)
}

const FRAMES: usize = 500;
const COMMANDS: usize = 24;

/// When the last of some frames of a VM is on the wire, in nanoseconds after the first was handed over; with commands beside them.
fn frames_beside(commands: usize, change: impl FnOnce(&mut HwConfig)) -> (u64, CycleStats) {
    let (mut bed, pf) = narrow(change);
    let mut ring = HostRing::new(&pf, Ring::Command, 64);
    post_long(&mut ring, &pf, commands);
    bed.rest();
    bed.nic.with(CycleModel::reset_stats);
    let start_ns = bed.bed.now_ns;
    let frame = bed.frame(0, 0, 1_518);
    for tag in 0..FRAMES {
        bed.from_vm(0, &frame, start_ns, tag as u64);
    }
    ring.bell();
    bed.rest();
    let sent = bed.collect();
    assert_eq!(sent.len(), FRAMES);
    assert_eq!((0..=COMMANDS).filter_map(|_| ring.completion()).count(), commands);
    (sent[FRAMES - 1].1.time_ns - start_ns, bed.nic.stats())
}

#[test]
fn a_storm_of_commands_takes_from_the_frames_what_it_takes_of_pcie() {
    let (alone_ns, alone) = frames_beside(0, |_| {});
    let (beside_ns, beside) = frames_beside(COMMANDS, |_| {});
    let hw = HwConfig::default_preset().unwrap();
    let (overhead, payload) = (
        u64::from(hw.pcie.packet_overhead_octets),
        u64::from(hw.pcie.max_payload_octets),
    );
    let commands = COMMANDS as u64;
    // Up: requests for descriptor and request, the answer's header, the completion in two parts. Down: what was asked for.
    let requests = 1 + 4_096 / u64::from(hw.pcie.max_read_octets);
    let up = commands * (requests * overhead + (16 + overhead) + (12 + overhead) + (4 + overhead));
    let down = commands * (32 + overhead + 4_096 + 4_096 / payload * overhead);
    for (name, more) in [("pcie.upstream", up), ("pcie.downstream", down)] {
        let octets = |stats: &CycleStats| resource(stats, name).unwrap().octets;
        assert_eq!(octets(&beside) - octets(&alone), more, "{name}");
    }
    assert!(resource(&alone, "ring.command").is_none());
    let lane = resource(&beside, "ring.command").unwrap();
    assert_eq!(
        (lane.requests, lane.octets),
        (commands, commands * (32 + 4_096 + 16 + 16))
    );
    // A lane of generation 3 moves an octet in a little more than a nanosecond, and the frames need it all the time.
    let expected_ns = down * 1_000 / 985;
    let more_ns = beside_ns - alone_ns;
    assert!(
        more_ns > expected_ns * 9 / 10 && more_ns < expected_ns * 12 / 10,
        "{more_ns} ns more, where the storm takes {expected_ns} ns"
    );
    let unit = beside.unit("ring_dma").unwrap();
    assert!(unit.states.busy > 0 && unit.states.wait_input > unit.states.busy);
    for stats in [&alone, &beside] {
        assert_eq!((stats.held, stats.entered), (0, FRAMES as u64));
        for unit in &stats.units {
            assert_eq!(unit.entered, unit.left + unit.ended + unit.held, "{}", unit.unit);
            assert_eq!(unit.states.sum(), stats.cycles, "{}", unit.unit);
        }
    }
}

#[test]
fn commands_get_their_turn_where_frames_use_up_all_read_tags() {
    // The last command is answered long before the last frame has gone.
    let few: fn(&mut HwConfig) = |hw| hw.pcie.outstanding_reads = 4;
    let (beside_ns, stats) = frames_beside(10, few);
    let latency = &way(&stats, "command_ring").latency_ns;
    assert_eq!(latency.count, 10);
    assert!(latency.max < beside_ns, "{} of {beside_ns} ns", latency.max);
    assert!(stats.unit("ring_dma").unwrap().states.credits > 0, "they never waited");
}

#[test]
fn frames_of_the_host_come_in_and_go_out_by_pcie_and_are_accounted_for() {
    let hw = HwConfig::default_preset().unwrap();
    let setup = Setup::two_hosts();
    let mut timed = Vec::new();
    let (mut bed, functions) = bed_of(&functional(), setup, |host, model| {
        if host != 0 {
            return model;
        }
        let config = ModelConfig {
            sizes: Setup::two_hosts().sizes,
            seed: Some(1),
        };
        timed.push(Timed::new(&config, &hw));
        Box::new(timed[0].clone())
    });
    let port = Port {
        representor: 1,
        ..bed.setup.vms[0].object()
    };
    bed.device(0).set_port(&port).unwrap();
    let pf = functions[0].clone();
    let (mut receive, mut transmit) = (
        HostRing::new(&pf, Ring::HostReceive, 16),
        HostRing::new(&pf, Ring::HostTransmit, 16),
    );
    bed.advance(1_000_000);
    timed[0].with(CycleModel::reset_stats);
    let header = HostFrame {
        kind: HostFrameKind::AsVm.into(),
        port: bed.setup.vms[0].port,
        ..HostFrame::ZERO
    };
    let frame = bed.frame(0, 1, false).udp(1, 2, &[7; 1_000]).build();
    let octets = (32 + frame.len()) as u64;
    let posted_ns = bed.now_ns;
    for _ in 0..10 {
        transmit.send(&header, &frame);
        bed.hosts[0].ledger.vf_in += 1;
    }
    bed.settle();
    assert_eq!(bed.take_frames().delivered.len(), 10);
    // Not before descriptor and frame were read: two answers of the host's memory, and the CPU's work.
    assert!(bed.now_ns > posted_ns + 2 * u64::from(hw.pcie.read_ns) + 1_000);
    for _ in 0..10 {
        assert_eq!(transmit.completion(), Some((CompletionStatus::Done, octets as usize)));
    }
    let stats = timed[0].stats();
    let lane = resource(&stats, "ring.host_transmit").unwrap();
    assert_eq!((lane.requests, lane.octets), (10, 10 * (16 + octets + 16)));
    let unit = stats.unit("ring_dma").unwrap();
    assert_eq!((unit.entered, unit.left, unit.ended, unit.held), (10, 10, 0, 0));

    // What comes for the host waits until there are buffers, and takes PCIe only then.
    let back = bed.frame(1, 0, false).udp(2, 1, &[7; 1_000]).build();
    let up = |stats: &CycleStats| resource(stats, "pcie.upstream").unwrap().octets;
    let before = up(&timed[0].stats());
    for _ in 0..5 {
        bed.push(
            1,
            Edge::Vf(bed.setup.vms[1].port),
            &back,
            sealnic_hw_model::Offload::default(),
        );
    }
    bed.settle();
    bed.take_frames();
    let waiting = up(&timed[0].stats());
    assert_eq!(waiting, before, "nothing is written without a buffer");
    for _ in 0..5 {
        receive.post_buffer(4_096);
    }
    receive.bell();
    pf.go_on();
    for _ in 0..5 {
        assert_eq!(receive.frame().unwrap().1, back);
        bed.hosts[0].ledger.vf_out += 1;
    }
    let stats = timed[0].stats();
    let overhead = u64::from(hw.pcie.packet_overhead_octets);
    let packets = octets.div_ceil(hw.pcie.max_payload_octets.into());
    let each = overhead + octets + packets * overhead + (12 + overhead) + (4 + overhead);
    assert_eq!(up(&stats) - waiting, 5 * each);
    assert_eq!(resource(&stats, "ring.host_receive").unwrap().requests, 5);
    assert_eq!(way(&stats, "host_receive_ring").latency_ns.count, 5);
}
