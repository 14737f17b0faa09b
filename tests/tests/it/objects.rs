//! What the host may program: values out of range are refused with a reason, and change nothing.

use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{Address, Association, DeviceConfig, Exclusion, Mapping, Port, PortAddress, Vnet};
use sealnic_driver::Error;
use sealnic_driver::reconcile::read_back;
use sealnic_tests::bed::TestDevice;
use sealnic_tests::{Setup, TestBed, for_each_backend};
use std::net::{IpAddr, Ipv4Addr};

fn v4(a: u8, b: u8, c: u8, d: u8) -> Address {
    IpAddr::from(Ipv4Addr::new(a, b, c, d)).into()
}

/// Gives every object with each of its changes, and expects every one to be refused so.
fn refused<O: Copy + std::fmt::Debug>(
    device: &mut TestDevice,
    object: O,
    changes: &[fn(&mut O)],
    wanted: Status,
    mut set: impl FnMut(&mut TestDevice, &O) -> Result<(), Error>,
) {
    let before = read_back(device).unwrap();
    for change in changes {
        let mut wrong = object;
        change(&mut wrong);
        let status = set(device, &wrong).err().and_then(|error| error.status());
        assert_eq!(status, Some(wanted), "{wrong:?}");
        assert_eq!(read_back(device).unwrap(), before, "{wrong:?}");
    }
    set(device, &object).unwrap();
}

#[test]
fn objects_with_values_out_of_range_are_refused_and_change_nothing() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let desired = bed.setup.desired(0);
        let bad = Status::BadParameter;
        let device = bed.device(0);
        let vnet: &[fn(&mut Vnet)] = &[
            |v| v.vni = 0,
            |v| v.vni = 1 << 24,
            |v| v.vni = u32::MAX,
            |v| v.encryption = 2,
            |v| v.enforcement = 2,
        ];
        refused(device, desired.vnets[0], vnet, bad, TestDevice::set_vnet);
        let port: &[fn(&mut Port)] = &[
            |p| p.vni = 0,
            |p| p.vni = 1 << 24,
            |p| p.port = 16,
            |p| p.port = u16::MAX,
            |p| p.mac[0] = 1,
            |p| p.mtu = 0,
            |p| p.mtu = 67,
            |p| p.up = 2,
            |p| p.any_mac = 2,
            |p| p.capability = 4,
        ];
        refused(device, desired.ports[0], port, bad, TestDevice::set_port);
        let elsewhere: &[fn(&mut Port)] = &[|p| p.vni = 11];
        refused(
            device,
            desired.ports[0],
            elsewhere,
            Status::NotFound,
            TestDevice::set_port,
        );
        let address: &[fn(&mut PortAddress)] = &[
            |a| a.prefix = Address::ZERO,
            |a| a.prefix.family = 5,
            |a| a.prefix_len = 33,
            |a| a.prefix_len = 31,
            |a| a.prefix.octets[9] = 1,
        ];
        let given = PortAddress {
            prefix: v4(10, 77, 0, 1),
            prefix_len: 32,
            port: 0,
            ..PortAddress::ZERO
        };
        refused(device, given, address, bad, TestDevice::add_port_address);
        let nowhere: &[fn(&mut PortAddress)] = &[|a| a.port = 5, |a| a.port = u16::MAX];
        refused(device, given, nowhere, Status::NotFound, TestDevice::add_port_address);
        let mapping: &[fn(&mut Mapping)] = &[
            |m| m.src_vni = 0,
            |m| m.src_vni = 1 << 24,
            |m| m.dst_vni = 0,
            |m| m.dst_vni = 1 << 24,
            |m| m.prefix.family = 0,
            |m| m.prefix_len = 33,
            |m| m.prefix_len = 8,
            |m| m.pa = Address::ZERO,
            |m| m.kind = 3,
            |m| m.capability = 4,
        ];
        let given = Mapping {
            revision: 1,
            ..desired.mappings[2]
        };
        refused(device, given, mapping, bad, |device, mapping| {
            device.set_mappings(&[*mapping])
        });
        let stale: &[fn(&mut Mapping)] = &[|m| m.revision = 0];
        refused(device, given, stale, Status::StaleRevision, |device, mapping| {
            device.set_mappings(&[*mapping])
        });
        let exclusion: &[fn(&mut Exclusion)] = &[
            |e| e.vni = 0,
            |e| e.vni = 1 << 24,
            |e| e.prefix = Address::ZERO,
            |e| e.prefix_len = 33,
            |e| e.prefix_len = 6,
        ];
        let given = Exclusion {
            id: 1,
            vni: 10,
            prefix: v4(10, 0, 0, 0),
            prefix_len: 8,
            ..Exclusion::ZERO
        };
        refused(device, given, exclusion, bad, TestDevice::set_exclusion);
    });
}

