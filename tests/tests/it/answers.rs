//! What the NIC answers by itself, and what it hands to the host.

use etherparse::{Icmpv6Header, Icmpv6Type, TransportHeader};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::{Counter, DropReason};
use sealnic_tests::frames::check;
use sealnic_tests::{Body, FrameSpec, Setup, TestBed, for_each_backend};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, IntoBytes};

/// An ARP packet of RFC 826 behind `link`, octets up to the ethertype.
fn arp(link: &[u8], operation: u16, sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    [
        link,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4],
        &operation.to_be_bytes(),
        &sender.0,
        &sender.1.octets(),
        &target.0,
        &target.1.octets(),
    ]
    .concat()
}

fn request(bed: &TestBed, vm: usize, tags: &[u8], target: Ipv4Addr) -> Vec<u8> {
    let vm = &bed.setup.vms[vm];
    arp(
        &[&[0xff; 6][..], &vm.mac, tags].concat(),
        1,
        (vm.mac, vm.v4),
        ([0; 6], target),
    )
}

/// An ICMPv6 message with its checksum.
fn icmpv6(src: Ipv6Addr, dst: Ipv6Addr, kind: u8, rest: [u8; 4], payload: &[u8]) -> Body {
    let kind = Icmpv6Type::Unknown {
        type_u8: kind,
        code_u8: 0,
        bytes5to8: rest,
    };
    let header = Icmpv6Header::with_checksum(kind, src.octets(), dst.octets(), payload).unwrap();
    Body::Other {
        protocol: 58,
        octets: [&header.to_bytes()[..], payload].concat(),
    }
}

fn solicitation(bed: &TestBed, src: Ipv6Addr, target: Ipv6Addr) -> FrameSpec {
    let mac = bed.setup.vms[0].mac;
    let octets = target.octets();
    let dst = Ipv6Addr::from([
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, octets[13], octets[14], octets[15],
    ]);
    let option = if src.is_unspecified() {
        vec![]
    } else {
        [&[1, 1][..], &mac].concat()
    };
    let body = icmpv6(src, dst, 135, [0; 4], &[&octets[..], &option].concat());
    FrameSpec::new(
        mac,
        [0x33, 0x33, 0xff, octets[13], octets[14], octets[15]],
        src.into(),
        dst.into(),
    )
    .body(body)
    .with(|s| s.ttl = 255)
}

#[test]
fn an_arp_request_is_answered_with_the_mac_of_the_mapping() {
    for_each_backend(|backend| {
        // A neighbour on another host, one on the same host, one of a peered VNet, and the gateway.
        let setup = Setup::two_hosts()
            .vm(0, 10)
            .vnet(20, true, true)
            .vm(1, 20)
            .with(|s| (s.peerings, s.gateways) = (vec![(10, 20)], vec![(10, "192.0.2.254".parse().unwrap())]));
        let mut bed = TestBed::new(backend, setup);
        let gateway = ([0x02, 0x5e, 0xa1, 0, 0, 2], Ipv4Addr::new(8, 8, 8, 8));
        let owners: Vec<_> = [1, 2, 3].map(|vm| (bed.setup.vms[vm].mac, bed.setup.vms[vm].v4)).into();
        for owner in owners.into_iter().chain([gateway]) {
            for tags in [&[][..], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]] {
                let asker = (bed.setup.vms[0].mac, bed.setup.vms[0].v4);
                let asked = request(&bed, 0, tags, owner.1);
                let outcome = bed.send(0, &asked);
                let answer = outcome.only_delivery();
                let wanted = arp(&[&asker.0[..], &owner.0, tags].concat(), 2, owner, asker);
                assert_eq!((answer.host, answer.port, answer.is_generated), (0, 0, true));
                assert_eq!(answer.frame, wanted);
                assert!(outcome.wire.is_empty());
            }
        }
        let counters = bed.counters(0);
        assert_eq!(
            (counters.get(Counter::Consumed), counters.get(Counter::Generated)),
            (12, 12)
        );
    });
}

