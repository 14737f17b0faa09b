//! How fast the cycle model runs, beside the functional one in the same process:
//! `cargo test --release -p sealnic-tests --test cycle speed -- --ignored --nocapture`.

use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{Edge, HwModel, Packet};
use sealnic_tests::Setup;
use sealnic_tests::timed::LoadBed;
use std::time::Instant;

const FRAMES: usize = 40_000;

#[test]
#[ignore = "a measurement: it means something in a release build on a quiet machine only"]
fn simulated_cycles_and_frames_a_second() {
    let hardware = HwConfig::default_preset().unwrap();
    let mhz = u64::from(hardware.core.clock_mhz);
    for frame_len in [64, 1_454] {
        let setup = Setup::two_hosts().with(|s| s.suite = sealnic_abi::object::CipherSuite::Aes128Gcm);
        let mut bed = LoadBed::new(&hardware, setup);
        bed.make_known(16);
        bed.rest();
        let start_ns = bed.bed.now_ns;
        // Ethernet, IPv4, UDP, record, VXLAN, FCS, preamble and gap around the frame.
        let slot_ps = (frame_len as u64 + 98) * 80;
        let at_ns = |n: usize| start_ns + 1_000 + n as u64 * slot_ps / 1_000;
        let frames: Vec<Vec<u8>> = (0..16).map(|flow| bed.frame(0, flow, frame_len)).collect();
        let from_vm: Vec<Packet> = (0..FRAMES).map(|n| Packet::new(&frames[n % 16], at_ns(n), 0)).collect();
        let frames: Vec<Vec<u8>> = (0..16).map(|flow| bed.frame(1, flow, frame_len)).collect();
        let begin = Instant::now();
        let from_wire: Vec<Packet> = (0..FRAMES)
            .map(|n| bed.sealed(0, &frames[n % 16], at_ns(n), 0))
            .collect();
        let mut functional = begin.elapsed();

        bed.nic.with(CycleModel::reset_stats);
        let mut sent = Vec::with_capacity(FRAMES);
        let mut delivered = 0;
        let begin = Instant::now();
        bed.nic.with(|nic| {
            let mut take = |nic: &mut CycleModel| {
                while let Some((edge, packet)) = nic.collect() {
                    match edge {
                        Edge::Wire => sent.push(packet),
                        _ => delivered += 1,
                    }
                }
            };
            for (vm, wire) in from_vm.into_iter().zip(from_wire) {
                nic.submit(Edge::Vf(0), vm);
                nic.submit(Edge::Wire, wire);
                take(nic);
            }
            while let Some(next_ns) = nic.next_event_ns() {
                nic.advance(next_ns + 1_000);
                take(nic);
            }
        });
        let timed = begin.elapsed();
        let cycles = bed.nic.stats().active_cycles;
        assert_eq!((sent.len(), delivered), (FRAMES, FRAMES));
        let ledger = &mut bed.bed.hosts[0].ledger;
        ledger.vf_in += FRAMES as u64;
        ledger.wire_in += FRAMES as u64;
        ledger.vf_out += FRAMES as u64;
        ledger.wire_out += FRAMES as u64;

        let peer_mac = bed.bed.setup.mac(1);
        let ledger = &mut bed.bed.hosts[1].ledger;
        ledger.wire_in += FRAMES as u64;
        ledger.vf_out += FRAMES as u64;
        let peer = bed.bed.model(1);
        let begin = Instant::now();
        for mut packet in sent {
            packet.frame_mut()[..6].copy_from_slice(&peer_mac);
            peer.submit(Edge::Wire, packet);
            assert!(matches!(peer.collect(), Some((Edge::Vf(0), _))));
        }
        functional += begin.elapsed();

        let rate = |frames: usize, time: std::time::Duration| frames as f64 / time.as_secs_f64();
        println!(
            "{frame_len} octets: {:.2} M cycles/s, {:.0} frames/s; functional {:.0} frames/s",
            cycles as f64 / timed.as_secs_f64() / 1e6,
            rate(2 * FRAMES, timed),
            rate(2 * FRAMES, functional)
        );
        let idle_ns = 10_000_000_000;
        bed.rest();
        let begin = Instant::now();
        let from_ns = bed.bed.now_ns;
        for step in 1..=10_000 {
            bed.nic.with(|nic| nic.advance(from_ns + step * idle_ns / 10_000));
        }
        let idle = begin.elapsed();
        bed.bed.now_ns += idle_ns;
        println!(
            "idle: {:.0} M cycles/s",
            (idle_ns / 1_000 * mhz) as f64 / idle.as_secs_f64() / 1e6
        );
    }
}
