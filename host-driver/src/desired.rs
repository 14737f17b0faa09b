//! The desired state of a device, and what makes one consistent.

use sealnic_abi::MappingKind;
use sealnic_abi::object::{Address, Association, DeviceConfig, Exclusion, Mapping, Port, PortAddress, Vnet};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::Hash;

/// All that a device is to be programmed with, keys excepted: those are installed by whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredState {
    /// Device-wide configuration.
    pub config: DeviceConfig,
    /// VNets that have ports here, and their peers.
    pub vnets: Vec<Vnet>,
    /// VFs' attachments.
    pub ports: Vec<Port>,
    /// Prefixes of the ports.
    pub port_addresses: Vec<PortAddress>,
    /// Where addresses are. The `revision` in them is not looked at: what is written carries the state's own.
    pub mappings: Vec<Mapping>,
    /// Associations with peers.
    pub associations: Vec<Association>,
    /// Named exclusions.
    pub exclusions: Vec<Exclusion>,
    /// Revision of the store that this state came from; an older one never replaces a newer one.
    pub revision: u32,
}

/// How a desired state contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    /// Two objects have one name.
    #[error("{what} {name} is given twice in the desired state")]
    Twice {
        /// Kind of the object.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An object refers to one that doesn't exist.
    #[error("{what} {name} refers to {refers_to}, which the desired state doesn't have")]
    Dangling {
        /// Kind of the object.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is missing.
        refers_to: String,
    },
}

impl DesiredState {
    /// Checks that names are unique and that what is referred to exists. Values are checked by the device.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), DesiredError> {
        let vnets = unique("VNet", &self.vnets, |v| v.vni, |v| v.vni.to_string())?;
        let ports = unique("port", &self.ports, |p| p.port, |p| p.port.to_string())?;
        unique("port address", &self.port_addresses, address_key, address_text)?;
        unique("mapping", &self.mappings, mapping_key, mapping_text)?;
        unique("association", &self.associations, |a| a.id, |a| a.id.to_string())?;
        unique("exclusion", &self.exclusions, |e| e.id, |e| e.id.to_string())?;
        let vnet_exists = |what, name: &dyn Fn() -> String, vni: u32| {
            if vnets.contains(&vni) {
                return Ok(());
            }
            Err(DesiredError::Dangling {
                what,
                name: name(),
                refers_to: format!("VNet {vni}"),
            })
        };
        for port in &self.ports {
            vnet_exists("port", &|| port.port.to_string(), port.vni)?;
        }
        for mapping in &self.mappings {
            vnet_exists("mapping", &|| mapping_text(mapping), mapping.src_vni)?;
            // A VM in an unknown VNet could not be spoken to: whether its VNet is encrypted decides.
            if mapping.kind == u8::from(MappingKind::Vm) {
                vnet_exists("mapping", &|| mapping_text(mapping), mapping.dst_vni)?;
            }
        }
        for association in &self.associations {
            vnet_exists("association", &|| association.id.to_string(), association.local_vni)?;
        }
        for exclusion in &self.exclusions {
            vnet_exists("exclusion", &|| exclusion.id.to_string(), exclusion.vni)?;
        }
        for address in &self.port_addresses {
            if !ports.contains(&address.port) {
                return Err(DesiredError::Dangling {
                    what: "port address",
                    name: address_text(address),
                    refers_to: format!("port {}", address.port),
                });
            }
        }
        let vni_of: HashMap<u16, u32> = self.ports.iter().map(|p| (p.port, p.vni)).collect();
        let place = |a: &PortAddress| (vni_of.get(&a.port).copied(), address_key(a).1);
        unique("port address", &self.port_addresses, place, address_text)?;
        Ok(())
    }
}

fn unique<O, K: Hash + Eq>(
    what: &'static str,
    objects: &[O],
    key: impl Fn(&O) -> K,
    name: impl Fn(&O) -> String,
) -> Result<HashSet<K>, DesiredError> {
    let mut seen = HashSet::with_capacity(objects.len());
    for object in objects {
        if !seen.insert(key(object)) {
            return Err(DesiredError::Twice {
                what,
                name: name(object),
            });
        }
    }
    Ok(seen)
}

/// Name of an address prefix: octets, family and length.
pub(crate) type PrefixKey = ([u8; 16], u8, u8);

