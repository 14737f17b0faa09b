//! Reconciling against a device: what is desired is there afterwards, a second run changes nothing, failures are safe.

use super::mock::{Fault, Mock};
use crate::desired::DesiredState;
use crate::reconcile::{Change, Object, read_back, reconcile};
use crate::{Error, MailboxError};
use sealnic_abi::MappingKind;
use sealnic_abi::mailbox::{Opcode, Status};
use sealnic_abi::object::*;
use std::net::IpAddr;

/// Two VNets, three ports, 130 peers, a default to the outside.
pub(super) fn scenario() -> DesiredState {
    let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
    let mut mappings: Vec<Mapping> = (0..130u8)
        .map(|i| Mapping {
            src_vni: 1,
            dst_vni: 1 + u32::from(i % 2),
            prefix: Address::from(IpAddr::from([10, 0, 1, i])),
            prefix_len: 32,
            pa: address("192.0.2.2"),
            ..Mapping::ZERO
        })
        .collect();
    let whole = |text: &str, prefix_len, kind: MappingKind| Mapping {
        src_vni: 1,
        dst_vni: 1,
        prefix: address(text),
        prefix_len,
        kind: kind.into(),
        pa: address("192.0.2.254"),
        ..Mapping::ZERO
    };
    mappings.push(whole("0.0.0.0", 0, MappingKind::Outside));
    mappings.push(whole("10.0.0.0", 8, MappingKind::Unreachable));
    let association = |id, peer_vni| Association {
        id,
        local_vni: 1,
        peer_vni,
        peer_pa: address("192.0.2.2"),
        state: AssociationState::Ready.into(),
        local_cid: [u8::try_from(id).unwrap(); 20],
        replay_window: 64,
        ..Association::ZERO
    };
    DesiredState {
        config: DeviceConfig {
            pa_v4: address("192.0.2.1"),
            underlay_mtu: 1600,
            ..DeviceConfig::ZERO
        },
        vnets: vec![
            Vnet {
                vni: 1,
                encryption: 1,
                enforcement: 1,
                reserved: [0; 2],
            },
            Vnet {
                vni: 2,
                encryption: 1,
                enforcement: 0,
                reserved: [0; 2],
            },
        ],
        ports: (0..3)
            .map(|port| Port {
                vni: 1,
                port,
                mtu: 1500,
                up: 1,
                ..Port::ZERO
            })
            .collect(),
        port_addresses: (0..3u8)
            .map(|i| PortAddress {
                prefix: Address::from(IpAddr::from([10, 0, 0, i])),
                port: u16::from(i),
                prefix_len: 32,
                reserved: 0,
            })
            .collect(),
        mappings,
        associations: vec![association(1, 1), association(2, 2)],
        exclusions: vec![Exclusion {
            id: 1,
            vni: 1,
            prefix: address("10.0.9.0"),
            prefix_len: 24,
            ..Exclusion::ZERO
        }],
        revision: 5,
    }
}

#[test]
fn an_empty_device_becomes_what_is_desired_and_a_second_run_changes_nothing() {
    let (mock, mut device, _) = Mock::attached();
    let wanted = scenario();
    let report = reconcile(&mut device, &wanted).unwrap();
    assert_eq!(report.changes[0], (Change::Added, Object::Config));
    assert_eq!(report.count(Change::Added), 1 + 2 + 3 + 3 + 132 + 2 + 1);
    assert_eq!(report.count(Change::Changed) + report.count(Change::Removed), 0);
    assert_eq!(report.need_keys, [1, 2]);
    {
        let mock = mock.borrow();
        assert_eq!(mock.config, Some(wanted.config));
        assert_eq!(mock.state.vnets, wanted.vnets);
        assert_eq!(mock.state.ports, wanted.ports);
        assert_eq!(mock.state.port_addresses, wanted.port_addresses);
        assert_eq!(mock.state.associations, wanted.associations);
        assert_eq!(mock.state.exclusions, wanted.exclusions);
        assert_eq!(mock.state.mappings.len(), 132);
        assert!(mock.state.mappings.iter().all(|m| m.revision == 5));
        let bulks = mock.executed.iter().filter(|&&o| o == Opcode::MappingSet).count();
        assert_eq!(bulks, 1 + 3, "the unreachable range; 130 VMs and the outside");
    }
    mock.borrow_mut().executed.clear();
    assert!(reconcile(&mut device, &wanted).unwrap().is_empty());
    let reads = [
        Opcode::Identify,
        Opcode::Configure,
        Opcode::VnetList,
        Opcode::PortList,
        Opcode::PortAddressList,
        Opcode::MappingList,
        Opcode::AssociationList,
        Opcode::ExclusionList,
    ];
    assert!(
        mock.borrow().executed.iter().all(|opcode| reads.contains(opcode)),
        "{:?}",
        mock.borrow().executed
    );
}

