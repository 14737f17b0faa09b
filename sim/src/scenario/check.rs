//! The rules of the format: from the raw scenario to the checked one.
//!
//! Checking goes on after a finding, with a stand-in for the wrong value, so that one run shows all problems. Items keep
//! their index even when they are wrong: references to them resolve, and nothing is reported twice.

mod conflicts;
mod fields;
mod limits;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};
use sealnic_abi::Enforcement;
use sealnic_abi::object::{AssociationState, CipherSuite, DtlsVersion};
use toml::Spanned;

use self::fields::{Names, choice, number, object_name, pair, parsed_mac, prefixes};
use super::error::Findings;
use super::mac::MacAddress;
use super::model::{
    AssociationSettings, Exclusion, Gateway, Host, NicSizes, PairState, Scenario, Secret, Traffic, Underlay, Vm, Vnet,
    sorted,
};
use super::raw::{RawAssociation, RawExclusion, RawHost, RawScenario, RawVm, RawVnet, Text};

/// Kinds of derived MACs.
const MAC_HOST: u8 = 0;
const MAC_VM: u8 = 1;
/// Least MTU of an IPv6 link (RFC 8200 section 5).
const MIN_IPV6_MTU: u16 = 1280;
/// Least underlay MTU: what an inner packet of that length needs at worst. Longer ones are answered, or cut, where they
/// don't fit.
const MIN_UNDERLAY_MTU: u16 = MIN_IPV6_MTU + 116;
/// A cable of some metres each side of one cut-through switch.
const LATENCY_NS: u64 = 1_000;
/// A second: farther than any two hosts on Earth.
const MAX_LATENCY_NS: u64 = 1_000_000_000;

/// Checks everything. The scenario is of use only when there were no findings.
pub(super) fn scenario(raw: &RawScenario, path: &Path, findings: &mut Findings) -> Scenario {
    let name = scenario_name(raw, path, findings);
    let hosts = hosts(raw, findings);
    let vnets = vnets(raw, findings);
    let host_names = Names::new("host", raw.hosts.iter().map(|h| &h.get_ref().name), findings);
    let vnet_names = Names::new("vnet", raw.vnets.iter().map(|v| &v.get_ref().name), findings);
    Names::new("vm", raw.vms.iter().map(|v| &v.get_ref().name), findings);
    Names::new("exclusion", raw.exclusions.iter().map(|e| &e.get_ref().name), findings);

    let scenario = Scenario {
        secret: secret(raw.secret.as_ref(), &name, findings),
        name,
        hosts,
        vnets,
        peerings: peerings(raw, &vnet_names, findings),
        vms: vms(raw, &host_names, &vnet_names, findings),
        exclusions: exclusions(raw, &vnet_names, findings),
        gateways: gateways(raw, &vnet_names, findings),
        association: association(&raw.association, &host_names, findings),
        latency_ns: number(
            raw.underlay.latency_ns.as_ref(),
            0..=MAX_LATENCY_NS,
            LATENCY_NS,
            findings,
        ),
        traffic: raw.traffic.as_ref().and_then(|traffic| {
            let capture = &traffic.capture;
            if capture.get_ref().is_empty() {
                findings.add(
                    capture.span(),
                    "names no file",
                    "give the path of a pcap or pcapng file",
                );
                return None;
            }
            let folder = path.parent().unwrap_or(Path::new(""));
            Some(Traffic {
                capture: folder.join(capture.get_ref()),
            })
        }),
    };
    if findings.is_empty() {
        conflicts::address_spaces(raw, &scenario, findings);
        conflicts::vm_addresses(raw, &scenario, findings);
        conflicts::provider_addresses(raw, &scenario, findings);
    }
    if findings.is_empty() {
        return limits::fit(raw, scenario, findings);
    }
    scenario
}

fn scenario_name(raw: &RawScenario, path: &Path, findings: &mut Findings) -> String {
    let Some(name) = &raw.name else {
        return path
            .file_stem()
            .map_or_else(|| "scenario".to_owned(), |stem| stem.to_string_lossy().into_owned());
    };
    let text = name.get_ref();
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        findings.add(
            name.span(),
            "is empty or has control characters",
            "give a name that can be printed",
        );
    }
    text.clone()
}

