//! Two devices with one VM each and one association between them (DTLS 1.3, AES-128-GCM, 8-octet connection ids), programmed as
//! a driver would.

use anyhow::{Result, anyhow, ensure};
use sealnic_abi::Enforcement;
use sealnic_abi::mailbox::{
    Identify, MappingSet, MessageHeader, Request, SaActivate, WINDOW_LEN, read_message, write_message,
};
use sealnic_abi::object::{
    Address, Association, AssociationState, CipherSuite, DeviceConfig, Direction, DtlsVersion, Mapping, Port,
    PortAddress, SaInstall, Vnet,
};
use sealnic_driver::Device;
use sealnic_driver::transport::Transport;
use sealnic_dtls::{ConnectionId, KeyMaterial, Limits, RecordConfig, Version, WriteState};
use sealnic_firmware::{Destination, Nic, Output, Sizes};
use sealnic_hw_model::memory::{HeapMemory, ModelEntropy};
use std::net::{IpAddr, Ipv4Addr};
use zerocopy::{FromBytes, FromZeros};

/// The pipeline itself, without registers and queues around it.
pub(crate) type BenchNic = Nic<HeapMemory, ModelEntropy>;

pub(crate) const VNI: u32 = 4_711;
const DTLS_PORT: u16 = 4433;
const VM_MTU: u16 = 1_500;

/// Which of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Whose VM sends.
    A,
    /// Whose VM receives.
    B,
}

impl Host {
    const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The host at the other end.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Address on the underlay.
    pub(crate) const fn pa(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number())
    }

    /// MAC on the underlay.
    pub(crate) const fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number()]
    }

    /// Address of the VM.
    pub(crate) const fn ca(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, self.number())
    }

    /// MAC of the VM.
    pub(crate) const fn vm_mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 1, self.number()]
    }

    /// Connection id that this host receives.
    const fn cid(self) -> [u8; 8] {
        [0x51, 0x0e, 0x52, 0x7f, 0xad, 0xe6, 0x82, self.number()]
    }
}

/// Octets of connection ids.
pub(crate) const CID_LEN: u8 = 8;
const KEY_LEN: usize = 16;
const EPOCH: u64 = 3;

/// The write side of a host's association, without its NIC. `first_seq` keeps it clear of the numbers that a NIC has used.
pub(crate) fn write_state(host: Host, first_seq: u64) -> Result<WriteState> {
    let mut keys = KeyMaterial {
        key: [0; 32],
        iv: [0x40 | host.number(); 12],
        sn_key: [0; 32],
    };
    keys.key[..KEY_LEN].fill(host.number());
    keys.sn_key[..KEY_LEN].fill(0x80 | host.number());
    let config = RecordConfig {
        version: Version::Dtls13,
        suite: sealnic_dtls::CipherSuite::Aes128Gcm,
        cid: ConnectionId::try_from(&host.other().cid()[..]).map_err(|error| anyhow!("{error:?}"))?,
        epoch: EPOCH,
    };
    WriteState::new(&keys, config, first_seq, Limits::default_for(Version::Dtls13))
        .map_err(|error| anyhow!("{error:?}"))
}

/// Whoever carries mailbox commands.
pub(crate) trait Mailbox {
    /// Has a command carried out.
    fn command<R: Request>(&mut self, request: &R) -> Result<R::Response>;
}

impl<T: Transport> Mailbox for Device<T> {
    fn command<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        Ok(self.call(request)?)
    }
}

/// A pipeline with a mailbox client's sequence number.
pub(crate) struct Client<'a> {
    nic: &'a mut BenchNic,
    sequence: u32,
}

/// Takes frames that a device makes besides, and counts them: none is expected.
#[derive(Debug, Default)]
pub(crate) struct Unexpected(pub(crate) u64);

impl Output for Unexpected {
    fn emit(&mut self, _: Destination, _: &[u8]) {
        self.0 += 1;
    }
}

