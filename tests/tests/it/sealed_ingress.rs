//! Sealed datagrams from the wire: each opened once, and only where it belongs.

use crate::delivery::variants;
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::object::{Address, DtlsVersion, Mapping, PortAddress};
use sealnic_abi::{DropReason, MappingKind};
use sealnic_hw_model::Edge;
use sealnic_tests::{Random, Setup, TestBed, for_each_backend, outer};
use std::net::IpAddr;
use zerocopy::FromBytes;

/// Records of so many frames from VM 0 to VM 1, caught on the wire, with the frames.
fn caught(bed: &mut TestBed, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    bed.is_connected = false;
    (0..count)
        .map(|n| {
            let frame = bed.frame(0, 1, n % 2 == 1).udp(5, 6, &(n as u64).to_be_bytes()).build();
            let datagram = bed.send(0, &frame).only_datagram().to_vec();
            (datagram, frame)
        })
        .collect()
}

/// Offset of the UDP payload in a datagram.
fn record_at(datagram: &[u8]) -> usize {
    if datagram[12] == 0x08 { 42 } else { 62 }
}

/// The datagram with another UDP payload.
fn with_record(bed: &TestBed, datagram: &[u8], record: &[u8]) -> Vec<u8> {
    let read = outer::read(datagram);
    outer::datagram(
        read.src,
        read.dst,
        bed.setup.mac(1),
        (read.src_port, read.dst_port),
        record,
    )
}

#[test]
fn a_replayed_record_is_dropped_however_often_and_however_late_it_comes() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let caught = caught(&mut bed, 3);
            for (datagram, frame) in &caught {
                assert_eq!(bed.inject_routed(1, datagram).only_delivery().frame, *frame);
                for _ in 0..3 {
                    bed.inject_routed(1, datagram).assert_dropped(1, DropReason::Replayed);
                }
            }
            for (datagram, _) in &caught {
                bed.inject_routed(1, datagram).assert_dropped(1, DropReason::Replayed);
            }
        }
    });
}

#[test]
fn of_two_copies_in_the_device_at_once_one_is_delivered() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for (mut datagram, frame) in caught(&mut bed, 20) {
            datagram[..6].copy_from_slice(&bed.setup.mac(1));
            for _ in 0..2 {
                bed.push(1, Edge::Wire, &datagram, Default::default());
            }
            bed.settle();
            let outcome = bed.take();
            assert_eq!(outcome.delivered.len(), 1);
            assert_eq!(outcome.delivered[0].frame, frame);
            assert_eq!(outcome.drops, [(1, DropReason::Replayed, 1)]);
        }
    });
}

#[test]
fn records_may_come_in_any_order_within_the_window_and_not_older() {
    for_each_backend(|backend| {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            for window in [64_u16, 128, 4_096] {
                let setup = Setup::two_hosts().with(|s| (s.version, s.replay_window) = (version, window));
                let mut bed = TestBed::new(backend, setup);
                let count = usize::from(window) + 1;
                let caught = caught(&mut bed, count);
                // The newest first, then every other one back to the oldest, which has just left the window.
                for (datagram, frame) in caught.iter().skip(1).rev() {
                    assert_eq!(bed.inject_routed(1, datagram).only_delivery().frame, *frame);
                }
                bed.inject_routed(1, &caught[0].0)
                    .assert_dropped(1, DropReason::Replayed);
                for (datagram, _) in &caught {
                    bed.inject_routed(1, datagram).assert_dropped(1, DropReason::Replayed);
                }
            }
        }
    });
}

#[test]
fn a_record_with_any_octet_changed_is_dropped_and_the_true_one_still_opens() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let (datagram, frame) = caught(&mut bed, 1).remove(0);
            let at = record_at(&datagram);
            for octet in at..datagram.len() {
                for bit in [0, 3, 7] {
                    let mut forged = datagram.clone();
                    forged[octet] ^= 1 << bit;
                    let outcome = bed.inject_routed(1, &forged);
                    // Not to a VM, and to the host only what claims to be a handshake, as it came.
                    assert!(outcome.delivered.is_empty(), "octet {octet}");
                    if outcome.host.is_empty() {
                        let [(1, reason, 1)] = outcome.drops[..] else {
                            panic!("{outcome:?}")
                        };
                        assert!(
                            matches!(
                                reason,
                                DropReason::AuthFailed
                                    | DropReason::RecordMalformed
                                    | DropReason::UnknownAssociation
                                    | DropReason::UnknownEpoch
                            ),
                            "octet {}: {reason:?}",
                            octet - at
                        );
                        if octet >= datagram.len() - 16 {
                            assert_eq!(reason, DropReason::AuthFailed);
                        }
                    } else {
                        assert!(!outer::shows(&outcome.host[0].1, &frame));
                    }
                }
            }
            assert_eq!(bed.inject_routed(1, &datagram).only_delivery().frame, frame);
        }
    });
}

