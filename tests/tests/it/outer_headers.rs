//! What a sealed datagram looks like from outside: headers, entropy, lengths, congestion marks.

use crate::delivery::variants;
use sealnic_abi::DropReason;
use sealnic_abi::object::DtlsVersion;
use sealnic_tests::setup::{DTLS_PORT, ROUTER_MAC};
use sealnic_tests::{Random, Setup, TestBed, for_each_backend, frames, outer};
use std::collections::HashSet;
use std::net::IpAddr;

/// Octets that a record adds to its content: RFC 6347 section 4.1 and RFC 5288 (13 of header, 8 of nonce, 16 of tag); with a
/// connection id RFC 9146 section 5 (the id and one of content type more); RFC 9147 section 4 without length field (1 and 2 of
/// header, 1 of content type, 16 of tag, and the id).
fn record_overhead(version: DtlsVersion, cid_len: u8) -> usize {
    match (version, cid_len) {
        (DtlsVersion::Dtls12, 0) => 13 + 8 + 16,
        (DtlsVersion::Dtls12, len) => 13 + 8 + 16 + 1 + usize::from(len),
        (DtlsVersion::Dtls13, len) => 1 + 2 + 1 + 16 + usize::from(len),
    }
}

/// Sets DSCP and ECN of an outer header, as a router does.
pub(crate) fn remark(datagram: &mut [u8], class: u8) {
    if datagram[12] == 0x08 {
        datagram[15] = class;
        let (mut header, _) = etherparse::Ipv4Header::from_slice(&datagram[14..]).unwrap();
        header.header_checksum = header.calc_header_checksum();
        datagram[14..34].copy_from_slice(&header.to_bytes());
    } else {
        datagram[14] = 0x60 | class >> 4;
        datagram[15] = datagram[15] & 0x0f | class << 4;
    }
}

#[test]
fn a_sealed_datagram_is_one_record_of_the_expected_length_under_the_expected_headers() {
    for_each_backend(|backend| {
        for setup in variants() {
            let overhead = record_overhead(setup.version, setup.cid_len);
            let mut bed = TestBed::new(backend, setup.clone());
            let mut random = Random::new(1);
            for v6 in [false, true] {
                for class in [0, 0b1011_1000, 0b0000_0001, 0b0000_0010, 0b1010_0011, 0b0010_1010] {
                    let len = random.below(1_400);
                    let frame = bed
                        .frame(0, 1, v6)
                        .udp(3, 4, &random.octets(len))
                        .with(|s| s.class = class)
                        .build();
                    let outcome = bed.send(0, &frame);
                    assert_eq!(outcome.only_delivery().frame, frame);
                    let datagram = outer::read(outcome.only_datagram());
                    assert_eq!((datagram.src_mac, datagram.dst_mac), (setup.mac(0), ROUTER_MAC));
                    assert_eq!((datagram.src, datagram.dst), (setup.pa(0), setup.pa(1)));
                    assert_eq!(datagram.ttl, 64);
                    assert_eq!(datagram.class, class, "DSCP and ECN are copied (RFC 6040 section 4.1)");
                    assert!(datagram.ipv4.is_none_or(|(dont_fragment, _)| dont_fragment));
                    assert_eq!(datagram.checksum, 0, "RFC 7348 section 5, RFC 6935");
                    assert_eq!(datagram.dst_port, DTLS_PORT);
                    assert_eq!(datagram.payload.len(), 8 + frame.len() + overhead);
                    let first = datagram.payload[0];
                    match setup.version {
                        DtlsVersion::Dtls12 if setup.cid_len == 0 => assert_eq!(first, 23, "application data"),
                        DtlsVersion::Dtls12 => assert_eq!(first, 25, "record with connection id"),
                        DtlsVersion::Dtls13 => assert_eq!(first >> 5, 1, "unified header"),
                    }
                    if setup.version == DtlsVersion::Dtls12 {
                        let record = &datagram.payload;
                        assert_eq!(record[1..5], [0xfe, 0xfd, 0, 1], "version and epoch");
                        let at = 11 + usize::from(setup.cid_len);
                        let len = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
                        assert_eq!(at + 2 + len, record.len(), "one record, and nothing behind it");
                    }
                }
            }
        }
    });
}

