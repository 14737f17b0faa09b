//! What holds for any hardware: bounds, exact latencies, Little's law, conservation, no surprise from better parts, and the same figures
//! every time.

use sealnic_hw_model::cycle::stats::DropStats;
use sealnic_hw_model::cycle::{CycleModel, CycleStats, HwConfig, UnitKind};
use sealnic_tests::timed::{Load, LoadBed, LoadOutcome};
use sealnic_tests::{Random, Setup};

/// Hardware with all its figures drawn by chance, within what can be.
pub(crate) fn any_hardware(random: &mut Random) -> HwConfig {
    let mut pick = |values: &[u32]| values[random.below(values.len())];
    let mut hw = HwConfig::default_preset().unwrap();
    hw.core.clock_mhz = pick(&[50, 156, 200, 250, 322, 500, 1_000, 1_999]);
    hw.core.bus_bits = pick(&[64, 128, 256, 512, 1_024]);
    hw.core.pipelines = pick(&[1, 1, 2, 4]);
    hw.link.rate_gbps = pick(&[1, 10, 25, 40, 100, 200, 400]);
    (hw.link.receive_ns, hw.link.transmit_ns) = (pick(&[0, 3, 100]), pick(&[0, 7, 250]));
    hw.pcie.generation = pick(&[3, 4, 5]);
    hw.pcie.lanes = pick(&[1, 4, 8, 16]);
    hw.pcie.max_payload_octets = pick(&[128, 256, 512]);
    hw.pcie.max_read_octets = pick(&[128, 512, 4_096]);
    hw.pcie.read_ns = pick(&[0, 100, 600, 2_000]);
    hw.pcie.write_ns = pick(&[0, 50, 200]);
    hw.pcie.outstanding_reads = pick(&[4, 32, 256]);
    (hw.pcie.descriptors_per_read, hw.pcie.completions_per_write) = (1, 1);
    (hw.parser.interval_cycles, hw.parser.latency_cycles) = (pick(&[1, 2, 5]), pick(&[1, 6, 20]));
    (hw.lookup.interval_cycles, hw.lookup.hit_cycles) = (pick(&[1, 2, 4]), pick(&[1, 4, 11]));
    hw.lookup.outstanding_frames = pick(&[1, 8, 64]);
    (hw.sa_fetch.interval_cycles, hw.sa_fetch.hit_cycles) = (pick(&[1, 3]), pick(&[1, 4, 9]));
    hw.sa_fetch.outstanding_frames = pick(&[1, 4, 32]);
    hw.engines.count = pick(&[1, 2, 4]);
    hw.engines.lanes = pick(&[1, 2, 4, 8]);
    hw.engines.header_cycles = pick(&[0, 1, 4]);
    hw.engines.key_switch_cycles = pick(&[0, 2, 9]);
    hw.engines.tail_cycles = pick(&[1, 20, 60]);
    hw.engines.reorder_frames = pick(&[2, 16, 64]);
    (hw.commit.interval_cycles, hw.commit.latency_cycles) = (pick(&[1, 2]), pick(&[1, 2, 8]));
    hw.rewrite.latency_cycles = pick(&[1, 4, 9]);
    hw.fifos.depth_frames = pick(&[2, 4, 16, 64]);
    hw.check().unwrap();
    hw
}

fn bed(hardware: &HwConfig) -> LoadBed {
    let setup = Setup::two_hosts().with(|s| {
        s.suite = sealnic_abi::object::CipherSuite::Aes128Gcm;
        s.flow_idle_ms = 3_600_000;
    });
    let mut bed = LoadBed::new(hardware, setup);
    bed.make_known(1);
    bed
}

/// Octets of a datagram without FCS around a frame of this size (with FCS) at the VM: Ethernet, IPv4, UDP, record header, VXLAN, frame,
/// content type, tag.
fn datagram_octets(frame_len: usize) -> u64 {
    (14 + 20 + 8 + 11 + 8 + (frame_len - 4) + 1 + 16) as u64
}

/// A clock as data sheets have it.
pub(crate) struct Clock(pub(crate) u64);

impl Clock {
    pub(crate) fn up(&self, ps: u64) -> u64 {
        (ps * self.0).div_ceil(1_000_000)
    }

