//! No step of a plan opens a clear path that neither the old nor the new state has: random states, every prefix of every
//! plan, judged by the policy that the pipeline uses.

use super::random::Random;
use crate::desired::{DesiredState, mapping_key};
use crate::plan::{Change, Object, Plan, Programmed, Step, plan};
use sealnic_abi::object::*;
use sealnic_abi::{Capability, Enforcement, MappingKind};
use sealnic_policy::{End, Fate, Relation, Situation, decide};
use std::net::{IpAddr, Ipv4Addr};

const VNIS: [u32; 3] = [1, 2, 3];
const PORTS: u16 = 3;
/// Addresses of the small world: 10.0.0.0 to 10.0.0.7.
const ADDRESSES: u8 = 8;

fn address(last: u8) -> Address {
    Address::from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

fn prefix(last: u8, len: u8) -> (Address, u8) {
    (
        address(if len == 0 {
            0
        } else {
            last & !(0xffu32 >> (len - 24)) as u8
        }),
        len,
    )
}

fn covers(prefix: &Address, len: u8, last: u8) -> bool {
    len == 0 || prefix.octets[3] == self::prefix(last, len).0.octets[3]
}

fn host(n: usize) -> Address {
    Address::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(n).unwrap())))
}

/// The default mapping's prefix is 10.0.0.0/0 here and elsewhere: only its length counts.
fn random_state(random: &mut Random) -> Programmed {
    let mut state = Programmed::default();
    for vni in VNIS {
        if random.one_in(4) {
            continue;
        }
        state.vnets.push(Vnet {
            vni,
            encryption: u8::from(!random.one_in(3)),
            enforcement: (*random.pick(Enforcement::ALL)).into(),
            reserved: [0; 2],
        });
        for exclusion in 0..2 {
            if random.one_in(4) {
                let (prefix, prefix_len) = prefix(random.next() as u8 % ADDRESSES, *random.pick(&[29, 30, 31, 32]));
                state.exclusions.push(Exclusion {
                    id: vni * 2 + exclusion,
                    vni,
                    prefix,
                    prefix_len,
                    ..Exclusion::ZERO
                });
            }
        }
        for peer_vni in VNIS {
            for host_number in 0..2 {
                if random.one_in(3) {
                    continue;
                }
                state.associations.push(Association {
                    id: vni * 100 + peer_vni * 10 + u32::try_from(host_number).unwrap(),
                    local_vni: vni,
                    peer_vni,
                    peer_pa: host(host_number),
                    state: (*random.pick(AssociationState::ALL)).into(),
                    overlap_ms: u32::from(random.one_in(4)),
                    suite: u8::from(random.one_in(4)),
                    ..Association::ZERO
                });
            }
        }
    }
    for port in 0..PORTS {
        if random.one_in(4) || state.vnets.is_empty() {
            continue;
        }
        let vni = random.pick(&state.vnets).vni;
        state.ports.push(Port {
            vni,
            port,
            mtu: 1500 + u16::from(random.one_in(3)),
            capability: (*random.pick(&[0, 0, 0, 1, 2, 3])),
            up: u8::from(!random.one_in(4)),
            ..Port::ZERO
        });
        for last in 0..ADDRESSES {
            let in_vnet = |a: &PortAddress| state.ports.iter().any(|p| p.port == a.port && p.vni == vni);
            let is_taken = |a: &PortAddress| a.prefix == address(last) && in_vnet(a);
            if random.one_in(5) && !state.port_addresses.iter().any(is_taken) {
                state.port_addresses.push(PortAddress {
                    prefix: address(last),
                    port,
                    prefix_len: 32,
                    reserved: 0,
                });
            }
        }
    }
    for vnet in &state.vnets {
        for _ in 0..random.below(9) {
            let (prefix, prefix_len) = prefix(random.next() as u8 % ADDRESSES, *random.pick(&[0, 29, 30, 31, 32, 32]));
            let mapping = Mapping {
                src_vni: vnet.vni,
                dst_vni: *random.pick(&VNIS),
                prefix,
                prefix_len,
                pa: host(random.below(2)),
                kind: if prefix_len == 0 {
                    u8::from(MappingKind::Outside)
                } else {
                    *random.pick(&[0, 0, 0, 1, 2])
                },
                capability: (*random.pick(&[0, 0, 0, 1, 1, 2, 3])),
                ..Mapping::ZERO
            };
            if !state.mappings.iter().any(|m| mapping_key(m) == mapping_key(&mapping)) {
                state.mappings.push(mapping);
            }
        }
    }
    state
}

