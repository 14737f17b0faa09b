//! The policy table, row by row, from a VM's frame to the flow log: what is sealed, clear, local or dropped, and why.

use sealnic_abi::event::EventKind;
use sealnic_abi::object::{AssociationState, Exclusion};
use sealnic_abi::{Capability, DropReason, EncryptionCode};
use sealnic_tests::{Setup, TestBed, for_each_backend, outer};
use std::net::IpAddr;

/// What is to become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sealed,
    Clear,
    Local,
    Dropped(DropReason),
}

use EncryptionCode as Code;
use Fate::{Clear, Dropped, Local, Sealed};

/// VM 0 in VNet 10 on host 0, VM 1 in VNet 20 on host 1, VM 2 in VNet 20 on host 0; the VNets are peered.
fn setup(drop: [bool; 2]) -> Setup {
    Setup::new(2)
        .vnet(10, true, drop[0])
        .vnet(20, true, drop[1])
        .vm(0, 10)
        .vm(1, 20)
        .vm(0, 20)
        .with(|s| s.peerings = vec![(10, 20)])
}

const ENFORCEMENTS: [[bool; 2]; 4] = [[false, false], [true, false], [false, true], [true, true]];

/// Sends between two VMs in both directions and compares fate, arrival and flow log with what is wanted.
#[track_caller]
fn expect(bed: &mut TestBed, vms: [usize; 2], code: Code, fate: Fate) {
    for (from, to) in [(vms[0], vms[1]), (vms[1], vms[0])] {
        for v6 in [false, true] {
            let (src, dst) = if from < to { (40_000, 445) } else { (445, 40_000) };
            let frame = bed.frame(from, to, v6).tcp(src, dst, 0x10, b"policy").build();
            let sender = bed.setup.vms[from].clone();
            let outcome = bed.send(from, &frame);
            match fate {
                Dropped(reason) => {
                    outcome.assert_dropped(sender.host, reason);
                    assert!(outcome.wire.is_empty(), "{outcome:?}");
                }
                _ => assert_eq!(outcome.only_delivery().frame, frame),
            }
            match fate {
                Sealed => assert!(outer::read(outcome.only_datagram()).vxlan().is_none()),
                Clear => assert!(outer::read(outcome.only_datagram()).vxlan().is_some()),
                Local | Dropped(_) => assert!(outcome.wire.is_empty()),
            }
            let events = bed.device(sender.host).drain_events().unwrap();
            let kind = if matches!(fate, Dropped(_)) {
                EventKind::FlowDeny
            } else {
                EventKind::FlowBegin
            };
            let logged: Vec<_> = events
                .iter()
                .filter(|e| e.key.flags & 1 == 0 && e.port == sender.port && (1..=4).contains(&e.kind))
                .map(|e| (e.kind, e.code, e.vni))
                .collect();
            assert_eq!(logged, [(kind.into(), code.into(), sender.vni)], "{events:?}");
        }
    }
}

#[test]
fn a_ready_association_seals_under_every_enforcement() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            expect(&mut TestBed::new(backend, setup(drop)), [0, 1], Code::X, Sealed);
        }
    });
}

#[test]
fn vms_of_one_host_never_meet_on_the_wire_whatever_their_state() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            expect(&mut TestBed::new(backend, setup(drop)), [0, 2], Code::NxLocalDst, Local);
            for capability in [
                Capability::HwNotSupported,
                Capability::SwNotReady,
                Capability::NoDiscovery,
            ] {
                let setup = setup(drop).with_vm(2, |vm| vm.capability = capability);
                expect(&mut TestBed::new(backend, setup), [0, 2], Code::NxLocalDst, Local);
            }
            for off in 0..2 {
                let setup = setup(drop).with(|s| s.vnets[off].encryption = false);
                expect(&mut TestBed::new(backend, setup), [0, 2], Code::Nx, Local);
            }
        }
    });
}

#[test]
fn encryption_off_at_an_end_means_clear_unless_an_end_demands_it() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            for off in [[true, false], [false, true], [true, true]] {
                let setup = setup(drop).with(|s| {
                    for (vnet, off) in s.vnets.iter_mut().zip(off) {
                        vnet.encryption = !off;
                    }
                });
                // Demanded where encryption is off is a contradiction, and closed.
                let demanded = drop[0] || drop[1];
                let mut bed = TestBed::new(backend, setup);
                if demanded {
                    expect(&mut bed, [0, 1], Code::NxNotAccepted, Dropped(DropReason::NotAccepted));
                } else {
                    expect(&mut bed, [0, 1], Code::Nx, Clear);
                }
            }
        }
    });
}

