//! The cycle model does what the functional model does, in an order of its own: replayed in that order on the functional model, all
//! octets, verdicts, register values, counters and events are the same.

use sealnic_abi::DropReason;
use sealnic_abi::registers::offsets::counter_snapshot;
use sealnic_abi::registers::{Register, Window};
use sealnic_hw_model::cycle::{CycleModel, HwConfig, UnitKind};
use sealnic_hw_model::middleware::Impairments;
use sealnic_hw_model::{Edge, HwModel, ModelConfig, Offload, Segmentation, Verdict};
use sealnic_tests::timed::{LoadBed, Seen, Timed, functional};
use sealnic_tests::{Random, Setup, TestBed};

/// All counters, by the registers.
fn counters(model: &mut dyn HwModel) -> Vec<u32> {
    model.write32(Register::CounterSnapshot.offset(), counter_snapshot::LATCH_MASK);
    let window = Window::Counters;
    (0..window.byte_len())
        .step_by(4)
        .map(|offset| model.read32(window.offset() + offset))
        .collect()
}

/// Runs traffic on cycle models of this hardware, replays what each did, and compares. Returns the number of steps.
fn check(hardware: &HwConfig, setup: Setup, traffic: impl FnOnce(&mut TestBed)) -> usize {
    let configs: Vec<ModelConfig> = (0..setup.hosts)
        .map(|host| ModelConfig {
            sizes: setup.sizes,
            seed: Some(setup.seed << 8 | host as u64),
        })
        .collect();
    let models: Vec<Timed> = configs.iter().map(|config| Timed::new(config, hardware)).collect();
    for model in &models {
        model.with(CycleModel::record);
    }
    let handles = models.clone();
    let mut bed = TestBed::wrapped(&functional(), setup, move |host, _| Box::new(handles[host].clone()));
    traffic(&mut bed);
    bed.settle();
    let mut steps = 0;
    for (host, config) in configs.iter().enumerate() {
        // Events and flow log are in the answers that the driver reads.
        bed.device(host).drain_events().unwrap();
        let mut timed = models[host].clone();
        let seen = counters(&mut timed);
        let record = models[host].with(|model| model.recorded().cloned()).unwrap();
        steps += record.len();
        let mut replayed = record.replay(config).unwrap();
        assert_eq!(counters(&mut replayed), seen, "counters of host {host}");
    }
    steps
}

/// Frames of all kinds, many in flight at a time, with commands in between.
fn mixed_traffic(bed: &mut TestBed, seed: u64, rounds: usize) {
    let mut random = Random::new(seed);
    for round in 0..rounds {
        for _ in 0..random.below(40) {
            let flow = random.below(60) as u16;
            let payload = random.octets(random_len(&mut Random::new(seed + u64::from(flow))));
            let v6 = random.below(4) == 0;
            let from = random.below(2);
            let spec = bed.frame(from, 1 - from, v6);
            let mut offload = Offload::default();
            let mut frame = spec.udp(flow, 4_000, &payload).build();
            match random.below(20) {
                0 => frame[6] ^= 2,
                1 => frame.truncate(20 + random.below(30)),
                2 => frame = random.octets(60),
                3 => {
                    let at = random.below(frame.len());
                    frame[at] ^= 1 << random.below(8);
                }
                4 if !v6 => {
                    frame = bed.frame(from, 1 - from, false).udp(flow, 1, &[7; 3_000]).build();
                    offload = Offload {
                        needs_csum: true,
                        csum_start: 34,
                        csum_offset: 6,
                        segmentation: Segmentation::Udp,
                        segment_len: 700,
                        ..Offload::default()
                    };
                }
                _ => {}
            }
            // Frames of one moment: they meet in the device.
            bed.now_ns -= 950;
            bed.push(from, Edge::Vf(0), &frame, offload);
        }
        match round % 7 {
            2 => drop(bed.device(0).bump_policy_epoch().unwrap()),
            4 => drop(bed.device(1).drain_events().unwrap()),
            5 => bed.settle(),
            6 => drop(bed.advance(3_000_000)),
            _ => {}
        }
    }
    bed.flush_wire();
}

fn random_len(random: &mut Random) -> usize {
    random.below(1_400)
}

