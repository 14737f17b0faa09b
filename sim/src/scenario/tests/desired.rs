//! What hosts must program.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use sealnic_abi::object::{Address, Association, AssociationState, Mapping};
use sealnic_abi::{Capability, MappingKind};
use sealnic_driver::DesiredState;

use super::super::Scenario;
use super::{TestRng, base, changed, changed_scenario, parse};

fn states(scenario: &Scenario) -> Vec<DesiredState> {
    scenario.desired_states(&mut TestRng(1))
}

fn ip(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// A mapping as (source VNI, prefix, destination VNI, kind, PA).
fn row(m: &Mapping) -> (u32, String, u32, MappingKind, Option<String>) {
    let prefix = IpNet::new(m.prefix.to_ip().unwrap(), m.prefix_len).unwrap();
    let kind = MappingKind::try_from(m.kind).unwrap();
    (
        m.src_vni,
        prefix.to_string(),
        m.dst_vni,
        kind,
        m.pa.to_ip().map(|pa| pa.to_string()),
    )
}

#[test]
fn the_device_gets_its_addresses_and_sizes() {
    let states = states(&base());
    let [a, b] = &states[..] else { panic!("two hosts") };
    assert_eq!(
        (a.config.pa_v4, a.config.pa_v6),
        (ip("192.0.2.1"), ip("2001:db8:0:1::1"))
    );
    assert_eq!((b.config.pa_v4, b.config.pa_v6), (ip("192.0.2.2"), Address::ZERO));
    assert_eq!((a.config.mac, a.config.underlay_mtu), ([2, 0x5e, 0, 0, 0, 0x0a], 9000));
    assert_eq!((b.config.mac, b.config.underlay_mtu), ([2, 0x5e, 0, 0, 0, 2], 1700));
    assert_eq!((a.config.dtls_port, a.config.cid_len), (4433, 4));
    assert_ne!(a.config.hash_key, b.config.hash_key);
    assert_ne!(a.config.next_hop_mac, [0; 6]);
}

#[test]
fn ports_and_their_addresses_follow_the_vms() {
    let states = states(&base());
    let [bob, carol] = &states[1].ports[..] else {
        panic!("two ports")
    };
    assert_eq!((bob.port, bob.vni, bob.mtu, bob.any_mac, bob.up), (0, 100, 4000, 1, 1));
    assert_eq!(
        (carol.port, carol.vni, carol.mtu, carol.any_mac, carol.mac),
        (1, 200, 1500, 0, [0, 0x0d, 0x3a, 0, 0, 3])
    );
    let addresses: Vec<_> = states[1]
        .port_addresses
        .iter()
        .map(|a| (a.port, a.prefix, a.prefix_len))
        .collect();
    assert_eq!(
        addresses,
        [
            (0, ip("10.1.0.5"), 32),
            (0, ip("198.51.100.0"), 24),
            (1, ip("10.2.0.6"), 32)
        ]
    );
}

#[test]
fn a_host_knows_its_vnets_and_their_peers_only() {
    let red = "[[vnet]]\nname = \"red\"\nvni = 300\nprefixes = [\"10.3.0.0/16\"]\n[[vm]]\nname = \"dave\"\nhost = \"host-b\"\nvnet = \"red\"\nmac = \"any\"\naddresses = [\"10.3.0.7\"]\n[traffic]";
    let states = states(&changed_scenario("[traffic]", red));
    let vnis = |s: &DesiredState| {
        s.vnets
            .iter()
            .map(|v| (v.vni, v.encryption, v.enforcement))
            .collect::<Vec<_>>()
    };
    assert_eq!(vnis(&states[0]), [(100, 1, 1), (200, 1, 0)]);
    assert_eq!(vnis(&states[1]), [(100, 1, 1), (200, 1, 0), (300, 0, 0)]);
}

#[test]
fn mappings_lead_to_vms_around_them_to_nowhere_and_else_outside() {
    use MappingKind::{Outside, Unreachable, Vm};
    let states = states(&base());
    let mut rows: Vec<_> = states[0].mappings.iter().map(row).collect();
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    let (a, b, gateway) = ("192.0.2.1", "192.0.2.2", "192.0.2.254");
    let expected = [
        ("0.0.0.0/0", 100, Outside, Some(gateway)),
        ("10.1.0.0/16", 100, Unreachable, None),
        ("10.1.0.4/32", 100, Vm, Some(a)),
        ("10.1.0.5/32", 100, Vm, Some(b)),
        ("10.2.0.0/16", 200, Unreachable, None),
        ("10.2.0.6/32", 200, Vm, Some(b)),
        ("198.51.100.0/24", 100, Vm, Some(b)),
        ("::/0", 100, Outside, Some(gateway)),
        ("fd00:1::/64", 100, Unreachable, None),
        ("fd00:1::4/128", 100, Vm, Some(a)),
    ]
    .map(|(prefix, dst, kind, pa)| (100, prefix.to_owned(), dst, kind, pa.map(str::to_owned)));
    assert_eq!(rows, expected);
    assert!(states[0].mappings.iter().all(|m| m.revision == 1));

    // Host b has VMs in both VNets: a set for each, and the way outside for blue only.
    let of = |vni: u32| states[1].mappings.iter().filter(|m| m.src_vni == vni).count();
    assert_eq!((of(100), of(200)), (10, 8));
}

#[test]
fn mappings_carry_the_peers_mac_and_capability() {
    let states = states(&changed_scenario("ready = true", "discovery = false"));
    let carol = states[0].mappings.iter().find(|m| m.prefix == ip("10.2.0.6")).unwrap();
    assert_eq!(
        (carol.peer_mac, carol.capability),
        ([0, 0x0d, 0x3a, 0, 0, 3], Capability::NoDiscovery.into())
    );
    let bob = states[0].mappings.iter().find(|m| m.prefix == ip("10.1.0.5")).unwrap();
    assert_eq!(
        (bob.peer_mac[0] & 1, bob.peer_mac[0] & 2),
        (0, 2),
        "a VM without a MAC of its own has a derived one"
    );
}

#[test]
fn a_vm_wins_over_an_equal_address_space_and_over_the_way_outside() {
    let text = changed("\"198.51.100.0/24\"", "\"10.1.0.0/16\", \"0.0.0.0/0\"");
    let states = states(&parse(&text).unwrap());
    for prefix in ["10.1.0.0/16", "0.0.0.0/0"] {
        let rows: Vec<_> = states[0].mappings.iter().map(row).filter(|r| r.1 == prefix).collect();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.3, row.4.as_deref()), (MappingKind::Vm, Some("192.0.2.2")));
    }
}