fn secret(raw: Option<&Text>, name: &str, findings: &mut Findings) -> Secret {
    use sha2::Digest;
    let mut octets = [0; 32];
    let Some(raw) = raw else {
        let mut hash = sha2::Sha256::new();
        hash.update(b"sealnic scenario secret\0");
        hash.update(name.as_bytes());
        octets.copy_from_slice(&hash.finalize());
        return Secret::new(octets);
    };
    let text = raw.get_ref().as_bytes();
    let well_formed = text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit);
    if well_formed {
        for (octet, digits) in octets.iter_mut().zip(text.chunks_exact(2)) {
            *octet = digits.iter().fold(0, |octet, &digit| octet << 4 | hex_value(digit));
        }
    } else {
        // The value itself is not shown.
        findings.add(
            raw.span(),
            "must be 64 hexadecimal digits",
            "give 32 random octets in hexadecimal",
        );
    }
    Secret::new(octets)
}

const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

/// Notes who has a value first; a second owner is a finding. `what` and `owner` are words for the message.
fn unique<K: Eq + Hash>(
    seen: &mut HashMap<K, String>,
    key: K,
    owner: impl FnOnce() -> String,
    what: &str,
    span: std::ops::Range<usize>,
    findings: &mut Findings,
) {
    if let Some(first) = seen.get(&key) {
        findings.add(span, format!("{what} is already that of {first}"), "give each its own");
    } else {
        seen.insert(key, owner());
    }
}

fn hosts(raw: &RawScenario, findings: &mut Findings) -> Vec<Host> {
    if raw.hosts.is_empty() {
        findings.add(0..0, "has no host", "add a [[host]] table for each underlay host");
    }
    let mut macs = HashMap::new();
    let mut pas = HashMap::new();
    let mut all = Vec::new();
    for (index, raw) in (1..).zip(&raw.hosts) {
        let raw = raw.get_ref();
        let host = host(raw, index, &mut pas, findings);
        let span = raw.mac.as_ref().map_or_else(|| raw.name.span(), Spanned::span);
        unique(
            &mut macs,
            host.mac,
            || format!("host \"{}\"", host.name),
            &format!("MAC {}", host.mac),
            span,
            findings,
        );
        all.push(host);
    }
    all
}

fn host(raw: &RawHost, index: u32, pas: &mut HashMap<IpAddr, String>, findings: &mut Findings) -> Host {
    let name = object_name(&raw.name, findings);
    let (mut pa_v4, mut pa_v6) = (None, None);
    if raw.pa.get_ref().is_empty() {
        findings.add(
            raw.pa.span(),
            "has no address",
            "give an IPv4 or an IPv6 address, or one of each",
        );
    }
    for text in raw.pa.get_ref() {
        let Some(pa) = fields::provider_address(text, findings) else {
            continue;
        };
        let second = match pa {
            IpAddr::V4(pa) => pa_v4.replace(pa).is_some(),
            IpAddr::V6(pa) => pa_v6.replace(pa).is_some(),
        };
        if second {
            findings.add(
                text.span(),
                "is the second address of its family",
                "give at most one for each family",
            );
        }
        unique(
            pas,
            pa,
            || format!("host \"{name}\""),
            &format!("address {pa}"),
            text.span(),
            findings,
        );
    }
    let mac = raw
        .mac
        .as_ref()
        .map_or_else(|| MacAddress::derived(MAC_HOST, index), |mac| parsed_mac(mac, findings));
    let default = NicSizes::default();
    let mut size = |field: &Option<Spanned<i64>>, range, default: u32| number(field.as_ref(), range, default, findings);
    Host {
        pa_v4,
        pa_v6,
        mac,
        nic: NicSizes {
            flows: size(&raw.nic.flows, 1024..=1 << 24, default.flows),
            mappings: size(&raw.nic.mappings, 1..=1 << 24, default.mappings),
            associations: size(&raw.nic.associations, 1..=1 << 20, default.associations),
            ports: size(&raw.nic.ports, 1..=1 << 16, default.ports),
        },
        underlay_mtu: number(raw.underlay_mtu.as_ref(), MIN_UNDERLAY_MTU..=u16::MAX, 1700, findings),
        name,
    }
}

