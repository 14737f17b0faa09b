//! How daemons begin, reload and end.

use crate::harness::{Folder, RUN_ID, SCENARIO, eventually, text};
use rustix::process::Signal;

#[test]
fn a_daemon_that_is_told_to_stop_gives_its_socket_back() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let mut daemon = folder.scenario_daemon("host-a");
        // A client that is connected and says nothing, and one that follows: neither holds the daemon up.
        let silent = daemon.connect();
        let mut follower = daemon.connect();
        follower.send(b"{\"v\":1,\"op\":\"log\",\"args\":{\"follow\":true}}\n");
        daemon.signal(signal);
        assert_eq!(daemon.wait(), Some(0), "{}", daemon.said());
        assert!(!daemon.socket.exists());
        // The device was in its process.
        let said = daemon.said();
        assert!(said.contains("it ends with this process"), "{said}");
        drop((silent, follower));
    }
}

#[test]
fn a_second_daemon_on_a_socket_is_turned_away_and_a_dead_ones_socket_is_taken_over() {
    let folder = Folder::new();
    let first = folder.daemon(&["--device", "model"]);
    let said = folder.try_daemon(&["--device", "model"]).err().unwrap();
    let expected = format!("belongs to another process ({})", first.pid());
    assert!(said.contains(&expected) && said.contains("exit status: 1"), "{said}");
    first.ok(&["stats"]);
    let socket = first.socket.clone();
    first.signal(Signal::KILL);
    let mut first = first;
    assert_eq!(first.wait(), None);
    assert!(socket.exists());
    let second = folder.daemon(&["--device", "model"]);
    assert_eq!(second.socket, socket);
    second.ok(&["stats"]);
}

#[test]
fn a_daemon_that_cannot_begin_says_why() {
    let folder = Folder::new();
    let scenario = folder.write("scenario.toml", SCENARIO);
    let broken = folder.write("broken.toml", &SCENARIO.replace("vni = 100", "vni = 0"));
    let precious = folder.write("precious", "x");
    let run = ["--run-id", RUN_ID];
    let with = |file: &str, host: &str| -> Vec<String> {
        let args = ["--device", "model", "--scenario", file, "--host", host];
        args.iter().chain(&run).map(|arg| (*arg).to_owned()).collect()
    };
    for (args, said) in [
        (
            with(&scenario, "host-x"),
            "has no host \"host-x\"; it has host-a, host-b",
        ),
        (with(&broken, "host-a"), "broken.toml:29:7: vnet[0].vni"),
        (with("/nowhere.toml", "host-a"), "/nowhere.toml"),
        (
            vec!["--device".into(), "vfio-user:/nowhere.sock".into()],
            "/nowhere.sock",
        ),
        (
            vec!["--device".into(), "model".into(), "--socket".into(), precious.clone()],
            "no socket",
        ),
        (
            vec!["--device".into(), "model".into(), "--flow-log".into(), precious.clone()],
            "flow log can't be opened",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let heard = folder.try_daemon(&args).err().expect("no daemon");
        assert!(
            heard.contains(said) && heard.contains("exit status: 1"),
            "{args:?}: {heard}"
        );
    }
    let output = folder.sealnic(&["daemon", "--device", "modem"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("vfio-user:PATH"));
}

#[test]
fn a_reload_programs_what_changed_and_an_invalid_scenario_changes_nothing() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mtu = |daemon: &crate::harness::Daemon<'_>| daemon.json(&["port", "show", "0"])["mtu"].clone();
    assert_eq!(mtu(&daemon), 1500);
    let changed = SCENARIO.replacen(
        "mac = \"00:0d:3a:00:00:01\"",
        "mac = \"00:0d:3a:00:00:01\"\nmtu = 1400",
        1,
    );
    assert_ne!(changed, SCENARIO);
    folder.write("scenario.toml", &changed);
    daemon.signal(Signal::HUP);
    eventually("the new MTU is programmed", || mtu(&daemon) == 1400);
    // Keys in use stay in use.
    assert_eq!(daemon.json(&["sa", "list"]).as_array().unwrap().len(), 2);

    let everything = |daemon: &crate::harness::Daemon<'_>| {
        ["vnet", "port", "mapping", "association", "sa", "exclusion"].map(|kind| daemon.ok(&[kind, "list", "--json"]))
    };
    let before = everything(&daemon);
    folder.write("scenario.toml", &SCENARIO.replace("vni = 100", "vni = 16777216"));
    let said = daemon.fails(&["device", "reload"]);
    assert!(
        said.contains("scenario.toml:29:7: vnet[0].vni") && said.contains("everything stays as it was"),
        "{said}"
    );
    let problem = daemon.json(&["device", "info"])["desired"]["problem"].clone();
    assert!(problem.as_str().unwrap().contains("vnet[0].vni"), "{problem}");
    daemon.signal(Signal::HUP);
    eventually("the second attempt is in the log", || {
        daemon.said().matches("vnet[0].vni").count() >= 1
    });
    assert_eq!(everything(&daemon), before);

    // Another configuration of the whole device can't be had without a reset, and does no harm either.
    folder.write(
        "scenario.toml",
        &changed.replacen("underlay_mtu = 1700", "underlay_mtu = 1800", 1),
    );
    let said = daemon.fails(&["device", "reload"]);
    assert!(said.contains("Configure"), "{said}");
    assert_eq!(everything(&daemon), before);

    folder.write("scenario.toml", &changed);
    daemon.ok(&["device", "reload"]);
    assert!(daemon.json(&["device", "info"])["desired"].get("problem").is_none());
    assert_eq!(everything(&daemon), before);
}

