//! Ports and VNets apart from each other on one host.

use sealnic_abi::DropReason;
use sealnic_abi::object::{Mapping, PortAddress};
use sealnic_abi::{Capability, MappingKind};
use sealnic_tests::{Setup, TestBed, for_each_backend};
use std::net::IpAddr;

/// VNets 10 and 20 on one host: VM 0 and VM 1 in 10, VM 2 in 20.
fn one_host() -> Setup {
    Setup::new(1)
        .vnet(10, true, true)
        .vnet(20, true, true)
        .vm(0, 10)
        .vm(0, 10)
        .vm(0, 20)
}

#[test]
fn vms_of_one_host_reach_each_other_within_a_vnet_and_across_a_peering_and_nowhere_else() {
    for_each_backend(|backend| {
        for peered in [false, true] {
            let setup = one_host().with(|s| s.peerings = if peered { vec![(10, 20)] } else { vec![] });
            let mut bed = TestBed::new(backend, setup);
            for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
                for v6 in [false, true] {
                    let frame = bed.frame(from, to, v6).build();
                    let outcome = bed.send(from, &frame);
                    assert!(outcome.wire.is_empty());
                    if peered || from + to == 1 {
                        assert_eq!(outcome.only_delivery().frame, frame);
                        assert_eq!(outcome.only_delivery().port, bed.setup.vms[to].port);
                    } else {
                        outcome.assert_dropped(0, DropReason::NoMapping);
                    }
                }
            }
        }
    });
}

#[test]
fn equal_addresses_in_two_vnets_do_not_meet() {
    for_each_backend(|backend| {
        let setup = one_host()
            .vm(0, 20)
            .with_vm(2, |vm| vm.v4 = [10, 10, 0, 4].into())
            .with_vm(3, |vm| vm.v4 = [10, 10, 0, 5].into());
        let mut bed = TestBed::new(backend, setup);
        for (from, to) in [(0, 1), (2, 3), (1, 0), (3, 2)] {
            let frame = bed.frame(from, to, false).build();
            assert_eq!(bed.send(from, &frame).only_delivery().port, bed.setup.vms[to].port);
        }
    });
}

#[test]
fn a_vm_of_another_vnet_does_not_pass_for_a_local_one_not_even_beside_its_flow() {
    for_each_backend(|backend| {
        // VM 2 of VNet 20 has the address of VM 0 of VNet 10, and its VNet (but not theirs) has a mapping to VM 1.
        let setup = one_host().with_vm(2, |vm| vm.v4 = [10, 10, 0, 4].into());
        let mut bed = TestBed::new(backend, setup);
        let target = bed.setup.vms[1].clone();
        let mapping = Mapping {
            src_vni: 20,
            dst_vni: 10,
            prefix: IpAddr::from(target.v4).into(),
            prefix_len: 32,
            pa: bed.setup.pa(0).into(),
            kind: MappingKind::Vm.into(),
            capability: Capability::Supported.into(),
            revision: 1,
            ..Mapping::ZERO
        };
        bed.device(0).set_mappings(&[mapping]).unwrap();
        let spoofed = bed.frame(2, 1, false).udp(7, 7, b"I am VM 0").build();
        bed.send(2, &spoofed).assert_dropped(0, DropReason::InnerSpoofed);
        let true_one = bed.frame(0, 1, false).udp(7, 7, b"I am VM 0").build();
        assert_eq!(bed.send(0, &true_one).only_delivery().frame, true_one);
        bed.send(2, &spoofed).assert_dropped(0, DropReason::InnerSpoofed);
        assert_eq!(bed.send(0, &true_one).only_delivery().frame, true_one);
    });
}

#[test]
fn an_address_belongs_to_one_port() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, one_host());
        let taken = PortAddress {
            port: 1,
            ..bed.setup.vms[0].port_addresses()[0]
        };
        assert!(bed.device(0).add_port_address(&taken).is_err());
        // In another VNet it is another address.
        let free = PortAddress { port: 2, ..taken };
        bed.device(0).add_port_address(&free).unwrap();
    });
}

#[test]
fn a_removed_port_takes_addresses_and_flows_with_it() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().vm(0, 10));
        let frame = bed.frame(0, 1, false).build();
        let back = bed.frame(1, 0, false).build();
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        assert_eq!(bed.send(1, &back).only_delivery().frame, back);
        bed.device(0).remove_port(0).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::PortDown);
        bed.send(1, &back).assert_dropped(0, DropReason::NoLocalPort);
        let flows: Vec<_> = bed.device(0).flows().map(Result::unwrap).collect();
        assert!(
            flows.iter().all(|row| row.key.flags & 1 == 1 || row.key.scope != 0),
            "{flows:?}"
        );
        assert_eq!(bed.device(0).port_addresses().count(), 2);
        // A new port of that number starts from nothing.
        let object = bed.setup.vms[0].object();
        bed.device(0).set_port(&object).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::SpoofedAddress);
    });
}

#[test]
fn a_frame_to_a_vm_that_local_mappings_promise_and_no_port_has_is_dropped() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, one_host());
        let frame = bed.frame(0, 1, false).build();
        for address in bed.setup.vms[1].port_addresses() {
            bed.device(0).remove_port_address(&address).unwrap();
        }
        bed.send(0, &frame).assert_dropped(0, DropReason::NoLocalPort);
    });
}