#[test]
fn the_source_port_tells_flows_apart_when_a_connection_id_frees_it() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup.clone());
            let mut ports = HashSet::new();
            for flow in 0..64 {
                let frame = bed.frame(0, 1, flow % 2 == 0).udp(1_000 + flow, 80, b"").build();
                let seen: Vec<u16> = (0..2)
                    .map(|_| outer::read(bed.send(0, &frame).only_datagram()).src_port)
                    .collect();
                assert_eq!(seen[0], seen[1], "one flow, one port");
                ports.insert(seen[0]);
            }
            if setup.cid_len == 0 {
                assert_eq!(ports, HashSet::from([DTLS_PORT]));
            } else {
                assert!(
                    ports.iter().all(|port| *port >= 49_152),
                    "RFC 7348 section 5: the dynamic range"
                );
                assert!(ports.len() > 48, "{} ports for 64 flows", ports.len());
            }
        }
    });
}

#[test]
fn fragments_share_their_source_port_whatever_ports_stand_in_the_first_one() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for v6 in [false, true] {
            let mut ports = HashSet::new();
            for flow in 0..8 {
                let spec = bed.frame(0, 1, v6).udp(flow, 1_000 + flow, &[7; 900]);
                for fragment in spec.fragments(400) {
                    ports.insert(outer::read(bed.send(0, &fragment).only_datagram()).src_port);
                }
            }
            assert_eq!(ports.len(), 1);
        }
    });
}

