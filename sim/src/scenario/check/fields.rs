//! Single fields: from text and numbers to values, each with its finding when it is wrong.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use toml::Spanned;

use super::super::error::Findings;
use super::super::mac::MacAddress;
use super::super::raw::{Number, Text};

/// IP protocol numbers that have names here.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Greatest length of a name, in octets: names become parts of file names.
const MAX_NAME_LEN: usize = 64;

/// The name of a host, VNet, VM or exclusion.
pub(super) fn object_name(raw: &Text, findings: &mut Findings) -> String {
    let name = raw.get_ref();
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_LEN || name.starts_with('.') || !name.bytes().all(safe) {
        findings.add(
            raw.span(),
            format!("{} can't be a name", quoted(name)),
            format!("use 1 to {MAX_NAME_LEN} letters, digits, '-', '_' and '.', no '.' first"),
        );
    }
    name.clone()
}

/// A number in its range, or the default.
pub(super) fn number<T>(raw: Option<&Number>, range: RangeInclusive<T>, default: T, findings: &mut Findings) -> T
where
    T: Copy + TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let Some(raw) = raw else { return default };
    match T::try_from(*raw.get_ref()) {
        Ok(value) if range.contains(&value) => value,
        _ => {
            let (min, max) = (range.start(), range.end());
            findings.add(
                raw.span(),
                format!("is {}", raw.get_ref()),
                format!("give a number from {min} to {max}"),
            );
            default
        }
    }
}

/// One of a few words, or the default.
pub(super) fn choice<T: Copy>(raw: Option<&Text>, words: &[(&str, T)], default: T, findings: &mut Findings) -> T {
    let Some(raw) = raw else { return default };
    if let Some((_, value)) = words.iter().find(|(word, _)| word == raw.get_ref()) {
        return *value;
    }
    let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    findings.add(
        raw.span(),
        format!("is {}", quoted(raw.get_ref())),
        format!("give {}", known.join(" or ")),
    );
    default
}

/// A unicast MAC address.
pub(super) fn parsed_mac(raw: &Text, findings: &mut Findings) -> MacAddress {
    let (message, help) = match raw.get_ref().parse::<MacAddress>() {
        Ok(mac) if !mac.is_multicast() => return mac,
        Ok(mac) => (
            format!("{mac} is a group address"),
            "give one whose first octet is even",
        ),
        Err(_) => (
            format!("{} is no MAC address", quoted(raw.get_ref())),
            "write six two-digit hexadecimal octets with colons",
        ),
    };
    findings.add(raw.span(), message, help);
    MacAddress([0; 6])
}

/// A unicast address of the underlay.
pub(super) fn provider_address(raw: &Text, findings: &mut Findings) -> Option<IpAddr> {
    let Ok(pa) = raw.get_ref().parse::<IpAddr>() else {
        findings.add(
            raw.span(),
            format!("{} is no IP address", quoted(raw.get_ref())),
            "write an address without prefix length",
        );
        return None;
    };
    let special = match pa {
        IpAddr::V4(pa) => pa.is_unspecified() || pa.is_multicast() || pa == Ipv4Addr::BROADCAST,
        IpAddr::V6(pa) => pa.is_unspecified() || pa.is_multicast() || pa.to_ipv4_mapped().is_some(),
    };
    if special {
        findings.add(
            raw.span(),
            format!("{pa} can't be a host's address"),
            "give a unicast address",
        );
        return None;
    }
    Some(pa)
}

/// An address or prefix; an address is a prefix of full length.
pub(super) fn prefix(raw: &Text, findings: &mut Findings) -> Option<IpNet> {
    let text = raw.get_ref();
    let Some(prefix) = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    else {
        findings.add(
            raw.span(),
            format!("{} is neither an address nor a prefix", quoted(text)),
            "write it like 10.1.0.4, 10.1.0.0/16 or fd00:1::/64",
        );
        return None;
    };
    if prefix != prefix.trunc() {
        let (whole, address) = (prefix.trunc(), prefix.addr());
        findings.add(
            raw.span(),
            format!("{text} has bits set past its prefix length"),
            format!("write {whole} for the prefix or {address} for the address"),
        );
        return None;
    }
    let special = match prefix.addr() {
        IpAddr::V4(first) => first.is_multicast() || (first >= Ipv4Addr::new(240, 0, 0, 0)),
        IpAddr::V6(first) => first.is_multicast(),
    };
    if special || (prefix.prefix_len() == prefix.max_prefix_len() && prefix.addr().is_unspecified()) {
        findings.add(
            raw.span(),
            format!("{text} holds no unicast address"),
            "give a unicast address or prefix",
        );
        return None;
    }
    Some(prefix)
}