/// A state near another one: some objects changed, some gone, some new.
fn random_change(random: &mut Random, from: &Programmed) -> Programmed {
    let other = random_state(random);
    if random.one_in(3) {
        return consistent(other);
    }
    let mut to = from.clone();
    if random.one_in(2) {
        to.mappings = other.mappings.clone();
    }
    if random.one_in(2) {
        to.associations = other.associations.clone();
    }
    if random.one_in(2) {
        to.exclusions = other.exclusions.clone();
    }
    if random.one_in(2) {
        to.ports = other.ports.clone();
        to.port_addresses = other.port_addresses.clone();
    }
    if random.one_in(2) {
        for vnet in &mut to.vnets {
            if let Some(new) = other.vnets.iter().find(|v| v.vni == vnet.vni) {
                *vnet = *new;
            }
        }
    }
    consistent(to)
}

/// What refers to a VNet or port that isn't there goes. The old state may have such mappings, the new one may not.
fn consistent(mut to: Programmed) -> Programmed {
    let vnis: Vec<u32> = to.vnets.iter().map(|v| v.vni).collect();
    to.mappings
        .retain(|m| vnis.contains(&m.src_vni) && (m.kind != 0 || vnis.contains(&m.dst_vni)));
    to.associations.retain(|a| vnis.contains(&a.local_vni));
    to.exclusions.retain(|e| vnis.contains(&e.vni));
    to.ports.retain(|p| vnis.contains(&p.vni));
    let ports: Vec<u16> = to.ports.iter().map(|p| p.port).collect();
    to.port_addresses.retain(|a| ports.contains(&a.port));
    to
}

fn desired(state: &Programmed, revision: u32) -> DesiredState {
    DesiredState {
        config: DeviceConfig::ZERO,
        vnets: state.vnets.clone(),
        ports: state.ports.clone(),
        port_addresses: state.port_addresses.clone(),
        mappings: state.mappings.clone(),
        associations: state.associations.clone(),
        exclusions: state.exclusions.clone(),
        revision,
    }
}

