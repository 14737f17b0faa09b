//! Clients that program and read.

use crate::harness::{Folder, eventually, text};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn every_kind_of_object_is_programmed_read_back_and_removed() {
    let folder = Folder::new();
    let daemon = folder.daemon(&["--device", "model"]);
    // The device-wide configuration is the scenario's business; without one an association has no ends.
    let association = [
        "association",
        "add",
        "9",
        "--local-vni",
        "300",
        "--local-pa",
        "192.0.2.1",
        "--peer-pa",
        "192.0.2.2",
    ];
    let said = daemon.fails(&association);
    assert!(
        said.contains("association 9") && said.contains("device not configured yet"),
        "{said}"
    );
    drop(daemon);

    let daemon = folder.scenario_daemon("host-a");
    let before = daemon.json(&["mapping", "list"]);
    assert_eq!(before.as_array().unwrap().len(), 6);
    daemon.ok(&["vnet", "add", "300", "--encryption", "--enforcement", "DropUnencrypted"]);
    assert_eq!(
        daemon.json(&["vnet", "show", "300"]),
        json!({"vni": 300, "encryption": true, "enforcement": "DropUnencrypted"})
    );
    let port = [
        "port",
        "add",
        "7",
        "--vni",
        "300",
        "--mac",
        "02:00:00:00:00:07",
        "--address",
    ];
    daemon.ok(&[&port[..], &["10.3.0.7"]].concat());
    daemon.ok(&[&port[..], &["10.3.0.8", "--address", "fd00:3::/64"]].concat());
    let shown = daemon.json(&["port", "show", "7"]);
    let mut addresses: Vec<_> = shown["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|a| a.as_str())
        .collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["10.3.0.8/32", "fd00:3::/64"]);
    assert_eq!(shown["up"], true);
    daemon.ok(&[
        "mapping",
        "add",
        "300",
        "10.3.0.0/24",
        "--pa",
        "192.0.2.2",
        "--mac",
        "02:00:00:00:00:09",
    ]);
    let mapping = daemon.json(&["mapping", "show", "300", "10.3.0.0/24"]);
    assert_eq!((&mapping["pa"], &mapping["kind"]), (&json!("192.0.2.2"), &json!("Vm")));
    let cids = ["--local-cid", "0011223344556677", "--peer-cid", "8899aabbccddeeff"];
    daemon.ok(&[&association[..], &cids].concat());
    daemon.ok(&["association", "state", "9", "Failed"]);
    assert_eq!(daemon.json(&["association", "show", "9"])["state"], "Failed");
    daemon.ok(&[
        "exclusion",
        "add",
        "4",
        "--vni",
        "300",
        "--prefix",
        "10.3.0.0/16",
        "--protocol",
        "17",
        "--port",
        "53",
    ]);
    assert_eq!(daemon.json(&["exclusion", "show", "4"])["port"], 53);

    // What a list prints can be given back.
    for kind in ["vnet", "port", "mapping", "association", "exclusion"] {
        let list = daemon.ok(&[kind, "list", "--json"]);
        let file = folder.write("list.json", &list);
        daemon.ok(&[kind, "add", "--input", &file]);
        assert_eq!(daemon.ok(&[kind, "list", "--json"]), list, "{kind}");
        let table = daemon.ok(&[kind, "list"]);
        let objects: serde_json::Value = serde_json::from_str(&list).unwrap();
        assert_eq!(table.lines().count(), objects.as_array().unwrap().len() + 1, "{table}");
    }

    for remove in [
        &["exclusion", "remove", "4"][..],
        &["association", "remove", "9"],
        &["mapping", "remove", "300", "10.3.0.0/24"],
        &["port", "remove", "7"],
        &["vnet", "remove", "300"],
    ] {
        daemon.ok(remove);
        let said = daemon.fails(remove);
        assert!(said.contains("no such object"), "{said}");
    }
    assert_eq!(daemon.json(&["mapping", "list"]), before);
    let said = daemon.fails(&["vnet", "show", "300"]);
    assert!(said.contains("there is no VNet 300"), "{said}");
}

