//! What the tests program: one host with two VMs in a VNet, and as many mappings, associations and SAs as a test wants.

use crate::Failure;
use sealnic_abi::object::{
    Address, Association, AssociationState, Capability, CipherSuite, DeviceConfig, Direction, DtlsVersion, Mapping,
    MappingKind, Port, PortAddress, Vnet,
};
use sealnic_driver::device::SaParams;
use sealnic_driver::keys::{KeyDerivation, KeyName, Sender};
use sealnic_driver::{Device, RunId, SaKeys, Transport};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const VNI: u32 = 10;
/// Addresses of the VMs at ports 0 and 1.
pub(crate) const VM_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 10, 0, 1), Ipv4Addr::new(10, 10, 0, 2)];
const PA: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER_PA: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn address(ip: Ipv4Addr) -> Address {
    IpAddr::V4(ip).into()
}

/// MAC of the VM at a port.
pub(crate) const fn mac(port: u16) -> [u8; 6] {
    [2, 0, 0, 0, 0, port as u8 + 1]
}

/// Configures the device and adds the VNet.
pub(crate) fn configure<T: Transport>(device: &mut Device<T>) -> Result<(), Failure> {
    device.configure(&DeviceConfig {
        pa_v4: address(PA),
        mac: [2, 0, 0, 0, 1, 1],
        next_hop_mac: [2, 0, 0, 0, 1, 2],
        underlay_mtu: 1_700,
        dtls_port: 4433,
        flow_idle_ms: 60_000,
        flow_log_ms: 60_000,
        cid_len: 8,
        ..DeviceConfig::ZERO
    })?;
    device.set_vnet(&Vnet { vni: VNI, ..Vnet::ZERO })?;
    Ok(())
}

/// Mapping `n` of a great table: an address of its own in 10.64.0.0/10, on the peer's host.
pub(crate) fn mapping(n: u32) -> Mapping {
    Mapping {
        src_vni: VNI,
        dst_vni: VNI,
        prefix: address(Ipv4Addr::from(0x0A40_0000 + n)),
        prefix_len: 32,
        pa: address(PEER_PA),
        peer_mac: [2, 1, 0, (n >> 16) as u8, (n >> 8) as u8, n as u8],
        kind: MappingKind::Vm.into(),
        capability: Capability::Supported.into(),
        revision: 1,
        ..Mapping::ZERO
    }
}

/// Association `id`.
pub(crate) fn association(id: u32) -> Association {
    let mut association = Association {
        id,
        local_vni: VNI,
        peer_vni: VNI,
        local_pa: address(PA),
        peer_pa: address(PEER_PA),
        local_port: 4433,
        peer_port: 4433,
        version: DtlsVersion::Dtls13.into(),
        suite: CipherSuite::Aes128Gcm.into(),
        state: AssociationState::NotReady.into(),
        peer_cid_len: 8,
        local_cid_len: 8,
        replay_window: 64,
        overlap_ms: 1_000,
        ..Association::ZERO
    };
    association.local_cid[..4].copy_from_slice(&(id + 1).to_le_bytes());
    association.peer_cid[..4].copy_from_slice(&(id + 1).to_le_bytes());
    association
}

/// SA `sa` of a table with four for each association: two of each direction, in epochs 3 and 4.
pub(crate) const fn sa(sa: u32) -> SaParams {
    let direction = if sa & 1 == 0 { Direction::Write } else { Direction::Read };
    SaParams::new(sa, sa / 4, direction, 3 + (sa / 2 % 2) as u64)
}

/// Keys that no run had before.
pub(crate) struct Keys(KeyDerivation);

impl Keys {
    pub(crate) fn new() -> Result<Self, Failure> {
        let run = RunId::random().map_err(|error| Failure::Failed(format!("no random run id: {error}")))?;
        Ok(Self(KeyDerivation::new(b"secret of the driver's suite", &run)))
    }

    pub(crate) fn of(&self, params: &SaParams) -> SaKeys {
        self.0.sa_keys(&KeyName {
            association: &params.sa.to_le_bytes(),
            sender: Sender::First,
            epoch: params.epoch,
            version: DtlsVersion::Dtls13,
            suite: CipherSuite::Aes128Gcm,
        })
    }
}

/// Two VMs at ports for which the host stands in, both here: what one sends reaches the other.
pub(crate) fn add_representors<T: Transport>(device: &mut Device<T>) -> Result<(), Failure> {
    for (port, ip) in (0..).zip(VM_ADDRESSES) {
        device.set_port(&Port {
            vni: VNI,
            port,
            mtu: 1_500,
            mac: mac(port),
            capability: Capability::Supported.into(),
            up: 1,
            representor: 1,
            ..Port::ZERO
        })?;
        device.add_port_address(&PortAddress {
            prefix: address(ip),
            port,
            prefix_len: 32,
            ..PortAddress::ZERO
        })?;
    }
    let mappings = [0, 1].map(|port: u16| Mapping {
        prefix: address(VM_ADDRESSES[usize::from(port)]),
        pa: address(PA),
        peer_mac: mac(port),
        ..mapping(0)
    });
    device.set_mappings(&mappings)?;
    device.set_enabled(true)?;
    Ok(())
}

/// A UDP datagram from the VM at one port to the other, padded to `len` octets of payload.
pub(crate) fn frame(from: u16, source_port: u16, payload: &[u8]) -> Vec<u8> {
    let to = 1 - from;
    let udp_len = 8 + payload.len();
    let mut frame = Vec::with_capacity(42 + payload.len());
    frame.extend(mac(to));
    frame.extend(mac(from));
    frame.extend([0x08, 0x00]);
    let mut ip = vec![0x45, 0];
    ip.extend(u16::try_from(20 + udp_len).unwrap_or(u16::MAX).to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(VM_ADDRESSES[usize::from(from)].octets());
    ip.extend(VM_ADDRESSES[usize::from(to)].octets());
    // RFC 791: the checksum of the header with the field zero.
    let sum: u32 = ip
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| u32::from(u16::from_be_bytes(*pair)))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let checksum = !(((folded & 0xFFFF) + (folded >> 16)) as u16);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(ip);
    frame.extend(source_port.to_be_bytes());
    frame.extend(9_000u16.to_be_bytes());
    frame.extend(u16::try_from(udp_len).unwrap_or(u16::MAX).to_be_bytes());
    // RFC 768: no checksum, which IPv4 allows.
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// Checks that every frame that came in is accounted for.
pub(crate) fn check_balance<T: Transport>(device: &mut Device<T>) -> Result<(), Failure> {
    match device.counters()?.check_balance() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}