/// Carries a step out as a device does; a step that refers to nothing is a fault of the plan.
fn execute(state: &mut Programmed, step: &Step) {
    fn set<O: Copy, K: PartialEq>(objects: &mut Vec<O>, new: O, key: impl Fn(&O) -> K) {
        match objects.iter_mut().find(|o| key(o) == key(&new)) {
            Some(old) => *old = new,
            None => objects.push(new),
        }
    }
    fn remove<O>(objects: &mut Vec<O>, is_it: impl Fn(&O) -> bool) {
        let at = objects.iter().position(is_it).expect("what is removed exists");
        objects.remove(at);
    }
    let has_vnet = |state: &Programmed, vni| assert!(state.vnets.iter().any(|v| v.vni == vni), "VNet {vni} missing");
    match *step {
        Step::SetVnet(vnet) => set(&mut state.vnets, vnet, |v| v.vni),
        Step::RemoveVnet(vni) => {
            assert!(!state.ports.iter().any(|p| p.vni == vni), "a port is left");
            assert!(!state.mappings.iter().any(|m| m.src_vni == vni), "a mapping is left");
            assert!(
                !state.associations.iter().any(|a| a.local_vni == vni),
                "an association is left"
            );
            assert!(!state.exclusions.iter().any(|e| e.vni == vni), "an exclusion is left");
            remove(&mut state.vnets, |v| v.vni == vni);
        }
        Step::SetPort(port) => {
            has_vnet(state, port.vni);
            let old = state.ports.iter().find(|p| p.port == port.port);
            assert!(old.is_none_or(|p| p.vni == port.vni), "a port never changes its VNet");
            set(&mut state.ports, port, |p| p.port);
        }
        Step::RemovePort(port) => {
            remove(&mut state.ports, |p| p.port == port);
            state.port_addresses.retain(|a| a.port != port);
        }
        Step::AddAddress(address) => {
            let vni = |port| state.ports.iter().find(|p| p.port == port).map(|p| p.vni);
            assert!(vni(address.port).is_some(), "an address needs its port");
            let clash = |a: &PortAddress| {
                a.port != address.port && vni(a.port) == vni(address.port) && a.prefix == address.prefix
            };
            assert!(!state.port_addresses.iter().any(clash), "{address:?} is another port's");
            set(&mut state.port_addresses, address, |a| *a);
        }
        Step::RemoveAddress(address) => remove(&mut state.port_addresses, |a| *a == address),
        Step::SetMapping(mapping) => {
            has_vnet(state, mapping.src_vni);
            set(&mut state.mappings, mapping, mapping_key);
        }
        Step::RemoveMapping(mapping) => remove(&mut state.mappings, |m| mapping_key(m) == mapping_key(&mapping)),
        Step::SetAssociation(association) => {
            has_vnet(state, association.local_vni);
            let old = state.associations.iter().find(|a| a.id == association.id);
            let in_place = old.is_none_or(|old| {
                let (state, overlap_ms) = (association.state, association.overlap_ms);
                Association {
                    state,
                    overlap_ms,
                    ..*old
                } == association
            });
            assert!(in_place, "removed before it is made anew");
            set(&mut state.associations, association, |a| a.id);
        }
        Step::SetAssociationState(id, to) => {
            state.associations.iter_mut().find(|a| a.id == id).unwrap().state = to.into();
        }
        Step::RemoveAssociation(id) => remove(&mut state.associations, |a| a.id == id),
        Step::SetExclusion(exclusion) => {
            has_vnet(state, exclusion.vni);
            set(&mut state.exclusions, exclusion, |e| e.id);
        }
        Step::RemoveExclusion(id) => remove(&mut state.exclusions, |e| e.id == id),
    }
}

/// Whether a frame of the port to the address goes out in the clear; and, if so, whether outside.
fn leaks(state: &Programmed, port: u16, last: u8) -> bool {
    let Some(port) = state.ports.iter().find(|p| p.port == port && p.up != 0) else {
        return false;
    };
    let vnet = |vni: u32| state.vnets.iter().find(|v| v.vni == vni);
    let Some(source) = vnet(port.vni) else { return false };
    // An address of a port of this host never leaves it, whether that port is up or not.
    let is_local = |a: &&PortAddress| {
        covers(&a.prefix, a.prefix_len, last) && state.ports.iter().any(|p| p.port == a.port && p.vni == port.vni)
    };
    if state.port_addresses.iter().any(|a| is_local(&a)) {
        return false;
    }
    let longest = state
        .mappings
        .iter()
        .filter(|m| m.src_vni == port.vni && covers(&m.prefix, m.prefix_len, last))
        .max_by_key(|m| m.prefix_len);
    let Some(mapping) = longest else { return false };
    let relation = match MappingKind::try_from(mapping.kind).unwrap() {
        MappingKind::Unreachable => return false,
        MappingKind::Outside => Relation::Outside,
        MappingKind::Vm => {
            let association = state
                .associations
                .iter()
                .find(|a| a.local_vni == port.vni && a.peer_vni == mapping.dst_vni && a.peer_pa == mapping.pa);
            let association = association.map_or(AssociationState::NotReady, |a| a.state.try_into().unwrap());
            Relation::OtherHost(association)
        }
    };
    let end = |vnet: &Vnet, capability: u8| End {
        encryption: vnet.encryption != 0,
        enforcement: vnet.enforcement.try_into().unwrap(),
        capability: Capability::try_from(capability).unwrap(),
    };
    let excluded = state
        .exclusions
        .iter()
        .any(|e| e.vni == port.vni && covers(&e.prefix, e.prefix_len, last));
    let peer = match (relation, vnet(mapping.dst_vni)) {
        (Relation::Outside, _) => end(source, 0),
        (_, Some(peer)) => end(peer, mapping.capability),
        // A peer VNet that nobody knows: in doubt, closed.
        (_, None) => return false,
    };
    let decision = decide(&Situation {
        relation,
        excluded,
        local: end(source, port.capability),
        peer,
    });
    decision.fate == Fate::Clear
}