fn vnets(raw: &RawScenario, findings: &mut Findings) -> Vec<Vnet> {
    let mut vnis = HashMap::new();
    let mut all = Vec::new();
    let gateways: HashSet<&str> = raw
        .gateways
        .iter()
        .map(|gateway| gateway.get_ref().vnet.get_ref().as_str())
        .collect();
    for raw in &raw.vnets {
        let raw = raw.get_ref();
        let vnet = vnet(raw, gateways.contains(raw.name.get_ref().as_str()), findings);
        unique(
            &mut vnis,
            vnet.vni,
            || format!("vnet \"{}\"", vnet.name),
            &format!("VNI {}", vnet.vni),
            raw.vni.span(),
            findings,
        );
        all.push(vnet);
    }
    all
}

fn vnet(raw: &RawVnet, has_gateway: bool, findings: &mut Findings) -> Vnet {
    let prefixes = prefixes(&raw.prefixes, findings);
    for (prefix, text) in prefixes.iter().zip(raw.prefixes.get_ref()) {
        if prefix.prefix_len() == 0 && has_gateway {
            findings.add(
                text.span(),
                "is every address there is, and this VNet has a gateway to the outside",
                "give the prefixes that belong to this VNet, or remove the gateway",
            );
        }
    }
    let names = [
        ("AllowUnencrypted", Enforcement::AllowUnencrypted),
        ("DropUnencrypted", Enforcement::DropUnencrypted),
    ];
    Vnet {
        name: object_name(&raw.name, findings),
        vni: number(Some(&raw.vni), 1..=0x00ff_ffff, 1, findings),
        prefixes,
        encryption: raw.encryption.enabled,
        enforcement: choice(
            raw.encryption.enforcement.as_ref(),
            &names,
            Enforcement::AllowUnencrypted,
            findings,
        ),
    }
}

fn peerings(raw: &RawScenario, vnets: &Names<'_>, findings: &mut Findings) -> Vec<[usize; 2]> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for raw in &raw.peerings {
        let names = &raw.get_ref().vnets;
        let Some([a, b]) = pair(names, vnets, findings) else {
            continue;
        };
        if seen.insert(sorted(a, b)) {
            all.push(sorted(a, b));
        } else {
            findings.add(
                names.span(),
                "peers two VNets that are peered already",
                "remove one of the two",
            );
        }
    }
    all
}

fn vms(raw: &RawScenario, hosts: &Names<'_>, vnets: &Names<'_>, findings: &mut Findings) -> Vec<Vm> {
    let mut macs = HashMap::new();
    let mut ports: HashMap<usize, u32> = HashMap::new();
    let mut all = Vec::new();
    for (index, raw) in (1..).zip(&raw.vms) {
        let raw = raw.get_ref();
        let host = hosts.resolve(&raw.host, findings);
        let next = ports.entry(host).or_default();
        let port = u16::try_from(*next).unwrap_or_else(|_| {
            findings.add(
                raw.host.span(),
                "has more VMs than a NIC has ports",
                "spread them over more hosts",
            );
            0
        });
        *next = next.saturating_add(1);
        let vm = vm(raw, index, [host, vnets.resolve(&raw.vnet, findings)], port, findings);
        if !vm.any_mac {
            unique(
                &mut macs,
                vm.mac,
                || format!("vm \"{}\"", vm.name),
                &format!("MAC {}", vm.mac),
                raw.mac.span(),
                findings,
            );
        }
        all.push(vm);
    }
    all
}

fn vm(raw: &RawVm, index: u32, [host, vnet]: [usize; 2], port: u16, findings: &mut Findings) -> Vm {
    let addresses = prefixes(&raw.addresses, findings);
    let has_ipv6 = addresses.iter().any(|prefix| matches!(prefix, IpNet::V6(_)));
    let min_mtu = if has_ipv6 { MIN_IPV6_MTU } else { 68 };
    let any_mac = raw.mac.get_ref() == "any";
    Vm {
        name: object_name(&raw.name, findings),
        host,
        vnet,
        port,
        mac: if any_mac {
            MacAddress::derived(MAC_VM, index)
        } else {
            parsed_mac(&raw.mac, findings)
        },
        any_mac,
        addresses,
        mtu: number(raw.mtu.as_ref(), min_mtu..=u16::MAX, 1500, findings),
        accelerated_networking: raw.accelerated_networking,
        supported_sku: raw.supported_sku,
        ready: raw.ready,
        discovery: raw.discovery,
    }
}

