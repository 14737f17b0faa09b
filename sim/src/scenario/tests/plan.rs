//! Plans: each reason, and what stands in the way of enforcement.

use super::super::plan::{Plan, PlannedFate};
use super::super::{MacAddress, Scenario};
use super::{base, changed, changed_scenario, parse};

/// Code, fate and reason of a pair.
fn pair<'a>(plan: &'a Plan, from: &str, to: &str) -> (Option<&'a str>, PlannedFate, &'a str) {
    let pair = plan
        .pairs
        .iter()
        .find(|p| p.from == from && p.to == to)
        .expect("the pair");
    (pair.code, pair.fate, pair.reason.as_deref().unwrap_or(""))
}

/// The base with an edit, planned.
fn planned(from: &str, to: &str) -> Plan {
    changed_scenario(from, to).plan()
}

#[test]
fn every_ordered_pair_is_there_once() {
    let plan = base().plan();
    let mut names: Vec<_> = plan.pairs.iter().map(|p| (p.from.as_str(), p.to.as_str())).collect();
    names.sort_unstable();
    let expected = [
        ("alice", "bob"),
        ("alice", "carol"),
        ("bob", "alice"),
        ("bob", "carol"),
        ("carol", "alice"),
        ("carol", "bob"),
    ];
    assert_eq!(names, expected);
}

#[test]
fn able_vms_on_two_hosts_are_encrypted_within_a_vnet_and_across_a_peering() {
    let plan = base().plan();
    assert_eq!(pair(&plan, "alice", "bob"), (Some("X"), PlannedFate::Encrypted, ""));
    assert_eq!(pair(&plan, "carol", "alice"), (Some("X"), PlannedFate::Encrypted, ""));
    assert!(plan.enforcement.blocked.is_empty());
    assert!(plan.enforcement.vnets_without_encryption.is_empty());
}

#[test]
fn vms_on_one_host_stay_there() {
    let (code, fate, reason) = (
        Some("NX_LOCAL_DST"),
        PlannedFate::Local,
        "both are on host host-b: frames never reach the wire",
    );
    assert_eq!(pair(&base().plan(), "bob", "carol"), (code, fate, reason));
    let plan = planned(
        "vni = 200\nprefixes = [\"10.2.0.0/16\"]\nencryption = { enabled = true }",
        "vni = 200\nprefixes = [\"10.2.0.0/16\"]",
    );
    assert_eq!(pair(&plan, "bob", "carol"), (Some("NX"), PlannedFate::Local, reason));
}

#[test]
fn a_vnet_without_encryption_is_named_and_so_is_who_demands_it() {
    let plan = planned("encryption = { enabled = true }", "");
    let reason = "encryption is off on VNet green, and DropUnencrypted holds on VNet blue";
    assert_eq!(
        pair(&plan, "alice", "carol"),
        (Some("NX_NOT_ACCEPTED"), PlannedFate::Dropped, reason)
    );
    assert_eq!(
        pair(&plan, "carol", "alice"),
        (Some("NX_NOT_ACCEPTED"), PlannedFate::Dropped, reason)
    );
    assert_eq!(plan.enforcement.vnets_without_encryption, ["green"]);

    let both = changed("encryption = { enabled = true }", "").replace("enabled = true", "enabled = false");
    let plan = parse(&both).unwrap().plan();
    let reason = "encryption is off on VNet blue and green";
    let demanded = "encryption is off on VNet blue and green, and DropUnencrypted holds on VNet blue";
    assert_eq!(
        pair(&plan, "alice", "carol"),
        (Some("NX_NOT_ACCEPTED"), PlannedFate::Dropped, demanded)
    );
    let plan = parse(&both.replace("DropUnencrypted", "AllowUnencrypted"))
        .unwrap()
        .plan();
    assert_eq!(pair(&plan, "alice", "carol"), (Some("NX"), PlannedFate::Clear, reason));
    let blocked: Vec<_> = plan
        .enforcement
        .blocked
        .iter()
        .map(|b| (b.from.as_str(), b.to.as_str()))
        .collect();
    assert!(blocked.contains(&("alice", "carol")), "{blocked:?}");
}

#[test]
fn hardware_software_and_discovery_are_named_with_the_vm() {
    let cases = [
        (
            "accelerated_networking = false",
            "NX_HW_NOT_SUPPORTED",
            "carol has no accelerated networking, and DropUnencrypted holds on VNet blue",
        ),
        (
            "supported_sku = false",
            "NX_HW_NOT_SUPPORTED",
            "carol is of a size that doesn't support encryption, and DropUnencrypted holds on VNet blue",
        ),
        ("ready = false", "NX_SW_NOT_READY", "carol isn't ready yet"),
        (
            "discovery = false",
            "NX_NOT_SUPPORTED",
            "carol has a stack that doesn't do discovery",
        ),
    ];
    for (flag, code, reason) in cases {
        let plan = planned("ready = true", flag);
        assert_eq!(
            pair(&plan, "alice", "carol"),
            (Some(code), PlannedFate::Dropped, reason)
        );
        assert_eq!(
            pair(&plan, "carol", "alice"),
            (Some(code), PlannedFate::Dropped, reason)
        );
    }
    let lenient = changed("ready = true", "supported_sku = false").replace(", enforcement = \"DropUnencrypted\"", "");
    let plan = parse(&lenient).unwrap().plan();
    let reason = "carol is of a size that doesn't support encryption";
    assert_eq!(
        pair(&plan, "alice", "carol"),
        (Some("NX_HW_NOT_SUPPORTED"), PlannedFate::Clear, reason)
    );
    let blocked: Vec<_> = plan
        .enforcement
        .blocked
        .iter()
        .map(|b| (b.from.as_str(), b.to.as_str(), b.reason.as_str()))
        .collect();
    assert_eq!(blocked, [("alice", "carol", reason), ("carol", "alice", reason)]);
}

