//! The exception path: control records that the host has sealed, and those that it gets; handshakes that it sends.

use crate::delivery::variants;
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::DtlsVersion;
use sealnic_abi::{Counter, DropReason};
use sealnic_tests::{Outcome, Setup, TestBed, for_each_backend, outer};
use std::collections::HashSet;
use zerocopy::{FromBytes, IntoBytes};

fn seal(bed: &mut TestBed, content_type: u8, content: &[u8]) -> (sealnic_abi::mailbox::ControlRecordSealed, Outcome) {
    let sealed = bed.device(0).seal_control_record(0, content_type, content).unwrap();
    bed.settle();
    (sealed, bed.take())
}

#[test]
fn a_control_record_is_sealed_opened_and_handed_to_the_peers_host_with_its_place() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let epoch = bed.first_epoch();
            for (n, content_type) in [20, 21, 22, 26].into_iter().enumerate() {
                for len in [1, 2, 40, 2_048] {
                    let content: Vec<u8> = (0..len).map(|at| (at + n) as u8 | 1).collect();
                    let (sealed, outcome) = seal(&mut bed, content_type, &content);
                    assert_eq!(sealed.epoch, epoch);
                    assert!(outcome.drops.is_empty() && outcome.delivered.is_empty());
                    if len >= 8 {
                        assert!(!outer::shows(outcome.only_datagram(), &content));
                    }
                    let [(1, handed)] = &outcome.host[..] else {
                        panic!("{outcome:?}")
                    };
                    let (header, rest) = HostFrame::read_from_prefix(handed).unwrap();
                    assert_eq!(header.kind, u8::from(HostFrameKind::ControlRecord));
                    assert_eq!((header.association, header.content_type), (0, content_type));
                    assert_eq!((header.epoch, header.sequence), (sealed.epoch, sealed.sequence));
                    assert_eq!(rest, content);
                    let mut again = outcome.only_datagram().to_vec();
                    again[..6].copy_from_slice(&bed.setup.mac(1));
                    bed.inject(1, &again).assert_dropped(1, DropReason::Replayed);
                }
            }
        }
    });
}

#[test]
fn control_records_and_data_share_one_sequence_of_numbers() {
    for_each_backend(|backend| {
        for cid_len in [0_u8, 8, 20] {
            let setup = Setup::two_hosts().with(|s| (s.version, s.cid_len) = (DtlsVersion::Dtls12, cid_len));
            let mut bed = TestBed::new(backend, setup);
            let mut nonces = HashSet::new();
            for n in 0..60_u64 {
                let outcome = if n % 3 == 0 {
                    let (sealed, outcome) = seal(&mut bed, 21, b"alert");
                    assert_eq!(sealed.sequence, n);
                    outcome
                } else {
                    let frame = bed.frame(0, 1, n % 2 == 0).build();
                    bed.send(0, &frame)
                };
                let record = outer::read(outcome.only_datagram()).payload;
                assert_eq!(record[5..11], n.to_be_bytes()[2..], "the number in the header");
                let at = 13 + usize::from(cid_len);
                assert!(nonces.insert(record[at..at + 8].to_vec()), "a nonce comes twice");
            }
        }
    });
}

#[test]
fn a_control_record_that_may_not_be_sealed_is_refused_and_takes_no_number() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let status = |bed: &mut TestBed, association, content_type| {
            let result = bed.device(0).seal_control_record(association, content_type, b"x");
            result.unwrap_err().status().unwrap()
        };
        for content_type in [0, 19, 23, 24, 25, 27, 255] {
            assert_eq!(status(&mut bed, 0, content_type), Status::BadParameter);
        }
        for association in [1, 63, 64, u32::MAX] {
            assert_eq!(status(&mut bed, association, 21), Status::WrongState);
        }
        bed.device(0).set_enabled(false).unwrap();
        assert_eq!(status(&mut bed, 0, 21), Status::WrongState);
        bed.device(0).set_enabled(true).unwrap();
        assert_eq!(seal(&mut bed, 21, b"x").0.sequence, 0);
        let counters = bed.counters(0);
        assert_eq!(counters.get(Counter::HostIn), 5);
        assert_eq!(counters.dropped(DropReason::NoWriteSa), 4);
    });
}

#[test]
fn the_host_sends_handshake_records_of_epoch_0_and_nothing_else() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let setup = bed.setup.clone();
        let record = |content_type: u8, epoch: u8| {
            [
                &[content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9, 0, 4][..],
                b"data",
            ]
            .concat()
        };
        let datagram = |src, port, payload: &[u8]| {
            let header = HostFrame {
                kind: HostFrameKind::ToWire.into(),
                ..HostFrame::ZERO
            };
            let mut frame = outer::datagram(
                setup.pa(src),
                setup.pa(1),
                sealnic_tests::setup::ROUTER_MAC,
                (4433, port),
                payload,
            );
            frame[6..12].copy_from_slice(&setup.mac(0));
            ([header.as_bytes(), &frame].concat(), frame)
        };
        for payload in [record(22, 0), [record(20, 0), record(22, 0)].concat()] {
            let (given, frame) = datagram(0, 4433, &payload);
            let outcome = bed.from_host(0, &given);
            assert!(outcome.drops.is_empty());
            assert_eq!(outcome.only_datagram(), frame);
        }
        bed.take();
        let vm = bed.frame(0, 1, false).build();
        let vxlan = [&[8, 0, 0, 0, 0, 0, 10, 0][..], &vm].concat();
        for (src, port, payload) in [
            (0, 4433, record(23, 0)),
            (0, 4433, record(22, 1)),
            (0, 4433, [record(22, 0), record(23, 0)].concat()),
            (0, 4433, [record(22, 0), vec![22]].concat()),
            (0, 4433, vec![]),
            (0, 4789, record(22, 0)),
            (0, 4789, vxlan.clone()),
            (0, 4433, vxlan),
            (1, 4433, record(22, 0)),
        ] {
            let (given, _) = datagram(src, port, &payload);
            let outcome = bed.from_host(0, &given);
            outcome.assert_dropped(0, DropReason::HostRefused);
            assert!(outcome.wire.is_empty());
        }
    });
}
