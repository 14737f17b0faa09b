//! From one state of a device to another, step by step, in an order in which no step opens a clear path that neither
//! state has. It tightens first and loosens last:
//!
//! 1. exclusions that go or change are removed;
//! 2. mappings that go or change, and lead to a VNet that comes, lead nowhere from now on, as they did while it was
//!    unknown; then every VNet becomes the stricter of what it is and what it shall be; a new one starts as strict as can be;
//! 3. ports that go, or change in more than MTU or state, are taken down, but keep their addresses: a frame for one of
//!    them is dropped, not sent outside. Where an address moves from one port to another, or a port to another VNet,
//!    all ports of the VNet are taken down, as the address is nowhere for a moment;
//! 4. mappings to the outside that go are removed, then unreachable ranges are set, so that nothing inside falls
//!    through to a mapping of the outside while others move;
//! 5. associations: what goes, or changes in more than state and overlap, is removed (with its keys), what comes or
//!    changes is set, none as failed yet;
//! 6. new ports are set, still down, and their addresses: what is local here must be so before a mapping could say
//!    otherwise;
//! 7. mappings to VMs are set, the narrowest prefix first, so that a wide one never speaks for an address that a
//!    narrower one is about to claim;
//! 8. mappings that go are removed, the widest first, so that none of them shows through where a narrower one went;
//! 9. addresses and ports that go are removed;
//! 10. mappings to the outside are set;
//! 11. VNets that go are removed;
//! 12. associations are declared failed;
//! 13. exclusions are set;
//! 14. VNets are loosened;
//! 15. ports come up.
//!
//! An interrupted plan leaves the device in between, strict; planning again from there completes it. Tables need room
//! for what comes beside what goes.

use crate::desired::{DesiredState, PrefixKey, address_key, mapping_key, prefix_text};
use sealnic_abi::object::{
    Address, Association, AssociationState, Enforcement, Exclusion, Mapping, MappingKind, Port, PortAddress, Vnet,
};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

/// What a device is programmed with, as read back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Programmed {
    /// VNets.
    pub vnets: Vec<Vnet>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Port address prefixes.
    pub port_addresses: Vec<PortAddress>,
    /// Mappings.
    pub mappings: Vec<Mapping>,
    /// Associations.
    pub associations: Vec<Association>,
    /// Named exclusions.
    pub exclusions: Vec<Exclusion>,
}

/// One command to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Add or change a VNet.
    SetVnet(Vnet),
    /// Remove a VNet.
    RemoveVnet(u32),
    /// Add or change a port.
    SetPort(Port),
    /// Remove a port and its addresses.
    RemovePort(u16),
    /// Add a prefix to a port.
    AddAddress(PortAddress),
    /// Remove a prefix from a port.
    RemoveAddress(PortAddress),
    /// Add or change a mapping.
    SetMapping(Mapping),
    /// Remove a mapping.
    RemoveMapping(Mapping),
    /// Add an association, or change its state and overlap.
    SetAssociation(Association),
    /// Declare an association's state.
    SetAssociationState(u32, AssociationState),
    /// Remove an association and its keys.
    RemoveAssociation(u32),
    /// Add or change an exclusion.
    SetExclusion(Exclusion),
    /// Remove an exclusion.
    RemoveExclusion(u32),
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Added,
    /// It has other values now.
    Changed,
    /// It is gone.
    Removed,
}