#[test]
fn associations_that_contradict_themselves_or_another_are_refused() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let there = bed.setup.desired(0).associations[0];
        let mut cid = there.local_cid;
        cid[0] ^= 1;
        let given = Association {
            id: 1,
            local_cid: cid,
            ..there
        };
        let device = bed.device(0);
        let changes: &[fn(&mut Association)] = &[
            |a| a.id = 64,
            |a| a.id = u32::MAX,
            |a| a.local_vni = 1 << 24,
            |a| a.peer_vni = 1 << 24,
            |a| a.local_pa = v4(192, 0, 2, 9),
            |a| a.local_pa = Address::ZERO,
            |a| a.peer_pa = Address::ZERO,
            |a| a.peer_pa = a.local_pa,
            |a| a.peer_pa = IpAddr::from(std::net::Ipv6Addr::LOCALHOST).into(),
            |a| a.local_port = 0,
            |a| a.peer_port = 0,
            |a| a.local_port = 4_789,
            |a| a.peer_port = 4_789,
            |a| a.version = 2,
            |a| a.suite = 2,
            |a| a.state = 3,
            |a| a.peer_cid_len = 21,
            |a| a.local_cid_len = 7,
            |a| a.local_cid_len = 21,
            |a| a.peer_cid[19] = 1,
            |a| a.local_cid[19] = 1,
            |a| a.replay_window = 0,
            |a| a.replay_window = 63,
            |a| a.replay_window = 100,
            |a| a.replay_window = 4_160,
        ];
        refused(
            device,
            given,
            changes,
            Status::BadParameter,
            TestDevice::set_association,
        );
        // The connection id of another one; and what may not change of one that is there.
        let same_cid = Association { id: 2, ..there };
        let other_peer = Association {
            peer_port: 4_434,
            ..there
        };
        for wrong in [same_cid, other_peer] {
            let error = device.set_association(&wrong).unwrap_err();
            assert_eq!(error.status(), Some(Status::Conflict));
        }
        let longer = Association {
            overlap_ms: 9,
            state: 0,
            ..there
        };
        device.set_association(&longer).unwrap();
        assert_eq!(device.associations().next().unwrap().unwrap(), longer);
    });
}

#[test]
fn the_device_is_configured_once_and_within_reason() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let config = bed.setup.desired(0).config;
        let association = bed.setup.desired(0).associations[0];
        let device = bed.device(0);
        let other = DeviceConfig {
            underlay_mtu: 1_700,
            ..config
        };
        assert_eq!(device.configure(&other).unwrap_err().status(), Some(Status::Conflict));
        device.configure(&config).unwrap();
        device.reset().unwrap();
        let error = device.set_association(&association).unwrap_err();
        assert_eq!(error.status(), Some(Status::NotConfigured));
        let changes: [fn(&mut DeviceConfig); 9] = [
            |c| c.pa_v4 = Address::ZERO,
            |c| c.pa_v4.family = 6,
            |c| c.pa_v6 = c.pa_v4,
            |c| c.underlay_mtu = 575,
            |c| c.dtls_port = 0,
            |c| c.dtls_port = 4_789,
            |c| c.cid_len = 21,
            |c| c.flow_idle_ms = 0,
            |c| c.mac[0] |= 1,
        ];
        for change in changes {
            let mut wrong = config;
            change(&mut wrong);
            let error = device.configure(&wrong).unwrap_err();
            assert_eq!(error.status(), Some(Status::BadParameter), "{wrong:?}");
        }
        assert_eq!(device.identify().unwrap().configured, 0);
        device.configure(&other).unwrap();
    });
}

#[test]
fn a_full_table_refuses_one_more_and_takes_it_after_a_removal() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::new(1).small());
        let device = bed.device(0);
        let vnet = |vni| Vnet { vni, ..Vnet::ZERO };
        for vni in 1..=4 {
            device.set_vnet(&vnet(vni)).unwrap();
        }
        assert_eq!(device.set_vnet(&vnet(5)).unwrap_err().status(), Some(Status::Full));
        device.set_vnet(&vnet(4)).unwrap();
        device.remove_vnet(2).unwrap();
        device.set_vnet(&vnet(5)).unwrap();
        let exclusion = |id| Exclusion {
            id,
            vni: 1,
            prefix: v4(10, 0, 0, id as u8),
            prefix_len: 32,
            ..Exclusion::ZERO
        };
        for id in 1..=4 {
            device.set_exclusion(&exclusion(id)).unwrap();
        }
        assert_eq!(
            device.set_exclusion(&exclusion(5)).unwrap_err().status(),
            Some(Status::Full)
        );
        device.remove_exclusion(3).unwrap();
        device.set_exclusion(&exclusion(5)).unwrap();
        let mapping = |n: u8| Mapping {
            src_vni: 1,
            dst_vni: 1,
            prefix: v4(10, 0, 1, n),
            prefix_len: 32,
            kind: 2,
            ..Mapping::ZERO
        };
        let many: Vec<Mapping> = (0..33).map(mapping).collect();
        match device.set_mappings(&many).unwrap_err() {
            Error::MappingRefused { index, status, .. } => assert_eq!((index, status), (32, Status::Full)),
            error => panic!("{error}"),
        }
        assert_eq!(device.mappings().count(), 32);
        device.remove_mapping(&mapping(7)).unwrap();
        device.set_mappings(&many[32..]).unwrap();
        assert_eq!(device.mappings().count(), 32);
    });
}

#[test]
fn a_vnet_with_ports_stays() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        assert_eq!(
            bed.device(0).remove_vnet(10).unwrap_err().status(),
            Some(Status::Conflict)
        );
        bed.device(0).remove_port(0).unwrap();
        bed.device(0).remove_vnet(10).unwrap();
    });
}