#[test]
fn a_record_that_is_cut_or_followed_by_anything_is_dropped() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let (datagram, frame) = caught(&mut bed, 1).remove(0);
            let record = outer::read(&datagram).payload;
            for len in 0..record.len() {
                let cut = with_record(&bed, &datagram, &record[..len]);
                let outcome = bed.inject(1, &cut);
                assert!(outcome.delivered.is_empty() && outcome.host.is_empty(), "{len}");
                assert_eq!(outcome.drops.iter().map(|(.., n)| n).sum::<u64>(), 1);
            }
            for more in [&[0][..], &[23; 40], &record] {
                let long = with_record(&bed, &datagram, &[&record[..], more].concat());
                let outcome = bed.inject(1, &long);
                assert!(outcome.delivered.is_empty() && outcome.host.is_empty());
                assert_eq!(outcome.drops.len(), 1);
            }
            assert_eq!(bed.inject_routed(1, &datagram).only_delivery().frame, frame);
        }
    });
}

#[test]
fn an_unknown_connection_id_or_tuple_or_epoch_is_dropped_under_its_own_reason() {
    for_each_backend(|backend| {
        for setup in variants() {
            let (version, cid_len) = (setup.version, setup.cid_len);
            let mut bed = TestBed::new(backend, setup);
            let (datagram, _) = caught(&mut bed, 1).remove(0);
            let at = record_at(&datagram);
            let mut other = datagram.clone();
            if cid_len == 0 {
                // Another source port: the datagram is of no association.
                other[at - 7] ^= 1;
            } else {
                other[at + if version == DtlsVersion::Dtls12 { 11 } else { 1 }] ^= 1;
            }
            bed.inject_routed(1, &other)
                .assert_dropped(1, DropReason::UnknownAssociation);
            let mut epoch = datagram.clone();
            epoch[at + if version == DtlsVersion::Dtls12 { 4 } else { 0 }] ^= 2;
            bed.inject_routed(1, &epoch).assert_dropped(1, DropReason::UnknownEpoch);
        }
    });
}

#[test]
fn a_datagram_that_is_not_for_this_host_is_dropped_before_its_record_is_looked_at() {
    for_each_backend(|backend| {
        for underlay_v6 in [false, true] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.underlay_v6 = underlay_v6));
            let (sent, frame) = caught(&mut bed, 1).remove(0);
            let mut datagram = sent.clone();
            datagram[..6].copy_from_slice(&bed.setup.mac(1));
            // As it left: to the router's MAC.
            bed.inject(1, &sent).assert_dropped(1, DropReason::OuterNotOurs);
            let damaged = |at: usize, change: u8| {
                let mut frame = datagram.clone();
                frame[at] ^= change;
                frame
            };
            let ethertype = damaged(13, 1);
            bed.inject(1, &ethertype).assert_dropped(1, DropReason::OuterNotOurs);
            if underlay_v6 {
                let (address, next_header, fragment) = (damaged(14 + 39, 0x80), damaged(14 + 6, 1), {
                    let mut frame = datagram.clone();
                    frame[14 + 6] = 44;
                    frame
                });
                bed.inject(1, &address).assert_dropped(1, DropReason::OuterNotOurs);
                bed.inject(1, &next_header).assert_dropped(1, DropReason::OuterNotOurs);
                bed.inject(1, &fragment).assert_dropped(1, DropReason::OuterFragment);
            } else {
                let summed = |at: usize, change: u8| {
                    let mut frame = damaged(at, change);
                    let (mut header, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap();
                    header.header_checksum = header.calc_header_checksum();
                    frame[14..34].copy_from_slice(&header.to_bytes());
                    frame
                };
                let (checksum, address) = (damaged(14 + 8, 1), summed(14 + 19, 0x80));
                bed.inject(1, &checksum).assert_dropped(1, DropReason::OuterMalformed);
                bed.inject(1, &address).assert_dropped(1, DropReason::OuterNotOurs);
                let (more, later, protocol) = (summed(14 + 6, 0x60), summed(14 + 7, 1), summed(14 + 9, 1));
                bed.inject(1, &more).assert_dropped(1, DropReason::OuterFragment);
                bed.inject(1, &later).assert_dropped(1, DropReason::OuterFragment);
                bed.inject(1, &protocol).assert_dropped(1, DropReason::OuterNotOurs);
            }
            for len in 0..record_at(&datagram) {
                let outcome = bed.inject(1, &datagram[..len]);
                assert!(outcome.delivered.is_empty() && outcome.drops.len() == 1);
            }
            assert_eq!(bed.inject(1, &datagram).only_delivery().frame, frame);
        }
    });
}

