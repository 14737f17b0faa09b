//! Random programs of commands and traffic.

use proptest::prelude::*;
use sealnic_abi::Capability;
use sealnic_abi::object::{Address, AssociationState, Exclusion};
use std::net::IpAddr;

/// The VNet that always demands encryption; the other one, peered, changes its mind.
pub(crate) const STRICT: u32 = 10;
pub(crate) const LOOSE: u32 = 20;

/// One step of a program. Hosts, VMs and pairs are numbers of the setup.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Send {
        from: usize,
        to: usize,
        v6: bool,
        flow: u8,
        kind: u8,
    },
    Outside {
        from: usize,
        v6: bool,
        flow: u8,
    },
    Flood {
        from: usize,
    },
    RemoveSa {
        host: usize,
        pair: usize,
        read: bool,
    },
    RemoveAssociation {
        host: usize,
        pair: usize,
    },
    Rekey {
        pair: usize,
    },
    State {
        host: usize,
        pair: usize,
        state: AssociationState,
    },
    Vnet {
        host: usize,
        vni: u32,
        encryption: bool,
        drop: bool,
    },
    Exclude {
        host: usize,
        which: usize,
    },
    Include {
        host: usize,
        which: usize,
    },
    Map {
        host: usize,
        vm: usize,
        pa: u8,
        capability: Capability,
    },
    Unmap {
        host: usize,
        vm: usize,
    },
    Port {
        vm: usize,
        capability: Capability,
        up: bool,
    },
    RemovePort {
        vm: usize,
    },
    Reset {
        host: usize,
        soft: bool,
    },
    Program {
        host: usize,
        exclusions: bool,
        state: AssociationState,
        loose_drops: bool,
    },
    Enable {
        host: usize,
        on: bool,
    },
    Control {
        host: usize,
        pair: usize,
    },
    Advance {
        ms: u64,
    },
    Flush {
        host: usize,
    },
    Bump {
        host: usize,
    },
}

/// Exclusions that programs may set.
pub(crate) fn exclusion(which: usize) -> Exclusion {
    let (vni, address, prefix_len, protocol, dst_port) = [
        (STRICT, "10.10.0.0", 16, 0, 0),
        (STRICT, "10.20.0.0", 16, 6, 0),
        (LOOSE, "10.10.0.0", 16, 0, 3),
        (STRICT, "fd00:a::", 32, 17, 2),
    ][which];
    Exclusion {
        id: which as u32,
        vni,
        prefix: Address::from(address.parse::<IpAddr>().unwrap()),
        prefix_len,
        protocol,
        dst_port,
    }
}

/// Programs.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (host, vm, pair) = (0..2_usize, 0..5_usize, 0..4_usize);
    let state = prop::sample::select(AssociationState::ALL);
    let capability = prop_oneof![4 => Just(Capability::Supported), 1 => prop::sample::select(Capability::ALL)];
    let send = (
        vm.clone(),
        vm.clone(),
        any::<bool>(),
        0..4_u8,
        prop_oneof![3 => 0..2_u8, 2 => 2..6_u8],
    )
        .prop_map(|(from, to, v6, flow, kind)| Step::Send {
            from,
            to,
            v6,
            flow,
            kind,
        });
    let step = prop_oneof![
        30 => send,
        2 => (vm.clone(), any::<bool>(), 0..8_u8).prop_map(|(from, v6, flow)| Step::Outside { from, v6, flow }),
        1 => vm.clone().prop_map(|from| Step::Flood { from }),
        2 => (host.clone(), pair.clone(), any::<bool>()).prop_map(|(host, pair, read)| Step::RemoveSa { host, pair, read }),
        1 => (host.clone(), pair.clone()).prop_map(|(host, pair)| Step::RemoveAssociation { host, pair }),
        5 => pair.clone().prop_map(|pair| Step::Rekey { pair }),
        3 => (host.clone(), pair.clone(), state.clone()).prop_map(|(host, pair, state)| Step::State { host, pair, state }),
        3 => (host.clone(), prop::sample::select(&[STRICT, LOOSE][..]), any::<bool>(), any::<bool>())
            .prop_map(|(host, vni, encryption, drop)| Step::Vnet { host, vni, encryption, drop }),
        3 => (host.clone(), 0..4_usize).prop_map(|(host, which)| Step::Exclude { host, which }),
        3 => (host.clone(), 0..4_usize).prop_map(|(host, which)| Step::Include { host, which }),
        3 => (host.clone(), vm.clone(), 0..3_u8, capability.clone())
            .prop_map(|(host, vm, pa, capability)| Step::Map { host, vm, pa, capability }),
        1 => (host.clone(), vm.clone()).prop_map(|(host, vm)| Step::Unmap { host, vm }),
        2 => (vm.clone(), capability, prop::bool::weighted(0.8))
            .prop_map(|(vm, capability, up)| Step::Port { vm, capability, up }),
        1 => vm.prop_map(|vm| Step::RemovePort { vm }),
        1 => (host.clone(), any::<bool>()).prop_map(|(host, soft)| Step::Reset { host, soft }),
        5 => (host.clone(), any::<bool>(), state, any::<bool>())
            .prop_map(|(host, exclusions, state, loose_drops)| Step::Program { host, exclusions, state, loose_drops }),
        2 => (host.clone(), prop::bool::weighted(0.9)).prop_map(|(host, on)| Step::Enable { host, on }),
        2 => (host.clone(), pair).prop_map(|(host, pair)| Step::Control { host, pair }),
        2 => (1..3_000_u64).prop_map(|ms| Step::Advance { ms }),
        1 => host.clone().prop_map(|host| Step::Flush { host }),
        1 => host.prop_map(|host| Step::Bump { host }),
    ];
    prop::collection::vec(step, 1..80)
}
