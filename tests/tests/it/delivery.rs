//! Frames that are to arrive arrive, byte for byte, and nobody reads them on the way.

use sealnic_abi::object::{CipherSuite, DtlsVersion};
use sealnic_tests::{Body, Random, Setup, TestBed, for_each_backend, outer};

/// DTLS version, cipher, connection id length, IPv6 underlay: all combinations.
pub(crate) fn variants() -> Vec<Setup> {
    let mut variants = Vec::new();
    for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        for suite in [CipherSuite::Aes128Gcm, CipherSuite::Aes256Gcm] {
            for cid_len in [0, 8, 20] {
                for underlay_v6 in [false, true] {
                    variants.push(Setup::two_hosts().with(|s| {
                        (s.version, s.suite, s.cid_len, s.underlay_v6) = (version, suite, cid_len, underlay_v6);
                    }));
                }
            }
        }
    }
    variants
}

fn bodies(random: &mut Random) -> Vec<Body> {
    let mut bodies = vec![
        Body::Tcp {
            src: 50_000,
            dst: 443,
            seq: 77,
            flags: 0x18,
            payload: random.octets(700),
        },
        Body::Udp {
            src: 50_001,
            dst: 53,
            payload: random.octets(100),
        },
        Body::Echo {
            payload: random.octets(56),
        },
    ];
    // GRE, ESP, SCTP, and a number that nobody uses.
    for protocol in [47, 50, 132, 253] {
        bodies.push(Body::Other {
            protocol,
            octets: random.octets(64),
        });
    }
    bodies
}

fn taggings() -> [Vec<(u16, u16)>; 3] {
    [vec![], vec![(0x8100, 0x6005)], vec![(0x88a8, 100), (0x8100, 200)]]
}

#[test]
fn every_kind_of_ip_frame_arrives_byte_for_byte_and_unseen_whatever_the_records_are_like() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let mut random = Random::new(5);
            for v6 in [false, true] {
                for vlans in taggings() {
                    for body in bodies(&mut random) {
                        for (from, to) in [(0, 1), (1, 0)] {
                            let spec = bed
                                .frame(from, to, v6)
                                .body(body.clone())
                                .with(|s| s.vlans.clone_from(&vlans));
                            let frame = spec.build();
                            let outcome = bed.send(from, &frame);
                            let delivery = outcome.only_delivery();
                            assert_eq!(delivery.frame, frame);
                            assert_eq!(delivery.host, to);
                            assert_eq!(delivery.port, bed.setup.vms[to].port);
                            assert!(!delivery.is_generated);
                            assert!(!outer::shows(outcome.only_datagram(), &frame), "{spec:?}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn first_and_later_fragments_are_sealed_and_arrive_byte_for_byte() {
    for_each_backend(|backend| {
        for setup in variants() {
            let mut bed = TestBed::new(backend, setup);
            let mut random = Random::new(6);
            for v6 in [false, true] {
                for vlans in taggings() {
                    let spec = bed
                        .frame(0, 1, v6)
                        .udp(1, 2, &random.octets(2_000))
                        .with(|s| s.vlans = vlans);
                    let fragments = spec.fragments(1_000);
                    assert_eq!(fragments.len(), 3);
                    for fragment in fragments {
                        let outcome = bed.send(0, &fragment);
                        assert_eq!(outcome.only_delivery().frame, fragment);
                        assert!(!outer::shows(outcome.only_datagram(), &fragment));
                    }
                }
            }
        }
    });
}

#[test]
fn octets_behind_the_ip_packet_are_carried_too() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for v6 in [false, true] {
            for padding in [1, 6, 18, 300] {
                let frame = bed
                    .frame(0, 1, v6)
                    .udp(1, 2, b"x")
                    .with(|s| s.padding = padding)
                    .build();
                assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
            }
        }
    });
}

#[test]
fn no_checksum_of_an_inner_packet_is_mended_or_refused() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for v6 in [false, true] {
            let spec = bed.frame(0, 1, v6).udp(1, 2, b"some payload");
            let mut frame = spec.build();
            frame[spec.l4() + 6] ^= 0x55;
            if !v6 {
                frame[spec.l3() + 10] ^= 0x55;
            }
            assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        }
    });
}

#[test]
fn every_frame_length_from_the_shortest_to_the_mtu_arrives() {
    for_each_backend(|backend| {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.version = version));
            let payload = Random::new(8).octets(1_472);
            for len in 0..=payload.len() {
                let frame = bed.frame(0, 1, false).udp(9, 9, &payload[..len]).build();
                bed.push(0, sealnic_hw_model::Edge::Vf(0), &frame, Default::default());
                bed.settle();
                let outcome = bed.take_frames();
                assert_eq!(outcome.only_delivery().frame, frame);
            }
        }
    });
}

#[test]
fn the_model_and_its_peer_know_who_sent_a_frame_by_the_association_alone() {
    for_each_backend(|backend| {
        // Two VNets with VMs on both hosts: four VMs with equal last octets, and nobody gets the other's frames.
        let setup = Setup::new(2)
            .vnet(10, true, true)
            .vnet(20, true, true)
            .vm(0, 10)
            .vm(0, 20)
            .vm(1, 10)
            .vm(1, 20);
        for cid_len in [0, 8] {
            let mut bed = TestBed::new(backend, setup.clone().with(|s| s.cid_len = cid_len));
            for (from, to) in [(0, 2), (1, 3), (2, 0), (3, 1)] {
                let frame = bed.frame(from, to, false).udp(5, 6, b"mine").build();
                let outcome = bed.send(from, &frame);
                let delivery = outcome.only_delivery();
                assert_eq!(
                    (delivery.host, delivery.port),
                    (bed.setup.vms[to].host, bed.setup.vms[to].port)
                );
            }
        }
    });
}
