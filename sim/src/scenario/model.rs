//! A checked scenario: names are resolved to indexes into its lists, and every rule of the format holds.

use std::net::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use sealnic_abi::object::{AssociationState, CipherSuite, DtlsVersion};
use sealnic_abi::{Capability, Enforcement};
use zeroize::Zeroize;

use super::mac::MacAddress;

/// A whole scenario: hosts on an underlay, virtual networks, the VMs in them, and the traffic they send.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name: the file's `name`, else the file's stem.
    pub name: String,
    /// What static keys are derived from, together with a run's random id.
    pub secret: Secret,
    /// Underlay hosts with their NICs.
    pub hosts: Vec<Host>,
    /// Virtual networks.
    pub vnets: Vec<Vnet>,
    /// Peered VNets: pairs of indexes into `vnets`, the lower first.
    pub peerings: Vec<[usize; 2]>,
    /// Virtual machines.
    pub vms: Vec<Vm>,
    /// Named exclusions from encryption.
    pub exclusions: Vec<Exclusion>,
    /// Ways to the outside, at most one for each VNet.
    pub gateways: Vec<Gateway>,
    /// How hosts protect what they send each other.
    pub association: AssociationSettings,
    /// From the last bit's leaving a NIC to its arrival at another: cable and switches, in nanoseconds. Models without time ignore it.
    pub latency_ns: u64,
    /// Where the frames come from; absent in scenarios made only to be planned.
    pub traffic: Option<Traffic>,
}

/// The scenario's secret, 256 bits. It isn't shown by `Debug`, and is wiped on drop.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    pub(super) const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The octets, for key derivation.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// One underlay host with its NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name, unique among hosts.
    pub name: String,
    /// Provider address, IPv4.
    pub pa_v4: Option<Ipv4Addr>,
    /// Provider address, IPv6.
    pub pa_v6: Option<Ipv6Addr>,
    /// The NIC's MAC on the underlay.
    pub mac: MacAddress,
    /// Greatest IP packet of the underlay, in octets.
    pub underlay_mtu: u16,
    /// What the NIC can hold.
    pub nic: NicSizes,
}

/// Table sizes of a NIC, in entries. What the file leaves out is as large as the scenario needs, and no less than the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NicSizes {
    /// Flow entries.
    pub flows: u32,
    /// Mappings.
    pub mappings: u32,
    /// Associations.
    pub associations: u32,
    /// Ports.
    pub ports: u32,
}

impl Default for NicSizes {
    fn default() -> Self {
        Self {
            flows: 65_536,
            mappings: 4096,
            associations: 256,
            ports: 64,
        }
    }
}

/// One virtual network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vnet {
    /// Name, unique among VNets.
    pub name: String,
    /// VNI, 24 bits, not 0.
    pub vni: u32,
    /// Address space: what has no VM there is unreachable, and never sent outside.
    pub prefixes: Vec<IpNet>,
    /// Encryption is enabled.
    pub encryption: bool,
    /// What happens to traffic that can't be encrypted, while encryption is enabled.
    pub enforcement: Enforcement,
}

/// One virtual machine and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Name, unique among VMs.
    pub name: String,
    /// Index of its host.
    pub host: usize,
    /// Index of its VNet.
    pub vnet: usize,
    /// Port number on its host's NIC: VMs of a host are numbered in the order of the file.
    pub port: u16,
    /// MAC; a derived one when any source MAC is accepted.
    pub mac: MacAddress,
    /// Any source MAC is accepted: a VM that routes for others, or plays many.
    pub any_mac: bool,
    /// Customer addresses and prefixes.
    pub addresses: Vec<IpNet>,
    /// Greatest IP packet, in octets.
    pub mtu: u16,
    /// It has accelerated networking; without it, hardware doesn't support encryption.
    pub accelerated_networking: bool,
    /// Its size is one that supports encryption.
    pub supported_sku: bool,
    /// Its software is ready.
    pub ready: bool,
    /// Its stack does discovery.
    pub discovery: bool,
}

impl Vm {
    /// What policy is told of this VM: a lasting obstacle before a passing one.
    #[must_use]
    pub const fn capability(&self) -> Capability {
        if !self.accelerated_networking || !self.supported_sku {
            Capability::HwNotSupported
        } else if !self.ready {
            Capability::SwNotReady
        } else if !self.discovery {
            Capability::NoDiscovery
        } else {
            Capability::Supported
        }
    }
}

/// A named exclusion: traffic of a VNet that is sent clear although policy would encrypt it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Name, unique among exclusions.
    pub name: String,
    /// Index of the VNet whose VMs send it.
    pub vnet: usize,
    /// Destinations.
    pub prefix: IpNet,
    /// IP protocol; `None` for any.
    pub protocol: Option<u8>,
    /// Destination port; `None` for any.
    pub port: Option<u16>,
}

/// Where a VNet's traffic to the outside goes, in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Index of the VNet.
    pub vnet: usize,
    /// Provider address of the gateway.
    pub pa: IpAddr,
}

/// Address family of the underlay that associations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// How hosts protect what they send each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationSettings {
    /// DTLS version.
    pub version: DtlsVersion,
    /// Record cipher.
    pub suite: CipherSuite,
    /// Length of connection ids, in octets; 0 for none.
    pub connection_id_len: u8,
    /// Replay window, in records.
    pub replay_window: u16,
    /// Address family of the underlay.
    pub underlay: Underlay,
    /// UDP port of records.
    pub dtls_port: u16,
    /// What the driver declares for pairs of hosts; those not listed are ready.
    pub states: Vec<PairState>,
}

/// What the driver declares for one pair of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairState {
    /// Indexes of the hosts, the lower first.
    pub hosts: [usize; 2],
    /// State of every association between them.
    pub state: AssociationState,
}

/// Where the frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Capture file, relative paths already resolved against the scenario file's folder.
    pub capture: PathBuf,
}

impl Host {
    /// Provider address of a family, if the host has one.
    #[must_use]
    pub fn pa(&self, underlay: Underlay) -> Option<IpAddr> {
        match underlay {
            Underlay::Ipv4 => self.pa_v4.map(IpAddr::V4),
            Underlay::Ipv6 => self.pa_v6.map(IpAddr::V6),
        }
    }
}

impl Scenario {
    /// True when VMs of the two VNets reach each other: one VNet, or peered ones.
    #[must_use]
    pub fn connected(&self, a: usize, b: usize) -> bool {
        a == b || self.peerings.contains(&sorted(a, b))
    }

    /// A VNet and those peered with it, as indexes in the order of the file.
    pub fn reachable_vnets(&self, vnet: usize) -> impl Iterator<Item = usize> {
        (0..self.vnets.len()).filter(move |&other| self.connected(vnet, other))
    }

    /// State that the driver declares for associations between two hosts.
    #[must_use]
    pub fn pair_state(&self, a: usize, b: usize) -> AssociationState {
        let hosts = sorted(a, b);
        let declared = self.association.states.iter().find(|pair| pair.hosts == hosts);
        declared.map_or(AssociationState::Ready, |pair| pair.state)
    }

    /// Indexes of the VMs on a host, by port number.
    pub fn vms_on(&self, host: usize) -> impl Iterator<Item = usize> {
        (0..self.vms.len()).filter(move |&vm| self.vms[vm].host == host)
    }
}

/// A pair without order: the lower index first.
pub(super) const fn sorted(a: usize, b: usize) -> [usize; 2] {
    if a <= b { [a, b] } else { [b, a] }
}
