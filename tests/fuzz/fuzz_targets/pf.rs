//! A driver that does anything: configuration space, BARs, ring registers and ring memory, between frames of a VM. The device answers, stays
//! within the memory it was given, comes to rest, and accounts for every frame; after a reset it works as on the first day.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealnic_abi::mailbox::Opcode;
use sealnic_abi::ring::Ring;
use sealnic_hw_model::Edge;
use sealnic_hw_model::pci::{Backing, Permissions};
use sealnic_tests::pf::{self, HostRing, IOVA, MEMORY, Pf};
use sealnic_tests::{Setup, TestBed, backend::BACKENDS};
use std::cell::RefCell;
use std::sync::Arc;

/// What is done, where, with which value, and octets for it.
type Act = (u8, u32, u32, Vec<u8>);

thread_local! { static BED: RefCell<(TestBed, Pf)> = {
    let (bed, mut functions) = pf::bed(&BACKENDS[0], Setup::two_hosts().small());
    (bed, functions.remove(0)).into()
}; }

fuzz_target!(|acts: Vec<Act>| {
    BED.with(|bed| {
        let (bed, pf) = &mut *bed.borrow_mut();
        run(bed, pf, &acts);
    });
});

fn run(bed: &mut TestBed, pf: &Pf, acts: &[Act]) {
    let frame = bed.frame(0, 1, false).build();
    for (what, at, value, octets) in acts.iter().take(128) {
        let ring = Ring::ALL[*value as usize % Ring::ALL.len()];
        match what % 9 {
            0 => {
                pf.function().config_write(*at as u16, octets);
                let mut read = vec![0; octets.len()];
                pf.function().config_read(*at as u16, &mut read);
            }
            1 => pf.enable(),
            2 => {
                let mut read = octets.clone();
                pf.function().bar_read(*value as u8, u64::from(*at), &mut read);
                pf.function().bar_write(*value as u8, u64::from(*at), octets);
            }
            3 => pf.write32(at & 0x3FFC, *value),
            4 => pf.write32(0x100 | at & 0xFC, value & 0xFFFF),
            5 => {
                let base = IOVA + u64::from(at % 0x4000) * 64;
                let entries = 1 << (value >> 8 & 15);
                pf.ring_enable(ring, base, base + u64::from(value >> 16) * 64, entries);
            }
            6 => {
                let at = (*at as usize % MEMORY).min(MEMORY - octets.len().min(MEMORY));
                pf.memory.write(at as u64, &octets[..octets.len().min(MEMORY)]).unwrap();
            }
            7 => {
                let page = IOVA + u64::from(*at) % (MEMORY as u64 / 4096) * 4096;
                pf.host.unmap(page, 4096).unwrap();
                if value & 1 != 0 {
                    let memory = Arc::new(pf.memory.clone());
                    let permissions = if value & 2 != 0 {
                        Permissions::READ_WRITE
                    } else {
                        Permissions::READ
                    };
                    pf.host.map(page, 4096, memory, page - IOVA, permissions).unwrap();
                }
            }
            _ => bed.push(0, Edge::Vf(0), &frame, Default::default()),
        }
        pf.go_on();
    }
    bed.settle();
    bed.take_frames();
    // Whole again: all of the memory, a clean function.
    pf.host.unmap(IOVA, MEMORY as u64).unwrap();
    pf.host
        .map(
            IOVA,
            MEMORY as u64,
            Arc::new(pf.memory.clone()),
            0,
            Permissions::READ_WRITE,
        )
        .unwrap();
    pf.function().reset();
    pf.enable();
    let mut ring = HostRing::new(pf, Ring::Command, 4);
    ring.post_command(Opcode::Identify, 1, &[], 4096);
    ring.bell();
    assert_eq!(ring.answer().unwrap().0.status, 0);
    bed.counters(0).check_balance().unwrap();
    bed.program(0);
    bed.device(0).set_enabled(true).unwrap();
}