#[test]
fn differences_are_applied_and_reported_by_name() {
    let (mock, mut device, _) = Mock::attached();
    let mut wanted = scenario();
    reconcile(&mut device, &wanted).unwrap();
    wanted.revision = 6;
    wanted.vnets.push(Vnet {
        vni: 3,
        encryption: 1,
        ..Vnet::ZERO
    });
    wanted.ports[2].vni = 3;
    wanted.ports[1].mtu = 9000;
    wanted.port_addresses.remove(0);
    wanted.mappings.remove(7);
    wanted.mappings[0].pa = Address::from(IpAddr::from([192, 0, 2, 3]));
    wanted.exclusions.clear();
    // Connection ids change places: both must go before either comes.
    wanted.associations[0].local_cid = [2; 20];
    wanted.associations[1].local_cid = [1; 20];
    let report = reconcile(&mut device, &wanted).unwrap();
    let expected = [
        (Change::Added, "VNet 3"),
        (Change::Changed, "port 1"),
        (Change::Changed, "port 2"),
        (Change::Removed, "address 10.0.0.0/32 of port 0"),
        (Change::Removed, "mapping 10.0.1.7/32 in VNet 1"),
        (Change::Changed, "mapping 10.0.1.0/32 in VNet 1"),
        (Change::Changed, "association 1"),
        (Change::Changed, "association 2"),
        (Change::Removed, "exclusion 1"),
    ];
    let named: Vec<_> = report.changes.iter().map(|(c, o)| (*c, o.to_string())).collect();
    assert_eq!(named, expected.map(|(c, o)| (c, o.to_owned())));
    assert_eq!(report.need_keys, [1, 2]);
    {
        let state = &mock.borrow().state;
        assert_eq!(state.port_addresses.len(), 2, "a rebuilt port has its addresses back");
        assert!(state.ports.iter().all(|p| p.up == 1));
    }
    assert!(reconcile(&mut device, &wanted).unwrap().is_empty());
    let state = read_back(&mut device).unwrap();
    assert_eq!(state, mock.borrow().state);
}

#[test]
fn everything_can_be_removed() {
    let (mock, mut device, _) = Mock::attached();
    let wanted = scenario();
    reconcile(&mut device, &wanted).unwrap();
    let nothing = DesiredState {
        config: wanted.config,
        revision: 5,
        ..DesiredState::default()
    };
    let report = reconcile(&mut device, &nothing).unwrap();
    assert_eq!(report.count(Change::Removed), 2 + 3 + 3 + 132 + 2 + 1);
    assert_eq!(mock.borrow().state, crate::plan::Programmed::default());
}

#[test]
fn an_older_desired_state_changes_nothing() {
    let (mock, mut device, _) = Mock::attached();
    let mut wanted = scenario();
    reconcile(&mut device, &wanted).unwrap();
    let before = mock.borrow().state.clone();
    wanted.revision = 4;
    wanted.vnets[0].enforcement = 0;
    assert!(matches!(
        reconcile(&mut device, &wanted),
        Err(Error::StaleRevision { device: 5, desired: 4 })
    ));
    assert_eq!(mock.borrow().state, before);
}

#[test]
fn a_contradictory_state_is_refused_before_the_device_is_touched() {
    let (mock, mut device, _) = Mock::attached();
    let mut wanted = scenario();
    wanted.ports[0].vni = 9;
    assert!(matches!(reconcile(&mut device, &wanted), Err(Error::Desired(_))));
    assert!(mock.borrow().executed.is_empty());
}

#[test]
fn another_configuration_than_the_one_in_place_is_a_conflict() {
    let (_, mut device, _) = Mock::attached();
    let mut wanted = scenario();
    reconcile(&mut device, &wanted).unwrap();
    wanted.config.underlay_mtu = 9000;
    assert_eq!(
        reconcile(&mut device, &wanted).unwrap_err().status(),
        Some(Status::Conflict)
    );
}

/// The device hangs at any one of the commands: an error that names the step, and the next run completes the work.
#[test]
fn a_failure_at_any_command_leaves_a_state_that_the_next_run_completes() {
    let wanted = scenario();
    for at in 0..40 {
        let (mock, mut device, _) = Mock::attached();
        mock.borrow_mut().faults = std::iter::repeat_n(None, at)
            .chain(std::iter::repeat_n(Some(Fault::WrongOpcode), 4))
            .collect();
        let result = reconcile(&mut device, &wanted);
        let left = mock.borrow().faults.len();
        if let Err(error) = &result {
            assert_eq!(left, 0, "fault {at}");
            let text = error.to_string();
            assert!(text.contains("answer"), "{text}");
            if let Error::Step { source, .. } = error {
                assert!(matches!(**source, Error::Mailbox(MailboxError::Damaged { .. })));
                assert!(text.contains("step"), "{text}");
            }
        } else {
            assert!(left > 0, "fault {at} went unseen");
            mock.borrow_mut().faults.clear();
        }
        reconcile(&mut device, &wanted).unwrap();
        assert!(reconcile(&mut device, &wanted).unwrap().is_empty(), "fault {at}");
        assert_eq!(mock.borrow().state.mappings.len(), 132);
    }
}

#[test]
fn the_step_that_the_device_refuses_is_named() {
    let (mock, mut device, _) = Mock::attached();
    let mut broken = scenario();
    broken.associations[1].local_cid = broken.associations[0].local_cid;
    let error = reconcile(&mut device, &broken).unwrap_err();
    assert_eq!(error.status(), Some(Status::Conflict));
    let text = error.to_string();
    assert!(
        text.contains("setting association 2") && text.contains("exists and differs"),
        "{text}"
    );
    assert!(mock.borrow().state.ports.is_empty(), "ports come last");
}