/// An object by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The device-wide configuration.
    Config,
    /// A VNet by VNI.
    Vnet(u32),
    /// A port.
    Port(u16),
    /// A prefix of a port.
    PortAddress(u16, Address, u8),
    /// A mapping by source VNI and prefix.
    Mapping(u32, Address, u8),
    /// An association.
    Association(u32),
    /// An exclusion.
    Exclusion(u32),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Config => f.write_str("device configuration"),
            Self::Vnet(vni) => write!(f, "VNet {vni}"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::PortAddress(port, prefix, len) => write!(f, "address {} of port {port}", prefix_text(prefix, len)),
            Self::Mapping(vni, prefix, len) => write!(f, "mapping {} in VNet {vni}", prefix_text(prefix, len)),
            Self::Association(id) => write!(f, "association {id}"),
            Self::Exclusion(id) => write!(f, "exclusion {id}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, object) = match self {
            Self::SetVnet(v) => ("setting", Object::Vnet(v.vni)),
            Self::RemoveVnet(vni) => ("removing", Object::Vnet(*vni)),
            Self::SetPort(p) => ("setting", Object::Port(p.port)),
            Self::RemovePort(port) => ("removing", Object::Port(*port)),
            Self::AddAddress(a) => ("adding", Object::PortAddress(a.port, a.prefix, a.prefix_len)),
            Self::RemoveAddress(a) => ("removing", Object::PortAddress(a.port, a.prefix, a.prefix_len)),
            Self::SetMapping(m) => ("setting", Object::Mapping(m.src_vni, m.prefix, m.prefix_len)),
            Self::RemoveMapping(m) => ("removing", Object::Mapping(m.src_vni, m.prefix, m.prefix_len)),
            Self::SetAssociation(a) => ("setting", Object::Association(a.id)),
            Self::SetAssociationState(id, _) => ("declaring the state of", Object::Association(*id)),
            Self::RemoveAssociation(id) => ("removing", Object::Association(*id)),
            Self::SetExclusion(e) => ("setting", Object::Exclusion(e.id)),
            Self::RemoveExclusion(id) => ("removing", Object::Exclusion(*id)),
        };
        write!(f, "{verb} {object}")
    }
}

/// Steps, and what they change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Commands in the order in which they must be given.
    pub steps: Vec<Step>,
    /// What is different afterwards, each object once.
    pub changes: Vec<(Change, Object)>,
    /// Associations that are new or had to be made anew, and have no keys.
    pub need_keys: Vec<u32>,
}

/// Plans the way from `current` to `desired`, which must be consistent ([`DesiredState::check`]).
#[must_use]
pub fn plan(current: &Programmed, desired: &DesiredState) -> Plan {
    let mut plan = Plan::default();
    let mappings: Vec<Mapping> = desired
        .mappings
        .iter()
        .map(|m| Mapping {
            revision: desired.revision,
            ..*m
        })
        .collect();
    let vnets = diff(&current.vnets, &desired.vnets, |v| v.vni, |a, b| a == b);
    let ports = diff(&current.ports, &desired.ports, |p| p.port, |a, b| a == b);
    let addresses = diff(&current.port_addresses, &desired.port_addresses, address_key, |a, b| {
        a == b
    });
    let mappings = diff(&current.mappings, &mappings, mapping_key, same_mapping);
    let associations = diff(&current.associations, &desired.associations, |a| a.id, |a, b| a == b);
    let exclusions = diff(&current.exclusions, &desired.exclusions, |e| e.id, |a, b| a == b);

    vnets.report(&mut plan, |v| Object::Vnet(v.vni));
    ports.report(&mut plan, |p| Object::Port(p.port));
    addresses.report(&mut plan, |a| Object::PortAddress(a.port, a.prefix, a.prefix_len));
    mappings.report(&mut plan, |m| Object::Mapping(m.src_vni, m.prefix, m.prefix_len));
    associations.report(&mut plan, |a| Object::Association(a.id));
    exclusions.report(&mut plan, |e| Object::Exclusion(e.id));

    let steps = &mut plan.steps;
    steps.extend(exclusions.old_values().map(|e| Step::RemoveExclusion(e.id)));
    keep_strangers_unreachable(steps, &mappings, &vnets, desired.revision);
    let loosened = tighten_vnets(steps, &vnets);
    let mut ports = PortSteps::new(current, &ports, &addresses, desired);
    ports.take_down(steps);
    contain_the_outside(steps, &mappings);
    let failed = set_associations(steps, &associations, &mut plan.need_keys);
    ports.add(steps);
    move_vms(steps, &mappings);
    ports.remove(steps);
    let outside = mappings.new_values().filter(|m| is_kind(m, MappingKind::Outside));
    steps.extend(outside.map(Step::SetMapping));
    steps.extend(vnets.removed.iter().map(|v| Step::RemoveVnet(v.vni)));
    let declared = failed
        .into_iter()
        .map(|id| Step::SetAssociationState(id, AssociationState::Failed));
    steps.extend(declared);
    steps.extend(exclusions.new_values().map(Step::SetExclusion));
    steps.extend(loosened.into_iter().map(Step::SetVnet));
    ports.bring_up(steps);
    plan
}

