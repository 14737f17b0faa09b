//! What the host programs: the desired state of the device, object by object.

use crate::fields::{FieldType, abi_enum, abi_secret_struct, abi_struct};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

abi_enum! {
    /// Why a flow is, or isn't, encrypted. The names in flow logs are those of the Azure VNet flow log, version 4.
    pub enum EncryptionCode: u8 {
        /// Encrypted (`X`).
        X = 0,
        /// Not encrypted: not configured, or the destination is outside (`NX`).
        Nx = 1,
        /// Hardware doesn't support it (`NX_HW_NOT_SUPPORTED`).
        NxHwNotSupported = 2,
        /// Software isn't ready yet (`NX_SW_NOT_READY`).
        NxSwNotReady = 3,
        /// Encryption demanded and failed (`NX_NOT_ACCEPTED`).
        NxNotAccepted = 4,
        /// The peer doesn't do discovery (`NX_NOT_SUPPORTED`).
        NxNotSupported = 5,
        /// Both ends on one host (`NX_LOCAL_DST`).
        NxLocalDst = 6,
        /// Tried, failed, and clear traffic allowed (`NX_FALLBACK`).
        NxFallback = 7,
    }
}

impl EncryptionCode {
    /// Name in the flow log.
    #[must_use]
    pub const fn flow_log_name(self) -> &'static str {
        match self {
            Self::X => "X",
            Self::Nx => "NX",
            Self::NxHwNotSupported => "NX_HW_NOT_SUPPORTED",
            Self::NxSwNotReady => "NX_SW_NOT_READY",
            Self::NxNotAccepted => "NX_NOT_ACCEPTED",
            Self::NxNotSupported => "NX_NOT_SUPPORTED",
            Self::NxLocalDst => "NX_LOCAL_DST",
            Self::NxFallback => "NX_FALLBACK",
        }
    }
}

abi_enum! {
    /// A VNet's encryption enforcement.
    pub enum Enforcement: u8 {
        /// Encrypt where possible, else send in the clear.
        AllowUnencrypted = 0,
        /// What can't be encrypted is dropped.
        DropUnencrypted = 1,
    }
}

abi_enum! {
    /// What is known of an end's ability to encrypt.
    pub enum Capability: u8 {
        /// Hardware and software support encryption.
        Supported = 0,
        /// Known not to support it (SKU, no accelerated networking).
        HwNotSupported = 1,
        /// Not ready yet: starting, restarting or updating.
        SwNotReady = 2,
        /// The stack doesn't do discovery.
        NoDiscovery = 3,
    }
}

abi_enum! {
    /// What a mapping leads to.
    pub enum MappingKind: u8 {
        /// VMs of this VNet or of a peered one.
        Vm = 0,
        /// Outside the VNet and its peers, through a gateway host.
        Outside = 1,
        /// Inside, but nobody has the address: frames are dropped, never sent to the outside mapping.
        Unreachable = 2,
    }
}

abi_enum! {
    /// State of an association, as the driver declares it.
    pub enum AssociationState: u8 {
        /// Handshake or hand-over under way.
        NotReady = 0,
        /// Keys in place: traffic is sealed.
        Ready = 1,
        /// Tried and failed, declared by an explicit, logged command.
        Failed = 2,
    }
}

abi_enum! {
    /// DTLS version of an association.
    pub enum DtlsVersion: u8 {
        /// RFC 6347.
        Dtls12 = 0,
        /// RFC 9147.
        Dtls13 = 1,
    }
}

abi_enum! {
    /// Record cipher of an association.
    pub enum CipherSuite: u8 {
        /// AES-128-GCM.
        Aes128Gcm = 0,
        /// AES-256-GCM.
        Aes256Gcm = 1,
    }
}

abi_enum! {
    /// Direction of an SA.
    pub enum Direction: u8 {
        /// Seals records to the peer.
        Write = 0,
        /// Opens records of the peer.
        Read = 1,
    }
}

abi_enum! {
    /// Life of an SA.
    pub enum SaPhase: u8 {
        /// Installed: a read SA opens records at once, a write SA waits for activation.
        Installed = 0,
        /// Active.
        Active = 1,
        /// Retiring: a read SA still opens until its overlap ends.
        Retiring = 2,
        /// Dead: a limit was reached, or its next number is unknown; only removal is left.
        Dead = 3,
    }
}

