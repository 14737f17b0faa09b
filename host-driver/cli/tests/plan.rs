//! `sealnic plan` as a user meets it: output, messages, exit status.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::process::{Command, Output};

fn sealnic(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealnic"))
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"))
        .output()
        .expect("the binary runs")
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("UTF-8")
}

#[test]
fn a_plan_says_what_is_encrypted_and_why_the_rest_is_not() {
    let output = sealnic(&["plan", "office.toml"]);
    assert_eq!(text(&output.stdout), include_str!("data/office.plan.txt"));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_plan_as_json_has_every_ordered_pair() {
    let output = sealnic(&["plan", "office.toml", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(plan["scenario"], "office");
    let pairs = plan["pairs"].as_array().expect("a list");
    assert_eq!(pairs.len(), 12);
    let pair = |from: &str, to: &str| {
        pairs
            .iter()
            .find(|p| p["from"] == from && p["to"] == to)
            .expect("the pair")
    };
    let sealed = pair("bob", "alice");
    assert_eq!((&sealed["code"], &sealed["fate"]), (&"X".into(), &"encrypted".into()));
    assert!(sealed["reason"].is_null());
    let apart = pair("rosa", "bob");
    assert_eq!(apart["fate"], "not-connected");
    assert!(apart["code"].is_null());
    assert_eq!(pair("alice", "bob")["partly_excluded"][0], "backup");
    assert_eq!(plan["exclusions"][0]["port"], 445);
    assert_eq!(plan["enforcement"]["blocked"][0]["code"], "NX_HW_NOT_SUPPORTED");
    assert_eq!(plan["enforcement"]["vnets_without_encryption"][0], "red");
}

#[test]
fn a_wrong_scenario_fails_and_every_problem_is_named_with_its_place() {
    let output = sealnic(&["plan", "broken.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "sealnic: the scenario can't be used:\n\
         broken.toml:4:7: host[0].pa[0]: \"192.0.2.256\" is no IP address; write an address without prefix length\n\
         broken.toml:8:7: vnet[0].vni: is 0; give a number from 1 to 16777215\n\
         broken.toml:13:8: vm[0].host: there is no host \"host-b\"; name one of the file's, such as host-a\n"
    );
}

#[test]
fn a_missing_scenario_fails_and_is_named() {
    let output = sealnic(&["plan", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("nowhere.toml: can't be read: "), "{message}");
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for args in [&["plan"][..], &["plan", "office.toml", "--yaml"], &["paint"], &[]] {
        let output = sealnic(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("Usage: sealnic"), "{args:?}");
    }
    for args in [&["--help"][..], &["plan", "--help"], &["--version"]] {
        let output = sealnic(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(text(&output.stdout).contains("sealnic"), "{args:?}");
    }
}
