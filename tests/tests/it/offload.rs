//! Checksum completion and segmentation, asked for with virtio-net-header semantics (VIRTIO 1.2 section 5.1.6.2).

use sealnic_abi::object::AssociationState;
use sealnic_abi::{Counter, DropReason};
use sealnic_hw_model::{Offload, Segmentation};
use sealnic_tests::frames::check;
use sealnic_tests::{Body, FrameSpec, Random, Setup, TestBed, for_each_backend};
use std::net::IpAddr;

/// The frame as a VM leaves it: in the checksum field stands the sum of the pseudo-header.
fn unfinished(spec: &FrameSpec) -> (Vec<u8>, Offload) {
    let (protocol, upper) = spec.upper();
    let offset = if protocol == 6 { 16 } else { 6 };
    let mut octets = Vec::new();
    for address in [spec.src, spec.dst] {
        match address {
            IpAddr::V4(a) => octets.extend(a.octets()),
            IpAddr::V6(a) => octets.extend(a.octets()),
        }
    }
    octets.extend((upper.len() as u32).to_be_bytes());
    octets.extend([0, protocol]);
    let mut sum: u32 = octets
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let mut frame = spec.build();
    frame[spec.l4() + offset..][..2].copy_from_slice(&(sum as u16).to_be_bytes());
    let offload = Offload {
        needs_csum: true,
        csum_start: spec.l4() as u16,
        csum_offset: offset as u16,
        ..Offload::default()
    };
    (frame, offload)
}

fn tagged(spec: &FrameSpec) -> [FrameSpec; 3] {
    [vec![], vec![(0x8100, 3)], vec![(0x88a8, 3), (0x8100, 4)]].map(|vlans| spec.clone().with(|s| s.vlans = vlans))
}

#[test]
fn a_checksum_left_to_the_nic_is_completed() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10));
        let mut random = Random::new(2);
        for to in [1, 2] {
            for v6 in [false, true] {
                for len in [0, 1, 2, 99, 1_400] {
                    let payload = random.octets(len);
                    let spec = bed.frame(0, to, v6);
                    for spec in [spec.clone().tcp(1, 2, 0x18, &payload), spec.udp(3, 4, &payload)] {
                        for spec in tagged(&spec) {
                            let (frame, offload) = unfinished(&spec);
                            let outcome = bed.send_offload(0, &frame, offload);
                            assert_eq!(outcome.only_delivery().frame, spec.build());
                            let _ = check(&outcome.only_delivery().frame);
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for v6 in [false, true] {
            // One of these payloads gives the sum that is its own complement.
            let zero = (0..=u16::MAX)
                .map(|n| bed.frame(0, 1, v6).udp(3, 4, &n.to_be_bytes()))
                .find(|spec| spec.build()[spec.l4() + 6..][..2] == [0xff, 0xff])
                .unwrap();
            let (frame, offload) = unfinished(&zero);
            assert_eq!(bed.send_offload(0, &frame, offload).only_delivery().frame, zero.build());
        }
    });
}

#[test]
fn tcp_is_cut_into_segments_with_right_numbers_flags_and_checksums() {
    const FLAGS: u8 = 0x80 | 0x18 | 0x01; // CWR, PSH, ACK, FIN
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10));
        let mut random = Random::new(4);
        for (to, v6, len, segment_len) in [
            (1, false, 10_000, 1_400),
            (1, true, 10_000, 1_400),
            (1, false, 65_000, 1_448),
            (1, false, 2_000, 1_000),
            (1, true, 100, 1_000),
            (2, false, 5_000, 1_460),
            (2, true, 5_000, 700),
        ] {
            let payload = random.octets(len);
            for spec in tagged(&bed.frame(0, to, v6).tcp(1, 2, FLAGS, &payload)) {
                let (frame, mut offload) = unfinished(&spec);
                (offload.segmentation, offload.segment_len) = (Segmentation::Tcp, segment_len);
                let outcome = bed.send_offload(0, &frame, offload);
                assert!(outcome.drops.is_empty(), "{:?}", outcome.drops);
                let count = len.div_ceil(segment_len.into());
                assert_eq!(outcome.delivered.len(), count);
                let mut got: Vec<u8> = Vec::new();
                for (n, delivery) in outcome.delivered.iter().enumerate() {
                    assert_eq!(delivery.frame[..spec.l3()], frame[..spec.l3()], "link header and tags");
                    let segment = check(&delivery.frame);
                    let tcp = segment.tcp();
                    assert_eq!(tcp.sequence_number, 0xffff_f000_u32.wrapping_add(got.len() as u32));
                    let last = n + 1 == count;
                    assert_eq!((tcp.fin, tcp.psh, tcp.cwr, tcp.ack), (last, last, n == 0, true));
                    assert_eq!(
                        (tcp.source_port, tcp.destination_port, tcp.acknowledgment_number),
                        (1, 2, 0x0102_0304)
                    );
                    if !v6 {
                        assert_eq!(segment.ipv4().identification, spec.id.wrapping_add(n as u16));
                    }
                    assert!(segment.payload.len() == usize::from(segment_len) || last);
                    got.extend(&segment.payload);
                }
                assert_eq!(got, payload);
            }
        }
    });
}

