//! What a scenario asks of its NICs, and whether it fits.

use super::super::error::Findings;
use super::super::model::{NicSizes, Scenario};
use super::super::raw::{Number, RawScenario};

/// Compares needs with sizes; those that the file leaves out grow to the need.
pub(super) fn fit(raw: &RawScenario, mut scenario: Scenario, findings: &mut Findings) -> Scenario {
    let links = scenario.links();
    let mut sizes = Vec::new();
    let mut most_associations = 0;
    for (index, host) in scenario.hosts.iter().enumerate() {
        let raw = &raw.hosts[index].get_ref().nic;
        let associations = links.iter().filter(|link| link.hosts.contains(&index)).count();
        most_associations = most_associations.max(associations);
        sizes.push(NicSizes {
            flows: host.nic.flows,
            mappings: fitted(
                raw.mappings.as_ref(),
                host.nic.mappings,
                scenario.mappings(index).len(),
                findings,
            ),
            associations: fitted(raw.associations.as_ref(), host.nic.associations, associations, findings),
            ports: fitted(
                raw.ports.as_ref(),
                host.nic.ports,
                scenario.vms_on(index).count(),
                findings,
            ),
        });
    }
    for (host, nic) in scenario.hosts.iter_mut().zip(sizes) {
        host.nic = nic;
    }

    let settings = &raw.association;
    let cid_len = u32::from(scenario.association.connection_id_len);
    if let (Some(field), Some(ids)) = (&settings.connection_id, 256_usize.checked_pow(cid_len))
        && cid_len > 0
        && ids < most_associations
    {
        findings.add(
            field.span(),
            format!("gives {ids} connection ids, and a host needs {most_associations}"),
            "make them longer",
        );
    }
    if links.iter().any(|link| scenario.link_port(link.number).is_none()) {
        let span = settings.dtls_port.as_ref().map_or(0..0, toml::Spanned::span);
        findings.add(
            span,
            "leaves too few ports above it: without connection ids each association between two hosts takes one",
            "lower dtls_port, or use connection ids",
        );
    }
    scenario
}

/// A table's size: as given when the need fits, else as large as the need.
fn fitted(raw: Option<&Number>, size: u32, need: usize, findings: &mut Findings) -> u32 {
    let need = u32::try_from(need).unwrap_or(u32::MAX);
    match raw {
        Some(field) if need > size => {
            findings.add(
                field.span(),
                format!("is {size}, and this host needs {need}"),
                "raise it, or leave it out for as many as needed",
            );
            size
        }
        Some(_) => size,
        None => size.max(need),
    }
}
