//! What the host programmed besides keys: VNets, ports, addresses, mappings, exclusions.

use crate::index::{Full, Index};
use crate::memory::{Memory, Sizes};
use crate::parse::Inner;
use crate::prefix::{PrefixKey, PrefixTable};
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{Address, DeviceConfig, Exclusion, Mapping, Port, PortAddress, Vnet};
use sealnic_abi::{Capability, Enforcement, MappingKind};
use sealnic_policy::End;
use sealnic_wire::vxlan;

/// For how long records of the previous host of a mapping are accepted after it moved, in nanoseconds.
const MOVE_GRACE_NS: u64 = 1_000_000_000;

/// A mapping's value, with the host it was on before.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) dst_vni: u32,
    pub(crate) pa: Address,
    pub(crate) peer_mac: [u8; 6],
    pub(crate) kind: MappingKind,
    pub(crate) capability: Capability,
    revision: u32,
    previous_pa: Address,
    moved_ns: u64,
}

impl Target {
    /// Whether the host at `pa` may send records for this address now: it has it, or had it a moment ago.
    pub(crate) fn is_at(&self, pa: &Address, now_ns: u64) -> bool {
        self.pa == *pa || self.previous_pa == *pa && now_ns.saturating_sub(self.moved_ns) < MOVE_GRACE_NS
    }

    pub(crate) fn to_mapping(self, key: &PrefixKey) -> Mapping {
        Mapping {
            src_vni: key.vni(),
            dst_vni: self.dst_vni,
            prefix: key.address(),
            pa: self.pa,
            peer_mac: self.peer_mac,
            prefix_len: key.prefix_len(),
            kind: self.kind.into(),
            capability: self.capability.into(),
            revision: self.revision,
            ..Mapping::ZERO
        }
    }
}

/// The tables.
pub struct Tables<M: Memory> {
    pub(crate) config: Option<DeviceConfig>,
    pub(crate) vnets: Index<M, u32, Vnet>,
    pub(crate) ports: M::Slice<Option<Port>>,
    /// Ports for whose VMs the host stands in.
    pub(crate) represented: usize,
    pub(crate) port_addresses: PrefixTable<M, u16>,
    pub(crate) mappings: PrefixTable<M, Target>,
    pub(crate) exclusions: M::Slice<Option<Exclusion>>,
}

/// Refuses a field whose value is not allowed.
pub(crate) fn check(allowed: bool) -> Result<(), Status> {
    if allowed { Ok(()) } else { Err(Status::BadParameter) }
}

fn check_vni(vni: u32) -> Result<(), Status> {
    check(vni != 0 && vni <= vxlan::VNI_MAX)
}

impl From<Full> for Status {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl<M: Memory> Tables<M> {
    /// Empty tables.
    pub fn new(memory: &mut M, sizes: &Sizes, secret: [u8; 16]) -> Self {
        Self {
            config: None,
            vnets: Index::new(memory, sizes.vnets, secret),
            ports: memory.slice(sizes.ports.min(usize::from(u16::MAX)), || None),
            represented: 0,
            port_addresses: PrefixTable::new(memory, sizes.port_addresses, secret),
            mappings: PrefixTable::new(memory, sizes.mappings, secret),
            exclusions: memory.slice(sizes.exclusions, || None),
        }
    }

    /// Empties every table.
    pub(crate) fn reset(&mut self) {
        self.config = None;
        self.vnets.clear();
        self.ports.iter_mut().for_each(|port| *port = None);
        self.represented = 0;
        self.port_addresses.clear();
        self.mappings.clear();
        self.exclusions.iter_mut().for_each(|exclusion| *exclusion = None);
    }

    pub(crate) fn configure(&mut self, config: &DeviceConfig) -> Result<(), Status> {
        check(config.pa_v4.to_ip().is_some_and(|ip| ip.is_ipv4()) || config.pa_v4 == Address::ZERO)?;
        check(config.pa_v6.to_ip().is_some_and(|ip| ip.is_ipv6()) || config.pa_v6 == Address::ZERO)?;
        check(config.pa_v4 != Address::ZERO || config.pa_v6 != Address::ZERO)?;
        check(config.underlay_mtu >= 576 && config.dtls_port != 0 && config.dtls_port != vxlan::UDP_PORT)?;
        check(config.cid_len <= 20 && config.flow_idle_ms != 0 && config.flow_log_ms != 0)?;
        check(config.mac[0] & 1 == 0 && config.next_hop_mac[0] & 1 == 0)?;
        match &self.config {
            // Addresses are woven into associations and entries: another configuration takes a reset.
            Some(old) if old != config => Err(Status::Conflict),
            _ => {
                self.config = Some(*config);
                Ok(())
            }
        }
    }

