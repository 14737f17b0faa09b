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

fuzz_target!(|input: (Vec<Vec<u8>>, [u16; 3], u8)| {
    let (frames, [csum_start, csum_offset, segment_len], flags) = input;
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
        let spec = bed.frame(0, 1, false).build();
        for frame in &frames {
            bed.push(0, Edge::Vf(0), frame, offload);
            // The same with the VM's own address and its peer's, so that more than one input in a million gets on.
            let mut owned = frame.clone();
            if let Some(at) = owned.get_mut(..34) {
                at[12..15].copy_from_slice(&spec[12..15]);
                at[26..34].copy_from_slice(&spec[26..34]);
            }
            bed.push(0, Edge::Vf(0), &owned, offload);
        }
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
