//! What each host's driver must program into its NIC, in terms of the ABI's objects.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rand_core::CryptoRng;
use sealnic_abi::MappingKind;
use sealnic_abi::object::{self, Address, Association, DeviceConfig, Mapping, Port, PortAddress};
use sealnic_driver::DesiredState;

use super::mac::MacAddress;
use super::model::{Host, Scenario};

/// Idle time after which flow entries are aged, in milliseconds.
const FLOW_IDLE_MS: u32 = 60_000;
/// Interval of continuing flow-log records, in milliseconds.
const FLOW_LOG_MS: u32 = 60_000;
/// Answers, and frames handed to the host, a second.
const CONTROL_RATE: u32 = 10_000;
/// Time for which a retiring read SA still opens records, in milliseconds.
const OVERLAP_MS: u32 = 1000;
/// Revision of the state that a scenario describes: it has no history.
const REVISION: u32 = 1;
/// UDP port of clear overlay traffic (RFC 7348), never one of records.
const VXLAN_PORT: u16 = 4789;
/// Kinds of derived MACs.
const MAC_ROUTER: u8 = 0xfe;
const MAC_GATEWAY: u8 = 0xfd;

/// One association, seen from neither end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Indexes of the hosts, the lower first.
    pub hosts: [usize; 2],
    /// Index of the VNet at each of them.
    pub vnets: [usize; 2],
    /// Number among the links of this pair of hosts, from 0.
    pub number: usize,
}