    pub(crate) fn set_vnet(&mut self, vnet: &Vnet) -> Result<(), Status> {
        check_vni(vnet.vni)?;
        check(vnet.encryption <= 1 && Enforcement::try_from(vnet.enforcement).is_ok())?;
        Ok(self.vnets.insert(vnet.vni, *vnet)?)
    }

    pub(crate) fn remove_vnet(&mut self, vni: u32) -> Result<(), Status> {
        if self.ports.iter().flatten().any(|port| port.vni == vni) {
            return Err(Status::Conflict);
        }
        self.vnets.remove(&vni).map(|_| ()).ok_or(Status::NotFound)
    }

    pub(crate) fn set_port(&mut self, port: &Port) -> Result<(), Status> {
        check_vni(port.vni)?;
        check(port.mac[0] & 1 == 0 && port.mtu >= 68 && port.up <= 1 && port.any_mac <= 1)?;
        check(port.representor <= 1)?;
        check(Capability::try_from(port.capability).is_ok())?;
        self.vnets.get(&port.vni).ok_or(Status::NotFound)?;
        let slot = self.ports.get_mut(usize::from(port.port)).ok_or(Status::BadParameter)?;
        if slot.is_some_and(|old| old.vni != port.vni) {
            return Err(Status::Conflict);
        }
        let stood_in = slot.is_some_and(|old| old.representor != 0);
        *slot = Some(*port);
        self.represented = self.represented + usize::from(port.representor) - usize::from(stood_in);
        Ok(())
    }

    pub(crate) fn remove_port(&mut self, id: u32) -> Result<(), Status> {
        let number = u16::try_from(id).map_err(|_| Status::NotFound)?;
        let removed = self
            .ports
            .get_mut(usize::from(number))
            .and_then(Option::take)
            .ok_or(Status::NotFound)?;
        self.represented -= usize::from(removed.representor);
        // Removal shifts entries, so each is looked for anew.
        loop {
            let next = self.port_addresses.iter().find(|(_, port)| *port == number);
            let Some((key, _)) = next else { break };
            self.port_addresses.remove(&key);
        }
        Ok(())
    }

    fn port_address_key(&self, address: &PortAddress) -> Result<PrefixKey, Status> {
        let port = self.port(address.port).ok_or(Status::NotFound)?;
        PrefixKey::new(port.vni, &address.prefix, address.prefix_len).ok_or(Status::BadParameter)
    }

    pub(crate) fn add_port_address(&mut self, address: &PortAddress) -> Result<(), Status> {
        let key = self.port_address_key(address)?;
        match self.port_addresses.get(&key) {
            Some(port) if port != address.port => Err(Status::Conflict),
            _ => Ok(self.port_addresses.insert(key, address.port)?),
        }
    }

    pub(crate) fn remove_port_address(&mut self, address: &PortAddress) -> Result<(), Status> {
        let key = self.port_address_key(address)?;
        match self.port_addresses.get(&key) {
            Some(port) if port == address.port => {
                self.port_addresses.remove(&key);
                Ok(())
            }
            _ => Err(Status::NotFound),
        }
    }

    pub(crate) fn set_mapping(&mut self, mapping: &Mapping, now_ns: u64) -> Result<(), Status> {
        check_vni(mapping.src_vni)?;
        check_vni(mapping.dst_vni)?;
        let kind = MappingKind::try_from(mapping.kind).map_err(|_| Status::BadParameter)?;
        let capability = Capability::try_from(mapping.capability).map_err(|_| Status::BadParameter)?;
        check(kind == MappingKind::Unreachable || mapping.pa.to_ip().is_some())?;
        let key = PrefixKey::new(mapping.src_vni, &mapping.prefix, mapping.prefix_len).ok_or(Status::BadParameter)?;
        let mut target = Target {
            dst_vni: mapping.dst_vni,
            pa: mapping.pa,
            peer_mac: mapping.peer_mac,
            kind,
            capability,
            revision: mapping.revision,
            previous_pa: mapping.pa,
            moved_ns: now_ns,
        };
        if let Some(old) = self.mappings.get(&key) {
            if old.revision > mapping.revision {
                return Err(Status::StaleRevision);
            }
            if old.kind == MappingKind::Vm && old.dst_vni == target.dst_vni {
                let moved = old.pa != target.pa;
                (target.previous_pa, target.moved_ns) = if moved {
                    (old.pa, now_ns)
                } else {
                    (old.previous_pa, old.moved_ns)
                };
            }
        }
        Ok(self.mappings.insert(key, target)?)
    }

