//! What a line-rate sweep says of NICs whose narrow place is known: how much is lost, where, and which unit limits.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, where a panic is a finding"
)]

use sealnic_hw_model::cycle::{CycleStats, HwConfig};
use sealnic_sim::Scenario;
use sealnic_sim::line_rate::bed::{Bed, Load, Outcome};
use sealnic_sim::line_rate::inside::CycleMeter;
use sealnic_sim::line_rate::{Direction, Distribution, Protection};
use sealnic_sim::run::{ModelKind, RunOptions, run};

const LOAD: Load = Load {
    frame_len: 64,
    flows: 16,
    distribution: Distribution::Uniform,
    warm_up_frames: 3_000,
    sample_frames: 4_000,
    seed: 1,
};

/// The 100 GbE preset with short queues, so that they are soon as full as they will be.
fn hardware(change: impl FnOnce(&mut HwConfig)) -> HwConfig {
    let mut hardware = HwConfig::default_preset().unwrap();
    hardware.core.packet_buffer_octets = 16_384;
    hardware.ports.queue_frames = 256;
    change(&mut hardware);
    hardware.check().unwrap();
    hardware
}

fn measured(hardware: &HwConfig, load: &Load) -> (Outcome, CycleStats) {
    let line = u64::from(hardware.link.rate_gbps) * 1_000;
    let nic = |config: &_| CycleMeter::new(config, hardware);
    let mut bed = Bed::new(Protection::Dtls13, 1, load.flows, line, nic).unwrap();
    let outcome = bed.measure(load).unwrap();
    (outcome, bed.meter().stats())
}

/// Each unit and each FIFO accounts for every frame, and no part does more than the time allows.
fn check_conservation(stats: &CycleStats) {
    for part in &stats.resources {
        assert!(
            (0.0..=1.0).contains(&part.utilisation),
            "{}: {}",
            part.name,
            part.utilisation
        );
    }
    assert_eq!(stats.entered, stats.left + stats.ended + stats.held);
    for unit in &stats.units {
        assert_eq!(unit.entered, unit.left + unit.ended + unit.held, "{}", unit.unit);
        let drops = stats.drops.iter().filter(|drops| drops.unit == unit.unit);
        assert_eq!(
            drops.map(|drops| drops.frames).sum::<u64>(),
            unit.ended,
            "{}",
            unit.unit
        );
        for fifo in &unit.fifos {
            assert_eq!(fifo.pushed, fifo.popped + u64::from(fifo.occupancy), "{}", fifo.fifo);
        }
    }
}

/// What isn't carried is dropped, at the edge that it came to.
fn check_losses(outcome: &Outcome) {
    for figures in &outcome.directions {
        let lost = 1.0 - figures.achieved.frames_per_s / figures.line.frames_per_s;
        let [drops] = &figures.drops[..] else {
            panic!("one place and reason, not {:?}", figures.drops);
        };
        let dropped = drops.frames as f64 / f64::from(LOAD.sample_frames);
        assert!((dropped - lost).abs() < 0.02, "{dropped} dropped, {lost} not carried");
        let place = (drops.unit.as_str(), drops.reason.as_str());
        let expected = match figures.direction {
            Direction::Egress => ("vf_fetch", "VfQueueFull"),
            Direction::Ingress => ("mac_rx", "WireQueueFull"),
        };
        assert_eq!(place, expected);
    }
}