#[test]
fn unsupported_hardware_means_clear_unless_an_end_demands_encryption() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            for end in 0..2 {
                let setup = setup(drop).with_vm(end, |vm| vm.capability = Capability::HwNotSupported);
                let mut bed = TestBed::new(backend, setup);
                let fate = if drop == [false; 2] {
                    Clear
                } else {
                    Dropped(DropReason::HwNotSupported)
                };
                expect(&mut bed, [0, 1], Code::NxHwNotSupported, fate);
            }
        }
    });
}

#[test]
fn an_end_that_is_not_ready_or_does_no_discovery_means_drop() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            for end in 0..2 {
                let bed = |capability| TestBed::new(backend, setup(drop).with_vm(end, |vm| vm.capability = capability));
                let mut not_ready = bed(Capability::SwNotReady);
                expect(
                    &mut not_ready,
                    [0, 1],
                    Code::NxSwNotReady,
                    Dropped(DropReason::SwNotReady),
                );
                let mut silent = bed(Capability::NoDiscovery);
                expect(
                    &mut silent,
                    [0, 1],
                    Code::NxNotSupported,
                    Dropped(DropReason::NotSupported),
                );
            }
        }
    });
}

#[test]
fn an_association_that_is_not_ready_or_has_no_keys_means_drop() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            let declared = setup(drop).with(|s| s.state = AssociationState::NotReady);
            let keyless = setup(drop).with(|s| s.keys = false);
            for setup in [declared, keyless] {
                let mut bed = TestBed::new(backend, setup);
                expect(&mut bed, [0, 1], Code::NxSwNotReady, Dropped(DropReason::SwNotReady));
            }
        }
    });
}

#[test]
fn a_failed_association_means_fallback_unless_an_end_demands_encryption() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            let mut bed = TestBed::new(backend, setup(drop).with(|s| s.state = AssociationState::Failed));
            if drop == [false; 2] {
                expect(&mut bed, [0, 1], Code::NxFallback, Clear);
            } else {
                expect(&mut bed, [0, 1], Code::NxNotAccepted, Dropped(DropReason::NotAccepted));
            }
        }
    });
}

#[test]
fn a_named_exclusion_is_clear_under_every_enforcement_and_covers_nothing_else() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            // To VM 1 over both families at port 445, and back.
            let base = setup(drop);
            let mut exclusions = Vec::new();
            for (vni, vm, dst_port) in [(10, 1, 445), (20, 0, 40_000)] {
                for v6 in [false, true] {
                    exclusions.push(Exclusion {
                        id: exclusions.len() as u32 + 1,
                        vni,
                        prefix: base.vms[vm].address(v6).into(),
                        prefix_len: if v6 { 128 } else { 32 },
                        dst_port,
                        protocol: 6,
                    });
                }
            }
            let mut bed = TestBed::new(backend, base.with(|s| s.exclusions = exclusions));
            expect(&mut bed, [0, 1], Code::Nx, Clear);
            for v6 in [false, true] {
                let spec = bed.frame(0, 1, v6);
                let others = [
                    spec.clone().tcp(40_000, 446, 0x10, b"x").build(),
                    spec.clone().tcp(445, 40_000, 0x10, b"x").build(),
                    spec.clone().udp(40_000, 445, b"x").build(),
                    // A fragment shows no port, and is not covered by an exclusion of one.
                    spec.clone().tcp(40_000, 445, 0x10, &[1; 60]).fragments(40).remove(0),
                    spec.tcp(40_000, 445, 0x10, &[1; 60]).fragments(40).remove(1),
                ];
                for frame in others {
                    let outcome = bed.send(0, &frame);
                    assert_eq!(outcome.only_delivery().frame, frame);
                    assert!(outer::read(outcome.only_datagram()).vxlan().is_none());
                }
            }
        }
    });
}

