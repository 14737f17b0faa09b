//! Frames of VMs that must not pass, each dropped for its own reason.

use sealnic_abi::DropReason;
use sealnic_abi::object::PortAddress;
use sealnic_hw_model::{Edge, Offload};
use sealnic_tests::{Body, Random, Setup, TestBed, for_each_backend};
use std::net::IpAddr;

#[test]
fn a_vm_speaks_with_its_own_mac_only_unless_its_port_says_otherwise() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10).with_vm(2, |vm| vm.any_mac = true));
        let frame = |bed: &TestBed, from, mac| bed.frame(from, 1, false).with(|s| s.src_mac = mac).build();
        let (other, group) = ([0, 0x0d, 0x3a, 9, 9, 9], [1, 0, 0x5e, 0, 0, 1]);
        let spoofed = frame(&bed, 0, other);
        bed.send(0, &spoofed).assert_dropped(0, DropReason::SpoofedMac);
        let allowed = frame(&bed, 2, other);
        assert_eq!(bed.send(2, &allowed).only_delivery().frame, allowed);
        let grouped = frame(&bed, 2, group);
        bed.send(2, &grouped).assert_dropped(0, DropReason::SpoofedMac);
    });
}

#[test]
fn a_vm_speaks_with_its_own_addresses_only_also_beside_a_known_flow() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10));
        for v6 in [false, true] {
            let good = bed.frame(0, 1, v6).udp(5, 6, b"mine");
            assert_eq!(bed.send(0, &good.build()).only_delivery().frame, good.build());
            let neighbour = bed.setup.vms[2].address(v6);
            let remote = bed.setup.vms[1].address(v6);
            let foreign: IpAddr = if v6 { "2001:db8::1" } else { "198.51.100.1" }.parse().unwrap();
            let none: IpAddr = if v6 { "::" } else { "0.0.0.0" }.parse().unwrap();
            for source in [neighbour, remote, foreign, none] {
                let frame = good.clone().with(|s| s.src = source).build();
                bed.send(0, &frame).assert_dropped(0, DropReason::SpoofedAddress);
            }
        }
    });
}

#[test]
fn a_prefix_lets_a_vm_speak_for_others_until_it_is_taken_away() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let prefix = PortAddress {
            prefix: "172.16.0.0".parse::<IpAddr>().unwrap().into(),
            prefix_len: 12,
            port: 0,
            ..PortAddress::ZERO
        };
        let frame = bed
            .frame(0, 1, false)
            .with(|s| s.src = "172.20.1.1".parse().unwrap())
            .build();
        bed.send(0, &frame).assert_dropped(0, DropReason::SpoofedAddress);
        bed.device(0).add_port_address(&prefix).unwrap();
        // The peer knows nothing of it: its own drop.
        bed.send(0, &frame).assert_dropped(1, DropReason::InnerSpoofed);
        bed.device(0).remove_port_address(&prefix).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::SpoofedAddress);
    });
}

#[test]
fn broadcast_and_multicast_are_not_carried() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for address in [
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "ff02::1",
            "ff05::2",
        ] {
            let dst: IpAddr = address.parse().unwrap();
            let spec = bed.frame(0, 1, dst.is_ipv6()).with(|s| s.dst = dst);
            for frame in [spec.clone(), spec.with(|s| s.dst_mac = [0xff; 6])] {
                bed.send(0, &frame.build()).assert_dropped(0, DropReason::Multicast);
            }
        }
        for mac in [[0xff; 6], [0x01, 0, 0x5e, 1, 2, 3], [0x33, 0x33, 0, 0, 0, 1]] {
            let frame = bed.frame(0, 1, false).with(|s| s.dst_mac = mac).build();
            bed.send(0, &frame).assert_dropped(0, DropReason::Multicast);
        }
    });
}

#[test]
fn what_is_not_ip_is_not_carried() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        // LLDP, MPLS, PPPoE, an 802.3 length, and two tags with a third behind them.
        for ethertype in [0x88cc_u16, 0x8847, 0x8864, 46] {
            let mut frame = bed.frame(0, 1, false).build();
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            bed.send(0, &frame).assert_dropped(0, DropReason::NotIp);
        }
        let frame = bed.frame(0, 1, false).with(|s| s.vlans = vec![(0x8100, 1); 3]).build();
        bed.send(0, &frame).assert_dropped(0, DropReason::NotIp);
    });
}

#[test]
fn nothing_passes_a_port_that_is_down_or_missing_or_a_device_that_is_disabled() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10).with_vm(2, |vm| vm.up = false));
        let frame = bed.frame(2, 1, false).build();
        bed.send(2, &frame).assert_dropped(0, DropReason::PortDown);
        for port in [7, 15, 16, u16::MAX] {
            bed.send_at(0, port, &frame, Offload::default())
                .assert_dropped(0, DropReason::PortDown);
        }
        let frame = bed.frame(0, 1, false).build();
        assert!(bed.device(0).is_enabled().unwrap());
        bed.device(0).set_enabled(false).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::PortDown);
        bed.device(0).set_enabled(true).unwrap();
        bed.device(1).set_enabled(false).unwrap();
        bed.send(0, &frame).assert_dropped(1, DropReason::OuterNotOurs);
        bed.device(1).set_enabled(true).unwrap();
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        // A port that goes down takes its known flows with it, at both ends.
        let down = sealnic_abi::object::Port {
            up: 0,
            ..bed.setup.vms[1].object()
        };
        bed.device(1).set_port(&down).unwrap();
        bed.send(0, &frame).assert_dropped(1, DropReason::NoLocalPort);
    });
}

