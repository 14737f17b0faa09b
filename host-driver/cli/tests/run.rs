//! `sealnic run` as a user meets it: files, output, messages, exit status.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-hosts.toml");

fn sealnic(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealnic"))
        .args(args)
        .output()
        .expect("the binary runs")
}

/// A run that must succeed.
fn run(args: &[&str]) -> Output {
    let output = sealnic(&[&["run", SCENARIO], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("UTF-8")
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

/// The packets of a capture: octets, and the comment that says which frame it is.
fn packets(path: &Path) -> Vec<(Vec<u8>, Option<String>)> {
    let mut reader = PcapNgReader::new(fs::File::open(path).expect("a capture")).expect("pcapng");
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a good block") {
            let comment = packet.options.iter().find_map(|option| match option {
                pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption::Comment(comment) => {
                    Some(comment.to_string())
                }
                _ => None,
            });
            packets.push((packet.data.to_vec(), comment));
        }
    }
    packets
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_run_leaves_captures_a_flow_log_and_a_summary_that_agree() {
    let out = folder("outputs");
    let output = run(&["--out", as_arg(&out)]);
    assert_eq!(text(&output.stderr), "");
    assert!(
        text(&output.stdout).contains(" 0 held: balanced\n"),
        "{}",
        text(&output.stdout)
    );
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["wire"]["datagrams"], packets(&out.join("wire.pcapng")).len());
    let mut frames = 0;
    for vm in ["alice", "bob"] {
        let received = packets(&out.join(format!("vm-{vm}.pcapng")));
        assert_eq!(summary["vms"][vm]["received"], received.len());
        for (_, comment) in &received {
            let comment = comment.as_deref().expect("a comment");
            frames += usize::from(comment.starts_with("frame "));
            assert!(comment.starts_with("frame ") || comment == "generated", "{comment}");
        }
    }
    assert_eq!(summary["frames"]["delivered"], frames);
    assert!(frames > 300, "{frames}");
    let log = json(&out.join("flow-log.json"));
    let records = log["records"].as_array().expect("records");
    let groups = records.iter().flat_map(|record| {
        assert_eq!(record["flowLogVersion"], 4);
        let flows = record["flowRecords"]["flows"].as_array().expect("flows");
        flows
            .iter()
            .flat_map(|flow| flow["flowGroups"].as_array().expect("groups"))
    });
    let tuples: Vec<&str> = groups
        .flat_map(|group| group["flowTuples"].as_array().expect("tuples"))
        .map(|tuple| tuple.as_str().expect("text"))
        .collect();
    assert_eq!(summary["flow_log_tuples"], tuples.len());
    assert!(
        tuples
            .iter()
            .all(|tuple| tuple.split(',').count() == 13 && tuple.contains(",X,")),
        "{tuples:?}"
    );
    let mut names: Vec<String> = fs::read_dir(&out)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let wanted = [
        "flow-log.json",
        "summary.json",
        "vm-alice.pcapng",
        "vm-bob.pcapng",
        "wire.pcapng",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn json_on_standard_output_is_the_summary() {
    let out = folder("json");
    let output = run(&["--json", "--frame-fates", "--out", as_arg(&out)]);
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed, json(&out.join("summary.json")));
    let fates = printed["frame_fates"].as_array().expect("fates");
    assert_eq!(printed["frames"]["capture"], fates.len());
    for fate in [
        "sealed",
        "clear",
        "local",
        "consumed",
        "host",
        "dropped",
        "lost",
        "not_in_scenario",
    ] {
        let count = fates.iter().filter(|entry| entry["fate"] == fate).count();
        assert_eq!(printed["frames"][fate], count, "{fate}");
    }
}

#[test]
fn what_cannot_be_run_fails_and_names_what_is_wrong() {
    let folder = folder("failures");
    let (idle, file) = (folder.join("idle.toml"), folder.join("file"));
    let scenario = fs::read_to_string(SCENARIO).expect("the example");
    let (without_traffic, _) = scenario.split_once("\n[traffic]").expect("traffic");
    fs::write(&idle, without_traffic).expect("written");
    fs::write(&file, "not a capture").expect("written");
    for (args, message) in [
        (&["nowhere.toml"][..], "nowhere.toml: can't be read: "),
        (&[as_arg(&idle)], "has no traffic: add a [traffic] table"),
        (&[SCENARIO, "--capture", "nowhere.pcap"], "nowhere.pcap"),
        (&[SCENARIO, "--capture", as_arg(&file)], as_arg(&file)),
        (&[SCENARIO, "--out", as_arg(&file)], as_arg(&file)),
        (&[SCENARIO, "--unsafe-write-keys", as_arg(&folder)], as_arg(&folder)),
    ] {
        let output = sealnic(&[&["run"], args].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(said.contains("sealnic: ") && said.contains(message), "{args:?}: {said}");
    }
}

#[test]
fn outputs_that_do_not_fit_on_the_disk_fail_the_run_by_name_and_cause() {
    let folder = folder("full-disk");
    let files = [
        "summary.json",
        "flow-log.json",
        "cycles.json",
        "wire.pcapng",
        "vm-bob.pcapng",
    ];
    for name in files {
        let out = folder.join(name);
        fs::create_dir(&out).expect("a folder");
        // Written to it is only as a disk without room: nothing of it can change.
        std::os::unix::fs::symlink("/dev/full", out.join(name)).expect("a link");
        let output = sealnic(&["run", SCENARIO, "--model", "cycle", "--out", as_arg(&out)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(
            said.contains(as_arg(&out.join(name))) && said.contains("No space left on device"),
            "{name}: {said}"
        );
        assert_eq!(text(&output.stdout), "", "{name}");
    }
    for (option, name) in [("--wave", "a.fst"), ("--trace", "a.json")] {
        let path = folder.join(name);
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        let output = sealnic(&["run", SCENARIO, "--model", "cycle", option, as_arg(&path)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{option}: {said}");
        assert!(said.contains("No space left on device"), "{option}: {said}");
    }
}

#[test]
fn outputs_that_would_overwrite_an_input_or_each_other_are_refused_untouched() {
    let folder = folder("collisions");
    let (out, capture) = (folder.join("out"), folder.join("out/vm-bob.pcapng"));
    fs::create_dir(&out).expect("a folder");
    let example = Path::new(SCENARIO).with_file_name("captures/two-hosts.pcapng");
    fs::copy(example, &capture).expect("a copy");
    let before = fs::read(&capture).expect("the copy");
    let (out, capture) = (as_arg(&out), as_arg(&capture));
    let same = folder.join("same");
    let (same, keys) = (as_arg(&same), folder.join("out/wire.pcapng"));
    for (args, first, second) in [
        (
            &["--out", out, "--capture", capture][..],
            "the capture",
            "the output vm-bob.pcapng",
        ),
        (
            &["--wave", capture, "--capture", capture],
            "the capture",
            "the waveform",
        ),
        (&["--wave", same, "--trace", same], "the waveform", "the trace"),
        (
            &["--out", out, "--unsafe-write-keys", as_arg(&keys)],
            "the output wire.pcapng",
            "the key file",
        ),
        (&["--trace", SCENARIO], SCENARIO, "the trace"),
    ] {
        let output = sealnic(&[&["run", SCENARIO, "--model", "cycle"], args].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains(&format!("{first} and {second} are the same file, ")),
            "{args:?}: {said}"
        );
        assert!(!Path::new(same).exists() && !keys.exists(), "{args:?}");
        assert_eq!(fs::read(capture).expect("the capture"), before, "{args:?}");
        assert_eq!(fs::read_dir(out).expect("the folder").count(), 1, "{args:?}");
    }
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for args in [
        &[][..],
        &[SCENARIO, "--loss", "2"],
        &[SCENARIO, "--corrupt", "much"],
        &[SCENARIO, "--model", "clay"],
        &[SCENARIO, "--seed", "-1"],
        &[SCENARIO, SCENARIO],
    ] {
        let output = sealnic(&[&["run"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn the_key_file_is_private_and_announced() {
    let keys = folder("key-file").join("keys.json");
    // One that lay there, open to all, is replaced.
    fs::write(&keys, "{}").expect("written");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("permissions");
    let output = run(&["--unsafe-write-keys", as_arg(&keys)]);
    let said = text(&output.stderr);
    assert!(said.contains("warning") && said.contains(as_arg(&keys)), "{said}");
    let mode = fs::metadata(&keys).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let keys = json(&keys);
    assert_eq!(keys["associations"].as_array().expect("directions").len(), 2);
    assert!(keys["warning"].as_str().is_some_and(|warning| !warning.is_empty()));
}

#[test]
fn keys_are_in_no_other_output() {
    let folder = folder("secrecy");
    let (out, keys) = (folder.join("out"), folder.join("keys.json"));
    let output = run(&[
        "--out",
        as_arg(&out),
        "--unsafe-write-keys",
        as_arg(&keys),
        "--json",
        "--frame-fates",
    ]);
    let mut places = vec![output.stdout, output.stderr];
    places.extend(
        fs::read_dir(&out)
            .expect("the folder")
            .map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")),
    );
    assert_eq!(places.len(), 7);
    let keys = json(&keys);
    let mut secrets = 0;
    for direction in keys["associations"].as_array().expect("directions") {
        for name in ["key", "iv", "sn_key"] {
            let hexadecimal = direction[name].as_str().expect("text");
            let octets: Vec<u8> = (0..hexadecimal.len() / 2)
                .map(|n| u8::from_str_radix(&hexadecimal[n * 2..n * 2 + 2], 16).expect("hexadecimal"))
                .collect();
            assert!(octets.len() >= 12 && hex(&octets) == hexadecimal, "{name}");
            let backwards: Vec<u8> = octets.iter().rev().copied().collect();
            for place in &places {
                // Half of a secret would be too much as well.
                for secret in [&octets[..8], &backwards[..8], &hexadecimal.as_bytes()[..16]] {
                    assert!(!contains(place, secret), "{name}");
                }
                assert!(!contains(place, hexadecimal[..16].to_uppercase().as_bytes()), "{name}");
            }
            secrets += 1;
        }
    }
    assert_eq!(secrets, 6);
}

#[test]
fn only_fixed_keys_repeat_the_octets_of_a_run() {
    let folder = folder("fixed");
    let wire = |name: &str, args: &[&str]| {
        let out = folder.join(name);
        let output = run(&[args, &["--out", as_arg(&out)]].concat());
        let warned = text(&output.stderr).contains("warning: the same keys");
        assert_eq!(warned, args.contains(&"--unsafe-fixed-keys"));
        fs::read(out.join("wire.pcapng")).expect("the capture")
    };
    let fixed = wire("fixed", &["--unsafe-fixed-keys"]);
    assert!(fixed == wire("fixed-again", &["--unsafe-fixed-keys"]));
    let fresh = wire("fresh", &[]);
    assert_eq!(fresh.len(), fixed.len());
    assert!(fresh != fixed);
    assert!(fresh != wire("fresh-again", &[]));
}

#[test]
fn an_impaired_wire_does_the_same_for_the_same_seed() {
    let summary = |seed: &str| -> Value {
        let rates = [
            "--loss",
            "0.1",
            "--reorder",
            "0.1",
            "--duplicate",
            "0.1",
            "--corrupt",
            "0.1",
        ];
        let more = ["--json", "--unsafe-fixed-keys", "--seed", seed];
        serde_json::from_slice(&run(&[&rates[..], &more].concat()).stdout).expect("JSON")
    };
    let first = summary("7");
    assert_eq!(first, summary("7"));
    assert_ne!(first, summary("8"));
    for what in ["lost", "reordered", "duplicated", "corrupted"] {
        assert!(first["wire"][what].as_u64().is_some_and(|count| count > 0), "{what}");
    }
    assert_eq!(first["frames"]["damaged"], 0);
    for reason in ["AuthFailed", "Replayed"] {
        assert!(
            first["drops"][reason].as_u64().is_some_and(|count| count > 0),
            "{reason}"
        );
    }
}
