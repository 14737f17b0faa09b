//! What doesn't fit the underlay: packet-too-big messages and fragmentation, never silence.

use etherparse::{Icmpv4Type, Icmpv6Type, TransportHeader, icmpv4::DestUnreachableHeader};
use sealnic_abi::{Counter, DropReason};
use sealnic_tests::frames::check;
use sealnic_tests::{Body, Random, Setup, TestBed, for_each_backend, outer};

/// Room for an IP packet of 1,000 octets in the default records: 14 of Ethernet, 8 of VXLAN, 28 of record, 8 of UDP, 20 of IP.
const NARROW: u16 = 1_000 + 14 + 8 + 28 + 8 + 20;

fn narrow() -> Setup {
    Setup::two_hosts().with(|s| s.underlay_mtu = NARROW)
}

#[test]
fn a_vm_is_told_the_mtu_that_fits_by_icmp_from_the_far_end() {
    for_each_backend(|backend| {
        for vlans in [vec![], vec![(0x8100, 5)]] {
            let mut bed = TestBed::new(backend, narrow());
            // A tag costs four octets of what fits.
            let fits = 1_000 - 4 * vlans.len();
            let payload = Random::new(1).octets(1_200);
            let spec = bed
                .frame(0, 1, false)
                .udp(7, 8, &payload)
                .with(|s| s.vlans.clone_from(&vlans));
            let frame = spec.build();
            let outcome = bed.send(0, &frame);
            assert_eq!(outcome.drops, [(0, DropReason::PacketTooBig, 1)]);
            let answer = &outcome.delivered[0];
            assert_eq!((answer.host, answer.port, answer.is_generated), (0, 0, true));
            assert_eq!(answer.frame[..6], spec.src_mac);
            assert_eq!(answer.frame[12..spec.l3()], frame[12..spec.l3()], "the same tags");
            let message = check(&answer.frame);
            assert_eq!(message.ipv4().destination, bed.setup.vms[0].v4.octets());
            assert_eq!(message.ipv4().source, bed.setup.vms[1].v4.octets());
            let Some(TransportHeader::Icmpv4(icmp)) = &message.transport else {
                panic!("{message:?}");
            };
            let Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu }) =
                icmp.icmp_type
            else {
                panic!("{icmp:?}");
            };
            assert_eq!(usize::from(next_hop_mtu), fits);
            // RFC 1812 section 4.3.2.3: as much of the packet as fits 576 octets; at the least RFC 792's header and 8 octets.
            assert!(message.payload.len() >= 28 && answer.frame.len() - spec.l3() <= 576);
            assert_eq!(message.payload, frame[spec.l3()..][..message.payload.len()]);

            let spec = spec.udp(7, 8, &payload[..fits - 28]);
            assert_eq!(
                bed.send(0, &spec.build()).only_delivery().frame,
                spec.build(),
                "what was told fits"
            );
        }
    });
}

#[test]
fn a_vm_is_told_the_mtu_that_fits_by_icmpv6() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, narrow().with(|s| s.underlay_mtu += 300));
        let payload = Random::new(1).octets(1_400);
        let spec = bed.frame(0, 1, true).udp(7, 8, &payload);
        let frame = spec.build();
        let outcome = bed.send(0, &frame);
        assert_eq!(outcome.drops, [(0, DropReason::PacketTooBig, 1)]);
        let message = check(&outcome.delivered[0].frame);
        assert_eq!(message.ipv6().destination, bed.setup.vms[0].v6.octets());
        assert_eq!(message.ipv6().source, bed.setup.vms[1].v6.octets());
        let Some(TransportHeader::Icmpv6(icmp)) = &message.transport else {
            panic!("{message:?}");
        };
        assert_eq!(icmp.icmp_type, Icmpv6Type::PacketTooBig { mtu: 1_300 });
        assert_eq!(message.payload, frame[14..][..message.payload.len()]);
        // RFC 4443 section 2.4 (c): as much as fits the least IPv6 MTU.
        assert_eq!(outcome.delivered[0].frame.len(), 14 + 1_280);
        let spec = spec.udp(7, 8, &payload[..1_300 - 48]);
        assert_eq!(bed.send(0, &spec.build()).only_delivery().frame, spec.build());
    });
}

#[test]
fn packet_too_big_messages_are_limited_a_second_and_every_drop_is_counted() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, narrow().with(|s| s.control_rate = 3));
        for v6 in [false, true] {
            let frame = bed.frame(0, 1, v6).udp(7, 8, &[1; 1_300]).build();
            let (mut told, mut dropped) = (0, 0);
            for _ in 0..10 {
                let outcome = bed.send(0, &frame);
                told += outcome.delivered.len();
                dropped += outcome.drops.iter().map(|(.., n)| n).sum::<u64>();
            }
            assert_eq!((told, dropped), (3, 10));
            bed.advance(1_000_000_000);
            assert_eq!(bed.send(0, &frame).delivered.len(), 1);
            bed.advance(1_000_000_000);
        }
    });
}