#[test]
fn both_vms_are_named_when_both_are_unable() {
    let text = changed("ready = true", "ready = false").replace("\"fd00:1::4\"]", "\"fd00:1::4\"]\nready = false");
    let plan = parse(&text).unwrap().plan();
    assert_eq!(
        pair(&plan, "alice", "carol").2,
        "alice isn't ready yet, and carol isn't ready yet"
    );
}

#[test]
fn declared_states_of_associations() {
    let plan = planned("state = \"ready\"", "state = \"not-ready\"");
    let reason = "the association between hosts host-a and host-b isn't ready yet";
    assert_eq!(
        pair(&plan, "alice", "bob"),
        (Some("NX_SW_NOT_READY"), PlannedFate::Dropped, reason)
    );

    let plan = planned("state = \"ready\"", "state = \"failed\"");
    let reason = "the association between hosts host-a and host-b failed, and DropUnencrypted holds on VNet blue";
    assert_eq!(
        pair(&plan, "alice", "bob"),
        (Some("NX_NOT_ACCEPTED"), PlannedFate::Dropped, reason)
    );

    let lenient = changed("state = \"ready\"", "state = \"failed\"").replace(", enforcement = \"DropUnencrypted\"", "");
    let plan = parse(&lenient).unwrap().plan();
    let reason = "the association between hosts host-a and host-b failed";
    assert_eq!(
        pair(&plan, "alice", "bob"),
        (Some("NX_FALLBACK"), PlannedFate::Clear, reason)
    );
    let blocked = &plan.enforcement.blocked[0];
    assert_eq!((blocked.code, blocked.reason.as_str()), ("NX_NOT_ACCEPTED", reason));
}

#[test]
fn exclusions_take_the_whole_pair_or_are_listed_with_it() {
    let plan = base().plan();
    let to_carol = plan
        .pairs
        .iter()
        .find(|p| p.from == "alice" && p.to == "carol")
        .unwrap();
    assert_eq!(
        (to_carol.fate, &to_carol.partly_excluded[..]),
        (PlannedFate::Encrypted, &["backup".to_owned()][..])
    );
    let from_carol = plan
        .pairs
        .iter()
        .find(|p| p.from == "carol" && p.to == "alice")
        .unwrap();
    assert!(from_carol.partly_excluded.is_empty(), "an exclusion has a direction");
    assert_eq!(
        (plan.exclusions[0].name.as_str(), plan.exclusions[0].prefix.as_str()),
        ("backup", "10.2.0.0/24")
    );

    let plan = planned("protocol = \"tcp\"\nport = 445", "");
    assert_eq!(
        pair(&plan, "alice", "carol"),
        (Some("NX"), PlannedFate::Clear, "exclusion backup sends it in the clear")
    );
    assert_eq!(pair(&plan, "carol", "alice"), (Some("X"), PlannedFate::Encrypted, ""));
    assert_eq!(pair(&plan, "bob", "carol").1, PlannedFate::Local);
}

#[test]
fn vnets_without_a_peering_are_not_connected() {
    let plan = planned("[[peering]]\nvnets = [\"green\", \"blue\"]", "");
    let reason = "VNets green and blue are not peered";
    assert_eq!(pair(&plan, "carol", "alice"), (None, PlannedFate::NotConnected, reason));
}

#[test]
fn everything_that_is_not_encrypted_has_a_reason_in_the_whole_space_of_flags() {
    let flags = [
        "",
        "accelerated_networking = false",
        "supported_sku = false",
        "ready = false",
        "discovery = false",
    ];
    for carol in flags {
        for state in ["ready", "not-ready", "failed"] {
            for encryption in [
                "{ enabled = true }",
                "{ enabled = false }",
                "{ enabled = true, enforcement = \"DropUnencrypted\" }",
            ] {
                let text = changed("ready = true", carol)
                    .replace("state = \"ready\"", &format!("state = \"{state}\""))
                    .replace("encryption = { enabled = true }", &format!("encryption = {encryption}"));
                for p in parse(&text).unwrap().plan().pairs {
                    assert_eq!(p.reason.is_none(), p.fate == PlannedFate::Encrypted, "{p:?}");
                    assert!(p.reason.is_none_or(|reason| !reason.is_empty()));
                }
            }
        }
    }
}

#[test]
fn a_scenario_without_vms_has_an_empty_plan() {
    let mut scenario: Scenario = base();
    scenario.vms.clear();
    assert!(scenario.plan().pairs.is_empty());
    assert_ne!(scenario.hosts[1].mac, MacAddress([0; 6]));
}