    pub(crate) fn ps(&self, cycle: u64) -> u64 {
        cycle * 1_000_000 / self.0
    }
}

/// Time of octets on one direction of the PCIe link, in picoseconds, each transfer rounded up.
pub(crate) fn pcie_ps(hw: &HwConfig, octets: u64) -> u64 {
    let giga_transfers = [8, 16, 32][hw.pcie.generation as usize - 3];
    (octets * 8 * 1_000 * 130).div_ceil(128 * giga_transfers * u64::from(hw.pcie.lanes))
}

fn engine_cycles(hw: &HwConfig, frame_len: usize) -> u64 {
    // VXLAN header, frame, content type.
    let content = 8 + (frame_len as u64 - 4) + 1;
    u64::from(hw.engines.header_cycles) + content.div_ceil(16 * u64::from(hw.engines.lanes))
}

fn words(hw: &HwConfig, octets: u64) -> u64 {
    octets.div_ceil(u64::from(hw.core.bus_bits / 8))
}

/// When a lone frame leaves, in nanoseconds after a time `start_ns` counted from the origin: a sum of what the hardware file says.
fn lone_egress_ns(hw: &HwConfig, frame_len: usize, start_ns: u64) -> u64 {
    let clock = Clock(hw.core.clock_mhz.into());
    let (len, overhead) = (frame_len as u64 - 4, u64::from(hw.pcie.packet_overhead_octets));
    let read_ps = u64::from(hw.pcie.read_ns) * 1_000;
    // The descriptor, then the read: its descriptor's and completion's packets go before it.
    let issued = clock.up(start_ns * 1_000) + clock.up(read_ps);
    let requests = len.div_ceil(hw.pcie.max_read_octets.into());
    let packets = len.div_ceil(hw.pcie.max_payload_octets.into());
    let asked =
        clock.ps(issued) + pcie_ps(hw, overhead) + pcie_ps(hw, overhead + 16) + pcie_ps(hw, requests * overhead);
    let descriptor_here = clock.ps(issued) + pcie_ps(hw, overhead + 16);
    let here = clock.up((asked + read_ps).max(descriptor_here) + pcie_ps(hw, len + packets * overhead));
    // A cycle from each unit to the next.
    let datagram = datagram_octets(frame_len);
    let stages = u64::from(hw.parser.latency_cycles)
        + u64::from(hw.lookup.hit_cycles)
        + u64::from(hw.sa_fetch.hit_cycles)
        + u64::from(hw.commit.latency_cycles)
        + engine_cycles(hw, frame_len)
        + u64::from(hw.engines.tail_cycles)
        + words(hw, datagram)
        + u64::from(hw.rewrite.latency_cycles);
    let on_line = here.max(issued + 1) + stages + 7;
    // Preamble, datagram, FCS.
    let line_ps = (8 + (datagram + 4).max(64)) * 8_000 / u64::from(hw.link.rate_gbps);
    (clock.ps(on_line) + line_ps + u64::from(hw.link.transmit_ns) * 1_000).div_ceil(1_000)
}

/// When a lone frame whose last bit arrives at `end_ns` is the VM's.
fn lone_ingress_ns(hw: &HwConfig, frame_len: usize, end_ns: u64) -> u64 {
    let clock = Clock(hw.core.clock_mhz.into());
    let (len, overhead) = (frame_len as u64 - 4, u64::from(hw.pcie.packet_overhead_octets));
    let came = clock.up(end_ns * 1_000);
    let received = clock.up((end_ns + u64::from(hw.link.receive_ns)) * 1_000).max(came + 1);
    let stages = u64::from(hw.parser.latency_cycles)
        + u64::from(hw.sa_fetch.hit_cycles)
        + engine_cycles(hw, frame_len)
        + u64::from(hw.engines.tail_cycles)
        + u64::from(hw.commit.latency_cycles)
        + u64::from(hw.lookup.hit_cycles)
        + words(hw, len)
        + u64::from(hw.rewrite.latency_cycles);
    let at_dma = received + stages + 7;
    let packets = len.div_ceil(hw.pcie.max_payload_octets.into());
    let link_ps = clock.ps(at_dma) + pcie_ps(hw, 2 * overhead + 16) + pcie_ps(hw, len + packets * overhead);
    let bus_ps = clock.ps(at_dma) + clock.ps(words(hw, len)) / u64::from(hw.core.pipelines);
    let seen = clock.up(link_ps.max(bus_ps) + u64::from(hw.pcie.write_ns) * 1_000);
    (seen * 1_000).div_ceil(hw.core.clock_mhz.into())
}

