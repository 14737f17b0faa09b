//! Clear datagrams from the wire: taken only from the host that has the source, and only while the pair may be clear.

use sealnic_abi::Capability;
use sealnic_abi::DropReason;
use sealnic_abi::object::{AssociationState, Exclusion};
use sealnic_tests::{Setup, TestBed, for_each_backend, outer};
use std::net::IpAddr;

fn allow() -> Setup {
    Setup::new(3).vnet(10, true, false).vm(0, 10).vm(1, 10).vm(2, 10)
}

/// A clear frame from VM 0 for VM 1, as host `from` would send it.
fn clear(bed: &TestBed, from: usize, v6: bool) -> (Vec<u8>, Vec<u8>) {
    let frame = bed.frame(0, 1, v6).tcp(40_000, 445, 0x10, b"clear").build();
    let datagram = outer::clear(bed.setup.pa(from), bed.setup.pa(1), bed.setup.mac(1), 10, &frame);
    (frame, datagram)
}

#[test]
fn a_clear_frame_is_taken_from_the_right_host_of_a_pair_that_may_be_clear() {
    for_each_backend(|backend| {
        for underlay_v6 in [false, true] {
            let excluded = allow().with(|s| {
                s.vnets[0].drop = true;
                s.exclusions = [false, true]
                    .map(|v6| Exclusion {
                        id: u32::from(v6) + 1,
                        vni: 10,
                        prefix: s.vms[1].address(v6).into(),
                        prefix_len: if v6 { 128 } else { 32 },
                        dst_port: 445,
                        protocol: 6,
                    })
                    .into();
            });
            for setup in [
                allow().with(|s| s.vnets[0].encryption = false),
                allow().with_vm(0, |vm| vm.capability = Capability::HwNotSupported),
                allow().with_vm(1, |vm| vm.capability = Capability::HwNotSupported),
                allow().with(|s| s.state = AssociationState::Failed),
                excluded,
            ] {
                let mut bed = TestBed::new(backend, setup.with(|s| s.underlay_v6 = underlay_v6));
                for v6 in [false, true] {
                    // From the wrong host first, and again beside the flow that the right one has made.
                    bed.inject(1, &clear(&bed, 2, v6).1)
                        .assert_dropped(1, DropReason::ClearWrongHost);
                    let (frame, datagram) = clear(&bed, 0, v6);
                    for _ in 0..2 {
                        assert_eq!(bed.inject(1, &datagram).only_delivery().frame, frame);
                    }
                    bed.inject(1, &clear(&bed, 2, v6).1)
                        .assert_dropped(1, DropReason::ClearWrongHost);
                }
            }
        }
    });
}

#[test]
fn a_clear_frame_of_a_pair_that_must_be_sealed_is_dropped() {
    for_each_backend(|backend| {
        let drop = |s: &mut Setup| s.vnets[0].drop = true;
        for setup in [
            allow(),
            allow().with(drop),
            allow().with(|s| s.state = AssociationState::NotReady),
            allow().with(|s| s.keys = false),
            allow().with_vm(0, |vm| vm.capability = Capability::SwNotReady),
            allow().with_vm(1, |vm| vm.capability = Capability::NoDiscovery),
            allow().with(drop).with(|s| s.state = AssociationState::Failed),
            allow()
                .with(drop)
                .with_vm(0, |vm| vm.capability = Capability::HwNotSupported),
        ] {
            let mut bed = TestBed::new(backend, setup);
            for v6 in [false, true] {
                bed.inject(1, &clear(&bed, 0, v6).1)
                    .assert_dropped(1, DropReason::ClearForbidden);
                bed.inject(1, &clear(&bed, 2, v6).1)
                    .assert_dropped(1, DropReason::ClearWrongHost);
            }
        }
    });
}