/// A list of addresses and prefixes, one at least. Wrong ones are left out, which nobody sees: they are findings.
pub(super) fn prefixes(raw: &Spanned<Vec<Text>>, findings: &mut Findings) -> Vec<IpNet> {
    if raw.get_ref().is_empty() {
        findings.add(raw.span(), "is empty", "give at least one address or prefix");
    }
    raw.get_ref().iter().filter_map(|text| prefix(text, findings)).collect()
}

/// An IP protocol by name or number; ICMP is that of the prefix's family.
pub(super) fn protocol(raw: &Spanned<toml::Value>, prefix: &IpNet, findings: &mut Findings) -> Option<u8> {
    let known = match raw.get_ref() {
        toml::Value::Integer(number) => u8::try_from(*number).ok().filter(|&number| number > 0),
        toml::Value::String(name) => match (name.as_str(), prefix) {
            ("tcp", _) => Some(TCP),
            ("udp", _) => Some(UDP),
            ("icmp", IpNet::V4(_)) => Some(ICMP),
            ("icmp", IpNet::V6(_)) => Some(ICMPV6),
            _ => None,
        },
        _ => None,
    };
    if known.is_none() {
        findings.add(
            raw.span(),
            "is no protocol",
            "give \"tcp\", \"udp\", \"icmp\" or a number from 1 to 255, or leave it out for any",
        );
    }
    known
}

/// Names of one kind of object, for references to it.
#[derive(Debug)]
pub(super) struct Names<'a> {
    kind: &'static str,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    /// Takes all names; one that is there twice is a finding.
    pub(super) fn new(kind: &'static str, names: impl Iterator<Item = &'a Text>, findings: &mut Findings) -> Self {
        let mut by_name = HashMap::new();
        for (index, name) in names.enumerate() {
            let first = *by_name.entry(name.get_ref().as_str()).or_insert(index);
            if first != index {
                findings.add(
                    name.span(),
                    format!("{} is already the name of {kind}[{first}]", quoted(name.get_ref())),
                    "give each its own",
                );
            }
        }
        Self { kind, by_name }
    }

    pub(super) fn knows(&self, name: &Text) -> bool {
        self.by_name.contains_key(name.get_ref().as_str())
    }

    /// Index of the object of that name; 0 with a finding when there is none.
    pub(super) fn resolve(&self, name: &Text, findings: &mut Findings) -> usize {
        if let Some(&index) = self.by_name.get(name.get_ref().as_str()) {
            return index;
        }
        let kind = self.kind;
        let mut known: Vec<&str> = self.by_name.keys().copied().collect();
        known.sort_unstable();
        known.truncate(10);
        let help = if known.is_empty() {
            format!("add a [[{kind}]] table of that name")
        } else {
            format!("name one of the file's, such as {}", known.join(", "))
        };
        findings.add(
            name.span(),
            format!("there is no {kind} {}", quoted(name.get_ref())),
            help,
        );
        0
    }
}

/// Indexes of two different objects, in the order of the file.
pub(super) fn pair(raw: &Spanned<Vec<Text>>, names: &Names<'_>, findings: &mut Findings) -> Option<[usize; 2]> {
    let kind = names.kind;
    let [a, b] = &raw.get_ref()[..] else {
        findings.add(
            raw.span(),
            format!("has {} names", raw.get_ref().len()),
            format!("name exactly two {kind}s"),
        );
        return None;
    };
    let [first, second] = [a, b].map(|name| (names.resolve(name, findings), names.knows(name)));
    if !(first.1 && second.1) {
        return None;
    }
    if first.0 == second.0 {
        findings.add(
            raw.span(),
            format!("names one {kind} twice"),
            format!("name two different {kind}s"),
        );
        return None;
    }
    Some([first.0, second.0])
}

/// Text of the file for a message: control characters can't reach a terminal.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("{short:?}")
}