/// What leads to an unknown VNet is dropped; it must not begin to work because that VNet gets known.
fn keep_strangers_unreachable(steps: &mut Vec<Step>, mappings: &Diff<Mapping>, vnets: &Diff<Vnet>, revision: u32) {
    let comes: HashSet<u32> = vnets.added.iter().map(|v| v.vni).collect();
    let strangers = mappings
        .old_values()
        .filter(|m| is_kind(m, MappingKind::Vm) && comes.contains(&m.dst_vni));
    steps.extend(strangers.map(|m| {
        Step::SetMapping(Mapping {
            kind: MappingKind::Unreachable.into(),
            revision,
            ..m
        })
    }));
}

/// Returns the VNets that are to be loosened in the end.
fn tighten_vnets(steps: &mut Vec<Step>, vnets: &Diff<Vnet>) -> Vec<Vnet> {
    let strictest = |of: Vnet| Vnet {
        encryption: 1,
        enforcement: Enforcement::DropUnencrypted.into(),
        ..of
    };
    let added = vnets.added.iter().map(|&new| (None, strictest(new), new));
    let changed = vnets.changed.iter().map(|&(old, new)| {
        let stricter = Vnet {
            encryption: old.encryption.max(new.encryption),
            enforcement: old.enforcement.max(new.enforcement),
            ..new
        };
        (Some(old), stricter, new)
    });
    let mut loosened = Vec::new();
    for (old, first, new) in added.chain(changed) {
        if old != Some(first) {
            steps.push(Step::SetVnet(first));
        }
        if first != new {
            loosened.push(new);
        }
    }
    loosened
}

fn contain_the_outside(steps: &mut Vec<Step>, mappings: &Diff<Mapping>) {
    let outside = mappings.removed.iter().filter(|m| is_kind(m, MappingKind::Outside));
    steps.extend(outside.map(|&m| Step::RemoveMapping(m)));
    let unreachable = mappings.new_values().filter(|m| is_kind(m, MappingKind::Unreachable));
    steps.extend(unreachable.map(Step::SetMapping));
}

/// Returns the associations that are to be declared failed in the end.
fn set_associations(steps: &mut Vec<Step>, associations: &Diff<Association>, need_keys: &mut Vec<u32>) -> Vec<u32> {
    let is_failed = |a: &Association| a.state == u8::from(AssociationState::Failed);
    let in_place = |old: &Association, new: &Association| {
        let changed = Association {
            state: new.state,
            overlap_ms: new.overlap_ms,
            ..*old
        };
        changed == *new
    };
    let (kept, remade): (Vec<_>, Vec<_>) = associations
        .changed
        .iter()
        .copied()
        .partition(|(old, new)| in_place(old, new));
    let mut failed = Vec::new();
    // Keys were made for what an association was: they must not seal or open for what it becomes. All go before the
    // first comes, as connection ids and addresses may move from one to another.
    let gone = associations.removed.iter().chain(remade.iter().map(|(old, _)| old));
    steps.extend(gone.map(|a| Step::RemoveAssociation(a.id)));
    for (old, new) in &kept {
        let mut first = *new;
        if is_failed(new) && !is_failed(old) {
            first.state = old.state;
            failed.push(new.id);
        }
        match AssociationState::try_from(first.state) {
            Ok(state) if first.overlap_ms == old.overlap_ms => {
                if first.state != old.state {
                    steps.push(Step::SetAssociationState(new.id, state));
                }
            }
            // A new overlap, or a state that doesn't exist: the device knows what to say to that.
            _ => steps.push(Step::SetAssociation(first)),
        }
    }
    for new in remade.iter().map(|(_, new)| new).chain(&associations.added) {
        let mut first = *new;
        if is_failed(new) {
            first.state = AssociationState::NotReady.into();
            failed.push(new.id);
        }
        need_keys.push(new.id);
        steps.push(Step::SetAssociation(first));
    }
    failed
}

