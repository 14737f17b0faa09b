//! The cycle model at line rate: never more than the line allows, and hardly less.

use sealnic_hw_model::cycle::HwConfig;
use sealnic_tests::Setup;
use sealnic_tests::timed::{Load, LoadBed};

/// How frames go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlay {
    Sealed,
    Clear,
}

/// Octets of a frame of this size at the VM (with FCS) on the line, over IPv4: Ethernet, IP, UDP, VXLAN, the frame without FCS, FCS,
/// preamble and gap; in a DTLS 1.3 record with an 8-octet connection id also the record's header, content type and tag.
fn line_octets(overlay: Overlay, frame_len: usize) -> u64 {
    let record = match overlay {
        Overlay::Sealed => (1 + 8 + 2) + 1 + 16,
        Overlay::Clear => 0,
    };
    (14 + 20 + 8 + record + 8 + (frame_len - 4) + 4 + 8 + 12) as u64
}

/// Pairs of VMs, each with a VNet, and an association where frames are sealed.
fn setup(overlay: Overlay, pairs: u32) -> Setup {
    let is_sealed = overlay == Overlay::Sealed;
    let mut setup = Setup::new(2).with(|s| {
        s.underlay_mtu = 9_216;
        s.suite = sealnic_abi::object::CipherSuite::Aes128Gcm;
        s.flow_idle_ms = 3_600_000;
    });
    for vni in 10..10 + pairs {
        setup = setup.vnet(vni, is_sealed, is_sealed).vm(0, vni).vm(1, vni);
    }
    setup.vms.iter_mut().for_each(|vm| vm.mtu = 8_982);
    setup
}

/// Shares of the line that each direction reached, both at once.
fn shares(bed: &mut LoadBed, slot_ps: u64, frame_len: usize, frames: usize, flows: u16) -> (f64, f64) {
    let outcome = bed.load(&Load {
        frame_len,
        frames,
        flows,
        slot_ps,
        egress: true,
        ingress: true,
    });
    assert_eq!(outcome.ended, 0, "{frame_len}: frames were dropped");
    assert_eq!(
        (outcome.sent_ps.len(), outcome.delivered_ns.len()),
        (frames, frames),
        "{frame_len}"
    );
    // Between two frames in steady state: the queues are full by the first quarter, and not yet empty at the last.
    let (first, last) = (frames / 4, frames - frames / 8);
    let sent_ps = outcome.sent_ps[last] - outcome.sent_ps[first];
    let delivered_ns = outcome.delivered_ns[last] - outcome.delivered_ns[first];
    let received_ps = outcome.received_ps[last] - outcome.received_ps[first];
    let ideal_ps = ((last - first) as u64 * slot_ps) as f64;
    let (received, delivered) = (ideal_ps / received_ps as f64, ideal_ps / (delivered_ns * 1_000) as f64);
    // What has queued up before may be delivered faster than the line brings more; what comes may not.
    (ideal_ps / sent_ps as f64, received.min(delivered))
}

/// Runs all sizes sealed, the shortest and some others clear, and checks each direction.
fn fills_the_line(preset: &str, rate_gbps: u64, pairs: u32, flows: u16) {
    let hardware = HwConfig::preset(preset).unwrap().unwrap();
    let all = &[64, 65, 127, 128, 256, 512, 1_024, 1_280, 1_454, 1_518, 9_000];
    for (overlay, frame_lens) in [(Overlay::Sealed, &all[..]), (Overlay::Clear, &[64, 65, 512, 9_000])] {
        let mut bed = LoadBed::new(&hardware, setup(overlay, pairs));
        bed.make_known(flows);
        for &frame_len in frame_lens {
            let frames = if frame_len < 2_000 { 6_000 } else { 1_600 };
            let slot_ps = line_octets(overlay, frame_len) * 8_000 / rate_gbps;
            let (egress, ingress) = shares(&mut bed, slot_ps, frame_len, frames, flows);
            println!("{preset}, {overlay:?}, {frame_len}: {egress:.4} of the line out, {ingress:.4} in");
            assert!(
                (0.99..=1.0).contains(&egress),
                "{overlay:?}, {frame_len} octets: {egress} of the line"
            );
            // What the VM sees is told in nanoseconds.
            assert!(
                (0.99..=1.001).contains(&ingress),
                "{overlay:?}, {frame_len} octets: {ingress} of the line"
            );
        }
    }
}

#[test]
fn the_100_gbit_preset_fills_the_line_both_ways_at_once_at_every_size_and_never_more() {
    fills_the_line("100g", 100, 1, 16);
}

#[test]
fn the_200_gbit_preset_fills_the_line_both_ways_at_once_at_every_size_and_never_more() {
    fills_the_line("200g", 200, 4, 128);
}

#[test]
fn the_400_gbit_preset_fills_the_line_both_ways_at_once_at_every_size_and_never_more() {
    fills_the_line("400g", 400, 8, 256);
}

#[test]
fn the_entry_preset_fills_its_line_both_ways_at_once_at_every_size_and_never_more() {
    fills_the_line("entry", 10, 1, 16);
}