    pub(crate) fn remove_mapping(&mut self, mapping: &Mapping) -> Result<(), Status> {
        let key = PrefixKey::new(mapping.src_vni, &mapping.prefix, mapping.prefix_len).ok_or(Status::BadParameter)?;
        self.mappings.remove(&key).map(|_| ()).ok_or(Status::NotFound)
    }

    pub(crate) fn set_exclusion(&mut self, exclusion: &Exclusion) -> Result<(), Status> {
        check_vni(exclusion.vni)?;
        PrefixKey::new(exclusion.vni, &exclusion.prefix, exclusion.prefix_len).ok_or(Status::BadParameter)?;
        let free_or_same = |slot: &&mut Option<Exclusion>| slot.is_none_or(|old| old.id == exclusion.id);
        let at = self
            .exclusions
            .iter()
            .position(|slot| slot.is_some_and(|old| old.id == exclusion.id));
        let slot = match at {
            Some(at) => self.exclusions.get_mut(at),
            None => self.exclusions.iter_mut().find(free_or_same),
        };
        *slot.ok_or(Status::Full)? = Some(*exclusion);
        Ok(())
    }

    pub(crate) fn remove_exclusion(&mut self, id: u32) -> Result<(), Status> {
        let slot = self
            .exclusions
            .iter_mut()
            .find(|slot| slot.is_some_and(|old| old.id == id));
        slot.and_then(Option::take).map(|_| ()).ok_or(Status::NotFound)
    }

    #[inline]
    pub(crate) fn port(&self, number: u16) -> Option<&Port> {
        self.ports.get(usize::from(number))?.as_ref()
    }

    /// Port that has an address in a VNet.
    pub(crate) fn port_of(&self, vni: u32, address: &Address) -> Option<&Port> {
        self.port(self.port_addresses.lookup(vni, address)?.1)
    }

    /// Whether an address is this host's on the underlay.
    #[inline]
    pub(crate) fn is_own_pa(&self, pa: &Address) -> bool {
        self.config
            .as_ref()
            .is_some_and(|config| *pa == config.pa_v4 || *pa == config.pa_v6)
    }

    /// Greatest IP packet of the underlay, in octets; 0 before it is known.
    #[inline]
    pub(crate) fn underlay_mtu(&self) -> usize {
        self.config
            .as_ref()
            .map_or(0, |config| usize::from(config.underlay_mtu))
    }

    /// One end as policy sees it; `None` when the VNet is unknown here.
    pub(crate) fn end(&self, vni: u32, capability: Capability) -> Option<End> {
        let vnet = self.vnets.get(&vni)?;
        let enforcement = Enforcement::try_from(vnet.enforcement).unwrap_or(Enforcement::DropUnencrypted);
        Some(End {
            encryption: vnet.encryption != 0,
            enforcement,
            capability,
        })
    }

    /// Whether a named exclusion of the sender's VNet covers a packet. Fragments show no ports, so an exclusion with a port
    /// never covers them.
    pub(crate) fn is_excluded(&self, src_vni: u32, inner: &Inner) -> bool {
        let key = &inner.key;
        self.exclusions.iter().flatten().any(|exclusion| {
            exclusion.vni == src_vni
                && [0, key.protocol].contains(&exclusion.protocol)
                && (exclusion.dst_port == 0 || exclusion.dst_port == key.dst_port && !inner.is_fragment())
                && contains(&exclusion.prefix, exclusion.prefix_len, &key.dst_address())
        })
    }
}

fn contains(prefix: &Address, len: u8, address: &Address) -> bool {
    let differing = u128::from_be_bytes(prefix.octets) ^ u128::from_be_bytes(address.octets);
    prefix.family == address.family && (len == 0 || differing >> (128 - u32::from(len)) == 0)
}
