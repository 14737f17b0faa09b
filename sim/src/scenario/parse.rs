//! From TOML tables to the raw scenario. Every table is read by itself, so that a wrong one doesn't hide the next.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::error::Findings;
use super::raw::RawScenario;

const TABLES: &str = "host, vnet, peering, vm, exclusion, gateway, association, underlay, traffic";

/// Reads all tables; unknown, missing and mistyped fields are findings.
pub(super) fn tables(document: &Spanned<DeTable<'_>>, findings: &mut Findings) -> RawScenario {
    let mut raw = RawScenario::default();
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "name" => raw.name = read(value, findings),
            "secret" => raw.secret = read(value, findings),
            "host" => raw.hosts = list("host", value, findings),
            "vnet" => raw.vnets = list("vnet", value, findings),
            "peering" => raw.peerings = list("peering", value, findings),
            "vm" => raw.vms = list("vm", value, findings),
            "exclusion" => raw.exclusions = list("exclusion", value, findings),
            "gateway" => raw.gateways = list("gateway", value, findings),
            "association" => raw.association = read(value, findings).unwrap_or_default(),
            "underlay" => raw.underlay = read(value, findings).unwrap_or_default(),
            "traffic" => raw.traffic = read(value, findings),
            other => findings.add(
                key.span(),
                format!("unknown field `{}`", other.escape_debug()),
                format!("a scenario has the fields name and secret and the tables {TABLES}"),
            ),
        }
    }
    raw
}

fn read<T: DeserializeOwned>(value: &Spanned<DeValue<'_>>, findings: &mut Findings) -> Option<T> {
    match T::deserialize(ValueDeserializer::from(value.clone())) {
        Ok(read) => Some(read),
        Err(error) => {
            findings.add(
                error.span().unwrap_or_else(|| value.span()),
                error.message(),
                help(&error),
            );
            None
        }
    }
}

/// A list of tables, each written as `[[name]]`.
fn list<T: DeserializeOwned>(name: &str, value: &Spanned<DeValue<'_>>, findings: &mut Findings) -> Vec<T> {
    if let DeValue::Array(items) = value.get_ref() {
        items.iter().filter_map(|item| read(item, findings)).collect()
    } else {
        findings.add(
            value.span(),
            "must be a list of tables",
            format!("write [[{name}]] before each of them"),
        );
        Vec::new()
    }
}

fn help(error: &Error) -> &'static str {
    let message = error.message();
    if message.starts_with("unknown field") {
        "correct its name or remove it"
    } else if message.starts_with("missing field") {
        "add it"
    } else {
        "see docs/scenario.md for what belongs there"
    }
}