#[test]
fn a_pair_that_becomes_ready_again_takes_no_clear_frame_more_not_even_of_a_known_flow() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, allow());
        let pair = *bed.pairs.iter().find(|pair| pair.hosts == [0, 1]).unwrap();
        let (frame, datagram) = clear(&bed, 0, false);
        bed.inject(1, &datagram).assert_dropped(1, DropReason::ClearForbidden);
        bed.device(1)
            .set_association_state(pair.id, AssociationState::Failed)
            .unwrap();
        assert_eq!(bed.inject(1, &datagram).only_delivery().frame, frame);
        bed.device(1)
            .set_association_state(pair.id, AssociationState::Ready)
            .unwrap();
        bed.inject(1, &datagram).assert_dropped(1, DropReason::ClearForbidden);
        // The same flow, sealed, meets no entry of its clear days.
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        bed.inject(1, &datagram).assert_dropped(1, DropReason::ClearForbidden);
    });
}

#[test]
fn silence_of_a_peer_never_opens_a_clear_path() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, allow());
        let pair = *bed.pairs.iter().find(|pair| pair.hosts == [0, 1]).unwrap();
        let (frame, datagram) = clear(&bed, 0, false);
        let sa = TestBed::sa_id(&pair, 0, sealnic_abi::object::Direction::Write);
        bed.device(0).remove_sa(sa).unwrap();
        for _ in 0..100 {
            let outcome = bed.send(0, &frame);
            assert!(outcome.wire.is_empty() && outcome.delivered.is_empty());
            bed.advance(10_000_000_000);
            bed.inject(1, &datagram).assert_dropped(1, DropReason::ClearForbidden);
        }
    });
}

#[test]
fn clear_frames_that_name_nobody_are_dropped() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, allow().with(|s| s.vnets[0].encryption = false));
        let setup = bed.setup.clone();
        let (frame, datagram) = clear(&bed, 0, false);
        let wrap = |vni, frame: &[u8]| outer::clear(setup.pa(0), setup.pa(1), setup.mac(1), vni, frame);
        bed.inject(1, &wrap(11, &frame))
            .assert_dropped(1, DropReason::UnknownVni);
        bed.inject(1, &wrap(0, &frame))
            .assert_dropped(1, DropReason::UnknownVni);
        let to = |address: &str| {
            let dst: IpAddr = address.parse().unwrap();
            wrap(10, &bed.frame(0, 1, dst.is_ipv6()).with(|s| s.dst = dst).build())
        };
        let (elsewhere, group) = (to("10.10.0.6"), to("224.0.0.1"));
        bed.inject(1, &elsewhere).assert_dropped(1, DropReason::NoLocalPort);
        bed.inject(1, &group).assert_dropped(1, DropReason::NoLocalPort);
        let from = |bed: &TestBed, address: &str| {
            let src: IpAddr = address.parse().unwrap();
            wrap(10, &bed.frame(0, 1, src.is_ipv6()).with(|s| s.src = src).build())
        };
        for source in ["10.10.44.44", "192.0.2.1", "fd00:a::77"] {
            let datagram = from(&bed, source);
            bed.inject(1, &datagram).assert_dropped(1, DropReason::InnerSpoofed);
        }
        // A host does not speak for the VMs of the receiver itself.
        let own = from(&bed, "10.10.0.5");
        bed.inject(1, &own).assert_dropped(1, DropReason::ClearWrongHost);

        let mut no_vni = datagram.clone();
        no_vni[14 + 20 + 8] = 0;
        // The builder's UDP checksum would tell on the change first.
        no_vni[14 + 20 + 6..14 + 20 + 8].fill(0);
        bed.inject(1, &no_vni).assert_dropped(1, DropReason::InnerMalformed);
        for len in 0..frame.len() {
            bed.inject(1, &wrap(10, &frame[..len]))
                .assert_dropped(1, DropReason::InnerMalformed);
        }
        for len in 0..8 {
            let short = outer::datagram(
                setup.pa(0),
                setup.pa(1),
                setup.mac(1),
                (1, 4789),
                &[8, 0, 0, 0, 0, 0, 10, 0][..len],
            );
            bed.inject(1, &short).assert_dropped(1, DropReason::InnerMalformed);
        }
        let mut arp = frame;
        arp[12..14].copy_from_slice(&[8, 6]);
        bed.inject(1, &wrap(10, &arp))
            .assert_dropped(1, DropReason::InnerMalformed);
    });
}