fn exclusions(raw: &RawScenario, vnets: &Names<'_>, findings: &mut Findings) -> Vec<Exclusion> {
    raw.exclusions
        .iter()
        .map(|raw| exclusion(raw.get_ref(), vnets, findings))
        .collect()
}

fn exclusion(raw: &RawExclusion, vnets: &Names<'_>, findings: &mut Findings) -> Exclusion {
    let prefix = fields::prefix(&raw.prefix, findings).unwrap_or_else(|| Ipv4Net::default().into());
    let protocol = raw
        .protocol
        .as_ref()
        .and_then(|raw| fields::protocol(raw, &prefix, findings));
    let port = raw
        .port
        .as_ref()
        .map(|port| number(Some(port), 1..=u16::MAX, 1, findings));
    if let (Some(port), Some(protocol)) = (&raw.port, protocol)
        && ![fields::TCP, fields::UDP].contains(&protocol)
    {
        findings.add(
            port.span(),
            "is given for a protocol without ports",
            "remove it, or set protocol to tcp or udp",
        );
    }
    Exclusion {
        name: object_name(&raw.name, findings),
        vnet: vnets.resolve(&raw.vnet, findings),
        prefix,
        protocol,
        port,
    }
}

fn gateways(raw: &RawScenario, vnets: &Names<'_>, findings: &mut Findings) -> Vec<Gateway> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for raw in &raw.gateways {
        let raw = raw.get_ref();
        let vnet = vnets.resolve(&raw.vnet, findings);
        if vnets.knows(&raw.vnet) && !seen.insert(vnet) {
            findings.add(raw.vnet.span(), "has a gateway already", "remove one of the two");
        }
        if let Some(pa) = fields::provider_address(&raw.pa, findings) {
            all.push(Gateway { vnet, pa });
        }
    }
    all
}

fn association(raw: &RawAssociation, hosts: &Names<'_>, findings: &mut Findings) -> AssociationSettings {
    let versions = [("1.2", DtlsVersion::Dtls12), ("1.3", DtlsVersion::Dtls13)];
    let suites = [
        ("AES-128-GCM", CipherSuite::Aes128Gcm),
        ("AES-256-GCM", CipherSuite::Aes256Gcm),
    ];
    let families = [("ipv4", Underlay::Ipv4), ("ipv6", Underlay::Ipv6)];
    let states = [
        ("ready", AssociationState::Ready),
        ("not-ready", AssociationState::NotReady),
        ("failed", AssociationState::Failed),
    ];

    let replay_window: u16 = number(raw.replay_window.as_ref(), 64..=4096, 1024, findings);
    if let Some(window) = &raw.replay_window
        && !replay_window.is_multiple_of(64)
    {
        findings.add(
            window.span(),
            format!("must be a multiple of 64, is {replay_window}"),
            "round it up",
        );
    }
    let dtls_port = number(raw.dtls_port.as_ref(), 1..=u16::MAX, 4433, findings);
    if let Some(port) = &raw.dtls_port
        && dtls_port == 4789
    {
        findings.add(port.span(), "is the port of clear VXLAN traffic", "choose another one");
    }
    let mut declared = Vec::new();
    let mut seen = HashSet::new();
    for raw in &raw.state {
        let state = choice(Some(&raw.state), &states, AssociationState::Ready, findings);
        let Some([a, b]) = pair(&raw.hosts, hosts, findings) else {
            continue;
        };
        if !seen.insert(sorted(a, b)) {
            findings.add(
                raw.hosts.span(),
                "has a state already",
                "declare one state for each pair of hosts",
            );
        }
        declared.push(PairState {
            hosts: sorted(a, b),
            state,
        });
    }
    AssociationSettings {
        version: choice(raw.dtls.as_ref(), &versions, DtlsVersion::Dtls13, findings),
        suite: choice(raw.cipher.as_ref(), &suites, CipherSuite::Aes256Gcm, findings),
        connection_id_len: number(raw.connection_id.as_ref(), 0..=20, 8, findings),
        replay_window,
        underlay: choice(raw.underlay.as_ref(), &families, Underlay::Ipv4, findings),
        dtls_port,
        states: declared,
    }
}