fn move_vms(steps: &mut Vec<Step>, mappings: &Diff<Mapping>) {
    let is_special = |m: &Mapping| is_kind(m, MappingKind::Outside) || is_kind(m, MappingKind::Unreachable);
    let mut set: Vec<Mapping> = mappings.new_values().filter(|m| !is_special(m)).collect();
    set.sort_by_key(|m| std::cmp::Reverse(m.prefix_len));
    steps.extend(set.into_iter().map(Step::SetMapping));
    let mut removed: Vec<Mapping> = mappings
        .removed
        .iter()
        .filter(|m| !is_kind(m, MappingKind::Outside))
        .copied()
        .collect();
    removed.sort_by_key(|m| m.prefix_len);
    steps.extend(removed.into_iter().map(Step::RemoveMapping));
}

/// What happens to ports and their addresses, at the plan's several moments.
struct PortSteps<'p> {
    ports: &'p Diff<Port>,
    addresses: &'p Diff<PortAddress>,
    desired: &'p DesiredState,
    /// The ports as the steps so far leave them.
    now: HashMap<u16, Port>,
    /// Ports that change their VNet: they are removed, with all their addresses, and made anew.
    rebuilt: HashSet<u16>,
    /// Addresses that go from a port because another one of the VNet gets them.
    moved: HashSet<(u16, PrefixKey)>,
    /// VNets in which an address is nowhere for a moment.
    quiet: HashSet<u32>,
}

impl<'p> PortSteps<'p> {
    fn new(
        current: &Programmed,
        ports: &'p Diff<Port>,
        addresses: &'p Diff<PortAddress>,
        desired: &'p DesiredState,
    ) -> Self {
        let now: HashMap<u16, Port> = current.ports.iter().map(|p| (p.port, *p)).collect();
        let rehomed = || {
            ports
                .changed
                .iter()
                .filter(|(old, new)| old.vni != new.vni)
                .map(|(old, _)| old)
        };
        let wanted_vni: HashMap<u16, u32> = desired.ports.iter().map(|p| (p.port, p.vni)).collect();
        let place = |vni: Option<&u32>, address: &PortAddress| (vni.copied(), address_key(address).1);
        let rebuilt: HashSet<u16> = rehomed().map(|old| old.port).collect();
        let added: HashSet<_> = addresses.added.iter().map(address_key).collect();
        let comes = |a: &&PortAddress| rebuilt.contains(&a.port) || added.contains(&address_key(a));
        let coming = desired.port_addresses.iter().filter(comes);
        let taken: HashSet<_> = coming.map(|a| place(wanted_vni.get(&a.port), a)).collect();
        let mut quiet: HashSet<u32> = rehomed().map(|old| old.vni).collect();
        let mut moved = HashSet::new();
        for address in &addresses.removed {
            let vni = now.get(&address.port).map(|p| p.vni);
            if taken.contains(&place(vni.as_ref(), address)) {
                moved.insert(address_key(address));
                quiet.extend(vni);
            }
        }
        Self {
            ports,
            addresses,
            desired,
            rebuilt,
            now,
            moved,
            quiet,
        }
    }

    fn set(&mut self, steps: &mut Vec<Step>, port: Port) {
        if self.now.insert(port.port, port) != Some(port) {
            steps.push(Step::SetPort(port));
        }
    }

    fn take_down(&mut self, steps: &mut Vec<Step>) {
        let ports = self.ports;
        for old in &ports.removed {
            self.set(steps, Port { up: 0, ..*old });
        }
        for (old, new) in &ports.changed {
            if !only_mtu_or_state_differs(old, new) {
                self.set(steps, Port { up: 0, ..*old });
            } else if new.up == 0 {
                self.set(steps, *new);
            }
        }
        for port in &self.desired.ports {
            if let Some(&old) = self.now.get(&port.port)
                && self.quiet.contains(&old.vni)
            {
                self.set(steps, Port { up: 0, ..old });
            }
        }
    }

