//! Keys go in once, and never out.

use crate::harness::{Folder, RUN_ID, SCENARIO, text};
use serde_json::Value;

fn sas(list: &Value) -> Vec<(String, u64, String)> {
    let field = |sa: &Value, name: &str| sa[name].as_str().unwrap().to_owned();
    let mut sas: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|sa| {
            (
                field(sa, "direction"),
                sa["epoch"].as_u64().unwrap(),
                field(sa, "phase"),
            )
        })
        .collect();
    sas.sort();
    sas
}

fn sa(direction: &str, epoch: u64, phase: &str) -> (String, u64, String) {
    (direction.to_owned(), epoch, phase.to_owned())
}

#[test]
fn a_rotation_goes_step_by_step_and_none_is_left_out() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let table = || sas(&daemon.json(&["sa", "list"]));
    assert_eq!(table(), [sa("Read", 3, "Installed"), sa("Write", 3, "Active")]);
    let said = daemon.fails(&["sa", "rotate", "0", "--step", "switch"]);
    assert!(said.contains("prepare the rotation first"), "{said}");
    let prepared = [
        sa("Read", 3, "Installed"),
        sa("Read", 4, "Installed"),
        sa("Write", 3, "Active"),
        sa("Write", 4, "Installed"),
    ];
    // Preparing twice is preparing once; a reload leaves a rotation under way alone.
    for _ in 0..2 {
        daemon.ok(&["sa", "rotate", "0", "--step", "prepare"]);
        assert_eq!(table(), prepared);
        daemon.ok(&["device", "reload"]);
        assert_eq!(table(), prepared);
    }
    daemon.ok(&["sa", "rotate", "0", "--step", "switch"]);
    assert_eq!(
        table(),
        [
            sa("Read", 3, "Installed"),
            sa("Read", 4, "Installed"),
            sa("Write", 4, "Active")
        ]
    );
    let said = daemon.fails(&["sa", "rotate", "0", "--step", "prepare"]);
    assert!(said.contains("finish that rotation first"), "{said}");
    daemon.ok(&["sa", "rotate", "0", "--step", "finish"]);
    assert_eq!(table()[0], sa("Read", 3, "Retiring"));
    let said = daemon.fails(&["sa", "rotate", "5"]);
    assert!(said.contains("association 5"), "{said}");
}

