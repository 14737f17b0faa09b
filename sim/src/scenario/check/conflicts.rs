//! Addresses that must not meet.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::super::error::Findings;
use super::super::model::Scenario;
use super::super::raw::RawScenario;

/// Address spaces of a VNet and its peers must not overlap: a mapping could lead to either.
pub(super) fn address_spaces(raw: &RawScenario, scenario: &Scenario, findings: &mut Findings) {
    for view in 0..scenario.vnets.len() {
        let mut spaces: Vec<(IpNet, usize, usize)> = Vec::new();
        for vnet in scenario.reachable_vnets(view) {
            let prefixes = scenario.vnets[vnet].prefixes.iter().enumerate();
            spaces.extend(prefixes.map(|(i, &prefix)| (prefix, vnet, i)));
        }
        // In this order a prefix stands behind the one that holds it, with nothing but others of its kind between.
        spaces.sort();
        let mut outer: Option<(IpNet, usize, usize)> = None;
        for inner in spaces {
            let Some((prefix, vnet, _)) = outer.filter(|(prefix, ..)| prefix.contains(&inner.0)) else {
                outer = Some(inner);
                continue;
            };
            let name = &scenario.vnets[vnet].name;
            let through = if vnet == inner.1 {
                "of the same VNet".to_owned()
            } else {
                format!("of VNet \"{name}\", which its VMs or a common peer reach")
            };
            findings.add(
                raw.vnets[inner.1].get_ref().prefixes.get_ref()[inner.2].span(),
                format!("{} overlaps {prefix} {through}", inner.0),
                "give each its own addresses, or remove a peering",
            );
        }
    }
}

/// Equal addresses of two VMs: an error within a VNet and across peerings, and where a capture's senders are to be found by
/// their addresses, an error anywhere.
pub(super) fn vm_addresses(raw: &RawScenario, scenario: &Scenario, findings: &mut Findings) {
    let mut owners: HashMap<IpNet, Vec<usize>> = HashMap::new();
    for (index, vm) in scenario.vms.iter().enumerate() {
        for (i, &prefix) in vm.addresses.iter().enumerate() {
            let earlier = owners.entry(prefix).or_default();
            let reached = earlier
                .iter()
                .find(|&&other| meet(scenario, vm.vnet, scenario.vms[other].vnet));
            let span = || raw.vms[index].get_ref().addresses.get_ref()[i].span();
            if let Some(&other) = reached {
                findings.add(
                    span(),
                    format!("{prefix} is already an address of vm \"{}\"", scenario.vms[other].name),
                    "within a VNet and its peers, give each VM its own",
                );
            } else if let (Some(_), Some(&other)) = (&scenario.traffic, earlier.first()) {
                findings.add(
                    span(),
                    format!(
                        "{prefix} is also an address of vm \"{}\" in another VNet",
                        scenario.vms[other].name
                    ),
                    "a capture's frames are told apart by source address: change one, or remove [traffic]",
                );
            }
            earlier.push(index);
        }
    }
}

/// True when some VNet reaches both.
fn meet(scenario: &Scenario, a: usize, b: usize) -> bool {
    a == b || scenario.reachable_vnets(a).any(|vnet| scenario.connected(vnet, b))
}

/// The underlay's family on every host, and gateways that their VNets' hosts can send to.
pub(super) fn provider_addresses(raw: &RawScenario, scenario: &Scenario, findings: &mut Findings) {
    let underlay = scenario.association.underlay;
    for (host, raw) in scenario.hosts.iter().zip(&raw.hosts) {
        if host.pa(underlay).is_none() {
            findings.add(
                raw.get_ref().pa.span(),
                format!("has no address of the underlay's family, {underlay:?}"),
                "add one, or change association.underlay",
            );
        }
    }
    let hosts: BTreeMap<_, _> = scenario
        .hosts
        .iter()
        .flat_map(|host| {
            [host.pa_v4.map(Into::into), host.pa_v6.map(Into::into)]
                .map(|pa: Option<std::net::IpAddr>| (pa, &host.name))
        })
        .collect();
    for (gateway, raw) in scenario.gateways.iter().zip(&raw.gateways) {
        let span = raw.get_ref().pa.span();
        if let Some(name) = hosts.get(&Some(gateway.pa)) {
            findings.add(
                span,
                format!("{} is an address of host \"{name}\"", gateway.pa),
                "give the gateway its own",
            );
            continue;
        }
        let stranded = scenario
            .vms
            .iter()
            .filter(|vm| vm.vnet == gateway.vnet)
            .map(|vm| &scenario.hosts[vm.host]);
        let lacks = |host: &&super::Host| {
            if gateway.pa.is_ipv4() {
                host.pa_v4.is_none()
            } else {
                host.pa_v6.is_none()
            }
        };
        if let Some(host) = stranded.into_iter().find(lacks) {
            findings.add(
                span,
                format!(
                    "host \"{}\" has VMs of this VNet and no address of the gateway's family",
                    host.name
                ),
                "give the host one, or the gateway an address of the other family",
            );
        }
    }
}