abi_struct! {
    /// An IP address with its family. An IPv4 address takes the first four octets, the others are zero.
    pub struct Address: 20 {
        /// Address octets in network order.
        octets: [u8; 16],
        /// 4, 6, or 0 for none.
        family: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}

impl FieldType for Address {}

impl Address {
    /// From octets as a flow key has them.
    #[must_use]
    pub const fn from_raw(octets: [u8; 16], is_ipv6: bool) -> Self {
        Self {
            octets,
            family: if is_ipv6 { 6 } else { 4 },
            reserved: [0; 3],
        }
    }

    /// As a standard address; `None` when the family is unknown.
    #[must_use]
    pub fn to_ip(self) -> Option<IpAddr> {
        let o = self.octets;
        match self.family {
            4 => Some(IpAddr::V4(Ipv4Addr::new(o[0], o[1], o[2], o[3]))),
            6 => Some(IpAddr::V6(Ipv6Addr::from(o))),
            _ => None,
        }
    }

    /// Longest prefix length of the family, in bits; 0 when the family is unknown.
    #[must_use]
    pub const fn max_prefix_len(&self) -> u8 {
        match self.family {
            4 => 32,
            6 => 128,
            _ => 0,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        let mut octets = [0; 16];
        match ip {
            IpAddr::V4(a) => octets[..4].copy_from_slice(&a.octets()),
            IpAddr::V6(a) => octets = a.octets(),
        }
        Self {
            octets,
            family: if ip.is_ipv4() { 4 } else { 6 },
            reserved: [0; 3],
        }
    }
}

abi_struct! {
    /// Device-wide configuration, set once before traffic.
    pub struct DeviceConfig: 96 {
        /// Own provider address, IPv4; family 0 when the underlay has none.
        pa_v4: Address,
        /// Own provider address, IPv6; family 0 when the underlay has none.
        pa_v6: Address,
        /// Own MAC on the underlay.
        mac: [u8; 6],
        /// MAC of the underlay's next hop.
        next_hop_mac: [u8; 6],
        /// Secret of the flow-table hash.
        hash_key: [u8; 16],
        /// Underlay MTU: greatest IP packet, in octets.
        underlay_mtu: u16,
        /// UDP port of records (default 4433).
        dtls_port: u16,
        /// Idle time after which a flow entry is aged, in milliseconds.
        flow_idle_ms: u32,
        /// Interval of continuing flow-log records, in milliseconds.
        flow_log_ms: u32,
        /// Greatest number a second of packet-too-big answers, of DHCP frames, of handshake records and of control records handed to the host, each; 0 for no limit.
        control_rate: u32,
        /// Length of connection ids that peers send to this device, in octets (0 to 20, default 8).
        cid_len: u8,
        /// Zero.
        reserved: [u8; 11],
    }
}

abi_struct! {
    /// A virtual network known to this device: one that has ports here, or a peered one.
    pub struct Vnet: 8 {
        /// VNI, 24 bits.
        vni: u32,
        /// 1 when encryption is enabled.
        encryption: u8,
        /// `Enforcement`.
        enforcement: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

abi_struct! {
    /// One VF's attachment to the pipeline.
    pub struct Port: 20 {
        /// VNI, 24 bits.
        vni: u32,
        /// Port number.
        port: u16,
        /// MTU: greatest IP packet, in octets.
        mtu: u16,
        /// MAC of the VM.
        mac: [u8; 6],
        /// `Capability` of this VM.
        capability: u8,
        /// 1 when the port is up.
        up: u8,
        /// 1: any source MAC is accepted (a VM that routes for others).
        any_mac: u8,
        /// 1: the host stands in for the VM, by way of its frame rings (`ForVm`, `AsVm`). Then the port has no other way in or
        /// out: frames of its virtual function are dropped.
        representor: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

abi_struct! {
    /// A source prefix that a port may use, and under which it is reached.
    pub struct PortAddress: 24 {
        /// Prefix; bits past its length are zero.
        prefix: Address,
        /// Port number.
        port: u16,
        /// Prefix length, in bits.
        prefix_len: u8,
        /// Zero.
        reserved: u8,
    }
}

abi_struct! {
    /// (source VNI, CA or prefix) → (destination VNI, PA, peer's MAC and capability).
    pub struct Mapping: 64 {
        /// Source VNI, 24 bits.
        src_vni: u32,
        /// Destination VNI, 24 bits; another one across a peering.
        dst_vni: u32,
        /// CA or prefix; bits past its length are zero.
        prefix: Address,
        /// Host that has it.
        pa: Address,
        /// MAC that neighbour requests for it are answered with.
        peer_mac: [u8; 6],
        /// Prefix length, in bits.
        prefix_len: u8,
        /// `MappingKind`.
        kind: u8,
        /// `Capability` of the peer.
        capability: u8,
        /// Zero.
        reserved: [u8; 3],
        /// Revision of the store this came from; an older one never replaces a newer one.
        revision: u32,
    }
}

abi_struct! {
    /// A DTLS association with one peer NIC for one (our VNI, their VNI) pair.
    pub struct Association: 128 {
        /// Number chosen by the host, below the maximum.
        id: u32,
        /// Our VNI: records are opened towards it.
        local_vni: u32,
        /// Their VNI: records are sealed towards it.
        peer_vni: u32,
        /// Our provider address.
        local_pa: Address,
        /// Their provider address.
        peer_pa: Address,
        /// Our UDP port.
        local_port: u16,
        /// Their UDP port.
        peer_port: u16,
        /// `DtlsVersion`.
        version: u8,
        /// `CipherSuite`.
        suite: u8,
        /// `AssociationState`.
        state: u8,
        /// Length of the connection id we send, in octets (0 to 20).
        peer_cid_len: u8,
        /// Connection id we send: chosen by the peer.
        peer_cid: [u8; 20],
        /// Length of the connection id the peer sends: 0 or the device's.
        local_cid_len: u8,
        /// Zero.
        reserved: u8,
        /// Replay window, in records (64 to 4096, a multiple of 64).
        replay_window: u16,
        /// Connection id the peer sends: chosen by us.
        local_cid: [u8; 20],
        /// Time for which a retiring read SA still opens records, in milliseconds (default 1000).
        overlap_ms: u32,
        /// Zero.
        reserved2: [u8; 20],
    }
}

abi_secret_struct! {
    /// Installs one SA: key material goes in here and never comes out.
    pub struct SaInstall: 176 {
        /// SA number chosen by the host, below the maximum.
        sa: u32,
        /// Association it belongs to.
        association: u32,
        /// Device generation the keys were made for; refused when it isn't the current one.
        generation: u64,
        /// Epoch (DTLS 1.2: 1 to 65535; DTLS 1.3: 3 to 2^48 - 1).
        epoch: u64,
        /// First sequence number to seal with, or expected to be opened.
        first_seq: u64,
        /// Packets after which the host is told; 0 for the default of the version.
        soft_packets: u64,
        /// Packets after which the SA is dead; 0 for the default.
        hard_packets: u64,
        /// Octets after which the host is told; 0 for the default.
        soft_octets: u64,
        /// Octets after which the SA is dead; 0 for the default.
        hard_octets: u64,
        /// `Direction`.
        direction: u8,
        /// Zero.
        reserved: [u8; 7],
        /// Key; AES-128 uses the first 16 octets, the others are zero.
        key: [u8; 32],
        /// DTLS 1.3: IV. DTLS 1.2: salt in the first 4 octets, the others are zero.
        iv: [u8; 12],
        /// DTLS 1.3: key of record-number encryption; DTLS 1.2: zero.
        sn_key: [u8; 32],
        /// Zero.
        reserved2: [u8; 28],
    }
}

abi_struct! {
    /// State of an SA as a query shows it; no key material.
    pub struct SaState: 88 {
        /// SA number.
        sa: u32,
        /// Association it belongs to.
        association: u32,
        /// Epoch.
        epoch: u64,
        /// Write: next sequence number. Read: highest sequence number received.
        sequence: u64,
        /// Packets sealed or opened.
        packets: u64,
        /// Octets sealed or opened.
        octets: u64,
        /// Records that did not authenticate (read).
        auth_failures: u64,
        /// Records dropped as replays (read).
        replayed: u64,
        /// Device generation of the install.
        generation: u64,
        /// `Direction`.
        direction: u8,
        /// `SaPhase`.
        phase: u8,
        /// `DtlsVersion`.
        version: u8,
        /// `CipherSuite`.
        suite: u8,
        /// Zero.
        reserved: [u8; 4],
        /// Time at which a retiring SA ends, in nanoseconds; 0 when it isn't retiring.
        retire_ns: u64,
        /// Zero.
        reserved2: [u8; 8],
    }
}

abi_struct! {
    /// A named exclusion: traffic of a VNet that is sent clear although policy would encrypt it.
    pub struct Exclusion: 32 {
        /// Number chosen by the host.
        id: u32,
        /// Source VNI, 24 bits.
        vni: u32,
        /// Destination prefix; bits past its length are zero.
        prefix: Address,
        /// Destination port, 0 for any.
        dst_port: u16,
        /// Prefix length, in bits.
        prefix_len: u8,
        /// IP protocol, 0 for any.
        protocol: u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["10.1.2.3", "255.255.255.255", "::1", "fe80::1234", "2001:db8::42"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).to_ip(), Some(ip));
        }
        assert_eq!(Address::ZERO.to_ip(), None);
    }

    #[test]
    fn enumerations_refuse_values_they_do_not_know() {
        for value in 0..=u8::MAX {
            let code = EncryptionCode::try_from(value);
            assert_eq!(code.is_ok(), value < 8);
            if let Ok(code) = code {
                assert_eq!(u8::from(code), value);
            }
        }
    }
}