#[test]
fn frames_to_addresses_where_nobody_is_go_nowhere() {
    for_each_backend(|backend| {
        // With a gateway: an address of the VNet's own space never leaves by it.
        let setup = Setup::two_hosts().with(|s| s.gateways = vec![(10, "192.0.2.254".parse().unwrap())]);
        for (setup, has_gateway) in [(Setup::two_hosts(), false), (setup, true)] {
            let mut bed = TestBed::new(backend, setup);
            for (address, inside) in [
                ("10.10.9.9", true),
                ("203.0.113.1", false),
                ("fd00:a::99", true),
                ("2001:db8:9::1", false),
            ] {
                let dst: IpAddr = address.parse().unwrap();
                let frame = bed.frame(0, 1, dst.is_ipv6()).with(|s| s.dst = dst).build();
                let outcome = bed.send(0, &frame);
                if inside || !has_gateway {
                    outcome.assert_dropped(0, DropReason::NoMapping);
                    assert!(outcome.wire.is_empty());
                } else {
                    assert_eq!(outcome.wire.len(), 1);
                }
            }
        }
    });
}

/// Frames of every kind, short enough to be cut at each octet.
fn samples(bed: &TestBed) -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for v6 in [false, true] {
        for vlans in [vec![], vec![(0x8100, 1)], vec![(0x88a8, 1), (0x8100, 2)]] {
            let spec = bed.frame(0, 1, v6).with(|s| s.vlans = vlans);
            samples.push(spec.clone().tcp(1, 2, 0x18, b"payload").build());
            samples.push(spec.clone().udp(1, 2, b"payload").build());
            samples.push(spec.clone().body(Body::Echo { payload: vec![1; 9] }).build());
            samples.push(spec.clone().with(|s| s.options = vec![1, 1, 1, 0]).build());
            samples.extend(spec.udp(1, 2, &[3; 40]).fragments(24));
        }
    }
    samples
}

#[test]
fn every_truncation_of_a_good_frame_is_a_counted_drop() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for frame in samples(&bed) {
            for len in 0..frame.len() {
                let outcome = bed.send(0, &frame[..len]);
                outcome.assert_dropped(0, DropReason::Malformed);
            }
            assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        }
    });
}

#[test]
fn headers_that_contradict_themselves_are_malformed() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let v4 = bed.frame(0, 1, false).tcp(1, 2, 0x10, b"data").build();
        let v6 = bed.frame(0, 1, true).udp(1, 2, b"data").build();
        let damaged = |frame: &[u8], at: usize, value: u8| {
            let mut frame = frame.to_vec();
            frame[at] = value;
            frame
        };
        let cases = [
            ("version 5", damaged(&v4, 14, 0x55)),
            ("version 6 in an IPv4 frame", damaged(&v4, 14, 0x65)),
            ("header of 16 octets", damaged(&v4, 14, 0x44)),
            ("header longer than the packet", damaged(&v4, 14, 0x4f)),
            ("total length beyond the frame", damaged(&v4, 16, 0x7f)),
            (
                "total length shorter than the header",
                damaged(&damaged(&v4, 16, 0), 17, 19),
            ),
            ("TCP header of 16 octets", damaged(&v4, 14 + 20 + 12, 0x40)),
            ("TCP header beyond the packet", damaged(&v4, 14 + 20 + 12, 0xf0)),
            ("version 4 in an IPv6 frame", damaged(&v6, 14, 0x45)),
            ("payload length beyond the frame", damaged(&v6, 18, 0x7f)),
            ("hop-by-hop header beyond the payload", damaged(&v6, 20, 0)),
        ];
        for (what, frame) in cases {
            println!("{what}");
            bed.send(0, &frame).assert_dropped(0, DropReason::Malformed);
        }
    });
}

#[test]
fn garbage_from_a_vm_is_delivered_or_counted_and_never_upsets_the_device() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let mut random = Random::new(11);
        let samples = samples(&bed);
        for round in 0..30_000 {
            let mut frame = samples[random.below(samples.len())].clone();
            for _ in 0..random.below(4) {
                let at = random.below(frame.len());
                frame[at] = random.value() as u8;
            }
            if round % 3 == 0 {
                let len = random.below(200);
                frame = random.octets(len);
            }
            let offload = if round % 2 == 0 {
                Offload::default()
            } else {
                Offload {
                    needs_csum: random.below(2) == 0,
                    segmentation: random.pick(&[
                        sealnic_hw_model::Segmentation::None,
                        sealnic_hw_model::Segmentation::Tcp,
                        sealnic_hw_model::Segmentation::Udp,
                    ]),
                    csum_start: random.value() as u16 >> random.below(16),
                    csum_offset: random.value() as u16 >> random.below(16),
                    segment_len: random.value() as u16 >> random.below(16),
                    ..Offload::default()
                }
            };
            bed.push(0, Edge::Vf(random.below(3) as u16), &frame, offload);
            bed.settle();
        }
        let delivered = bed.take_frames().delivered.len();
        assert!(delivered > 100, "{delivered}: the test never met a good frame");
    });
}
