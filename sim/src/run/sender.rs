//! Which VM sent a frame of a capture: by source address, else by source MAC.

use crate::scenario::Scenario;
use ipnet::IpNet;
use sealnic_wire::{ArpPacket, EtherType, EthernetFrame, Ipv4Packet, Ipv6Packet, vlan};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// The VMs of a scenario, by address and by MAC.
pub struct Senders {
    by_prefix: HashMap<IpNet, usize>,
    /// Prefix lengths in use, longest first.
    lengths: Vec<u8>,
    by_mac: Vec<([u8; 6], usize)>,
}

impl Senders {
    /// Those of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let mut by_prefix = HashMap::new();
        let mut by_mac = Vec::new();
        for (index, vm) in scenario.vms.iter().enumerate() {
            by_prefix.extend(vm.addresses.iter().map(|prefix| (*prefix, index)));
            if !vm.any_mac {
                by_mac.push((vm.mac.0, index));
            }
        }
        let lengths: BTreeSet<u8> = by_prefix.keys().map(IpNet::prefix_len).collect();
        Self {
            by_prefix,
            lengths: lengths.into_iter().rev().collect(),
            by_mac,
        }
    }

    /// Index of the VM that sent a frame; `None` when the frame is not of this scenario.
    #[must_use]
    pub fn of(&self, frame: &[u8]) -> Option<usize> {
        source_address(frame)
            .and_then(|source| self.by_address(source))
            .or_else(|| self.by_mac(frame))
    }

    fn by_address(&self, source: IpAddr) -> Option<usize> {
        let prefixes = self.lengths.iter().filter_map(|len| IpNet::new(source, *len).ok());
        prefixes
            .into_iter()
            .find_map(|prefix| self.by_prefix.get(&prefix.trunc()).copied())
    }

    fn by_mac(&self, frame: &[u8]) -> Option<usize> {
        let source = EthernetFrame::new_checked(frame).ok()?.src_addr().octets();
        let mut owners = self.by_mac.iter().filter(|(mac, _)| *mac == source);
        match (owners.next(), owners.next()) {
            (Some((_, vm)), None) => Some(*vm),
            _ => None,
        }
    }
}

/// Source address, as far as the fixed header is there. Whether the rest makes sense is for the NIC to say.
fn source_address(frame: &[u8]) -> Option<IpAddr> {
    let layer = vlan::network_layer(&EthernetFrame::new_checked(frame).ok()?).ok()?;
    let packet = &frame[layer.offset..];
    match layer.ethertype {
        EtherType::IPV4 if packet.len() >= 20 => Some(IpAddr::V4(Ipv4Packet::new_unchecked(packet).src_addr())),
        EtherType::IPV6 if packet.len() >= 40 => Some(IpAddr::V6(Ipv6Packet::new_unchecked(packet).src_addr())),
        EtherType::ARP => Some(IpAddr::V4(ArpPacket::new_checked(packet).ok()?.sender_protocol_addr())),
        _ => None,
    }
}