pub(crate) fn prefix_key(prefix: &Address, prefix_len: u8) -> PrefixKey {
    (prefix.octets, prefix.family, prefix_len)
}

pub(crate) fn address_key(address: &PortAddress) -> (u16, PrefixKey) {
    (address.port, prefix_key(&address.prefix, address.prefix_len))
}

pub(crate) fn mapping_key(mapping: &Mapping) -> (u32, PrefixKey) {
    (mapping.src_vni, prefix_key(&mapping.prefix, mapping.prefix_len))
}

pub(crate) fn prefix_text(prefix: Address, prefix_len: u8) -> String {
    let address: &dyn Display = match prefix.to_ip() {
        Some(ip) => &{ ip },
        None => &"no address",
    };
    format!("{address}/{prefix_len}")
}

fn address_text(address: &PortAddress) -> String {
    format!(
        "{} of port {}",
        prefix_text(address.prefix, address.prefix_len),
        address.port
    )
}

fn mapping_text(mapping: &Mapping) -> String {
    format!(
        "{} in VNet {}",
        prefix_text(mapping.prefix, mapping.prefix_len),
        mapping.src_vni
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consistent() -> DesiredState {
        DesiredState {
            vnets: vec![Vnet { vni: 1, ..Vnet::ZERO }, Vnet { vni: 2, ..Vnet::ZERO }],
            ports: vec![Port {
                vni: 1,
                port: 3,
                ..Port::ZERO
            }],
            port_addresses: vec![PortAddress {
                port: 3,
                prefix: Address::from_raw([10; 16], true),
                prefix_len: 128,
                reserved: 0,
            }],
            mappings: vec![
                Mapping {
                    src_vni: 1,
                    dst_vni: 2,
                    ..Mapping::ZERO
                },
                Mapping {
                    src_vni: 2,
                    dst_vni: 9,
                    kind: MappingKind::Outside.into(),
                    ..Mapping::ZERO
                },
            ],
            associations: vec![Association {
                id: 9,
                local_vni: 2,
                ..Association::ZERO
            }],
            exclusions: vec![Exclusion {
                id: 4,
                vni: 1,
                ..Exclusion::ZERO
            }],
            ..DesiredState::default()
        }
    }

    #[test]
    fn a_consistent_state_passes() {
        assert_eq!(consistent().check(), Ok(()));
    }

    #[test]
    fn what_is_given_twice_is_named() {
        let check = |edit: fn(&mut DesiredState), what: &str| {
            let mut state = consistent();
            edit(&mut state);
            let text = state.check().unwrap_err().to_string();
            assert!(text.contains(what) && text.contains("twice"), "{text}");
        };
        check(|s| s.vnets.push(s.vnets[1]), "VNet 2");
        check(|s| s.ports.push(s.ports[0]), "port 3");
        check(|s| s.port_addresses.push(s.port_addresses[0]), "a0a:a0a:");
        check(|s| s.mappings.push(s.mappings[0]), "no address/0 in VNet 1");
        check(
            |s| {
                s.ports.push(Port { port: 5, ..s.ports[0] });
                let address = s.port_addresses[0];
                s.port_addresses.push(PortAddress { port: 5, ..address });
            },
            "of port 5",
        );
        check(|s| s.associations.push(s.associations[0]), "association 9");
        check(|s| s.exclusions.push(s.exclusions[0]), "exclusion 4");
    }

    #[test]
    fn what_refers_to_nothing_is_named() {
        let check = |edit: fn(&mut DesiredState), texts: [&str; 2]| {
            let mut state = consistent();
            edit(&mut state);
            let text = state.check().unwrap_err().to_string();
            assert!(texts.iter().all(|t| text.contains(t)), "{text}");
        };
        check(|s| s.ports[0].vni = 7, ["port 3", "VNet 7"]);
        check(|s| s.mappings[1].src_vni = 7, ["mapping", "VNet 7"]);
        check(|s| s.mappings[0].dst_vni = 7, ["mapping", "VNet 7"]);
        check(|s| s.associations[0].local_vni = 7, ["association 9", "VNet 7"]);
        check(|s| s.exclusions[0].vni = 7, ["exclusion 4", "VNet 7"]);
        check(
            |s| s.port_addresses[0].port = 7,
            ["of port 3".replace('3', "7").leak(), "port 7"],
        );
    }
}
