//! Datagrams of the wire: any octets, any UDP payload, and true records with some octets changed. Nothing reaches a VM but
//! what its peer has sent, and every datagram is accounted for. The devices live on from input to input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealnic_abi::DropReason;
use sealnic_abi::object::DtlsVersion::{self, Dtls12, Dtls13};
use sealnic_hw_model::Edge;
use sealnic_tests::{Setup, TestBed, backend::BACKENDS, outer};
use std::cell::RefCell;

fn bed(version: DtlsVersion, cid_len: u8) -> RefCell<TestBed> {
    let setup = Setup::two_hosts()
        .small()
        .with(|s| (s.version, s.cid_len) = (version, cid_len));
    let mut bed = TestBed::new(&BACKENDS[0], setup);
    bed.is_connected = false;
    bed.into()
}

thread_local! { static BEDS: [RefCell<TestBed>; 4] = [bed(Dtls12, 0), bed(Dtls12, 8), bed(Dtls13, 0), bed(Dtls13, 20)]; }

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<(u16, u8)>, u8, [u16; 2])| {
    let (datagrams, changes, which, ports) = input;
    BEDS.with(|beds| {
        let mut bed = beds[usize::from(which) % 4].borrow_mut();
        let (mac, ends) = (bed.setup.mac(1), (bed.setup.pa(0), bed.setup.pa(1)));
        let frame = bed.frame(0, 1, false).udp(1, 2, b"true").build();
        let mut sent = bed.send(0, &frame).only_datagram().to_vec();
        sent[..6].copy_from_slice(&mac);
        for datagram in &datagrams {
            bed.push(1, Edge::Wire, datagram, Default::default());
            let payload = &datagram[..datagram.len().min(9_000)];
            let wrapped = outer::datagram(ends.0, ends.1, mac, (ports[0], ports[1]), payload);
            bed.push(1, Edge::Wire, &wrapped, Default::default());
            bed.push(
                1,
                Edge::Wire,
                &outer::clear(ends.0, ends.1, mac, 10, payload),
                Default::default(),
            );
        }
        let mut changed = sent.clone();
        for (at, value) in changes {
            let at = usize::from(at) % changed.len();
            changed[at] ^= value;
        }
        bed.push(1, Edge::Wire, &changed, Default::default());
        bed.push(1, Edge::Wire, &sent, Default::default());
        bed.settle();
        bed.check();
        let outcome = bed.take();
        // A change of the outer header that marks congestion costs the frame, and its number; every other one costs nothing.
        let marked = outcome.drops.iter().any(|drop| drop.1 == DropReason::Congestion);
        assert!(outcome.delivered.len() + usize::from(marked) == 1);
        assert!(outcome.delivered.iter().all(|delivery| delivery.frame == frame));
    });
});