/// A host that has the true keys of host 0, and other ideas of what to do with them.
fn turncoat(bed: &TestBed, backend: &sealnic_tests::Backend, change: impl FnOnce(&mut TestBed)) -> TestBed {
    let mut evil = TestBed::new(backend, bed.setup.clone().with(|s| s.keys = false));
    evil.is_connected = false;
    change(&mut evil);
    let pair = evil.pairs[0];
    let epoch = evil.first_epoch();
    evil.install(&pair, 0, epoch);
    evil.activate(&pair, 0);
    evil
}

#[test]
fn a_record_for_another_vnet_than_its_association_serves_is_dropped() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().vnet(20, true, true).vm(1, 20).vm(0, 20);
        for cid_len in [0, 8] {
            let mut bed = TestBed::new(backend, setup.clone().with(|s| s.cid_len = cid_len));
            let target = bed.setup.vms[1].clone();
            let mut evil = turncoat(&bed, backend, |evil| {
                let mut association = evil.setup.association(&evil.pairs[0], 0);
                association.peer_vni = 20;
                evil.device(0).remove_association(0).unwrap();
                evil.device(0).set_association(&association).unwrap();
                let mapping = Mapping {
                    src_vni: 10,
                    dst_vni: 20,
                    prefix: IpAddr::from(target.v4).into(),
                    prefix_len: 32,
                    pa: evil.setup.pa(1).into(),
                    kind: MappingKind::Vm.into(),
                    revision: 1,
                    ..Mapping::ZERO
                };
                evil.device(0).set_mappings(&[mapping]).unwrap();
            });
            let frame = evil.frame(0, 1, false).build();
            let datagram = evil.send(0, &frame).only_datagram().to_vec();
            bed.inject_routed(1, &datagram)
                .assert_dropped(1, DropReason::VniMismatch);
        }
    });
}

#[test]
fn a_peer_host_does_not_speak_for_addresses_that_are_not_mapped_to_it() {
    for_each_backend(|backend| {
        let setup = Setup::new(3).vnet(10, true, true).vm(0, 10).vm(1, 10).vm(2, 10);
        let mut bed = TestBed::new(backend, setup);
        let (own, other) = (bed.setup.vms[1].clone(), bed.setup.vms[2].clone());
        let sources: Vec<IpAddr> = vec![
            other.v4.into(),
            other.v6.into(),
            own.v4.into(),
            "10.10.200.1".parse().unwrap(),
            "8.8.8.8".parse().unwrap(),
        ];
        let mut evil = turncoat(&bed, backend, |evil| {
            for source in &sources {
                let address = PortAddress {
                    prefix: Address::from(*source),
                    prefix_len: if source.is_ipv4() { 32 } else { 128 },
                    ..PortAddress::ZERO
                };
                evil.device(0).add_port_address(&address).unwrap();
            }
        });
        for source in sources {
            // Also when the true owner's flow is known already.
            if source == IpAddr::from(other.v4) {
                let frame = bed.frame(2, 1, false).build();
                assert_eq!(bed.send(2, &frame).only_delivery().frame, frame);
            }
            let frame = evil.frame(0, 1, source.is_ipv6()).with(|s| s.src = source).build();
            let datagram = evil.send(0, &frame).only_datagram().to_vec();
            bed.inject_routed(1, &datagram)
                .assert_dropped(1, DropReason::InnerSpoofed);
        }
    });
}

#[test]
fn a_key_of_one_pair_opens_nothing_of_another() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().vnet(20, true, true).vm(0, 20).vm(1, 20);
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            let mut bed = TestBed::new(backend, setup.clone().with(|s| s.version = version));
            let (datagram, _) = caught(&mut bed, 1).remove(0);
            let other = bed.pairs.iter().find(|pair| pair.vnis == [20, 20]).unwrap();
            let cid = bed.setup.association(other, 1).local_cid;
            let mut crossed = datagram.clone();
            let at = record_at(&datagram) + if version == DtlsVersion::Dtls12 { 11 } else { 1 };
            crossed[at..at + 8].copy_from_slice(&cid[..8]);
            bed.inject_routed(1, &crossed).assert_dropped(1, DropReason::AuthFailed);
        }
    });
}

/// Records of epoch 0: RFC 6347 section 4.1.
fn plaintext(content_type: u8, epoch: u16, content: &[u8]) -> Vec<u8> {
    let head = [
        &[content_type, 0xfe, 0xfd][..],
        &epoch.to_be_bytes(),
        &[0; 6],
        &(content.len() as u16).to_be_bytes(),
    ];
    [&head.concat()[..], content].concat()
}