    fn add(&mut self, steps: &mut Vec<Step>) {
        for address in &self.addresses.removed {
            if self.moved.contains(&address_key(address)) && !self.rebuilt.contains(&address.port) {
                steps.push(Step::RemoveAddress(*address));
            }
        }
        for (old, new) in &self.ports.changed {
            if self.rebuilt.contains(&old.port) {
                steps.push(Step::RemovePort(old.port));
                self.now.remove(&old.port);
                self.set(steps, Port { up: 0, ..*new });
            }
        }
        for new in &self.ports.added {
            self.set(steps, Port { up: 0, ..*new });
        }
        let new: HashSet<_> = self.addresses.new_values().map(|a| address_key(&a)).collect();
        let comes = |a: &&PortAddress| self.rebuilt.contains(&a.port) || new.contains(&address_key(a));
        steps.extend(
            self.desired
                .port_addresses
                .iter()
                .filter(comes)
                .map(|&a| Step::AddAddress(a)),
        );
    }

    fn remove(&mut self, steps: &mut Vec<Step>) {
        // A port takes its addresses with it.
        let gone: HashSet<u16> = self.ports.removed.iter().map(|p| p.port).collect();
        for address in &self.addresses.removed {
            let went_already = gone.contains(&address.port)
                || self.rebuilt.contains(&address.port)
                || self.moved.contains(&address_key(address));
            if !went_already {
                steps.push(Step::RemoveAddress(*address));
            }
        }
        steps.extend(self.ports.removed.iter().map(|p| Step::RemovePort(p.port)));
    }

    fn bring_up(&mut self, steps: &mut Vec<Step>) {
        for &port in &self.desired.ports {
            self.set(steps, port);
        }
    }
}

fn only_mtu_or_state_differs(old: &Port, new: &Port) -> bool {
    (Port {
        mtu: new.mtu,
        up: new.up,
        ..*old
    }) == *new
}

fn same_mapping(old: &Mapping, new: &Mapping) -> bool {
    (Mapping {
        revision: new.revision,
        ..*old
    }) == *new
}

fn is_kind(mapping: &Mapping, kind: MappingKind) -> bool {
    mapping.kind == u8::from(kind)
}

/// Difference of two sets of objects that have names, in the order in which they were given.
struct Diff<O> {
    removed: Vec<O>,
    /// Old and new.
    changed: Vec<(O, O)>,
    added: Vec<O>,
}

fn diff<O: Copy, K: Hash + Eq>(
    current: &[O],
    desired: &[O],
    key: impl Fn(&O) -> K,
    same: impl Fn(&O, &O) -> bool,
) -> Diff<O> {
    let by_key: HashMap<K, &O> = current.iter().map(|o| (key(o), o)).collect();
    let wanted: HashSet<K> = desired.iter().map(&key).collect();
    let mut diff = Diff {
        removed: current.iter().filter(|o| !wanted.contains(&key(o))).copied().collect(),
        changed: Vec::new(),
        added: Vec::new(),
    };
    for new in desired {
        match by_key.get(&key(new)) {
            None => diff.added.push(*new),
            Some(old) if same(old, new) => {}
            Some(old) => diff.changed.push((**old, *new)),
        }
    }
    diff
}

impl<O: Copy> Diff<O> {
    /// Objects that go, and old values of those that change.
    fn old_values(&self) -> impl Iterator<Item = O> + '_ {
        self.removed.iter().copied().chain(self.changed.iter().map(|c| c.0))
    }

    /// Objects that come, and new values of those that change.
    fn new_values(&self) -> impl Iterator<Item = O> + '_ {
        self.changed.iter().map(|c| c.1).chain(self.added.iter().copied())
    }

    fn report(&self, plan: &mut Plan, name: impl Fn(&O) -> Object) {
        let removed = self.removed.iter().map(|o| (Change::Removed, name(o)));
        let changed = self.changed.iter().map(|(_, o)| (Change::Changed, name(o)));
        let added = self.added.iter().map(|o| (Change::Added, name(o)));
        plan.changes.extend(removed.chain(changed).chain(added));
    }
}
