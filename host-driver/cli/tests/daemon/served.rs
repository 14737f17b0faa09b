//! Daemons of NICs that somebody else serves, and that go on without them.

use crate::harness::eventually;
use crate::rig::{Rig, RunNumber};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[test]
fn flows_and_events_are_shown_and_end_in_the_flow_log() {
    let rig = Rig::new(RunNumber::new(100));
    let _peer = rig.daemon(1, None).unwrap();
    let logs = rig.folder().text("flow-log");
    let mut daemon = rig.daemon_with(0, &["--flow-log", &logs]);
    rig.check_forwarding();
    eventually("both directions are in the log", || {
        daemon.ok(&["log"]).matches("FlowBegin").count() == 2
    });
    let flows = daemon.json(&["flow", "show", "10.1.0.4", "10.1.0.5"]);
    assert_eq!(flows.as_array().unwrap().len(), 2, "{flows}");
    assert!(
        flows
            .as_array()
            .unwrap()
            .iter()
            .all(|flow| flow["code"] == "X" && flow["packets"] == 2),
        "{flows}"
    );
    assert_eq!(daemon.json(&["flow", "list", "--port", "9"]), serde_json::json!([]));
    let stats = daemon.json(&["stats"]);
    assert_eq!(
        (&stats["counters"]["WireSealed"], &stats["balanced"]),
        (&2.into(), &true.into()),
        "{stats}"
    );
    assert_eq!(daemon.json(&["flow", "flush"])["count"], 2);
    eventually("the flows have ended", || {
        daemon.ok(&["log"]).matches("FlowEnd").count() == 2
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    let text = std::fs::read_to_string(rig.folder().path("flow-log/flow-log.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The test may run over the end of a minute.
    assert!(!records.is_empty() && records.len() <= 2, "{text}");
    assert!(
        records
            .iter()
            .all(|record| record["macAddress"] == "000D3A000001" && record["flowLogVersion"] == 4)
    );
    let tuple = "10.1.0.4,10.1.0.5,12345,12346,17,O,E,X,2,92,2,92";
    assert!(text.contains(tuple), "{text}");
}

#[test]
fn a_device_has_one_daemon_whatever_its_socket_is_called() {
    let rig = Rig::new(RunNumber::new(101));
    let first = rig.daemon(0, None).unwrap();
    let said = rig
        .folder()
        .try_daemon(&["--device", &rig.device(0), "--name", "other"])
        .err()
        .unwrap();
    let expected = format!("belongs to another process ({})", first.pid());
    assert!(said.contains(&expected) && said.contains("a.nic"), "{said}");
    assert_eq!(first.json(&["device", "info"])["enabled"], true);
}

#[test]
fn a_daemon_that_stops_leaves_the_nic_forwarding_and_the_next_one_finds_all_in_place() {
    let rig = Rig::new(RunNumber::new(102));
    let _peer = rig.daemon(1, None).unwrap();
    let mut daemon = rig.daemon(0, None).unwrap();
    rig.check_forwarding();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    rig.check_forwarding();
    let daemon = rig.daemon(0, None).unwrap();
    assert!(!daemon.said().contains("keys installed"));
    rig.check_state(&daemon);
    let done = daemon.json(&["device", "reload"]);
    assert_eq!(
        (&done["added"], &done["changed"], &done["installed"]),
        (&0.into(), &0.into(), &0.into())
    );
    rig.check_forwarding();
}

#[test]
fn a_device_that_goes_and_comes_back_is_programmed_again_but_its_keys() {
    let rig = Rig::new(RunNumber::new(103));
    let daemon = rig.daemon(0, None).unwrap();
    rig.switch_off();
    eventually("the daemon notices", || {
        !daemon.client(&["device", "info"]).status.success()
    });
    let said = daemon.fails(&["vnet", "list"]);
    assert!(
        said.contains("can't be reached") && said.contains("goes on trying"),
        "{said}"
    );
    rig.serve();
    eventually("the device is back", || {
        daemon.client(&["device", "info"]).status.success()
    });
    // Another life of the device: the policy is there, and the run's keys are not.
    let info = daemon.json(&["device", "info"]);
    assert!(
        info["desired"]["problem"].as_str().unwrap().contains("another life"),
        "{info}"
    );
    assert_eq!(daemon.json(&["vnet", "show", "100"])["enforcement"], "DropUnencrypted");
    assert_eq!(daemon.json(&["sa", "list"]), serde_json::json!([]));
}

#[test]
fn a_device_that_is_reset_behind_the_daemons_back_is_programmed_again_but_its_keys() {
    let rig = Rig::new(RunNumber::new(104));
    let peer = rig.daemon(1, None).unwrap();
    let daemon = rig.daemon(0, None).unwrap();
    rig.check_forwarding();
    rig.reset(0);
    eventually("the daemon notices", || {
        let info = daemon.json(&["device", "info"]);
        info["desired"]["problem"]
            .as_str()
            .is_some_and(|problem| problem.contains("another life"))
    });
    assert_eq!(daemon.json(&["vnet", "show", "100"])["enforcement"], "DropUnencrypted");
    assert_eq!(daemon.json(&["sa", "list"]), serde_json::json!([]));
    // Nothing is forwarded, and nothing leaves in the clear.
    rig.send_both_ways();
    assert_eq!(daemon.json(&["stats"])["counters"]["WireClear"], 0);
    drop((daemon, peer));
}

#[test]
fn the_host_stands_in_for_a_vm_by_way_of_its_daemon() {
    let rig = Rig::new(RunNumber::new(105));
    let _peer = rig.daemon(1, None).unwrap();
    let daemon = rig.daemon(0, None).unwrap();
    let mut port = daemon.json(&["port", "show", "0"]);
    port["representor"] = true.into();
    let input = rig.folder().write("port.json", &port.to_string());
    daemon.ok(&["port", "add", "--input", &input]);
    assert_eq!(daemon.json(&["port", "show", "0"]), port);
    let hex = |frame: &[u8]| frame.iter().map(|octet| format!("{octet:02x}")).collect::<String>();

    let out = rig.frame(0);
    assert_eq!(daemon.json(&["frame", "send", "0", &hex(&out)]), json!({ "count": 1 }));
    eventually("what was sent in the VM's place arrives", || {
        rig.vm(1).has_received(&out)
    });
    // A port that is no representor's has its own VM, and the device refuses to take another's word.
    daemon.ok(&["frame", "send", "9", &hex(&out)]);
    assert_eq!(daemon.json(&["stats"])["drops"]["HostRefused"], 1);

    let mut follower = daemon.connect();
    follower.send(b"{\"v\":1,\"op\":\"frame-follow\"}\n");
    assert_eq!(follower.line().unwrap()["more"], json!([]));
    let back = rig.frame(1);
    rig.vm(1).send(back.clone());
    let expected = json!([{ "kind": "ForVm", "port": 0, "frame": hex(&back) }]);
    assert_eq!(follower.line().unwrap()["more"], expected);

    let mut printed = daemon
        .command(&["frame", "follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(printed.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        out.lines()
            .try_for_each(|line| sender.send(line.unwrap()).map_err(drop))
    });
    // It prints what comes from when it is there on.
    let line = (0..200).find_map(|_| {
        rig.vm(1).send(back.clone());
        lines.recv_timeout(Duration::from_millis(100)).ok()
    });
    assert_eq!(line.unwrap(), format!("ForVm         port 0 {}", hex(&back)));
    printed.kill().unwrap();
    printed.wait().unwrap();
    drop(lines);
    reader.join().unwrap().unwrap_or_default();
    let stats = daemon.json(&["stats"]);
    assert_eq!(
        (&stats["counters"]["WireClear"], &stats["balanced"]),
        (&0.into(), &true.into())
    );
}

#[test]
fn interrupts_tell_of_events_and_a_device_with_nothing_to_say_is_left_alone() {
    let rig = Rig::new(RunNumber::new(106));
    let _peer = rig.daemon(1, None).unwrap();
    // Polling would find each event after seconds.
    let daemon = rig.daemon_with(0, &["--poll", "10000"]);
    let mut follower = daemon.connect();
    follower.send(b"{\"v\":1,\"op\":\"log\",\"args\":{\"last\":0,\"follow\":true}}\n");
    let mut expect = |kind: &str| {
        let is_it = |event: &Value| event["kind"] == kind;
        while !follower.line().unwrap()["more"].as_array().unwrap().iter().any(is_it) {}
    };
    let mut waited = Duration::ZERO;
    for _ in 0..8 {
        rig.vm(0).send(rig.frame(0));
        let sent = Instant::now();
        expect("FlowBegin");
        waited += sent.elapsed();
        daemon.ok(&["flow", "flush"]);
        expect("FlowEnd");
    }
    // A look a second, which there is in any case, would take eight.
    assert!(waited < Duration::from_secs(5), "eight events took {waited:?}");

    // Once it has said all of that.
    std::thread::sleep(Duration::from_millis(300));
    let before = rig.vm(0).register_reads();
    std::thread::sleep(Duration::from_secs(3));
    let reads = rig.vm(0).register_reads() - before;
    // The event ring's status and index, once a second.
    assert!(reads <= 8, "{reads} registers were read in three idle seconds");
}