impl Scenario {
    /// Associations that the scenario needs: one for each pair of connected VNets with encryption enabled on both, between
    /// each pair of hosts that have VMs in them. Pairs of hosts in order, and within one in the order of VNets.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let populated: Vec<Vec<usize>> = (0..self.hosts.len()).map(|host| self.vnets_on(host)).collect();
        let mut links = Vec::new();
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                let mut number = 0;
                for &at_a in &populated[a] {
                    for &at_b in &populated[b] {
                        let encrypted = self.vnets[at_a].encryption && self.vnets[at_b].encryption;
                        if encrypted && self.connected(at_a, at_b) {
                            links.push(Link {
                                hosts: [a, b],
                                vnets: [at_a, at_b],
                                number,
                            });
                            number += 1;
                        }
                    }
                }
            }
        }
        links
    }

    /// Associations of every host, by host index; ids are dense and follow [`Self::links`], so that both ends of a link are
    /// found by counting. Connection ids are drawn from `rng`, unique per device.
    #[must_use]
    pub fn associations(&self, rng: &mut impl CryptoRng) -> Vec<Vec<Association>> {
        let mut taken: Vec<HashSet<[u8; 20]>> = vec![HashSet::new(); self.hosts.len()];
        let mut all: Vec<Vec<Association>> = vec![Vec::new(); self.hosts.len()];
        for link in self.links() {
            let cids = link.hosts.map(|host| self.connection_id(&mut taken[host], rng));
            for (end, other) in [(0, 1), (1, 0)] {
                let host = link.hosts[end];
                let id = u32::try_from(all[host].len()).unwrap_or(u32::MAX);
                all[host].push(self.association_end(&link, id, end, other, cids));
            }
        }
        all
    }

    /// Desired state of every host, by host index, with fresh connection ids and hash keys from `rng`.
    #[must_use]
    pub fn desired_states(&self, rng: &mut impl CryptoRng) -> Vec<DesiredState> {
        let associations = self.associations(rng);
        associations
            .into_iter()
            .enumerate()
            .map(|(host, associations)| {
                let mut hash_key = [0; 16];
                rng.fill_bytes(&mut hash_key);
                self.host_state(host, hash_key, associations)
            })
            .collect()
    }

    /// Desired state of one host, with its part of [`Self::associations`].
    #[must_use]
    pub fn host_state(&self, host: usize, hash_key: [u8; 16], associations: Vec<Association>) -> DesiredState {
        let known = self.vnets_known_to(host);
        let vnets = known.iter().map(|&vnet| {
            let vnet = &self.vnets[vnet];
            object::Vnet {
                vni: vnet.vni,
                encryption: vnet.encryption.into(),
                enforcement: vnet.enforcement.into(),
                ..object::Vnet::ZERO
            }
        });
        let ports = self.vms_on(host).map(|vm| {
            let vm = &self.vms[vm];
            Port {
                vni: self.vnets[vm.vnet].vni,
                port: vm.port,
                mtu: vm.mtu,
                mac: vm.mac.0,
                capability: vm.capability().into(),
                up: 1,
                any_mac: vm.any_mac.into(),
                ..Port::ZERO
            }
        });
        let port_addresses = self.vms_on(host).flat_map(|vm| {
            let vm = &self.vms[vm];
            vm.addresses.iter().map(|prefix| PortAddress {
                prefix: prefix.network().into(),
                port: vm.port,
                prefix_len: prefix.prefix_len(),
                ..PortAddress::ZERO
            })
        });
        DesiredState {
            config: self.config(&self.hosts[host], hash_key),
            vnets: vnets.collect(),
            ports: ports.collect(),
            port_addresses: port_addresses.collect(),
            mappings: self.mappings(host),
            associations,
            exclusions: self.exclusions_known_to(&known),
            revision: REVISION,
        }
    }

    /// Mappings of one host, by source VNet and prefix: one for each prefix of every VM that its VMs can reach, local ones
    /// included; the address spaces around them, as unreachable; and the way outside. The more specific kind wins where
    /// prefixes are equal.
    #[must_use]
    pub fn mappings(&self, host: usize) -> Vec<Mapping> {
        let mut all = Vec::new();
        for src in self.vnets_on(host) {
            let src_vni = self.vnets[src].vni;
            let mut by_prefix: BTreeMap<IpNet, Mapping> = BTreeMap::new();
            let mut add = |prefix: IpNet, mapping: Mapping| {
                by_prefix.entry(prefix).or_insert(Mapping {
                    src_vni,
                    prefix: prefix.network().into(),
                    prefix_len: prefix.prefix_len(),
                    revision: REVISION,
                    ..mapping
                });
            };
            for vm in self.vms.iter().filter(|vm| self.connected(src, vm.vnet)) {
                for &prefix in &vm.addresses {
                    add(
                        prefix,
                        Mapping {
                            dst_vni: self.vnets[vm.vnet].vni,
                            pa: self.underlay_pa(vm.host),
                            peer_mac: vm.mac.0,
                            kind: MappingKind::Vm.into(),
                            capability: vm.capability().into(),
                            ..Mapping::ZERO
                        },
                    );
                }
            }
            for dst in self.reachable_vnets(src) {
                for &prefix in &self.vnets[dst].prefixes {
                    add(
                        prefix,
                        Mapping {
                            dst_vni: self.vnets[dst].vni,
                            kind: MappingKind::Unreachable.into(),
                            ..Mapping::ZERO
                        },
                    );
                }
            }
            if let Some(gateway) = self.gateways.iter().find(|gateway| gateway.vnet == src) {
                for prefix in everything() {
                    add(
                        prefix,
                        Mapping {
                            dst_vni: src_vni,
                            pa: gateway.pa.into(),
                            peer_mac: MacAddress::derived(MAC_GATEWAY, src_vni).0,
                            kind: MappingKind::Outside.into(),
                            ..Mapping::ZERO
                        },
                    );
                }
            }
            all.extend(by_prefix.into_values());
        }
        all
    }

    /// VNets that have VMs on a host, as indexes in the order of the file.
    fn vnets_on(&self, host: usize) -> Vec<usize> {
        let mut present = vec![false; self.vnets.len()];
        for vm in self.vms_on(host) {
            present[self.vms[vm].vnet] = true;
        }
        (0..self.vnets.len()).filter(|&vnet| present[vnet]).collect()
    }

    /// VNets that have VMs on a host, and their peers.
    fn vnets_known_to(&self, host: usize) -> Vec<usize> {
        let own = self.vnets_on(host);
        (0..self.vnets.len())
            .filter(|&vnet| own.iter().any(|&o| self.connected(o, vnet)))
            .collect()
    }

    /// Exclusions of those VNets: a receiver needs those of its peers, to know what may arrive in the clear.
    fn exclusions_known_to(&self, vnets: &[usize]) -> Vec<object::Exclusion> {
        let known = (1..)
            .zip(&self.exclusions)
            .filter(|(_, exclusion)| vnets.contains(&exclusion.vnet));
        known
            .map(|(id, exclusion)| object::Exclusion {
                id,
                vni: self.vnets[exclusion.vnet].vni,
                prefix: exclusion.prefix.network().into(),
                dst_port: exclusion.port.unwrap_or(0),
                prefix_len: exclusion.prefix.prefix_len(),
                protocol: exclusion.protocol.unwrap_or(0),
            })
            .collect()
    }

    fn config(&self, host: &Host, hash_key: [u8; 16]) -> DeviceConfig {
        let address = |pa: Option<IpAddr>| pa.map_or(Address::ZERO, Address::from);
        DeviceConfig {
            pa_v4: address(host.pa_v4.map(IpAddr::V4)),
            pa_v6: address(host.pa_v6.map(IpAddr::V6)),
            mac: host.mac.0,
            next_hop_mac: MacAddress::derived(MAC_ROUTER, 1).0,
            hash_key,
            underlay_mtu: host.underlay_mtu,
            dtls_port: self.association.dtls_port,
            flow_idle_ms: FLOW_IDLE_MS,
            flow_log_ms: FLOW_LOG_MS,
            control_rate: CONTROL_RATE,
            cid_len: self.association.connection_id_len,
            ..DeviceConfig::ZERO
        }
    }

    fn association_end(&self, link: &Link, id: u32, end: usize, other: usize, cids: [[u8; 20]; 2]) -> Association {
        let settings = &self.association;
        let port = self.link_port(link.number).unwrap_or(settings.dtls_port);
        Association {
            id,
            local_vni: self.vnets[link.vnets[end]].vni,
            peer_vni: self.vnets[link.vnets[other]].vni,
            local_pa: self.underlay_pa(link.hosts[end]),
            peer_pa: self.underlay_pa(link.hosts[other]),
            local_port: port,
            peer_port: port,
            version: settings.version.into(),
            suite: settings.suite.into(),
            state: self.pair_state(link.hosts[end], link.hosts[other]).into(),
            peer_cid_len: settings.connection_id_len,
            peer_cid: cids[other],
            local_cid_len: settings.connection_id_len,
            replay_window: settings.replay_window,
            local_cid: cids[end],
            overlap_ms: OVERLAP_MS,
            ..Association::ZERO
        }
    }

    /// UDP port of a link. With connection ids all share one; without, each link of a pair of hosts has its own, since only
    /// addresses and ports tell them apart. `None` when there are no more ports.
    pub(super) fn link_port(&self, number: usize) -> Option<u16> {
        let first = self.association.dtls_port;
        if self.association.connection_id_len > 0 {
            return Some(first);
        }
        let port = usize::from(first) + number;
        let skipped = (usize::from(first)..=port).contains(&usize::from(VXLAN_PORT));
        u16::try_from(port + usize::from(skipped)).ok()
    }

    /// A connection id that the device hasn't given to another association; all zeros when there are none.
    fn connection_id(&self, taken: &mut HashSet<[u8; 20]>, rng: &mut impl CryptoRng) -> [u8; 20] {
        let mut cid = [0; 20];
        let len = usize::from(self.association.connection_id_len).min(cid.len());
        if len == 0 {
            return cid;
        }
        // Ends, since the check refuses scenarios with more associations on a host than there are ids.
        loop {
            rng.fill_bytes(&mut cid[..len]);
            if taken.insert(cid) {
                return cid;
            }
        }
    }

    fn underlay_pa(&self, host: usize) -> Address {
        self.hosts[host]
            .pa(self.association.underlay)
            .map_or(Address::ZERO, Address::from)
    }
}

/// The prefixes that hold every address.
fn everything() -> [IpNet; 2] {
    [Ipv4Net::default().into(), Ipv6Net::default().into()]
}