/// A narrow place: the change that makes it, the cycles that a frame then takes there, and what it is called in each direction.
type Narrow = (fn(&mut HwConfig), f64, [&'static str; 2]);

#[test]
fn the_unit_that_limits_is_named_and_its_rate_is_what_is_reached() {
    let narrow: [Narrow; 6] = [
        (
            |hw| hw.parser.interval_cycles = 12,
            12.0,
            ["egress0.parser", "ingress0.parser"],
        ),
        (
            |hw| hw.lookup.interval_cycles = 9,
            9.0,
            ["egress0.lookup", "ingress0.lookup"],
        ),
        (
            |hw| hw.sa_fetch.interval_cycles = 8,
            8.0,
            ["egress0.sa_fetch", "ingress0.sa_fetch"],
        ),
        (
            |hw| hw.commit.interval_cycles = 10,
            10.0,
            ["egress0.commit", "ingress0.commit"],
        ),
        // A header's cycle and 69 octets of plaintext in blocks of 16.
        (
            |hw| (hw.engines.count, hw.engines.lanes) = (1, 1),
            6.0,
            ["egress0.engines", "ingress0.engines"],
        ),
        // 138 octets of a datagram, and 60 of a frame, in words of 4 and 8 octets.
        (
            |hw| hw.core.bus_bits = 64,
            f64::NAN,
            ["egress0.encap", "ingress0.deliver"],
        ),
    ];
    for (change, cycles, units) in narrow {
        let hardware = hardware(change);
        let (outcome, stats) = measured(&hardware, &LOAD);
        for (figures, unit) in outcome.directions.iter().zip(units) {
            assert_eq!(figures.limit.unit, unit, "{:?}", figures.limit);
            assert!(figures.limit.busy_percent > 98.0, "{:?}", figures.limit);
            let cycles = match (cycles.is_nan(), figures.direction) {
                (true, Direction::Egress) => 18.0,
                (true, Direction::Ingress) => 8.0,
                _ => cycles,
            };
            let expected = f64::from(hardware.core.clock_mhz) * 1e6 / cycles;
            let ratio = figures.achieved.frames_per_s / expected;
            assert!((0.99..1.001).contains(&ratio), "{unit}: {ratio} of what it can do");
        }
        check_losses(&outcome);
        check_conservation(&stats);
    }
}

#[test]
fn more_flows_than_fit_on_chip_are_lost_to_the_table_memory() {
    // A line in 8 ns by one channel, behind a cache that holds hardly any of 8,000 entries, 8,000 counters and their buckets.
    let hardware = hardware(|hw| {
        (hw.lookup.cache_sets, hw.lookup.cache_ways) = (8, 8);
        (hw.memory.channels, hw.memory.banks, hw.memory.line_tenths_ns) = (1, 256, 80);
    });
    let load = Load {
        flows: 4_000,
        warm_up_frames: 6_000,
        ..LOAD
    };
    let (outcome, stats) = measured(&hardware, &load);
    for figures in &outcome.directions {
        let limit = &figures.limit;
        assert_eq!((limit.unit.as_str(), limit.cause.as_str()), ("memory", "busy"));
        assert!(limit.busy_percent > 98.0, "{limit:?}");
    }
    // Bucket, entry and counters are read and the counters of another flow written back; few entries are displaced, and a few buckets on
    // chip.
    let lines_per_s = 1e9 / 8.0;
    let frames_per_s: f64 = outcome
        .directions
        .iter()
        .map(|figures| figures.achieved.frames_per_s)
        .sum();
    let lines = lines_per_s / frames_per_s;
    assert!((3.8..4.5).contains(&lines), "{lines} lines a frame");
    check_losses(&outcome);
    check_conservation(&stats);

    // A single lookup at a time makes the unit narrow, not the memory: a round of two reads, and often another.
    let mut single = hardware;
    (single.memory.channels, single.memory.line_tenths_ns) = (16, 33);
    single.lookup.outstanding_frames = 1;
    let (outcome, stats) = measured(&single, &load);
    for (figures, unit) in outcome.directions.iter().zip(["egress0.lookup", "ingress0.lookup"]) {
        let limit = &figures.limit;
        assert_eq!(
            (limit.unit.as_str(), limit.cause.as_str()),
            (unit, "waits for table memory")
        );
        assert!(figures.achieved.frames_per_s < 1e9 / f64::from(single.memory.latency_ns));
    }
    check_losses(&outcome);
    check_conservation(&stats);
}

#[test]
fn flows_of_unequal_weight_that_fit_on_chip_are_held_back_by_nothing_but_the_line() {
    let load = Load {
        flows: 1_000,
        distribution: Distribution::Zipf,
        ..LOAD
    };
    let (outcome, stats) = measured(&HwConfig::default_preset().unwrap(), &load);
    for figures in &outcome.directions {
        assert!(figures.percent_of_line() > 99.9, "{}", figures.percent_of_line());
        assert_eq!((figures.limit.unit.as_str(), figures.dropped()), ("line", 0));
    }
    check_conservation(&stats);
}

#[test]
fn hardware_that_is_slow_for_its_line_is_measured_all_the_same() {
    // Ways far longer than a sample: what fills them is more than what counts.
    let slow_ways = hardware(|hw| {
        (hw.link.receive_ns, hw.link.transmit_ns) = (100_000, 100_000);
        (hw.pcie.read_ns, hw.pcie.write_ns) = (100_000, 100_000);
        hw.pcie.outstanding_reads = 4_096;
        hw.ports.queue_frames = 65_536;
        hw.core.packet_buffer_octets = 1 << 24;
    });
    let (outcome, stats) = measured(&slow_ways, &LOAD);
    check_conservation(&stats);
    for figures in &outcome.directions {
        assert!(figures.percent_of_line() > 1.0, "{:?}", figures.achieved);
        assert!(figures.latency.p50 > 200_000, "{:?}", figures.latency);
    }
    // A hundredth of a second for each flow's first frame.
    let slow_cpu = hardware(|hw| (hw.control_cpu.clock_mhz, hw.control_cpu.decide_cycles) = (10, 100_000));
    let (_, stats) = measured(&slow_cpu, &LOAD);
    check_conservation(&stats);
}

#[test]
fn a_control_cpu_that_takes_most_of_a_minute_for_all_flows_is_slow_and_not_broken() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/many-flows.toml");
    let options = RunOptions {
        model: ModelKind::Cycle,
        hardware: Some(hardware(|hw| {
            (hw.control_cpu.clock_mhz, hw.control_cpu.decide_cycles) = (10, 100_000);
            hw.control_cpu.queue_frames = 65_536;
        })),
        ..RunOptions::default()
    };
    let summary = run(&Scenario::load(&example).unwrap(), &options, &mut ()).unwrap();
    assert!(summary.accounting.balanced && summary.frames.delivered > 0);
}
