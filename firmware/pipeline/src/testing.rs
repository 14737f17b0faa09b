//! Memory and a small device for tests.
extern crate std;

use crate::frame::{HEADROOM, TAILROOM};
use crate::memory::{Memory, Sizes};
use crate::nic::{Entropy, Nic};
use core::net::{IpAddr, Ipv4Addr};
use sealnic_abi::object::{
    Address, Association, AssociationState, DeviceConfig, Direction, DtlsVersion, Mapping, Port, PortAddress,
    SaInstall, Vnet,
};
use std::boxed::Box;
use std::vec::Vec;
use zerocopy::FromZeros;

/// Tables on the heap.
pub(crate) struct HeapMemory;

impl Memory for HeapMemory {
    type Slice<T> = Box<[T]>;

    fn slice<T>(&mut self, len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }
}

/// Random octets for tests: always the same.
pub(crate) struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(7);
    }
}

/// A device with small tables that cuts and makes frames of at most 64 octets, not configured.
pub(crate) fn small_nic() -> Nic<HeapMemory, Sevens> {
    let sizes = Sizes {
        flows: 1_024,
        mappings: 4,
        vnets: 4,
        ports: 4,
        port_addresses: 4,
        associations: 4,
        sas: 4,
        exclusions: 4,
        events: 8,
        key_history: 4,
        frame_len: 64,
    };
    Nic::new(&mut HeapMemory, &sizes, Sevens)
}

/// A device of the tests.
pub(crate) type TestNic = Nic<HeapMemory, Sevens>;
const CIDS: [[u8; 4]; 2] = [*b"id-a", *b"id-b"];

fn address(net: u8, host: usize) -> Address {
    Address::from(IpAddr::V4(Ipv4Addr::new(10, net, 0, host as u8)))
}

/// The device of host 0 or 1: one VM, whose peer is the other's. SA 0 writes, SA 1 reads.
pub(crate) fn device(host: usize) -> TestNic {
    let sizes = Sizes {
        flows: 1_024,
        key_history: 4,
        ..Sizes::default()
    };
    let (mut nic, peer) = (Nic::new(&mut HeapMemory, &sizes, Sevens), 1 - host);
    let mac = |kind, host| [2, 0, 0, 0, kind, host as u8];
    let config = DeviceConfig {
        pa_v4: address(0, host),
        mac: mac(0, host),
        next_hop_mac: mac(0, peer),
        underlay_mtu: 600,
        dtls_port: 4433,
        flow_idle_ms: 1_000,
        flow_log_ms: 1_000,
        cid_len: 4,
        ..DeviceConfig::ZERO
    };
    let vnet = Vnet {
        vni: 5,
        encryption: 1,
        enforcement: 1,
        ..Vnet::ZERO
    };
    let port = Port {
        vni: 5,
        mtu: 1_500,
        mac: mac(1, host),
        up: 1,
        ..Port::ZERO
    };
    let own = PortAddress {
        prefix: address(1, host),
        prefix_len: 32,
        ..PortAddress::ZERO
    };
    let mapping = Mapping {
        src_vni: 5,
        dst_vni: 5,
        prefix: address(1, peer),
        pa: address(0, peer),
        prefix_len: 32,
        ..Mapping::ZERO
    };
    let mut association = Association {
        local_vni: 5,
        peer_vni: 5,
        local_pa: address(0, host),
        peer_pa: address(0, peer),
        local_port: 4433,
        peer_port: 4433,
        version: DtlsVersion::Dtls13.into(),
        state: AssociationState::Ready.into(),
        peer_cid_len: 4,
        local_cid_len: 4,
        replay_window: 64,
        ..Association::ZERO
    };
    association.peer_cid[..4].copy_from_slice(&CIDS[peer]);
    association.local_cid[..4].copy_from_slice(&CIDS[host]);
    nic.tables.configure(&config).unwrap();
    nic.tables.set_vnet(&vnet).unwrap();
    nic.tables.set_port(&port).unwrap();
    nic.tables.add_port_address(&own).unwrap();
    nic.tables.set_mapping(&mapping, 0).unwrap();
    nic.keys.set_association(&association, &config).unwrap();
    for (sa, direction, sender) in [(0, Direction::Write, host), (1, Direction::Read, peer)] {
        let mut install = SaInstall::new_zeroed();
        (install.sa, install.direction) = (sa, direction.into());
        (install.epoch, install.soft_packets) = (3, 500);
        (install.key[0], install.sn_key[0]) = (1 + sender as u8, 3 + sender as u8);
        nic.keys.install(&install, 0).unwrap();
    }
    nic.keys.activate(0).unwrap();
    nic.set_enabled(true);
    nic
}

/// A frame with room around it.
pub(crate) fn in_buffer(frame: &[u8]) -> Vec<u8> {
    let mut buffer = std::vec![0; HEADROOM + frame.len() + TAILROOM];
    buffer[HEADROOM..HEADROOM + frame.len()].copy_from_slice(frame);
    buffer
}