#[test]
fn nobody_is_told_about_an_icmp_error_or_a_later_fragment() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, narrow());
        // Destination unreachable; packet too big.
        for (v6, protocol, kind) in [(false, 1, 3), (true, 58, 2)] {
            let mut octets = vec![0; 1_200];
            octets[0] = kind;
            let frame = bed.frame(0, 1, v6).body(Body::Other { protocol, octets }).build();
            bed.send(0, &frame).assert_dropped(0, DropReason::PacketTooBig);
        }
        let fragments = bed.frame(0, 1, true).udp(1, 2, &[9; 2_600]).fragments(1_304);
        assert_eq!(bed.send(0, &fragments[0]).delivered.len(), 1);
        bed.send(0, &fragments[1]).assert_dropped(0, DropReason::PacketTooBig);
    });
}

#[test]
fn ipv4_without_df_is_fragmented_before_sealing_and_can_be_put_together_again() {
    // No operation; a copied option (router alert); one that is not copied (record route), and the end.
    let options = [1, 1, 1, 1, 148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    for_each_backend(|backend| {
        for options in [&[][..], &options] {
            for len in [1_001, 1_400] {
                let mut bed = TestBed::new(backend, narrow());
                let spec = bed
                    .frame(0, 1, false)
                    .udp(7, 8, &Random::new(3).octets(len))
                    .with(|s| (s.dont_fragment, s.options) = (false, options.to_vec()));
                let frame = spec.build();
                let outcome = bed.send(0, &frame);
                assert!(outcome.drops.is_empty());
                let mut payload: Vec<u8> = Vec::new();
                for (n, delivery) in outcome.delivered.iter().enumerate() {
                    assert!(delivery.is_generated && delivery.host == 1);
                    let piece = check(&delivery.frame);
                    let header = piece.ipv4();
                    assert_eq!(usize::from(header.fragment_offset.byte_offset()), payload.len());
                    assert_eq!(header.more_fragments, n + 1 != outcome.delivered.len());
                    assert_eq!((header.identification, header.time_to_live), (spec.id, spec.ttl));
                    assert!(!header.dont_fragment);
                    match (n, options.is_empty()) {
                        (_, true) => assert!(header.options.is_empty()),
                        (0, _) => assert_eq!(header.options.as_slice(), options),
                        // RFC 791 section 3.1: those with the copied flag.
                        _ => assert_eq!(header.options.as_slice(), &[148, 4, 0, 0]),
                    }
                    payload.extend(&piece.payload);
                }
                assert!(outcome.delivered.len() > 1);
                assert_eq!(payload, spec.upper().1);
                for sent in &outcome.wire {
                    assert!(outer::read(&sent.frame).ip_len <= usize::from(NARROW));
                }
                let counters = bed.counters(0);
                assert_eq!(counters.get(Counter::Consumed), 1);
                assert_eq!(counters.get(Counter::Generated), outcome.delivered.len() as u64);
            }
        }
    });
}

#[test]
fn a_fragment_without_df_is_fragmented_further() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, narrow());
        let spec = bed.frame(0, 1, false).udp(7, 8, &Random::new(3).octets(3_000));
        let mut pieces = Vec::new();
        for fragment in spec.fragments(1_400) {
            let outcome = bed.send(0, &fragment);
            assert!(outcome.drops.is_empty());
            pieces.extend(outcome.delivered.into_iter().map(|delivery| check(&delivery.frame)));
        }
        assert!(pieces.len() > 3);
        let mut payload: Vec<u8> = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            assert_eq!(usize::from(piece.ipv4().fragment_offset.byte_offset()), payload.len());
            assert_eq!(piece.ipv4().more_fragments, n + 1 != pieces.len());
            payload.extend(&piece.payload);
        }
        assert_eq!(payload, spec.upper().1);
    });
}

#[test]
fn clear_traffic_is_held_to_the_underlays_mtu_as_well() {
    for_each_backend(|backend| {
        let setup = Setup::new(2).vnet(10, false, false).vm(0, 10).vm(1, 10);
        // 50 octets of headers around an inner IP packet.
        let mut bed = TestBed::new(backend, setup.with(|s| s.underlay_mtu = 1_050));
        for (len, fits) in [(972, true), (973, false)] {
            let frame = bed.frame(0, 1, false).udp(7, 8, &vec![1; len]).build();
            let outcome = bed.send(0, &frame);
            assert_eq!(outcome.wire.len(), usize::from(fits));
            assert_eq!(outcome.delivered[0].is_generated, !fits);
        }
    });
}

#[test]
fn the_ports_mtu_is_enforced_for_new_and_for_known_flows() {
    for_each_backend(|backend| {
        for mtu in [576, 1_500, 8_000] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with_vm(0, |vm| vm.mtu = mtu));
            for v6 in [false, true] {
                let room = usize::from(mtu) - if v6 { 48 } else { 28 };
                let long = bed.frame(0, 1, v6).udp(7, 8, &vec![1; room + 1]).build();
                let fitting = bed.frame(0, 1, v6).udp(7, 8, &vec![1; room]).build();
                bed.send(0, &long).assert_dropped(0, DropReason::FrameTooLong);
                assert_eq!(bed.send(0, &fitting).only_delivery().frame, fitting);
                bed.send(0, &long).assert_dropped(0, DropReason::FrameTooLong);
            }
        }
    });
}