fn same(state: &Programmed, other: &Programmed) -> bool {
    fn sorted<O: zerocopy::IntoBytes + zerocopy::Immutable>(objects: &[O]) -> Vec<Vec<u8>> {
        let mut octets: Vec<Vec<u8>> = objects.iter().map(|o| o.as_bytes().to_vec()).collect();
        octets.sort();
        octets
    }
    let without_revision =
        |mappings: &[Mapping]| -> Vec<Mapping> { mappings.iter().map(|m| Mapping { revision: 0, ..*m }).collect() };
    sorted(&state.vnets) == sorted(&other.vnets)
        && sorted(&state.ports) == sorted(&other.ports)
        && sorted(&state.port_addresses) == sorted(&other.port_addresses)
        && sorted(&without_revision(&state.mappings)) == sorted(&without_revision(&other.mappings))
        && sorted(&state.associations) == sorted(&other.associations)
        && sorted(&state.exclusions) == sorted(&other.exclusions)
}

#[test]
fn no_step_opens_a_clear_path_that_neither_state_has() {
    let (mut plans, mut steps_seen, mut clear_ends, mut closed) = (0, 0, 0, 0);
    for seed in 0..40000 {
        let mut random = Random(seed);
        let old = random_state(&mut random);
        let new = random_change(&mut random, &old);
        let wanted = desired(&new, 1);
        wanted.check().unwrap();
        let plan = plan(&old, &wanted);
        let mut state = old.clone();
        for (at, step) in plan.steps.iter().enumerate() {
            execute(&mut state, step);
            steps_seen += 1;
            for port in 0..PORTS {
                for last in 0..ADDRESSES {
                    if leaks(&state, port, last) {
                        assert!(
                            leaks(&old, port, last) || leaks(&new, port, last),
                            "seed {seed}: port {port} to 10.0.0.{last} is clear after step {at} ({step})\nold {old:?}\nnew {new:?}\nplan {plan:?}"
                        );
                        clear_ends += 1;
                    } else {
                        closed += 1;
                    }
                }
            }
        }
        assert!(same(&state, &new), "seed {seed}: the plan leads elsewhere");
        plans += usize::from(!plan.steps.is_empty());
        let again = super::plan::plan(&state, &wanted);
        assert_eq!(again, Plan::default(), "seed {seed}: a second run finds work");
    }
    assert!(
        plans > 5000 && steps_seen > 50_000 && clear_ends > 10_000 && closed > 10_000,
        "the test tests something"
    );
}

/// Steps, an interruption, and a new plan from there: it still never leaks and still arrives.
#[test]
fn an_interrupted_plan_is_completed_by_the_next_one() {
    for seed in 0..20000 {
        let mut random = Random(seed ^ 0x5EA1);
        let old = random_state(&mut random);
        let new = random_change(&mut random, &old);
        let wanted = desired(&new, 1);
        let first = plan(&old, &wanted);
        let mut state = old.clone();
        for step in &first.steps[..random.below(first.steps.len() + 1)] {
            execute(&mut state, step);
        }
        for step in &plan(&state, &wanted).steps {
            execute(&mut state, step);
            for (port, last) in (0..PORTS).flat_map(|p| (0..ADDRESSES).map(move |a| (p, a))) {
                if leaks(&state, port, last) {
                    assert!(
                        leaks(&old, port, last) || leaks(&new, port, last),
                        "seed {seed}: after {step}"
                    );
                }
            }
        }
        assert!(same(&state, &new), "seed {seed}");
    }
}