#[test]
fn arp_for_own_or_unknown_addresses_is_not_answered() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let (mac, own) = (bed.setup.vms[0].mac, bed.setup.vms[0].v4);
        let link = [&[0xff; 6][..], &mac].concat();
        for frame in [
            request(&bed, 0, &[], own),
            arp(&link, 1, (mac, Ipv4Addr::UNSPECIFIED), ([0; 6], own)),
            arp(&link, 2, (mac, own), ([0xff; 6], own)),
            request(&bed, 0, &[], Ipv4Addr::new(10, 10, 7, 7)),
            request(&bed, 0, &[], Ipv4Addr::new(192, 0, 2, 77)),
        ] {
            bed.send(0, &frame).assert_dropped(0, DropReason::Multicast);
        }
        let unicast = [&bed.setup.vms[1].mac[..], &mac].concat();
        let reply = arp(&unicast, 2, (mac, own), (bed.setup.vms[1].mac, bed.setup.vms[1].v4));
        bed.send(0, &reply).assert_dropped(0, DropReason::NotIp);
        let whole = request(&bed, 0, &[], bed.setup.vms[1].v4);
        for len in 14..whole.len() {
            bed.send(0, &whole[..len]).assert_dropped(0, DropReason::Malformed);
        }
    });
}

#[test]
fn a_neighbour_solicitation_is_answered_with_the_mac_of_the_mapping() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10));
        for owner in [1, 2] {
            for vlans in [vec![], vec![(0x8100, 5)]] {
                let (asker, owner) = (bed.setup.vms[0].clone(), bed.setup.vms[owner].clone());
                let spec = solicitation(&bed, asker.v6, owner.v6).with(|s| s.vlans.clone_from(&vlans));
                let outcome = bed.send(0, &spec.build());
                let answer = outcome.only_delivery();
                assert_eq!(answer.frame[..12], [asker.mac, owner.mac].concat());
                let message = check(&answer.frame);
                let ip = message.ipv6();
                assert_eq!(
                    (ip.source_addr(), ip.destination_addr(), ip.hop_limit),
                    (owner.v6, asker.v6, 255)
                );
                let Some(TransportHeader::Icmpv6(icmp)) = &message.transport else {
                    panic!("{message:?}")
                };
                let octets = [&icmp.to_bytes()[..], &message.payload].concat();
                // RFC 4861 section 4.4: solicited, override; the target, and its link-layer address.
                let wanted = [
                    &[136, 0][..],
                    &octets[2..4],
                    &[0x60, 0, 0, 0],
                    &owner.v6.octets(),
                    &[2, 1],
                    &owner.mac,
                ];
                assert_eq!(octets, wanted.concat());
            }
        }
    });
}

#[test]
fn duplicate_detection_hears_nothing_and_own_or_unknown_targets_are_not_answered() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let (own, other) = (bed.setup.vms[0].v6, bed.setup.vms[1].v6);
        let unknown = Ipv6Addr::new(0xfd00, 10, 0, 0, 0, 0, 0, 0x99);
        for (src, target) in [
            (Ipv6Addr::UNSPECIFIED, own),
            (Ipv6Addr::UNSPECIFIED, other),
            (own, own),
            (own, unknown),
        ] {
            let frame = solicitation(&bed, src, target).build();
            bed.send(0, &frame).assert_dropped(0, DropReason::Multicast);
        }
        // RFC 4861 section 7.1.1: a hop limit of less than 255 came from somewhere else; a wrong checksum from nowhere.
        let frame = solicitation(&bed, own, other).with(|s| s.ttl = 254).build();
        bed.send(0, &frame).assert_dropped(0, DropReason::Multicast);
        let mut frame = solicitation(&bed, own, other).build();
        frame[14 + 40 + 3] ^= 1;
        bed.send(0, &frame).assert_dropped(0, DropReason::Multicast);
    });
}

