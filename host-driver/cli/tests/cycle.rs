//! The cycle model on the command line: `sealnic run --model cycle` and `sealnic bench line-rate`.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-hosts.toml");

fn sealnic(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealnic"))
        .args(args)
        .output()
        .expect("the binary runs")
}

fn done(args: &[&str]) -> Output {
    let output = sealnic(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {errors}");
    output
}

/// An empty folder of the test's own.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("what a former test left can go");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn as_arg(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// How often each flow appears in a flow log with what state and code, and the packets and octets that it ends with. Statistics are
/// summed over a flow's tuples, for time decides how they are cut.
fn flows(path: &Path) -> BTreeMap<String, [u64; 4]> {
    let mut flows = BTreeMap::<String, [u64; 4]>::new();
    let log = json(path);
    for record in log["records"].as_array().expect("records") {
        for flows_of in record["flowRecords"]["flows"].as_array().expect("flows") {
            for group in flows_of["flowGroups"].as_array().expect("groups") {
                for tuple in group["flowTuples"].as_array().expect("tuples") {
                    let fields: Vec<&str> = tuple.as_str().expect("text").split(',').collect();
                    let name = format!("{} {} {}", record["macAddress"], fields[1..7].join(" "), fields[8]);
                    let sums = flows.entry(name).or_default();
                    for (sum, field) in sums.iter_mut().zip(&fields[9..]) {
                        *sum += field.parse::<u64>().expect("a number");
                    }
                }
            }
        }
    }
    flows
}

#[test]
fn a_run_is_done_again_on_the_functional_model_when_asked() {
    let checked = done(&[
        "run",
        SCENARIO,
        "--model",
        "cycle",
        "--check-replay",
        "--loss",
        "0.05",
        "--json",
    ]);
    let summary: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert!(summary["replayed_steps"].as_u64().expect("a number") > 1_000);
    let plain = done(&["run", SCENARIO, "--model", "cycle", "--loss", "0.05", "--json"]);
    let mut plain: Value = serde_json::from_slice(&plain.stdout).expect("JSON");
    assert!(plain.get("replayed_steps").is_none());
    // Recording changes nothing.
    for name in ["run_id", "replayed_steps"] {
        plain[name] = summary[name].clone();
    }
    assert_eq!(plain, summary);
    assert_eq!(sealnic(&["run", SCENARIO, "--check-replay"]).status.code(), Some(2));
}

#[test]
fn what_happens_to_frames_is_the_same_on_both_models() {
    let folder = folder("both-models");
    let runs = ["functional", "cycle"].map(|model| {
        let out = folder.join(model);
        done(&[
            "run",
            SCENARIO,
            "--model",
            model,
            "--frame-fates",
            "--out",
            as_arg(&out),
        ]);
        (json(&out.join("summary.json")), flows(&out.join("flow-log.json")))
    });
    let [(functional, functional_flows), (cycle, cycle_flows)] = &runs;
    for part in ["frames", "drops", "accounting", "hosts", "vms", "wire", "frame_fates"] {
        assert_eq!(functional[part], cycle[part], "{part}");
    }
    assert!(functional_flows.len() > 40);
    assert_eq!(functional_flows, cycle_flows);
    assert_eq!(
        (&functional["model"], &cycle["model"]),
        (&"functional".into(), &"cycle".into())
    );
    assert_eq!(
        (&functional["hardware"], &cycle["hardware"]),
        (&Value::Null, &"100g".into())
    );
    let cycles = json(&folder.join("cycle/cycles.json"));
    for host in ["host-a", "host-b"] {
        let figure = |name: &str| cycles[host][name].as_u64().expect("a number");
        assert_eq!(figure("entered"), figure("left") + figure("ended"));
        assert!(figure("entered") > 390 && figure("held") == 0);
        assert!(figure("active_cycles") > 0 && figure("active_cycles") < figure("cycles"));
    }
    assert!(!folder.join("functional/cycles.json").exists());
}

#[test]
fn the_same_run_takes_the_same_cycles_and_shows_its_inside_on_request() {
    let folder = folder("same-cycles");
    let (wave, trace) = (folder.join("w.fst"), folder.join("t.json"));
    let observed = ["--wave", as_arg(&wave), "--trace", as_arg(&trace)];
    let [first, again, shown] = [("first", &[][..]), ("again", &[]), ("shown", &observed)].map(|(name, more)| {
        let out = folder.join(name);
        let mut args = vec![
            "run",
            SCENARIO,
            "--model",
            "cycle",
            "--hw",
            "entry",
            "--unsafe-fixed-keys",
        ];
        args.extend([
            "--loss",
            "0.02",
            "--reorder",
            "0.1",
            "--seed",
            "3",
            "--out",
            as_arg(&out),
        ]);
        done(&[&args[..], more].concat());
        ["cycles.json", "vm-alice.pcapng", "wire.pcapng"].map(|name| fs::read(out.join(name)).expect("a file"))
    });
    assert!(first == again, "two runs differ");
    assert!(first[2] == shown[2], "who looks on changes what is on the wire");
    assert!(fs::metadata(&wave).expect("a waveform").len() > 1_000);
    assert!(json(&trace)["traceEvents"].as_array().expect("events").len() > 1_000);
}

#[test]
fn cycles_and_flow_log_depend_on_the_seed_and_not_on_the_keys() {
    let folder = folder("same-seed");
    // Each run has keys of its own.
    let [first, again, other] = [("first", "5"), ("again", "5"), ("other", "6")].map(|(name, seed)| {
        let out = folder.join(name);
        done(&[
            "run",
            SCENARIO,
            "--model",
            "cycle",
            "--loss",
            "0.02",
            "--seed",
            seed,
            "--out",
            as_arg(&out),
        ]);
        let file = |name: &str| fs::read(out.join(name)).expect("a file");
        let same = ["cycles.json", "flow-log.json", "vm-alice.pcapng", "vm-bob.pcapng"].map(file);
        (same, file("wire.pcapng"))
    });
    assert!(first.0 == again.0, "time depends on what is secret");
    assert!(first.1 != again.1, "the same keys twice");
    assert!(first.0 != other.0);
}

#[test]
fn options_of_the_cycle_model_are_wrong_usage_without_it() {
    for option in ["--hw", "--wave", "--trace"] {
        let output = sealnic(&["run", SCENARIO, option, "x"]);
        assert_eq!(output.status.code(), Some(2), "{option}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(option) && said.contains("--model cycle"), "{said}");
    }
    let output = sealnic(&["run", SCENARIO, "--model", "cycle", "--hw", "no-such-file"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no-such-file") && said.contains("400g"), "{said}");
}

#[test]
fn a_quick_sweep_fills_the_line_and_leaves_its_files() {
    let out = folder("line-rate");
    let output = done(&["bench", "line-rate", "--quick", "--json", "--out", as_arg(&out)]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report, json(&out.join("line-rate.json")));
    let points = report["points"].as_array().expect("points");
    assert!(points.len() > 12);
    for point in points.iter().filter(|point| point["series"] == "frame_sizes") {
        for direction in point["directions"].as_array().expect("directions") {
            let rate = |name: &str| direction[name]["frames_per_s"].as_f64().expect("a number");
            let share = rate("achieved") / rate("line");
            assert!((0.99..=1.0).contains(&share), "{point}: {share}");
            let latency = |name: &str| direction["latency"][name].as_u64().expect("a number");
            assert!(latency("p50") > 300 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
        }
    }
    let text = |name: &str| fs::read_to_string(out.join(name)).expect("a file");
    assert_eq!(text("line-rate.csv").lines().count(), 1 + 2 * points.len());
    assert!(text("wire-timestamps.csv").lines().count() > 1_000 * points.len());
    assert!(text("line-rate.html").contains("<svg"));
}

#[test]
fn wrong_usage_of_a_sweep_has_a_status_of_its_own() {
    for args in [&["--quick", "--full"][..], &["--seed", "x"], &["more"]] {
        let output = sealnic(&[&["bench", "line-rate"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    assert_eq!(sealnic(&["bench", "--flows", "3", "line-rate"]).status.code(), Some(2));
}