/// The other end of an association: the one whose connection ids, addresses and VNIs are these, crosswise.
fn is_other_end(a: &Association, b: &Association) -> bool {
    (a.local_vni, a.peer_vni, a.local_pa, a.peer_pa) == (b.peer_vni, b.local_vni, b.peer_pa, b.local_pa)
        && (a.local_port, a.peer_port) == (b.peer_port, b.local_port)
        && (a.local_cid, a.local_cid_len) == (b.peer_cid, b.peer_cid_len)
        && (a.peer_cid, a.peer_cid_len) == (b.local_cid, b.local_cid_len)
        && (a.version, a.suite, a.replay_window, a.state) == (b.version, b.suite, b.replay_window, b.state)
}

/// A busy scenario: three hosts, three VNets all peered, VMs of all on each, `n` octets of connection id.
fn busy(connection_id: u8) -> Scenario {
    use std::fmt::Write;
    let mut text = format!("[association]\nconnection_id = {connection_id}\n");
    for i in 1..=3 {
        let _ = write!(
            text,
            "[[host]]\nname = \"h{i}\"\npa = [\"192.0.2.{i}\"]\n[[vnet]]\nname = \"v{i}\"\nvni = {i}\nprefixes = [\"10.{i}.0.0/16\"]\nencryption = {{ enabled = true }}\n"
        );
        for v in 1..=3 {
            let _ = write!(
                text,
                "[[vm]]\nname = \"m{i}{v}\"\nhost = \"h{i}\"\nvnet = \"v{v}\"\nmac = \"any\"\naddresses = [\"10.{v}.0.{i}\"]\n"
            );
        }
    }
    for pair in ["\"v1\", \"v2\"", "\"v1\", \"v3\"", "\"v2\", \"v3\""] {
        let _ = write!(text, "[[peering]]\nvnets = [{pair}]\n");
    }
    parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_association_has_one_other_end_and_ids_are_dense() {
    for connection_id in [0, 1, 8, 20] {
        let scenario = busy(connection_id);
        let all = scenario.associations(&mut TestRng(7));
        for (host, associations) in all.iter().enumerate() {
            // Nine pairs of VNets towards each of two other hosts.
            assert_eq!(associations.len(), 18);
            assert!(associations.iter().zip(0..).all(|(a, id)| a.id == id));
            for a in associations {
                let others = all.iter().enumerate().filter(|(other, _)| *other != host);
                let matches = others.flat_map(|(_, list)| list).filter(|b| is_other_end(a, b)).count();
                assert_eq!(matches, 1, "{a:?}");
            }
        }
    }
}

#[test]
fn each_link_finds_both_its_ends_by_counting() {
    let scenario = busy(8);
    let all = scenario.associations(&mut TestRng(7));
    let mut next = vec![0; scenario.hosts.len()];
    for link in scenario.links() {
        let [a, b] = link.hosts.map(|host| {
            next[host] += 1;
            &all[host][next[host] - 1]
        });
        assert!(is_other_end(a, b));
        assert_eq!(
            (a.local_vni, b.local_vni),
            (scenario.vnets[link.vnets[0]].vni, scenario.vnets[link.vnets[1]].vni)
        );
    }
}

#[test]
fn connection_ids_are_unique_on_a_device_and_change_with_the_generator() {
    let all = busy(1).associations(&mut TestRng(7));
    for associations in &all {
        let cids: HashSet<_> = associations.iter().map(|a| a.local_cid).collect();
        assert_eq!(cids.len(), associations.len());
        assert!(
            associations
                .iter()
                .all(|a| a.local_cid[1..].iter().all(|&octet| octet == 0) && a.local_cid_len == 1)
        );
    }
    assert_ne!(all, busy(1).associations(&mut TestRng(8)));
    assert_eq!(all, busy(1).associations(&mut TestRng(7)));
}

#[test]
fn without_connection_ids_addresses_and_ports_tell_associations_apart() {
    for associations in busy(0).associations(&mut TestRng(7)) {
        let tuples: HashSet<_> = associations
            .iter()
            .map(|a| (a.local_pa.octets, a.local_port, a.peer_pa.octets, a.peer_port))
            .collect();
        assert_eq!(tuples.len(), associations.len());
        assert!(
            associations
                .iter()
                .all(|a| a.local_cid == [0; 20] && a.local_cid_len == 0)
        );
    }
    let mut scenario = busy(0);
    scenario.association.dtls_port = 4785;
    let ports: HashSet<u16> = scenario.associations(&mut TestRng(7))[0]
        .iter()
        .map(|a| a.local_port)
        .collect();
    assert_eq!(
        ports,
        (4785..=4794).filter(|&port| port != 4789).collect(),
        "the VXLAN port is skipped"
    );
    let with_ids = busy(8).associations(&mut TestRng(7));
    assert!(with_ids[0].iter().all(|a| (a.local_port, a.peer_port) == (4433, 4433)));
}

#[test]
fn associations_join_encrypted_connected_vnets_on_different_hosts_only() {
    let vnis = |s: &Scenario| {
        let all = s.associations(&mut TestRng(1));
        all[0].iter().map(|a| (a.local_vni, a.peer_vni)).collect::<Vec<_>>()
    };
    assert_eq!(vnis(&base()), [(100, 100), (100, 200)]);
    assert_eq!(
        vnis(&changed_scenario("encryption = { enabled = true }", "")),
        [(100, 100)]
    );
    assert_eq!(
        vnis(&changed_scenario("[[peering]]\nvnets = [\"green\", \"blue\"]", "")),
        [(100, 100)]
    );
    assert_eq!(vnis(&changed_scenario("host = \"host-a\"", "host = \"host-b\"")), []);
}

#[test]
fn declared_states_reach_both_ends() {
    let s = changed_scenario("state = \"ready\"", "state = \"failed\"");
    let all = s.associations(&mut TestRng(1));
    assert!(
        all.iter()
            .flatten()
            .all(|a| a.state == u8::from(AssociationState::Failed))
    );
    let all = base().associations(&mut TestRng(1));
    assert!(
        all.iter()
            .flatten()
            .all(|a| a.state == u8::from(AssociationState::Ready))
    );
}

#[test]
fn exclusions_are_known_to_senders_and_receivers() {
    let extra = "[[exclusion]]\nname = \"green-any\"\nvnet = \"green\"\nprefix = \"10.1.0.0/24\"\n[[gateway]]";
    let states = states(&changed_scenario("[[gateway]]", extra));
    for state in &states {
        let [backup, any] = &state.exclusions[..] else {
            panic!("two exclusions")
        };
        assert_eq!(
            (backup.id, backup.vni, backup.prefix, backup.prefix_len),
            (1, 100, ip("10.2.0.0"), 24)
        );
        assert_eq!((backup.protocol, backup.dst_port), (6, 445));
        assert_eq!((any.id, any.vni, any.protocol, any.dst_port), (2, 200, 0, 0));
    }
}