#[test]
fn segments_may_be_jumbo_frames() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(
            backend,
            Setup::two_hosts().with(|setup| setup.vms.iter_mut().for_each(|vm| vm.mtu = 8_800)),
        );
        let payload = Random::new(5).octets(40_000);
        let spec = bed.frame(0, 1, false).tcp(1, 2, 0x10, &payload);
        let (frame, mut offload) = unfinished(&spec);
        (offload.segmentation, offload.segment_len) = (Segmentation::Tcp, 8_700);
        let outcome = bed.send_offload(0, &frame, offload);
        assert!(outcome.drops.is_empty(), "{:?}", outcome.drops);
        let segments = outcome.delivered.iter().map(|delivery| check(&delivery.frame).payload);
        assert_eq!(
            segments.map(|s| s.len()).collect::<Vec<_>>(),
            [8_700, 8_700, 8_700, 8_700, 5_200]
        );
    });
}

#[test]
fn udp_is_cut_into_datagrams_of_their_own() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let payload = Random::new(4).octets(9_001);
        for v6 in [false, true] {
            let spec = bed.frame(0, 1, v6).udp(1, 2, &payload);
            let (frame, mut offload) = unfinished(&spec);
            (offload.segmentation, offload.segment_len) = (Segmentation::Udp, 1_000);
            let outcome = bed.send_offload(0, &frame, offload);
            assert!(outcome.drops.is_empty());
            assert_eq!(outcome.delivered.len(), 10);
            let got: Vec<u8> = outcome
                .delivered
                .iter()
                .flat_map(|delivery| check(&delivery.frame).payload)
                .collect();
            assert_eq!(got, payload);
            let counters = bed.counters(0);
            assert_eq!(counters.get(Counter::Generated), 10 * (1 + u64::from(v6)));
        }
    });
}

#[test]
fn offload_requests_that_do_not_fit_the_frame_are_refused() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for v6 in [false, true] {
            let tcp = bed.frame(0, 1, v6).tcp(1, 2, 0x10, &[5; 100]);
            let udp = bed.frame(0, 1, v6).udp(1, 2, &[5; 100]);
            let empty = bed.frame(0, 1, v6).tcp(1, 2, 0x10, &[]);
            let len = tcp.build().len() as u16;
            let csum = |csum_start, csum_offset| Offload {
                needs_csum: true,
                csum_start,
                csum_offset,
                ..Offload::default()
            };
            let cut = |segmentation, segment_len| Offload {
                segmentation,
                segment_len,
                ..Offload::default()
            };
            let fragment = udp.fragments(56).remove(0);
            let cases = [
                (tcp.build(), csum(len, 0)),
                (tcp.build(), csum(len - 1, 0)),
                (tcp.build(), csum(34, len - 34)),
                (tcp.build(), csum(34, u16::MAX)),
                (tcp.build(), csum(u16::MAX, 16)),
                (tcp.build(), csum(u16::MAX, u16::MAX)),
                (tcp.build(), cut(Segmentation::Udp, 50)),
                (udp.build(), cut(Segmentation::Tcp, 50)),
                (tcp.build(), cut(Segmentation::Tcp, 0)),
                (tcp.build(), cut(Segmentation::Tcp, 1_481)),
                (tcp.build(), cut(Segmentation::Tcp, u16::MAX)),
                (empty.build(), cut(Segmentation::Tcp, 50)),
                (fragment, cut(Segmentation::Udp, 8)),
            ];
            for (frame, offload) in cases {
                println!("{offload:?}");
                bed.send_offload(0, &frame, offload)
                    .assert_dropped(0, DropReason::BadOffload);
            }
            // And none of it stuck to the flow.
            let icmp = bed.frame(0, 1, v6).body(Body::Echo { payload: vec![1; 8] }).build();
            for frame in [tcp.build(), udp.build(), icmp] {
                assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
            }
        }
    });
}

#[test]
fn a_frame_of_a_denied_flow_is_dropped_whole_and_not_cut() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().with(|s| s.state = AssociationState::NotReady);
        let mut bed = TestBed::new(backend, setup);
        let spec = bed.frame(0, 1, false).tcp(1, 2, 0x10, &[5; 4_000]);
        let (frame, mut offload) = unfinished(&spec);
        // Twice: when the flow is decided, and when it is known.
        for _ in 0..2 {
            (offload.segmentation, offload.segment_len) = (Segmentation::Tcp, 1_000);
            bed.send_offload(0, &frame, offload)
                .assert_dropped(0, DropReason::SwNotReady);
        }
        assert_eq!(bed.counters(0).get(Counter::Generated), 0);
    });
}

#[test]
fn segments_too_big_for_the_underlay_are_answered_or_fragmented_like_any_frame() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().with(|s| (s.underlay_mtu, s.control_rate) = (1_078, 1));
        let mut bed = TestBed::new(backend, setup);
        let payload = Random::new(4).octets(4_000);
        for dont_fragment in [true, false] {
            let spec = bed
                .frame(0, 1, false)
                .udp(1, 2, &payload)
                .with(|s| s.dont_fragment = dont_fragment);
            let (frame, mut offload) = unfinished(&spec);
            (offload.segmentation, offload.segment_len) = (Segmentation::Udp, 1_000);
            let outcome = bed.send_offload(0, &frame, offload);
            if dont_fragment {
                assert_eq!(outcome.drops, [(0, DropReason::PacketTooBig, 4)]);
                assert_eq!(outcome.delivered.len(), 1, "one message in this second");
            } else {
                assert!(outcome.drops.is_empty());
                assert_eq!(outcome.delivered.len(), 8, "two fragments of each of four");
            }
        }
    });
}