#[test]
fn handshake_records_go_to_the_host_as_they_came_and_change_no_sa() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let pair = bed.pairs[0];
            let read = TestBed::sa_id(&pair, 0, sealnic_abi::object::Direction::Read);
            let before = bed.device(1).query_sa(read).unwrap();
            let (sent, frame) = caught(&mut bed, 1).remove(0);
            // Change cipher spec, alert, handshake, acknowledgement.
            for content_type in [20, 21, 22, 26] {
                let datagram = with_record(&bed, &sent, &plaintext(content_type, 0, b"not yet protected"));
                let outcome = bed.inject(1, &datagram);
                assert!(outcome.drops.is_empty() && outcome.delivered.is_empty());
                let [(1, handed)] = &outcome.host[..] else {
                    panic!("{outcome:?}")
                };
                let (header, rest) = HostFrame::read_from_prefix(handed).unwrap();
                assert_eq!(header.kind, u8::from(HostFrameKind::Handshake));
                assert_eq!(rest, datagram);
            }
            // Application data of epoch 0 is nobody's.
            let data = with_record(&bed, &sent, &plaintext(23, 0, &[0; 60]));
            let outcome = bed.inject(1, &data);
            assert!(outcome.host.is_empty() && outcome.delivered.is_empty() && outcome.drops.len() == 1);
            assert_eq!(bed.device(1).query_sa(read).unwrap(), before);
            assert_eq!(bed.inject_routed(1, &sent).only_delivery().frame, frame);
        }
    });
}

#[test]
fn handshake_traffic_is_policed() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.control_rate = 5));
        let (sent, frame) = caught(&mut bed, 1).remove(0);
        let datagram = with_record(&bed, &sent, &plaintext(22, 0, b"hello"));
        let handed: usize = (0..20).map(|_| bed.inject(1, &datagram).host.len()).sum();
        assert_eq!(handed, 5);
        assert_eq!(bed.counters(1).dropped(DropReason::HostPoliced), 15);
        assert_eq!(
            bed.inject_routed(1, &sent).only_delivery().frame,
            frame,
            "data is not held back"
        );
    });
}

#[test]
fn garbage_from_the_wire_is_dropped_or_handed_up_and_never_delivered() {
    for_each_backend(|backend| {
        for cid_len in [0, 8] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.cid_len = cid_len));
            let mut random = Random::new(21);
            let (sent, frame) = caught(&mut bed, 1).remove(0);
            let mut template = sent.clone();
            template[..6].copy_from_slice(&bed.setup.mac(1));
            for round in 0..20_000 {
                let datagram = match round % 4 {
                    0 => {
                        let len = random.below(120);
                        random.octets(len)
                    }
                    1 => {
                        let len = random.below(120);
                        let record = random.octets(len);
                        with_record(&bed, &sent, &record)
                    }
                    _ => {
                        let mut datagram = template.clone();
                        for _ in 0..=random.below(3) {
                            let at = random.below(datagram.len());
                            let before = datagram[at];
                            datagram[at] = random.value() as u8;
                            // What is left as it was would be the true record.
                            if datagram[at] == before {
                                datagram[at] ^= 1;
                            }
                        }
                        if round % 8 == 2 {
                            datagram.truncate(random.below(datagram.len()));
                        }
                        datagram
                    }
                };
                if datagram.ends_with(&template[record_at(&template)..]) {
                    continue;
                }
                bed.push(1, Edge::Wire, &datagram, Default::default());
                bed.settle();
            }
            assert!(bed.take().delivered.is_empty());
            assert_eq!(bed.inject_routed(1, &sent).only_delivery().frame, frame);
        }
    });
}

#[test]
fn a_vm_that_just_moved_is_believed_at_its_old_host_for_a_moment() {
    for_each_backend(|backend| {
        let setup = Setup::new(3).vnet(10, true, true).vm(0, 10).vm(1, 10).vm(2, 10);
        let mut bed = TestBed::new(backend, setup);
        let moved = |bed: &TestBed, revision| Mapping {
            src_vni: 10,
            dst_vni: 10,
            prefix: IpAddr::from(bed.setup.vms[0].v4).into(),
            prefix_len: 32,
            pa: bed.setup.pa(2).into(),
            kind: MappingKind::Vm.into(),
            revision,
            ..Mapping::ZERO
        };
        let mapping = moved(&bed, 2);
        let frame = bed.frame(0, 1, false).build();
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        bed.device(1).set_mappings(&[mapping]).unwrap();
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        bed.advance(500_000_000);
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        bed.advance(600_000_000);
        bed.send(0, &frame).assert_dropped(1, DropReason::InnerSpoofed);
        let older = moved(&bed, 1);
        assert!(
            bed.device(1).set_mappings(&[older]).is_err(),
            "an older revision never replaces a newer one"
        );
    });
}