#[test]
fn the_outside_is_reached_in_the_clear_through_the_gateway_and_answers_from_there() {
    let gateway: IpAddr = "192.0.2.254".parse().unwrap();
    for_each_backend(|backend| {
        for drop in [false, true] {
            let setup = Setup::two_hosts().with(|s| (s.vnets[0].drop, s.gateways) = (drop, vec![(10, gateway)]));
            let mut bed = TestBed::new(backend, setup.clone());
            for outside in ["198.51.100.7", "2001:db8:ffff::1"] {
                let dst: IpAddr = outside.parse().unwrap();
                let frame = bed
                    .frame(0, 1, dst.is_ipv6())
                    .with(|s| s.dst = dst)
                    .udp(1, 2, b"out")
                    .build();
                let outcome = bed.send(0, &frame);
                assert!(outcome.drops.is_empty() && outcome.delivered.is_empty());
                let datagram = outer::read(outcome.only_datagram());
                assert_eq!(datagram.dst, gateway);
                assert_eq!(datagram.vxlan(), Some((10, &frame[..])));
                let code = bed.device(0).drain_events().unwrap()[0].code;
                assert_eq!(code, u8::from(Code::Nx));

                let answer = bed
                    .frame(1, 0, dst.is_ipv6())
                    .with(|s| s.src = dst)
                    .udp(2, 1, b"in")
                    .build();
                let from_gateway = outer::clear(gateway, setup.pa(0), setup.mac(0), 10, &answer);
                assert_eq!(bed.inject(0, &from_gateway).only_delivery().frame, answer);
                let from_elsewhere = outer::clear(setup.pa(1), setup.pa(0), setup.mac(0), 10, &answer);
                bed.inject(0, &from_elsewhere)
                    .assert_dropped(0, DropReason::ClearWrongHost);
            }
            assert_eq!(bed.off_bed(), 2);
        }
    });
}

#[test]
fn link_local_addresses_are_never_outside() {
    let gateway: IpAddr = "192.0.2.254".parse().unwrap();
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().with(|s| s.gateways = vec![(10, gateway)]);
        let mut bed = TestBed::new(backend, setup.clone());
        for near in ["169.254.0.9", "127.0.0.1", "fe80::9", "::1"] {
            let near: IpAddr = near.parse().unwrap();
            let to = bed.frame(0, 1, near.is_ipv6()).with(|s| s.dst = near).udp(1, 2, b"out");
            let outcome = bed.send(0, &to.build());
            outcome.assert_dropped(0, DropReason::NoMapping);
            assert!(outcome.wire.is_empty());
            let from = bed.frame(1, 0, near.is_ipv6()).with(|s| s.src = near).udp(2, 1, b"in");
            let from = outer::clear(gateway, setup.pa(0), setup.mac(0), 10, &from.build());
            bed.inject(0, &from).assert_dropped(0, DropReason::NoMapping);
        }
    });
}

#[test]
fn a_peer_vnet_or_an_association_that_is_unknown_here_means_drop() {
    for_each_backend(|backend| {
        for drop in ENFORCEMENTS {
            let mut bed = TestBed::new(backend, setup(drop));
            let frame = bed.frame(0, 1, false).build();
            for pair in bed.pairs.clone() {
                if pair.hosts == [0, 1] && pair.vnis == [10, 20] {
                    bed.device(0).remove_association(pair.id).unwrap();
                }
            }
            bed.send(0, &frame).assert_dropped(0, DropReason::SwNotReady);
            bed.device(0).remove_port(1).unwrap();
            bed.device(0).remove_vnet(20).unwrap();
            bed.send(0, &frame).assert_dropped(0, DropReason::InDoubt);
        }
    });
}

#[test]
fn a_change_of_policy_takes_known_flows_along_at_once() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, setup([false, false]));
        let pair = *bed.pairs.iter().find(|pair| pair.vnis == [10, 20]).unwrap();
        let frame = bed.frame(0, 1, false).udp(1, 2, b"x").build();
        let is_clear = |outcome: &sealnic_tests::Outcome| outer::read(outcome.only_datagram()).vxlan().is_some();
        let declare = |bed: &mut TestBed, state| {
            for host in 0..2 {
                bed.device(host).set_association_state(pair.id, state).unwrap();
            }
        };
        assert!(!is_clear(&bed.send(0, &frame)));
        declare(&mut bed, AssociationState::Failed);
        assert!(is_clear(&bed.send(0, &frame)));
        declare(&mut bed, AssociationState::NotReady);
        bed.send(0, &frame).assert_dropped(0, DropReason::SwNotReady);
        declare(&mut bed, AssociationState::Failed);
        let drop = sealnic_tests::VnetSpec {
            drop: true,
            ..bed.setup.vnets[1]
        };
        bed.device(0).set_vnet(&drop.object()).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::NotAccepted);
        declare(&mut bed, AssociationState::Ready);
        assert!(!is_clear(&bed.send(0, &frame)));
    });
}