#[test]
fn a_lone_frame_takes_exactly_what_the_hardware_file_adds_up_to() {
    let mut random = Random::new(1);
    for round in 0..25 {
        let hardware = any_hardware(&mut random);
        let mut bed = bed(&hardware);
        // The device's clock begins with its first frame.
        let origin_ns = bed.first_ns;
        for frame_len in [64, 200, 777, 1_518] {
            bed.rest();
            let now_ns = bed.bed.now_ns;
            let frame = bed.frame(0, 0, frame_len);
            bed.from_vm(0, &frame, now_ns, 1);
            bed.rest();
            let left = bed.collect();
            let expected = origin_ns + lone_egress_ns(&hardware, frame_len, now_ns - origin_ns);
            assert_eq!(
                left[0].1.time_ns, expected,
                "egress of {frame_len} octets, hardware {round}: {hardware:?}"
            );
            let now_ns = bed.bed.now_ns;
            let frame = bed.frame(1, 0, frame_len);
            let packet = bed.sealed(0, &frame, now_ns, 1);
            bed.from_wire(packet);
            bed.rest();
            let left = bed.collect();
            let expected = origin_ns + lone_ingress_ns(&hardware, frame_len, now_ns - origin_ns);
            assert_eq!(
                left[0].1.time_ns, expected,
                "ingress of {frame_len} octets, hardware {round}: {hardware:?}"
            );
        }
    }
}

/// A better part.
type Change = fn(&mut HwConfig);

const FRAMES: usize = 600;

/// Which ways a load goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ways {
    Egress,
    Ingress,
    Both,
}

impl Ways {
    const ALL: [Self; 3] = [Self::Egress, Self::Ingress, Self::Both];

    fn egress(self) -> bool {
        self != Self::Ingress
    }

    fn ingress(self) -> bool {
        self != Self::Egress
    }
}

/// Puts a load on a NIC: the VM sends as fast as its ring lets it, the wire brings as much as the line carries.
fn load(bed: &mut LoadBed, frame_len: usize, ways: Ways) -> LoadOutcome {
    let rate = bed.nic.with(|nic| u64::from(nic.hardware().link.rate_gbps));
    bed.load(&Load {
        frame_len,
        frames: FRAMES,
        flows: 1,
        slot_ps: (datagram_octets(frame_len) + 24) * 8_000 / rate,
        egress: ways.egress(),
        ingress: ways.ingress(),
    })
}

/// How long a load took, from its beginning to the last bit of the last frame that left by the wire, and to the last octet that a VM
/// got; in picoseconds. Nothing where nothing went.
fn took_ps(bed: &LoadBed, outcome: &LoadOutcome) -> [Option<u64>; 2] {
    let sent = outcome.sent_ps.last().map(|end| end - outcome.start_ps);
    let delivered = outcome.delivered_ns.last();
    let delivered = delivered.map(|end| (end - bed.first_ns) * 1_000 - outcome.start_ps);
    [sent, delivered]
}

/// Accounts that hold at any time.
fn check_accounts(stats: &CycleStats) {
    assert_eq!(stats.entered, stats.left + stats.ended + stats.held);
    for unit in &stats.units {
        assert_eq!(unit.entered, unit.left + unit.ended + unit.held, "{}", unit.unit);
        assert_eq!(unit.states.sum(), stats.cycles, "{}", unit.unit);
        for fifo in &unit.fifos {
            assert_eq!(fifo.pushed, fifo.popped + u64::from(fifo.occupancy), "{}", fifo.fifo);
            assert!(fifo.high_water <= fifo.depth, "{}", fifo.fifo);
            assert_eq!(fifo.occupancy_cycles.iter().sum::<u64>(), stats.cycles, "{}", fifo.fifo);
        }
    }
}