#[test]
fn mixed_traffic_over_a_bad_wire_replays_the_same_on_every_preset() {
    for preset in ["100g", "400g", "entry"] {
        let hardware = HwConfig::preset(preset).unwrap().unwrap();
        let setup = Setup::two_hosts().with(|s| {
            s.impairments = Impairments {
                loss: 0.02,
                reorder: 0.1,
                duplicate: 0.1,
                corrupt: 0.05,
                seed: 5,
            };
        });
        let steps = check(&hardware, setup, |bed| mixed_traffic(bed, 11, 60));
        println!("{preset}: {steps} steps");
        assert!(steps > 2_000, "{steps} steps");
    }
}

#[test]
fn keys_that_change_under_traffic_replay_the_same() {
    let hardware = HwConfig::default_preset().unwrap();
    let setup = Setup::two_hosts().with(|s| s.overlap_ms = 2);
    check(&hardware, setup, |bed| {
        let pair = bed.pairs[0];
        for n in 1..8 {
            mixed_traffic(bed, n, 7);
            let slot = (n % 2) as u32;
            bed.install(&pair, slot, bed.first_epoch() + n);
            mixed_traffic(bed, 100 + n, 3);
            bed.activate(&pair, slot);
            mixed_traffic(bed, 200 + n, 3);
            for host in 0..2 {
                let old = TestBed::sa_id(&pair, 1 - slot, sealnic_abi::object::Direction::Read);
                drop(bed.device(host).retire_sa(old));
            }
            bed.advance(4_000_000);
        }
    });
}

#[test]
fn a_reset_in_traffic_drops_what_has_not_acted_and_replays_the_same() {
    let hardware = HwConfig::default_preset().unwrap();
    let mut dropped = 0;
    check(&hardware, Setup::two_hosts(), |bed| {
        let frame = bed.frame(0, 1, false).build();
        for _ in 0..50 {
            bed.now_ns -= 1_000;
            bed.push(0, Edge::Vf(0), &frame, Offload::default());
        }
        bed.model(0).reset();
        bed.settle();
        let mut tags = Vec::new();
        while let Some(ended) = bed.model(0).ended() {
            assert_eq!(ended.verdict, Verdict::Drop(DropReason::Reset));
            tags.push(ended.tag);
        }
        assert!(tags.is_sorted(), "in the order of their tags");
        dropped = tags.len();
        bed.program(0);
    });
    assert!(dropped > 0, "nothing was inside at the reset");
}

#[test]
fn of_two_copies_of_a_record_that_are_in_the_engines_at_once_exactly_one_passes() {
    let hardware = HwConfig::default_preset().unwrap();
    let mut bed = LoadBed::new(&hardware, Setup::two_hosts());
    bed.make_known(1);
    let seen = Seen {
        keeps_stages: true,
        ..Seen::default()
    };
    bed.nic.with(|nic| nic.set_probe(Box::new(seen.clone())));
    for copies in [2, 3, 5] {
        seen.stages.lock().unwrap().clear();
        let frame = bed.frame(1, 0, 200);
        let now_ns = bed.bed.now_ns;
        let record = bed.sealed(0, &frame, now_ns, 0);
        for tag in 0..copies {
            let mut copy = record.clone();
            copy.tag = tag;
            bed.from_wire(copy);
        }
        bed.rest();
        let delivered = bed.collect();
        assert_eq!(delivered.len(), 1);
        assert_eq!(delivered[0].1.frame(), frame);
        for _ in 1..copies {
            let ended = bed.nic.ended().unwrap();
            assert_eq!(ended.verdict, Verdict::Drop(DropReason::Replayed));
        }
        assert_eq!(bed.nic.ended(), None);
        let stages = seen.stages.lock().unwrap();
        let stays: Vec<_> = stages
            .iter()
            .filter(|(_, unit, ..)| unit.kind == UnitKind::IngressEngines)
            .collect();
        assert_eq!(stays.len() as u64, copies);
        let last_came = stays.iter().map(|stay| stay.2).max().unwrap();
        let first_left = stays.iter().map(|stay| stay.3).min().unwrap();
        assert!(
            last_came < first_left,
            "they were never in the engines together: {stays:?}"
        );
    }
}