/// RFC 6040 section 4.2, figure 4: by the inner and the outer field of an arriving packet.
#[test]
fn congestion_marks_of_the_underlay_reach_the_inner_packet_as_rfc_6040_says() {
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    for_each_backend(|backend| {
        for underlay_v6 in [false, true] {
            for v6 in [false, true] {
                for inner in [NOT_ECT, ECT_0, ECT_1, CE] {
                    for outer in [NOT_ECT, ECT_0, ECT_1, CE] {
                        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.underlay_v6 = underlay_v6));
                        bed.is_connected = false;
                        let spec = bed
                            .frame(0, 1, v6)
                            .udp(1, 2, b"marked")
                            .with(|s| s.class = 0x28 | inner);
                        let mut datagram = bed.send(0, &spec.build()).only_datagram().to_vec();
                        remark(&mut datagram, 0x50 | outer);
                        let outcome = bed.inject_routed(1, &datagram);
                        let wanted = match (inner, outer) {
                            (NOT_ECT, CE) => None,
                            (ECT_0, ECT_1) => Some(ECT_1),
                            (CE, _) | (ECT_0 | ECT_1, CE) => Some(CE),
                            (inner, _) => Some(inner),
                        };
                        match wanted {
                            None => outcome.assert_dropped(1, DropReason::Congestion),
                            Some(mark) => {
                                // Never the underlay's DSCP, and a checksum that is right again.
                                let wanted = spec.with(|s| s.class = 0x28 | mark).build();
                                assert_eq!(outcome.only_delivery().frame, wanted, "{inner} {outer}");
                                let _ = frames::check(&outcome.only_delivery().frame);
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn the_underlay_is_asked_for_no_more_than_it_was_said_to_need() {
    // Design of the wire format: inner frame of 1514, by version, connection id, IPv4 and IPv6.
    let table = [
        (DtlsVersion::Dtls12, 0, 1_587, 1_607),
        (DtlsVersion::Dtls12, 8, 1_596, 1_616),
        (DtlsVersion::Dtls13, 0, 1_570, 1_590),
        (DtlsVersion::Dtls13, 8, 1_578, 1_598),
    ];
    for_each_backend(|backend| {
        for (version, cid_len, v4_mtu, v6_mtu) in table {
            for (underlay_v6, mtu) in [(false, v4_mtu), (true, v6_mtu)] {
                let setup = Setup::two_hosts().with(|s| {
                    (s.version, s.cid_len, s.underlay_v6, s.underlay_mtu) = (version, cid_len, underlay_v6, mtu);
                });
                for v6 in [false, true] {
                    let len = if v6 { 1_452 } else { 1_472 };
                    let mut bed = TestBed::new(backend, setup.clone());
                    let frame = bed.frame(0, 1, v6).udp(1, 2, &vec![0xa5; len]).build();
                    assert_eq!(frame.len(), 1_514);
                    let outcome = bed.send(0, &frame);
                    assert_eq!(outcome.only_delivery().frame, frame);
                    assert_eq!(outer::read(outcome.only_datagram()).ip_len, usize::from(mtu));

                    let mut bed = TestBed::new(backend, setup.clone().with(|s| s.underlay_mtu -= 1));
                    let outcome = bed.send(0, &frame);
                    assert_eq!(outcome.drops, [(0, DropReason::PacketTooBig, 1)]);
                    assert!(outcome.wire.is_empty());
                    assert_eq!(outcome.delivered.len(), 1, "the VM is told");
                    let spec = bed.frame(0, 1, v6).udp(1, 2, &vec![0xa5; len - 1]);
                    assert_eq!(bed.send(0, &spec.build()).only_delivery().frame, spec.build());
                }
            }
        }
    });
}

#[test]
fn the_two_directions_of_a_pair_use_the_connection_id_that_the_receiver_chose() {
    for_each_backend(|backend| {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            let setup = Setup::two_hosts().with(|s| s.version = version);
            let mut bed = TestBed::new(backend, setup);
            let pair = bed.pairs[0];
            let at = if version == DtlsVersion::Dtls12 { 11 } else { 1 };
            for (from, to) in [(0, 1), (1, 0)] {
                let frame = bed.frame(from, to, false).build();
                let record = outer::read(bed.send(from, &frame).only_datagram()).payload;
                let chosen = bed.setup.association(&pair, to).local_cid;
                assert_eq!(record[at..at + 8], chosen[..8]);
            }
        }
    });
}

#[test]
fn clear_datagrams_have_the_headers_of_rfc_7348() {
    for_each_backend(|backend| {
        for underlay_v6 in [false, true] {
            let setup = Setup::new(2)
                .vnet(10, false, false)
                .vm(0, 10)
                .vm(1, 10)
                .with(|s| s.underlay_v6 = underlay_v6);
            let mut bed = TestBed::new(backend, setup.clone());
            for v6 in [false, true] {
                let frame = bed
                    .frame(0, 1, v6)
                    .tcp(1, 2, 0x10, b"clear")
                    .with(|s| s.class = 0xb9)
                    .build();
                let outcome = bed.send(0, &frame);
                assert_eq!(outcome.only_delivery().frame, frame);
                let datagram = outer::read(outcome.only_datagram());
                assert_eq!(datagram.vxlan(), Some((10, &frame[..])));
                assert_eq!((datagram.ttl, datagram.class, datagram.checksum), (64, 0xb9, 0));
                assert_eq!((datagram.src, datagram.dst), (setup.pa(0), setup.pa(1)));
                assert!(datagram.src_port >= 49_152);
                assert!(datagram.ipv4.is_none_or(|(dont_fragment, _)| dont_fragment));
            }
        }
    });
}

#[test]
fn a_datagram_with_a_right_udp_checksum_is_taken_and_one_with_a_wrong_one_is_not() {
    for_each_backend(|backend| {
        for underlay_v6 in [false, true] {
            let setup = Setup::two_hosts().with(|s| s.underlay_v6 = underlay_v6);
            let mut bed = TestBed::new(backend, setup.clone());
            bed.is_connected = false;
            let frame = bed.frame(0, 1, false).udp(1, 2, b"sum").build();
            let sent = outer::read(bed.send(0, &frame).only_datagram());
            let ends: (IpAddr, IpAddr) = (setup.pa(0), setup.pa(1));
            // The builder fills the checksum in.
            let datagram = outer::datagram(
                ends.0,
                ends.1,
                setup.mac(1),
                (sent.src_port, sent.dst_port),
                &sent.payload,
            );
            let udp = datagram.len() - sent.payload.len() - 8;
            assert_ne!(datagram[udp + 6..udp + 8], [0, 0]);
            let mut wrong = datagram.clone();
            wrong[udp + 7] ^= 1;
            bed.inject(1, &wrong).assert_dropped(1, DropReason::OuterMalformed);
            assert_eq!(bed.inject(1, &datagram).only_delivery().frame, frame);
        }
    });
}