#[test]
fn a_router_solicitation_is_answered_with_the_ports_mtu() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with_vm(0, |vm| vm.mtu = 1_400));
        let mac = bed.setup.vms[0].mac;
        let dst = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        for src in [link_local, Ipv6Addr::UNSPECIFIED] {
            let spec = FrameSpec::new(mac, [0x33, 0x33, 0, 0, 0, 2], src.into(), dst.into())
                .body(icmpv6(src, dst, 133, [0; 4], &[]))
                .with(|s| s.ttl = 255);
            let outcome = bed.send(0, &spec.build());
            let answer = outcome.only_delivery();
            assert_eq!(answer.frame[..6], mac);
            let message = check(&answer.frame);
            let ip = message.ipv6();
            assert_eq!(ip.hop_limit, 255);
            assert_eq!(
                ip.source[..2],
                [0xfe, 0x80],
                "RFC 4861 section 4.2: a link-local address"
            );
            let to = if src.is_unspecified() {
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
            } else {
                src
            };
            assert_eq!(ip.destination_addr(), to);
            let Some(TransportHeader::Icmpv6(icmp)) = &message.transport else {
                panic!("{message:?}")
            };
            let octets = [&icmp.to_bytes()[..], &message.payload].concat();
            assert_eq!(octets[0], 134);
            assert!(u16::from_be_bytes([octets[6], octets[7]]) > 0, "a default router");
            let mtu_option = [5, 1, 0, 0, 0, 0, 0x05, 0x78];
            assert!(octets[16..].chunks(8).any(|option| option == mtu_option), "{octets:?}");
        }
    });
}

fn host_frame(octets: &[u8]) -> (HostFrame, &[u8]) {
    HostFrame::read_from_prefix(octets).unwrap()
}

#[test]
fn dhcp_goes_to_the_host_within_its_rate_and_its_answer_to_the_vm() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10).with(|s| s.control_rate = 2));
        let mac = bed.setup.vms[2].mac;
        let v4 = FrameSpec::new(
            mac,
            [0xff; 6],
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::BROADCAST),
        )
        .udp(68, 67, &[1; 300])
        .build();
        let all_agents: IpAddr = "ff02::1:2".parse().unwrap();
        let v6 = FrameSpec::new(mac, [0x33, 0x33, 0, 1, 0, 2], "fe80::1".parse().unwrap(), all_agents)
            .udp(546, 547, &[1; 60])
            .build();
        for frame in [&v4, &v6] {
            let outcome = bed.send(2, frame);
            assert!(outcome.drops.is_empty() && outcome.wire.is_empty() && outcome.delivered.is_empty());
            let [(0, handed)] = &outcome.host[..] else {
                panic!("{outcome:?}")
            };
            let (header, rest) = host_frame(handed);
            assert_eq!((header.kind, header.port), (HostFrameKind::Dhcp.into(), 1));
            assert_eq!(rest, frame);
        }
        bed.send(2, &v4).assert_dropped(0, DropReason::HostPoliced);
        bed.advance(1_000_000_000);
        assert_eq!(bed.send(2, &v4).host.len(), 1);

        let header = HostFrame {
            kind: HostFrameKind::ToVm.into(),
            port: 1,
            ..HostFrame::ZERO
        };
        let offer = bed.frame(1, 2, false).udp(67, 68, b"offer").build();
        let outcome = bed.from_host(0, &[header.as_bytes(), &offer].concat());
        assert_eq!(outcome.only_delivery().frame, offer);
        assert_eq!(outcome.only_delivery().port, 1);
    });
}

#[test]
fn the_host_reaches_no_port_that_is_not_there_and_sends_nothing_it_does_not_name() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10).with_vm(2, |vm| vm.up = false));
        let frame = bed.frame(1, 0, false).build();
        for (kind, port) in [(5, 1), (5, 9), (0, 0), (1, 0), (2, 0), (3, 0), (6, 0), (255, 0)] {
            let header = HostFrame {
                kind,
                port,
                ..HostFrame::ZERO
            };
            let outcome = bed.from_host(0, &[header.as_bytes(), &frame].concat());
            outcome.assert_dropped(0, DropReason::HostRefused);
        }
        for len in 0..32 {
            bed.from_host(0, &[4; 32][..len])
                .assert_dropped(0, DropReason::HostRefused);
        }
    });
}