#[test]
fn both_daemons_of_a_scenario_agree_and_neither_says_a_key() {
    let folder = Folder::new();
    let [a, b] = ["host-a", "host-b"].map(|host| folder.scenario_daemon(host));
    let association = |daemon: &crate::harness::Daemon<'_>| daemon.json(&["association", "show", "0"]);
    let (at_a, at_b) = (association(&a), association(&b));
    assert_eq!(at_a["local_cid"], at_b["peer_cid"]);
    assert_eq!(at_a["peer_cid"], at_b["local_cid"]);
    assert_eq!(at_a["local_cid"].as_str().unwrap().len(), 16);

    // The keys themselves, derived here as the daemons do.
    let scenario = sealnic_sim::Scenario::parse(SCENARIO, std::path::Path::new("scenario.toml")).unwrap();
    let mut run_id = [0; 16];
    for (octet, at) in run_id.iter_mut().zip((0..32).step_by(2)) {
        *octet = u8::from_str_radix(&RUN_ID[at..at + 2], 16).unwrap();
    }
    let end = scenario.end(0, &sealnic_driver::RunId::from_octets(run_id));
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let mut secrets = Vec::new();
    for direction in [
        sealnic_abi::object::Direction::Read,
        sealnic_abi::object::Direction::Write,
    ] {
        let keys = end.keys(0, direction, 3).unwrap();
        secrets.extend([hex(keys.expose_key()), hex(keys.expose_sn_key())]);
        secrets.push(format!("{:?}", keys.expose_key()).trim_matches(['[', ']']).to_owned());
    }
    let heard = [
        a.said(),
        b.said(),
        a.ok(&["sa", "list", "--json"]),
        a.ok(&["device", "info"]),
    ]
    .join("\n");
    assert!(heard.contains("keys installed"));
    for secret in &secrets {
        assert!(!heard.contains(secret.as_str()));
    }
    let mut state = Vec::new();
    for entry in std::fs::read_dir(folder.path("state/sealnic/runs")).unwrap() {
        state.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert_eq!(state.len(), 2);
    assert!(
        secrets
            .iter()
            .all(|secret| !state.iter().any(|text| text.contains(&secret[..16])))
    );
}

#[test]
fn keys_of_a_handshake_are_installed_once_and_never_said() {
    const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee77";
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let spec = |sa: u32, key: &str| {
        let iv = "00112233445566778899aabb";
        format!(
            "{{\n \"sa\": {sa}, \"association\": 0, \"direction\": \"Read\", \"epoch\": 5,\n \"key\": \"{key}\",\n \"iv\": \"{iv}\", \"sn_key\": \"{KEY}\"}}"
        )
    };
    let file = folder.write("sa.json", &spec(77, KEY));
    daemon.ok(&["sa", "add", "--input", &file]);
    assert_eq!(daemon.json(&["sa", "show", "77"])["epoch"], 5);
    daemon.ok(&["sa", "remove", "77"]);
    let said = [
        daemon.fails(&["sa", "add", "--input", &file]),
        daemon.fails(&[
            "sa",
            "add",
            "--input",
            &folder.write("short.json", &spec(78, &KEY[..62])),
        ]),
        daemon.fails(&["sa", "add", "--input", &folder.write("odd.json", &spec(78, "c0ffee0"))]),
        daemon.fails(&[
            "sa",
            "add",
            "--input",
            &folder.write("torn.json", &spec(78, KEY)[..100]),
        ]),
    ];
    assert!(said[0].contains("this key has been installed before"), "{}", said[0]);
    assert!(said[1].contains("key has 31 octets"), "{}", said[1]);
    // By hand, past what the client checks.
    let line = spec(78, "c0ffee0").replace('\n', " ");
    let answer = daemon
        .connect()
        .ask(&format!(r#"{{"v":1,"op":"sa-add","args":{line}}}"#));
    assert_eq!(answer["error"]["kind"], "bad-request");
    let heard = format!("{}{answer}{}", said.join("\n"), daemon.said());
    assert!(!heard.contains("c0ffee"), "a key was said");
}

#[test]
fn keys_of_a_run_serve_one_life_of_a_device() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let generation = daemon.json(&["device", "info"])["generation"].clone();
    let reset = daemon.json(&["device", "reset"]);
    assert!(
        reset["problem"]
            .as_str()
            .unwrap()
            .contains("give both ends a new run id"),
        "{reset}"
    );
    let info = daemon.json(&["device", "info"]);
    assert_ne!(info["generation"], generation);
    assert!(info["desired"]["problem"].as_str().unwrap().contains(RUN_ID));
    // The policy is back, and fails closed: no keys.
    assert_eq!(daemon.json(&["vnet", "show", "100"])["enforcement"], "DropUnencrypted");
    assert_eq!(daemon.json(&["sa", "list"]), serde_json::json!([]));
    assert!(
        daemon
            .fails(&["device", "reload"])
            .contains("give both ends a new run id")
    );
    assert!(
        daemon
            .fails(&["sa", "rotate", "0"])
            .contains("give both ends a new run id")
    );
    drop(daemon);
    // A model in the daemon's process dies with it: the next one is another life, too.
    let daemon = folder.scenario_daemon("host-a");
    assert!(daemon.json(&["device", "info"])["desired"]["problem"].is_string());
    assert_eq!(daemon.json(&["sa", "list"]), serde_json::json!([]));
}

#[test]
fn a_new_run_id_in_the_file_brings_new_keys_at_a_reload() {
    let folder = Folder::new();
    let scenario = folder.write("scenario.toml", SCENARIO);
    let file = folder.text("run-id");
    let args = [
        "--device",
        "model",
        "--scenario",
        &scenario,
        "--host",
        "host-a",
        "--run-id-file",
        &file,
    ];
    let daemon = folder.daemon(&args);
    let first = std::fs::read_to_string(&file).unwrap();
    assert_eq!(daemon.json(&["device", "info"])["desired"]["run_id"], first.trim());
    let cid = daemon.json(&["association", "show", "0"])["local_cid"].clone();
    daemon.ok(&["device", "reset"]);
    std::fs::remove_file(&file).unwrap();
    let done = daemon.json(&["device", "reload"]);
    assert_eq!(done["installed"], 2, "{done}");
    assert_ne!(std::fs::read_to_string(&file).unwrap(), first);
    assert_ne!(daemon.json(&["association", "show", "0"])["local_cid"], cid);
    assert!(daemon.json(&["device", "info"])["desired"].get("problem").is_none());
    // The first run again, as if restored from a backup: refused.
    std::fs::write(&file, &first).unwrap();
    assert!(daemon.fails(&["device", "reload"]).contains("another life"));
}

#[test]
fn a_scenario_needs_a_run_id_and_a_good_one() {
    let folder = Folder::new();
    let scenario = folder.write("scenario.toml", SCENARIO);
    let base = [
        "daemon",
        "--device",
        "model",
        "--scenario",
        &scenario,
        "--host",
        "host-a",
    ];
    let zeros = "0".repeat(32);
    for more in [
        &[][..],
        &["--run-id", "abc"],
        &["--run-id", &zeros],
        &["--run-id", RUN_ID, "--run-id-file", "x"],
    ] {
        let output = folder.sealnic(&[&base, more].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", text(&output.stderr));
    }
}