#[test]
fn accounts_balance_and_littles_law_holds_for_every_unit_of_any_hardware() {
    let mut random = Random::new(2);
    let mut lost = 0;
    for _ in 0..12 {
        let mut hardware = any_hardware(&mut random);
        // Some lose frames.
        hardware.core.packet_buffer_octets = random.pick(&[16_384, 65_536, 1_048_576]);
        let mut bed = bed(&hardware);
        for (frame_len, ways) in [(64, Ways::Both), (1_000, Ways::Both), (1_000, Ways::Ingress)] {
            bed.rest();
            bed.nic.with(CycleModel::reset_stats);
            let outcome = load(&mut bed, frame_len, ways);
            let stats = bed.nic.stats();
            check_accounts(&stats);
            assert_eq!(stats.held, 0);
            let offered = if ways == Ways::Both { 2 * FRAMES } else { FRAMES };
            assert_eq!(stats.entered, offered as u64);
            assert_eq!(stats.ended as usize, outcome.ended);
            let out = outcome.sent_ps.len() + outcome.delivered_ns.len();
            assert_eq!((stats.left as usize, out + outcome.ended), (out, offered));
            lost += outcome.ended;
            // Frames inside, summed over cycles, are the frames' stays, summed over frames: in each unit, and in all.
            for unit in &stats.units {
                assert_eq!(unit.frame_cycles, unit.stay_cycles, "{}", unit.unit);
            }
            let in_units: u64 = stats.units.iter().map(|unit| unit.frame_cycles).sum();
            assert_eq!(stats.frame_cycles, in_units, "every frame is in one unit at any time");
            let drops: u64 = stats.drops.iter().map(|drops| drops.frames).sum();
            assert_eq!(drops, stats.ended);
            // A VM whose frames aren't taken waits; the wire doesn't.
            let is_known = |drop: &DropStats| drop.unit.kind == UnitKind::MacRx && drop.reason == "WireQueueFull";
            assert!(stats.drops.iter().all(is_known), "{:?}", stats.drops);
        }
    }
    assert!(lost > 100, "only {lost} frames were lost");
}

/// What a direction's frames take of each of its parts at least, in picoseconds.
fn bounds_ps(hw: &HwConfig, frame_len: usize, is_egress: bool) -> Vec<(&'static str, u64)> {
    let clock = Clock(hw.core.clock_mhz.into());
    let frames = FRAMES as u64;
    let cycles = |each: u32| clock.ps(frames * u64::from(each));
    let line_ps = (datagram_octets(frame_len) + 24) * 8_000 / u64::from(hw.link.rate_gbps);
    let records = frames / u64::from(hw.engines.count);
    let on_bus = if is_egress {
        datagram_octets(frame_len)
    } else {
        frame_len as u64 - 4
    };
    vec![
        ("line", (frames - 1) * line_ps),
        ("parser", cycles(hw.parser.interval_cycles)),
        ("lookup", cycles(hw.lookup.interval_cycles)),
        ("sa_fetch", cycles(hw.sa_fetch.interval_cycles)),
        ("commit", cycles(hw.commit.interval_cycles)),
        ("engines", clock.ps(records * engine_cycles(hw, frame_len))),
        ("encap or deliver", clock.ps(frames * words(hw, on_bus))),
    ]
}

/// Octets that a frame takes of PCIe, up and down, with its descriptor and completion.
fn pcie_octets(hw: &HwConfig, frame_len: usize, is_egress: bool) -> [u64; 2] {
    let (len, overhead) = (frame_len as u64 - 4, u64::from(hw.pcie.packet_overhead_octets));
    let data = len + len.div_ceil(hw.pcie.max_payload_octets.into()) * overhead;
    let (request, entry) = (overhead, overhead + 16);
    if is_egress {
        let requests = len.div_ceil(hw.pcie.max_read_octets.into());
        [request + requests * request + entry, entry + data]
    } else {
        [request + data + entry, entry]
    }
}

