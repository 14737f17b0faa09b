//! Frames of a VM with any request for checksum and segmentation: none upsets the device, every one is accounted for, and
//! none leaves in the clear. The devices live on from input to input; a frame does not change them but for flows and numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealnic_hw_model::{Edge, Offload, Segmentation};
use sealnic_tests::{Setup, TestBed, backend::BACKENDS, outer};
use std::cell::RefCell;

fn bed(underlay_mtu: u16) -> RefCell<TestBed> {
    let setup = Setup::two_hosts().small().with_vm(0, |vm| vm.any_mac = true);
    TestBed::new(&BACKENDS[0], setup.with(|s| s.underlay_mtu = underlay_mtu)).into()
}

thread_local! { static BEDS: [RefCell<TestBed>; 3] = [bed(600), bed(1_078), bed(9_000)]; }

/// A good frame of the VM: UDP or TCP over IPv4 or IPv6, or an ARP request; and the checksum request that fits it.
fn template(bed: &TestBed, kind: u8, payload_len: u16) -> (Vec<u8>, u16, u16) {
    let payload = vec![0x5a; usize::from(payload_len) % 9_000];
    let spec = bed.frame(0, 1, kind & 1 != 0);
    let (spec, csum_offset) = match kind & 2 {
        0 => (spec.udp(68, 53, &payload), 6),
        _ => (spec.tcp(443, 53, 0x18, &payload), 16),
    };
    let frame = spec.build();
    if kind & 0x0d == 0x0c {
        let packet = [0, 1, 8, 0, 6, 4, 0, 1];
        let arp = [
            &[0xff; 6],
            &frame[6..12],
            &[8, 6],
            &packet,
            &frame[6..12],
            &frame[26..30],
            &[0; 6],
            &frame[30..34],
        ];
        return (arp.concat(), 0, 0);
    }
    (frame, spec.l4() as u16, csum_offset)
}

/// Octets as they come, octets to be changed in a good frame (place, difference), the offload request, kind and length of the
/// good frame.
type Input = (Vec<Vec<u8>>, Vec<(u8, u8)>, [u16; 3], u8, u8, u16);

fuzz_target!(|input: Input| {
    let (frames, changes, [csum_start, csum_offset, segment_len], flags, kind, payload_len) = input;
    let offload = Offload {
        needs_csum: flags & 1 != 0,
        segmentation: [Segmentation::None, Segmentation::Tcp, Segmentation::Udp][usize::from(flags >> 1) % 3],
        csum_start,
        csum_offset,
        segment_len,
        ..Offload::default()
    };
    BEDS.with(|beds| {
        let mut bed = beds[usize::from(flags >> 4) % 3].borrow_mut();
        for frame in &frames {
            bed.push(0, Edge::Vf(0), frame, offload);
        }
        let (mut frame, csum_start, csum_offset) = template(&bed, kind, payload_len);
        for (at, difference) in changes {
            let at = usize::from(at) % frame.len();
            frame[at] ^= difference;
        }
        bed.push(0, Edge::Vf(0), &frame, offload);
        let fitting = Offload {
            csum_start,
            csum_offset,
            ..offload
        };
        bed.push(0, Edge::Vf(0), &frame, fitting);
        bed.settle();
        bed.check();
        assert!(
            bed.take_frames()
                .wire
                .iter()
                .all(|sent| outer::read(&sent.frame).vxlan().is_none())
        );
    });
});
