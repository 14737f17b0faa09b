//! `sealnic selftest` as a user meets it.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::process::{Command, Output};

fn sealnic(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealnic"))
        .args(args)
        .output()
        .expect("the binary runs")
}

#[test]
fn every_known_answer_test_of_the_device_runs_and_passes() {
    let output = sealnic(&["selftest", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let outcomes: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let outcomes = outcomes.as_array().expect("a list");
    assert!(outcomes.len() >= 4, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| outcome["passed"] == true), "{outcomes:?}");

    let output = sealnic(&["selftest"]);
    assert_eq!(output.status.code(), Some(0));
    let said = std::str::from_utf8(&output.stdout).expect("UTF-8");
    assert_eq!(said.lines().count(), outcomes.len());
    for (line, outcome) in said.lines().zip(outcomes) {
        let name = outcome["test"].as_str().expect("a name");
        assert!(line.starts_with(name) && line.ends_with(" passed"), "{line}");
    }
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    let output = sealnic(&["selftest", "twice"]);
    assert_eq!(output.status.code(), Some(2));
}
