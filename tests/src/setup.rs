//! What stands where, and what each host's device is to be programmed with.

use sealnic_abi::object::{
    Address, Association, AssociationState, CipherSuite, DeviceConfig, DtlsVersion, Exclusion, Mapping, Port,
    PortAddress, Vnet,
};
use sealnic_abi::{Capability, Enforcement, MappingKind};
use sealnic_driver::DesiredState;
use sealnic_hw_model::Sizes;
use sealnic_hw_model::middleware::Impairments;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A virtual network. VNI `n` has the address space `10.n.0.0/16` and `fd00:n::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VnetSpec {
    /// VNI, 1 to 255 here.
    pub vni: u32,
    /// Encryption enabled.
    pub encryption: bool,
    /// DropUnencrypted instead of AllowUnencrypted.
    pub drop: bool,
}

/// A VM with one IPv4 and one IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Index of its host.
    pub host: usize,
    /// Its VNet.
    pub vni: u32,
    /// Port number at its host's device.
    pub port: u16,
    /// MAC.
    pub mac: [u8; 6],
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 address.
    pub v6: Ipv6Addr,
    /// What it can do.
    pub capability: Capability,
    /// Greatest IP packet, in octets.
    pub mtu: u16,
    /// Accept any source MAC.
    pub any_mac: bool,
    /// The port is up.
    pub up: bool,
}

/// A whole test bed.
#[derive(Debug, Clone)]
pub struct Setup {
    /// DTLS version of all associations.
    pub version: DtlsVersion,
    /// Cipher of all associations.
    pub suite: CipherSuite,
    /// Length of connection ids, in octets; 0 for none.
    pub cid_len: u8,
    /// The underlay is IPv6.
    pub underlay_v6: bool,
    /// Greatest IP packet of the underlay, in octets.
    pub underlay_mtu: u16,
    /// Replay window, in records.
    pub replay_window: u16,
    /// Overlap of retiring read SAs, in milliseconds.
    pub overlap_ms: u32,
    /// Idle time of flows, in milliseconds.
    pub flow_idle_ms: u32,
    /// Interval of continuing flow-log records, in milliseconds.
    pub flow_log_ms: u32,
    /// Answers and frames to the host a second; 0 for no limit.
    pub control_rate: u32,
    /// Sizes of the devices' tables.
    pub sizes: Sizes,
    /// Number of hosts.
    pub hosts: usize,
    /// VNets.
    pub vnets: Vec<VnetSpec>,
    /// VMs, by index.
    pub vms: Vec<Vm>,
    /// Pairs of peered VNIs.
    pub peerings: Vec<(u32, u32)>,
    /// Exclusions, on every host.
    pub exclusions: Vec<Exclusion>,
    /// Where a VNet's traffic to the outside goes.
    pub gateways: Vec<(u32, IpAddr)>,
    /// State that the driver declares for all associations.
    pub state: AssociationState,
    /// Install keys.
    pub keys: bool,
    /// What the wire does.
    pub impairments: Impairments,
    /// Seed of devices and keys.
    pub seed: u64,
}

/// One association between two hosts, as both see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Number of the association, the same at both ends.
    pub id: u32,
    /// Hosts.
    pub hosts: [usize; 2],
    /// Each host's own VNI.
    pub vnis: [u32; 2],
}

/// UDP port of records.
pub const DTLS_PORT: u16 = 4433;
/// MAC of the underlay's router.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0x5e, 0, 0, 0, 0xfe];

impl Setup {
    /// Two hosts and two VMs, one on each, of one VNet that demands encryption; DTLS 1.3, AES-256, 8-octet connection ids.
    #[must_use]
    pub fn two_hosts() -> Self {
        Self::new(2).vnet(10, true, true).vm(0, 10).vm(1, 10)
    }

    /// Hosts without VMs.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        Self {
            version: DtlsVersion::Dtls13,
            suite: CipherSuite::Aes256Gcm,
            cid_len: 8,
            underlay_v6: false,
            underlay_mtu: 9_000,
            replay_window: 1_024,
            overlap_ms: 1_000,
            flow_idle_ms: 30_000,
            flow_log_ms: 60_000,
            control_rate: 0,
            sizes: Sizes {
                flows: 1_024,
                mappings: 1_024,
                vnets: 16,
                ports: 16,
                port_addresses: 64,
                associations: 64,
                sas: 512,
                exclusions: 16,
                events: 4_096,
                key_history: 4_096,
                frame_len: 66_000,
            },
            hosts,
            vnets: Vec::new(),
            vms: Vec::new(),
            peerings: Vec::new(),
            exclusions: Vec::new(),
            gateways: Vec::new(),
            state: AssociationState::Ready,
            keys: true,
            impairments: Impairments::default(),
            seed: 1,
        }
    }

    /// Adds a VNet.
    #[must_use]
    pub fn vnet(mut self, vni: u32, encryption: bool, drop: bool) -> Self {
        self.vnets.push(VnetSpec { vni, encryption, drop });
        self
    }

    /// Adds a VM; its index is the number of those before it.
    #[must_use]
    pub fn vm(mut self, host: usize, vni: u32) -> Self {
        let n = self.vms.len() as u8;
        let port = self.vms.iter().filter(|vm| vm.host == host).count() as u16;
        self.vms.push(Vm {
            host,
            vni,
            port,
            mac: [0x00, 0x0d, 0x3a, 0, host as u8, n],
            v4: Ipv4Addr::new(10, vni as u8, 0, n + 4),
            v6: Ipv6Addr::new(0xfd00, vni as u16, 0, 0, 0, 0, 0, u16::from(n) + 4),
            capability: Capability::Supported,
            mtu: 1_500,
            any_mac: false,
            up: true,
        });
        self
    }

    /// Changes a VM.
    #[must_use]
    pub fn with_vm(mut self, index: usize, change: impl FnOnce(&mut Vm)) -> Self {
        change(&mut self.vms[index]);
        self
    }

    /// Changes anything.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The least tables, for runs by the million.
    #[must_use]
    pub fn small(mut self) -> Self {
        self.sizes = Sizes {
            mappings: 32,
            vnets: 4,
            ports: 4,
            port_addresses: 8,
            associations: 4,
            sas: 16,
            exclusions: 4,
            events: 32,
            key_history: 64,
            frame_len: 10_000,
            ..self.sizes
        };
        self
    }

    /// Provider address of a host.
    #[must_use]
    pub fn pa(&self, host: usize) -> IpAddr {
        if self.underlay_v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host as u16 + 1).into()
        } else {
            Ipv4Addr::new(192, 0, 2, host as u8 + 1).into()
        }
    }

    /// MAC of a host's device on the underlay.
    #[must_use]
    pub fn mac(&self, host: usize) -> [u8; 6] {
        [0x02, 0x5e, 0, 0, 0, host as u8 + 1]
    }

    /// Whether a VM of one VNet reaches those of the other.
    #[must_use]
    pub fn reaches(&self, from: u32, to: u32) -> bool {
        from == to || self.peerings.contains(&(from, to)) || self.peerings.contains(&(to, from))
    }

    /// Associations: one for each pair of hosts and each pair of VNIs that have VMs there and reach each other.
    #[must_use]
    pub fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let has = |host, vni| self.vms.iter().any(|vm| vm.host == host && vm.vni == vni);
        for a in 0..self.hosts {
            for b in a + 1..self.hosts {
                for x in &self.vnets {
                    for y in &self.vnets {
                        if has(a, x.vni) && has(b, y.vni) && self.reaches(x.vni, y.vni) {
                            pairs.push(Pair {
                                id: pairs.len() as u32,
                                hosts: [a, b],
                                vnis: [x.vni, y.vni],
                            });
                        }
                    }
                }
            }
        }
        pairs
    }

    /// An association as one of its ends programs it.
    #[must_use]
    pub fn association(&self, pair: &Pair, end: usize) -> Association {
        let other = 1 - end;
        // Without connection ids it is the UDP ports that tell the associations of two hosts apart.
        let udp_port = DTLS_PORT + if self.cid_len == 0 { pair.id as u16 } else { 0 };
        Association {
            id: pair.id,
            local_vni: pair.vnis[end],
            peer_vni: pair.vnis[other],
            local_pa: self.pa(pair.hosts[end]).into(),
            peer_pa: self.pa(pair.hosts[other]).into(),
            local_port: udp_port,
            peer_port: udp_port,
            version: self.version.into(),
            suite: self.suite.into(),
            state: self.state.into(),
            peer_cid_len: self.cid_len,
            peer_cid: self.cid(pair, other),
            local_cid_len: self.cid_len,
            local_cid: self.cid(pair, end),
            replay_window: self.replay_window,
            overlap_ms: self.overlap_ms,
            ..Association::ZERO
        }
    }

    /// Connection id that an end chose for the other one to send.
    fn cid(&self, pair: &Pair, end: usize) -> [u8; 20] {
        let mut random = crate::Random::new(self.seed << 32 | u64::from(pair.id) << 1 | end as u64);
        let mut cid = [0; 20];
        for octet in cid.iter_mut().take(self.cid_len.into()) {
            *octet = random.value() as u8;
        }
        cid
    }

    /// Mappings of a VNet, as every host with a port in it has them.
    fn mappings(&self, vni: u32) -> Vec<Mapping> {
        let base = Mapping {
            src_vni: vni,
            dst_vni: vni,
            ..Mapping::ZERO
        };
        let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let mut mappings = Vec::new();
        for vm in self.vms.iter().filter(|vm| self.reaches(vni, vm.vni)) {
            for address in [IpAddr::from(vm.v4), vm.v6.into()] {
                mappings.push(Mapping {
                    dst_vni: vm.vni,
                    prefix: address.into(),
                    prefix_len: whole(address),
                    pa: self.pa(vm.host).into(),
                    peer_mac: vm.mac,
                    kind: MappingKind::Vm.into(),
                    capability: vm.capability.into(),
                    ..base
                });
            }
        }
        for vnet in self.vnets.iter().filter(|vnet| self.reaches(vni, vnet.vni)) {
            for (prefix, prefix_len) in vnet.space() {
                mappings.push(Mapping {
                    prefix,
                    prefix_len,
                    kind: MappingKind::Unreachable.into(),
                    ..base
                });
            }
        }
        for (_, pa) in self.gateways.iter().filter(|(gateway_vni, _)| *gateway_vni == vni) {
            for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
                mappings.push(Mapping {
                    prefix: any.into(),
                    pa: (*pa).into(),
                    peer_mac: [0x02, 0x5e, 0xa1, 0, 0, 2],
                    kind: MappingKind::Outside.into(),
                    ..base
                });
            }
        }
        mappings
    }

    /// What a host's device is to be programmed with.
    #[must_use]
    pub fn desired(&self, host: usize) -> DesiredState {
        let here: Vec<&Vm> = self.vms.iter().filter(|vm| vm.host == host).collect();
        let vnets: Vec<&VnetSpec> = self
            .vnets
            .iter()
            .filter(|vnet| here.iter().any(|vm| self.reaches(vm.vni, vnet.vni)))
            .collect();
        let pa = Address::from(self.pa(host));
        DesiredState {
            config: DeviceConfig {
                pa_v4: if self.underlay_v6 { Address::ZERO } else { pa },
                pa_v6: if self.underlay_v6 { pa } else { Address::ZERO },
                mac: self.mac(host),
                next_hop_mac: ROUTER_MAC,
                underlay_mtu: self.underlay_mtu,
                dtls_port: DTLS_PORT,
                flow_idle_ms: self.flow_idle_ms,
                flow_log_ms: self.flow_log_ms,
                control_rate: self.control_rate,
                cid_len: self.cid_len,
                ..DeviceConfig::ZERO
            },
            vnets: vnets.iter().map(|vnet| vnet.object()).collect(),
            ports: here.iter().map(|vm| vm.object()).collect(),
            port_addresses: here.iter().flat_map(|vm| vm.port_addresses()).collect(),
            mappings: vnets
                .iter()
                .filter(|vnet| here.iter().any(|vm| vm.vni == vnet.vni))
                .flat_map(|vnet| self.mappings(vnet.vni))
                .collect(),
            associations: self
                .pairs()
                .iter()
                .flat_map(|pair| [(pair.hosts[0], *pair, 0), (pair.hosts[1], *pair, 1)])
                .filter(|(at, ..)| *at == host)
                .map(|(_, pair, end)| self.association(&pair, end))
                .collect(),
            exclusions: self
                .exclusions
                .iter()
                .filter(|exclusion| vnets.iter().any(|vnet| vnet.vni == exclusion.vni))
                .copied()
                .collect(),
            revision: 1,
        }
    }
}

impl VnetSpec {
    /// Its address space.
    #[must_use]
    pub fn space(&self) -> [(Address, u8); 2] {
        let v4 = Ipv4Addr::new(10, self.vni as u8, 0, 0);
        let v6 = Ipv6Addr::new(0xfd00, self.vni as u16, 0, 0, 0, 0, 0, 0);
        [(IpAddr::from(v4).into(), 16), (IpAddr::from(v6).into(), 32)]
    }

    /// As the device has it.
    #[must_use]
    pub fn object(&self) -> Vnet {
        let enforcement = if self.drop {
            Enforcement::DropUnencrypted
        } else {
            Enforcement::AllowUnencrypted
        };
        Vnet {
            vni: self.vni,
            encryption: self.encryption.into(),
            enforcement: enforcement.into(),
            ..Vnet::ZERO
        }
    }
}

impl Vm {
    /// Its port as the device has it.
    #[must_use]
    pub fn object(&self) -> Port {
        Port {
            vni: self.vni,
            port: self.port,
            mtu: self.mtu,
            mac: self.mac,
            capability: self.capability.into(),
            up: self.up.into(),
            any_mac: self.any_mac.into(),
            ..Port::ZERO
        }
    }

    /// Its addresses as the device has them.
    #[must_use]
    pub fn port_addresses(&self) -> [PortAddress; 2] {
        [(IpAddr::from(self.v4), 32), (self.v6.into(), 128)].map(|(address, prefix_len)| PortAddress {
            prefix: address.into(),
            port: self.port,
            prefix_len,
            ..PortAddress::ZERO
        })
    }

    /// Its address of a family.
    #[must_use]
    pub fn address(&self, v6: bool) -> IpAddr {
        if v6 { self.v6.into() } else { self.v4.into() }
    }
}