impl Mailbox for Client<'_> {
    fn command<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        self.sequence += 1;
        let (mut window, mut response) = ([0; WINDOW_LEN], [0; WINDOW_LEN]);
        let header = MessageHeader {
            opcode: R::OPCODE.into(),
            sequence: self.sequence,
            ..MessageHeader::ZERO
        };
        let too_long = || anyhow!("{:?} does not fit the mailbox", R::OPCODE);
        let len = write_message(&mut window, header, request.as_bytes()).ok_or_else(too_long)?;
        let len = self
            .nic
            .mailbox(0, &mut window[..len], &mut response, &mut Unexpected::default());
        let (header, payload) = read_message(&response[..len]).map_err(|error| anyhow!("{error:?}"))?;
        ensure!(
            header.status == 0,
            "{:?} failed with status {}",
            R::OPCODE,
            header.status
        );
        R::Response::read_from_bytes(payload).map_err(|_| anyhow!("{:?}: answer of another size", R::OPCODE))
    }
}

/// A pipeline of one host with room for `flows` flows at half load, programmed and enabled.
pub(crate) fn pipeline(host: Host, flows: u32) -> Result<BenchNic> {
    let sizes = Sizes {
        flows: flows as usize * 2,
        ..Sizes::default()
    };
    let mut nic = Nic::new(
        &mut HeapMemory,
        &sizes,
        ModelEntropy::from_seed(u64::from(host.number())),
    );
    program(
        &mut Client {
            nic: &mut nic,
            sequence: 0,
        },
        host,
    )?;
    nic.set_enabled(true);
    Ok(nic)
}

/// Programs a device: one VNet that demands encryption, its VM, the other's mapping, and an association with its keys.
pub(crate) fn program(device: &mut impl Mailbox, host: Host) -> Result<()> {
    let address = |ip: Ipv4Addr| Address::from(IpAddr::V4(ip));
    let (own, peer) = (host, host.other());
    let generation = device.command(&Identify)?.generation;
    device.command(&DeviceConfig {
        pa_v4: address(own.pa()),
        mac: own.mac(),
        next_hop_mac: peer.mac(),
        hash_key: *b"a secret of ours",
        underlay_mtu: 9_000,
        dtls_port: DTLS_PORT,
        flow_idle_ms: u32::MAX,
        flow_log_ms: u32::MAX,
        cid_len: CID_LEN,
        ..DeviceConfig::ZERO
    })?;
    device.command(&Vnet {
        vni: VNI,
        encryption: 1,
        enforcement: Enforcement::DropUnencrypted.into(),
        reserved: [0; 2],
    })?;
    device.command(&Port {
        vni: VNI,
        mtu: VM_MTU,
        mac: own.vm_mac(),
        up: 1,
        ..Port::ZERO
    })?;
    device.command(&PortAddress {
        prefix: address(own.ca()),
        prefix_len: 32,
        ..PortAddress::ZERO
    })?;
    let mut mappings = MappingSet::ZERO;
    mappings.count = 1;
    mappings.items[0] = Mapping {
        src_vni: VNI,
        dst_vni: VNI,
        prefix: address(peer.ca()),
        pa: address(peer.pa()),
        peer_mac: peer.vm_mac(),
        prefix_len: 32,
        revision: 1,
        ..Mapping::ZERO
    };
    device.command(&mappings)?;
    let mut association = Association {
        local_vni: VNI,
        peer_vni: VNI,
        local_pa: address(own.pa()),
        peer_pa: address(peer.pa()),
        local_port: DTLS_PORT,
        peer_port: DTLS_PORT,
        version: DtlsVersion::Dtls13.into(),
        suite: CipherSuite::Aes128Gcm.into(),
        state: AssociationState::Ready.into(),
        peer_cid_len: CID_LEN,
        local_cid_len: CID_LEN,
        replay_window: 4_096,
        overlap_ms: 1_000,
        ..Association::ZERO
    };
    association.peer_cid[..usize::from(CID_LEN)].copy_from_slice(&peer.cid());
    association.local_cid[..usize::from(CID_LEN)].copy_from_slice(&own.cid());
    device.command(&association)?;
    for (sa, direction, sender) in [(0, Direction::Write, own), (1, Direction::Read, peer)] {
        let mut install = SaInstall::new_zeroed();
        install.sa = sa;
        install.generation = generation;
        install.epoch = EPOCH;
        install.direction = direction.into();
        install.key[..KEY_LEN].fill(sender.number());
        install.iv.fill(0x40 | sender.number());
        install.sn_key[..KEY_LEN].fill(0x80 | sender.number());
        device.command(&install)?;
    }
    device.command(&SaActivate { id: 0 })?;
    Ok(())
}