#[test]
fn what_a_client_changed_is_put_right_by_a_reload() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let before = daemon.json(&["mapping", "list"]);
    daemon.ok(&["mapping", "remove", "100", "10.1.0.5/32"]);
    daemon.ok(&["vnet", "add", "300"]);
    daemon.ok(&["vnet", "add", "100"]);
    let done = daemon.json(&["device", "reload"]);
    assert_eq!(
        (&done["added"], &done["changed"], &done["removed"]),
        (&1.into(), &1.into(), &1.into()),
        "{done}"
    );
    assert_eq!(daemon.json(&["vnet", "show", "100"])["enforcement"], "DropUnencrypted");
    let sorted = |list: &serde_json::Value| {
        let mut all: Vec<String> = list.as_array().unwrap().iter().map(ToString::to_string).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&daemon.json(&["mapping", "list"])), sorted(&before));
}

#[test]
fn without_a_scenario_there_is_nothing_to_reload() {
    let folder = Folder::new();
    let daemon = folder.daemon(&["--device", "model"]);
    assert!(daemon.fails(&["device", "reload"]).contains("--scenario"));
    daemon.signal(Signal::HUP);
    daemon.ok(&["stats"]);
}

#[test]
fn the_cycle_model_is_owned_like_any_other_device() {
    let folder = Folder::new();
    let scenario = folder.write("scenario.toml", SCENARIO);
    let args = [
        "--device",
        "model:cycle",
        "--scenario",
        &scenario,
        "--host",
        "host-a",
        "--run-id",
        RUN_ID,
    ];
    let daemon = folder.daemon(&args);
    assert_eq!(daemon.json(&["device", "info"])["device"], "model:cycle");
    assert_eq!(daemon.json(&["mapping", "list"]).as_array().unwrap().len(), 6);
    assert_eq!(daemon.json(&["sa", "list"]).as_array().unwrap().len(), 2);
    let time = |daemon: &crate::harness::Daemon<'_>| daemon.json(&["device", "info"])["time_ns"].as_u64().unwrap();
    let before = time(&daemon);
    eventually("its time passes", || time(&daemon) > before);
    assert_eq!(daemon.json(&["stats"])["balanced"], true);
}
