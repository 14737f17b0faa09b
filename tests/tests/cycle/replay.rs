//! The cycle model does what the functional model does, in an order of its own: replayed in that order on the functional model, all
//! octets, verdicts, register values, counters and events are the same.

use sealnic_abi::DropReason;
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::mailbox::{Opcode, VnetList};
use sealnic_abi::object::Port;
use sealnic_abi::registers::Register;
use sealnic_abi::ring::Ring;
use sealnic_hw_model::cycle::{CycleModel, HwConfig, UnitKind};
use sealnic_hw_model::middleware::Impairments;
use sealnic_hw_model::pci::Permissions;
use sealnic_hw_model::{Edge, HwModel, ModelConfig, Offload, Segmentation, Verdict};
use sealnic_tests::pf::{HostRing, IOVA, MEMORY, bed_of};
use sealnic_tests::timed::{LoadBed, Seen, Timed, functional};
use sealnic_tests::{Random, Setup, TestBed};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Cycle models of this hardware that record what they do, and what each was made with.
fn recording(hardware: &HwConfig, setup: &Setup) -> (Vec<ModelConfig>, Vec<Timed>) {
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
    (configs, models)
}

/// Runs traffic on cycle models of this hardware, replays what each did, and compares. Returns the number of steps.
fn check(hardware: &HwConfig, setup: Setup, traffic: impl FnOnce(&mut TestBed)) -> usize {
    let (configs, models) = recording(hardware, &setup);
    let handles = models.clone();
    let mut bed = TestBed::wrapped(&functional(), setup, move |host, _| Box::new(handles[host].clone()));
    traffic(&mut bed);
    for host in 0..configs.len() {
        // Events and flow log are in the answers that the driver reads.
        bed.device(host).drain_events().unwrap();
    }
    replayed(&mut bed, &configs, &models)
}

/// Replays what each model did and compares. Returns the number of steps.
fn replayed(bed: &mut TestBed, configs: &[ModelConfig], models: &[Timed]) -> usize {
    bed.settle();
    let mut steps = 0;
    for (host, config) in configs.iter().enumerate() {
        steps += models[host].with(|model| model.check_replay(config)).unwrap();
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

/// Host 0's rings at work: commands good and bad, its VM's frames both ways, events.
fn work_on_rings(bed: &mut TestBed, rings: &mut [HostRing; 4], random: &mut Random, sequence: &mut u32) {
    let [commands, events, receive, transmit] = rings;
    for _ in 0..random.below(12) {
        *sequence += 1;
        match random.below(4) {
            0 => commands.post_command(Opcode::PolicyEpochBump, *sequence, &[], 4_096),
            1 => commands.post_command(Opcode::VnetList, *sequence, VnetList { cursor: 0 }.as_bytes(), 4_096),
            2 => commands.post_command(Opcode::Identify, *sequence, &[], 64),
            _ => commands.post(&[0; 32]),
        }
    }
    commands.bell();
    let frame = bed.frame(0, 1, random.below(2) == 0);
    let header = HostFrame {
        kind: HostFrameKind::AsVm.into(),
        port: bed.setup.vms[0].port,
        ..HostFrame::ZERO
    };
    for _ in 0..random.below(6) {
        let payload = random.octets(random_len(&mut Random::new(u64::from(*sequence))));
        transmit.send(&header, &frame.clone().udp(random.below(9) as u16, 9, &payload).build());
        bed.hosts[0].ledger.vf_in += 1;
    }
    for _ in 0..random.below(8) {
        receive.post_buffer(2_048);
    }
    receive.bell();
    bed.settle();
    while commands.completion().is_some() || transmit.completion().is_some() {}
    while receive.completion().is_some() {
        bed.hosts[0].ledger.vf_out += 1;
    }
    while events.event().is_some() {}
    events.bell();
}

#[test]
fn work_on_rings_in_host_memory_replays_the_same() {
    let hardware = HwConfig::default_preset().unwrap();
    let setup = Setup::two_hosts();
    let (configs, models) = recording(&hardware, &setup);
    let handles = models.clone();
    let (mut bed, functions) = bed_of(&functional(), setup, move |host, _| Box::new(handles[host].clone()));
    let port = Port {
        representor: 1,
        ..bed.setup.vms[0].object()
    };
    bed.device(0).set_port(&port).unwrap();
    let pf = functions[0].clone();
    let start = || {
        Ring::ALL
            .to_vec()
            .try_into()
            .map(|all: [Ring; 4]| all.map(|ring| HostRing::new(&pf, ring, 64)))
    };
    let mut rings: [HostRing; 4] = start().unwrap();
    let (mut random, mut sequence) = (Random::new(8), 0);
    for round in 0..40 {
        for _ in 0..random.below(20) {
            let frame = bed
                .frame(1, 0, false)
                .udp(random.below(50) as u16, 7, &[3; 200])
                .build();
            bed.now_ns -= 950;
            bed.push(1, Edge::Vf(0), &frame, Offload::default());
        }
        work_on_rings(&mut bed, &mut rings, &mut random, &mut sequence);
        match round {
            // A ring whose memory is gone stops, and starts again.
            15 => {
                pf.host.unmap(IOVA, MEMORY as u64).unwrap();
                pf.ring_write(Ring::Command, Register::CommandRingDoorbell, sequence + 9);
                let memory = Arc::new(pf.memory.clone());
                pf.host
                    .map(IOVA, MEMORY as u64, memory, 0, Permissions::READ_WRITE)
                    .unwrap();
                rings = start().unwrap();
            }
            // A reset with frames inside, and a posted buffer.
            30 => {
                rings[2].post_buffer(2_048);
                rings[2].bell();
                while rings[2].completion().is_some() {
                    bed.hosts[0].ledger.vf_out += 1;
                }
                pf.function().reset();
                pf.enable();
                bed.program(0);
                bed.device(0).set_port(&port).unwrap();
                bed.device(0).set_enabled(true).unwrap();
                rings = start().unwrap();
            }
            _ => {}
        }
    }
    bed.settle();
    // All that waits for the host is taken, so that the accounts end even.
    for _ in 0..10 {
        (0..16).for_each(|_| rings[2].post_buffer(2_048));
        rings[2].bell();
        bed.settle();
        while rings[2].completion().is_some() {
            bed.hosts[0].ledger.vf_out += 1;
        }
    }
    let steps = replayed(&mut bed, &configs, &models);
    assert!(steps > 2_000 && sequence > 150, "{steps} steps, {sequence} commands");
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