#[test]
fn a_refused_mapping_is_named_by_its_place_in_the_list() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut list: Vec<_> = (0..150)
        .map(|n| json!({"vni": 100, "prefix": format!("10.1.7.{n}"), "pa": "192.0.2.2", "mac": "02:00:00:00:00:09"}))
        .collect();
    list[130] = json!({"vni": 100, "prefix": "10.1.7.130", "capability": "Supported", "kind": "Vm"});
    let file = folder.write("mappings.json", &json!(list).to_string());
    let said = daemon.fails(&["mapping", "add", "--input", &file]);
    assert!(said.contains("mapping 130") && said.contains("10.1.7.130/32"), "{said}");
    assert_eq!(daemon.json(&["mapping", "list"]).as_array().unwrap().len(), 6 + 130);
}

#[test]
fn what_is_wrong_with_a_file_or_an_option_is_said() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let file = folder.write("bad.json", r#"[{"vni": 5, "enforcment": "DropUnencrypted"}]"#);
    let said = daemon.fails(&["vnet", "add", "--input", &file]);
    assert!(said.contains("bad.json") && said.contains("enforcment"), "{said}");
    let said = daemon.fails(&["vnet", "add", "16777216"]);
    assert!(said.contains("VNet 16777216") && said.contains("not allowed"), "{said}");
    for args in [
        &["vnet", "add"][..],
        &["vnet", "add", "5", "--enforcement", "Some"],
        &["port", "add", "5"],
        &["mapping", "add", "5", "10.0.0.1/8"],
        &["flow", "flush", "--port", "1", "--vni", "2"],
        &["stats", "--watch", "0"],
        &["sa", "add", "--key", "00"],
    ] {
        let output = daemon.client(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn without_a_daemon_a_client_says_how_to_start_one() {
    let folder = Folder::new();
    for args in [
        &["stats"][..],
        &["vnet", "list"],
        &["log", "--follow"],
        &["device", "info", "--json"],
    ] {
        let output = folder.sealnic(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(
            said.contains("no daemon answers at") && said.contains("sealnic daemon --device"),
            "{said}"
        );
    }
}

#[test]
fn the_only_daemon_is_found_by_itself_and_of_several_one_is_named() {
    let folder = Folder::new();
    let first = folder.daemon(&["--device", "model", "--name", "first"]);
    let info = folder.sealnic(&["device", "info", "--json"]).output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["pid"], first.pid());
    let second = folder.daemon(&["--device", "model", "--name", "second"]);
    let output = folder.sealnic(&["device", "info"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("first.sock") && said.contains("second.sock"), "{said}");
    let mut command = folder.sealnic(&["device", "info", "--json"]);
    let info = command.env("SEALNIC_SOCKET", &second.socket).output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["pid"], second.pid());
}

#[test]
fn frames_are_stopped_and_let_flow() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    assert_eq!(daemon.json(&["device", "info"])["enabled"], true);
    daemon.ok(&["device", "disable"]);
    assert_eq!(daemon.json(&["device", "info"])["enabled"], false);
    daemon.ok(&["device", "enable"]);
    assert_eq!(daemon.json(&["device", "info"])["enabled"], true);
    assert_eq!(daemon.json(&["flow", "flush"]), json!({"count": 0}));
    assert_eq!(daemon.json(&["flow", "list"]), json!([]));
    assert_eq!(daemon.json(&["stats"])["balanced"], true);
}

#[test]
fn a_follower_sees_events_as_they_come() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut child = daemon
        .command(&["log", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The write SA of the old epoch ends at once.
    daemon.ok(&["sa", "rotate", "0"]);
    let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(event["kind"], "SaRetired");
    drop(daemon);
    // The daemon is gone, and the follower says so instead of waiting for ever.
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn past_events_are_told() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    daemon.ok(&["sa", "rotate", "0"]);
    eventually("the event is in the log", || daemon.ok(&["log"]).contains("SaRetired"));
    assert_eq!(daemon.ok(&["log", "--last", "0"]), "");
}

#[test]
fn a_watcher_whose_reader_goes_ends_in_peace() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    for form in [&["--json"][..], &[]] {
        let mut child = daemon
            .command(&[&["stats", "--watch", "0.01"], form].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_ne!(line, "");
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn objects_are_taken_from_standard_input() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut child = daemon
        .command(&["vnet", "add", "--input", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(br#"{"vni": 301}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(daemon.json(&["vnet", "show", "301"])["encryption"], false);
}
