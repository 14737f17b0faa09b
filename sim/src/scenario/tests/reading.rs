//! What a good file becomes.

use std::net::IpAddr;
use std::path::Path;

use sealnic_abi::object::{AssociationState, CipherSuite, DtlsVersion};
use sealnic_abi::{Capability, Enforcement};

use super::super::{MacAddress, Scenario, Underlay};
use super::{base, changed, changed_scenario, parse};

#[test]
fn every_field_of_the_base_is_read() {
    let s = base();
    assert_eq!(s.name, "base");
    let [a, b] = &s.hosts[..] else { panic!("hosts") };
    assert_eq!(a.pa(Underlay::Ipv4), Some("192.0.2.1".parse::<IpAddr>().unwrap()));
    assert_eq!(a.pa(Underlay::Ipv6), Some("2001:db8:0:1::1".parse::<IpAddr>().unwrap()));
    assert_eq!((a.mac, a.underlay_mtu), ("02:5e:00:00:00:0a".parse().unwrap(), 9000));
    assert_eq!(
        (a.nic.flows, a.nic.mappings, a.nic.associations, a.nic.ports),
        (1024, 100, 256, 64)
    );
    assert_eq!(
        (b.pa(Underlay::Ipv6), b.underlay_mtu, b.nic.flows),
        (None, 1700, 65_536)
    );

    let [blue, green] = &s.vnets[..] else { panic!("vnets") };
    assert_eq!(
        (blue.vni, blue.encryption, blue.enforcement),
        (100, true, Enforcement::DropUnencrypted)
    );
    assert_eq!(
        blue.prefixes,
        ["10.1.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()]
    );
    assert_eq!(
        (green.vni, green.encryption, green.enforcement),
        (200, true, Enforcement::AllowUnencrypted)
    );
    assert_eq!(s.peerings, [[0, 1]]);
    assert_eq!(s.latency_ns, 2_500);
    assert_eq!(changed_scenario("latency_ns = 2500", "").latency_ns, 1_000);

    let [alice, bob, carol] = &s.vms[..] else { panic!("vms") };
    assert_eq!(
        (alice.host, alice.vnet, alice.port, alice.mtu, alice.any_mac),
        (0, 0, 0, 1500, false)
    );
    assert_eq!(alice.mac, MacAddress([0, 0x0d, 0x3a, 0, 0, 1]));
    assert_eq!(
        (bob.host, bob.vnet, bob.port, bob.mtu, bob.any_mac),
        (1, 0, 0, 4000, true)
    );
    assert_eq!(
        bob.addresses,
        ["10.1.0.5/32".parse().unwrap(), "198.51.100.0/24".parse().unwrap()]
    );
    assert_eq!((carol.host, carol.vnet, carol.port), (1, 1, 1));

    let [exclusion] = &s.exclusions[..] else {
        panic!("exclusions")
    };
    assert_eq!(
        (exclusion.vnet, exclusion.protocol, exclusion.port),
        (0, Some(6), Some(445))
    );
    assert_eq!(s.gateways[0].pa, "192.0.2.254".parse::<IpAddr>().unwrap());
    let association = &s.association;
    assert_eq!(
        (association.version, association.suite),
        (DtlsVersion::Dtls12, CipherSuite::Aes128Gcm)
    );
    assert_eq!(
        (
            association.connection_id_len,
            association.replay_window,
            association.dtls_port
        ),
        (4, 128, 4433)
    );
    assert_eq!(
        (association.states[0].hosts, association.states[0].state),
        ([0, 1], AssociationState::Ready)
    );
    assert_eq!(s.traffic.unwrap().capture, Path::new("dir/captures/base.pcapng"));
}

#[test]
fn a_small_file_gets_the_defaults() {
    let text = "[[host]]\nname = \"h\"\npa = [\"192.0.2.1\"]\n";
    let s = parse(text).unwrap();
    assert_eq!(s.name, "base", "the file's stem");
    let a = &s.association;
    assert_eq!((a.version, a.suite), (DtlsVersion::Dtls13, CipherSuite::Aes256Gcm));
    assert_eq!(
        (a.connection_id_len, a.replay_window, a.underlay, a.dtls_port),
        (8, 1024, Underlay::Ipv4, 4433)
    );
    assert!(s.traffic.is_none());
    assert!(s.vms.is_empty());
}

#[test]
fn capability_follows_the_flags_a_lasting_obstacle_first() {
    let with = |flags: &str| changed_scenario("ready = true", flags).vms[2].capability();
    assert_eq!(with("ready = true"), Capability::Supported);
    assert_eq!(
        with("accelerated_networking = false\nready = false"),
        Capability::HwNotSupported
    );
    assert_eq!(
        with("supported_sku = false\ndiscovery = false"),
        Capability::HwNotSupported
    );
    assert_eq!(with("ready = false\ndiscovery = false"), Capability::SwNotReady);
    assert_eq!(with("discovery = false"), Capability::NoDiscovery);
}

#[test]
fn protocols_go_by_name_or_number_and_icmp_by_family() {
    let with = |text: &str| {
        let text = changed("prefix = \"10.2.0.0/24\"\nprotocol = \"tcp\"\nport = 445", text);
        parse(&text).unwrap().exclusions[0].protocol
    };
    assert_eq!(with("prefix = \"10.2.0.0/24\"\nprotocol = 132"), Some(132));
    assert_eq!(with("prefix = \"10.2.0.0/24\"\nprotocol = \"icmp\""), Some(1));
    assert_eq!(with("prefix = \"fd00:2::/64\"\nprotocol = \"icmp\""), Some(58));
    assert_eq!(
        with("prefix = \"10.2.0.0/24\"\nprotocol = \"udp\"\nport = 53"),
        Some(17)
    );
    assert_eq!(with("prefix = \"10.2.0.0/24\""), None);
}

#[test]
fn the_secret_is_read_or_derived_from_the_name_and_never_shown() {
    let given = "00ff".repeat(16);
    let s = parse(&changed("name = \"base\"", &format!("secret = \"{given}\""))).unwrap();
    assert_eq!(s.secret.expose()[..4], [0x00, 0xff, 0x00, 0xff]);
    assert_eq!(format!("{:?}", s.secret), "Secret(..)");
    let upper = parse(&changed(
        "name = \"base\"",
        &format!("secret = \"{}\"", "aBcD".repeat(16)),
    ))
    .unwrap();
    assert_eq!(upper.secret.expose()[..2], [0xab, 0xcd]);

    let other = changed_scenario("name = \"base\"", "name = \"other\"");
    assert_eq!(base().secret.expose(), base().secret.expose());
    assert_ne!(base().secret.expose(), other.secret.expose());
}

#[test]
fn vms_may_play_foreign_addresses_and_vnets_without_contact_may_share_theirs() {
    // 198.51.100.0/24 of bob lies in no VNet's address space; that is the base itself.
    let without_traffic = changed("[traffic]\ncapture = \"captures/base.pcapng\"", "");
    let unpeered = without_traffic.replace("[[peering]]\nvnets = [\"green\", \"blue\"]", "");
    let shared = unpeered
        .replace("\"10.2.0.0/16\"", "\"10.1.0.0/16\"")
        .replace("\"10.2.0.6\"", "\"10.1.0.4\"");
    assert_eq!(
        parse(&shared).unwrap().vms[2].addresses,
        ["10.1.0.4/32".parse().unwrap()]
    );
}

#[test]
fn sizes_left_out_grow_to_the_need() {
    let addresses: Vec<String> = (0..5000)
        .map(|i| format!("\"172.16.{}.{}\"", i / 250, i % 250 + 1))
        .collect();
    let text = changed("\"198.51.100.0/24\"", &addresses.join(", ")).replace(", mappings = 100", "");
    let s = parse(&text).unwrap();
    // Host a: 5,000 and alice's two, bob's other, carol's; three address spaces; two ways outside.
    assert_eq!(s.hosts[0].nic.mappings, 5000 + 4 + 3 + 2);
    // Host b has VMs in both VNets; green has no gateway.
    assert_eq!(s.hosts[1].nic.mappings, 2 * (5000 + 4 + 3) + 2);
    assert_eq!(s.hosts[1].nic.ports, 64);
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let error = Scenario::load(Path::new("/nowhere/none.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/none.toml: can't be read: "), "{error}");
}