#[test]
fn no_hardware_is_faster_than_any_of_its_parts() {
    let mut random = Random::new(3);
    for round in 0..16 {
        let hardware = any_hardware(&mut random);
        let mut bed = bed(&hardware);
        for (frame_len, ways) in [64, 600, 1_518]
            .into_iter()
            .flat_map(|len| Ways::ALL.map(|ways| (len, ways)))
        {
            let outcome = load(&mut bed, frame_len, ways);
            let carried = [outcome.sent_ps.len(), outcome.delivered_ns.len()];
            assert_eq!(
                carried,
                [ways.egress(), ways.ingress()].map(|goes| usize::from(goes) * FRAMES)
            );
            // All frames pass every part between the beginning and the last bit.
            let took_ps = took_ps(&bed, &outcome);
            let mut pcie = [0; 2];
            for (took_ps, is_egress) in took_ps.into_iter().zip([true, false]) {
                let Some(took_ps) = took_ps else { continue };
                for (part, bound_ps) in bounds_ps(&hardware, frame_len, is_egress) {
                    assert!(
                        took_ps >= bound_ps,
                        "{part}, {frame_len} octets, {ways:?}, hardware {round}: {took_ps} < {bound_ps}"
                    );
                }
                let octets = pcie_octets(&hardware, frame_len, is_egress);
                (0..2).for_each(|way| pcie[way] += FRAMES as u64 * octets[way]);
            }
            // Both directions share PCIe. The last frame's completion is written behind it.
            let longest_ps = took_ps.into_iter().flatten().max().unwrap();
            let last = pcie_octets(&hardware, frame_len, true)[0] + pcie_octets(&hardware, frame_len, false)[0];
            for octets in pcie {
                let bound_ps = pcie_ps(&hardware, octets.saturating_sub(last));
                assert!(
                    longest_ps >= bound_ps,
                    "PCIe, {frame_len} octets, {ways:?}, hardware {round}: {longest_ps} < {bound_ps}"
                );
            }
            let stats = bed.nic.stats();
            for resource in &stats.resources {
                assert!(resource.utilisation <= 1.0, "{resource:?}");
            }
        }
    }
}

#[test]
fn a_faster_line_a_deeper_fifo_or_one_more_engine_never_slows_a_loss_free_flow() {
    // One direction at a time: with both, PCIe serves first what comes first, so that what helps one may stand in the other's way.
    let ways = [Ways::Egress, Ways::Ingress];
    let mut random = Random::new(4);
    let time = |hardware: &HwConfig, frame_len: usize, ways: Ways| {
        let mut bed = bed(hardware);
        let start_ns = bed.bed.now_ns;
        let outcome = load(&mut bed, frame_len, ways);
        let carried = outcome.sent_ps.len() + outcome.delivered_ns.len();
        assert_eq!((outcome.ended, carried), (0, FRAMES));
        // Until all that was offered has gone through.
        let longest_ps = took_ps(&bed, &outcome).into_iter().flatten().max().unwrap();
        (start_ns, longest_ps)
    };
    let any: Vec<HwConfig> = (0..113).map(|_| any_hardware(&mut random)).collect();
    // Number 112 has slow key switches: an engine that must switch is no gain where one that has the key is soon free.
    for round in (0..8).chain([112]) {
        let hardware = &any[round];
        for (frame_len, ways) in [64, 900].into_iter().flat_map(|len| ways.map(|ways| (len, ways))) {
            let (start, before) = time(hardware, frame_len, ways);
            let better: [(&str, Change); 4] = [
                ("line", |hw| hw.link.rate_gbps = (hw.link.rate_gbps * 2).min(400)),
                ("fifos", |hw| hw.fifos.depth_frames *= 2),
                ("engine", |hw| hw.engines.count += 1),
                ("lanes", |hw| hw.engines.lanes *= 2),
            ];
            for (part, improve) in better {
                let mut improved = hardware.clone();
                improve(&mut improved);
                if improved.check().is_err() {
                    continue;
                }
                let (its_start, after) = time(&improved, frame_len, ways);
                assert_eq!(start, its_start);
                assert!(
                    after <= before,
                    "{part}, {frame_len} octets, {ways:?}, hardware {round}: {after} ps instead of {before}"
                );
            }
        }
    }
}

#[test]
fn the_same_input_takes_the_same_cycles_every_time() {
    let mut random = Random::new(5);
    for _ in 0..4 {
        let hardware = any_hardware(&mut random);
        let run = || {
            let mut bed = bed(&hardware);
            let outcome = load(&mut bed, 300, Ways::Both);
            (outcome.sent_ps, outcome.delivered_ns, bed.nic.stats())
        };
        let (first, again) = (run(), run());
        assert_eq!(first.0, again.0);
        assert_eq!(first.1, again.1);
        assert_eq!(first.2, again.2);
    }
}