#[test]
fn a_port_comes_up_last_and_only_after_its_addresses() {
    let vnet = Vnet { vni: 1, ..Vnet::ZERO };
    let port = Port {
        vni: 1,
        port: 2,
        up: 1,
        ..Port::ZERO
    };
    let address = PortAddress {
        prefix: address(1),
        port: 2,
        prefix_len: 32,
        reserved: 0,
    };
    let wanted = DesiredState {
        vnets: vec![vnet],
        ports: vec![port],
        port_addresses: vec![address],
        ..DesiredState::default()
    };
    let plan = plan(&Programmed::default(), &wanted);
    let strict = Vnet {
        encryption: 1,
        enforcement: 1,
        ..vnet
    };
    assert_eq!(
        plan.steps,
        [
            Step::SetVnet(strict),
            Step::SetPort(Port { up: 0, ..port }),
            Step::AddAddress(address),
            Step::SetVnet(vnet),
            Step::SetPort(port),
        ]
    );
    assert_eq!(
        plan.changes,
        [
            (Change::Added, Object::Vnet(1)),
            (Change::Added, Object::Port(2)),
            (Change::Added, Object::PortAddress(2, address.prefix, 32)),
        ]
    );
}

#[test]
fn an_association_keeps_its_keys_when_only_its_state_changes_and_loses_them_otherwise() {
    let vnets = vec![Vnet { vni: 1, ..Vnet::ZERO }];
    let old = Association {
        id: 4,
        local_vni: 1,
        state: AssociationState::Ready.into(),
        ..Association::ZERO
    };
    let current = Programmed {
        vnets: vnets.clone(),
        associations: vec![old],
        ..Programmed::default()
    };
    let to = |association: Association| {
        plan(
            &current,
            &DesiredState {
                vnets: vnets.clone(),
                associations: vec![association],
                ..DesiredState::default()
            },
        )
    };
    let not_ready = to(Association { state: 0, ..old });
    assert_eq!(
        not_ready.steps,
        [Step::SetAssociationState(4, AssociationState::NotReady)]
    );
    assert!(not_ready.need_keys.is_empty());
    let longer = Association { overlap_ms: 5, ..old };
    assert_eq!(to(longer).steps, [Step::SetAssociation(longer)]);
    assert!(to(longer).need_keys.is_empty());
    let both = Association { state: 2, ..longer };
    assert_eq!(
        to(both).steps,
        [
            Step::SetAssociation(longer),
            Step::SetAssociationState(4, AssociationState::Failed)
        ]
    );
    let failed = Association {
        state: 2,
        suite: 1,
        ..old
    };
    let remade = to(failed);
    assert_eq!(
        remade.steps,
        [
            Step::RemoveAssociation(4),
            Step::SetAssociation(Association { state: 0, ..failed }),
            Step::SetAssociationState(4, AssociationState::Failed),
        ]
    );
    assert_eq!(remade.need_keys, [4]);
    assert_eq!(remade.changes, [(Change::Changed, Object::Association(4))]);
}

#[test]
fn a_mapping_whose_revision_alone_is_older_is_left_alone() {
    let mapping = Mapping {
        src_vni: 1,
        revision: 3,
        ..Mapping::ZERO
    };
    let vnets = vec![Vnet { vni: 1, ..Vnet::ZERO }];
    let current = Programmed {
        vnets: vnets.clone(),
        mappings: vec![mapping],
        ..Programmed::default()
    };
    let mut wanted = DesiredState {
        vnets,
        mappings: vec![Mapping {
            revision: 99,
            ..mapping
        }],
        revision: 7,
        ..DesiredState::default()
    };
    assert!(plan(&current, &wanted).steps.is_empty());
    wanted.mappings[0].capability = 1;
    let expected = Mapping {
        capability: 1,
        revision: 7,
        ..mapping
    };
    assert_eq!(plan(&current, &wanted).steps, [Step::SetMapping(expected)]);
}
