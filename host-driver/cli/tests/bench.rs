//! `sealnic bench` as a user meets it.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use serde_json::Value;
use std::process::{Command, Output};

fn sealnic(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealnic"))
        .args(args)
        .output()
        .expect("the binary runs")
}

#[test]
fn every_figure_stands_beside_what_the_wire_allows() {
    let output = sealnic(&["bench", "--seconds", "1", "--flows", "1,300", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let measured: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let list = |name: &str| measured[name].as_array().expect("a list").clone();
    let number = |entry: &Value, name: &str| entry[name].as_f64().expect("a number");
    let (records, frames) = (list("records"), list("frames"));
    // Versions, ciphers, and sizes; for frames, numbers of flows too.
    assert_eq!((records.len(), frames.len()), (2 * 2 * 7, 2 * 2 * 2 * 5));
    for record in &records {
        assert!(
            number(record, "seal_ns") > 0.0 && number(record, "open_ns") > 0.0,
            "{record}"
        );
        assert!(
            number(record, "wire_ns") > number(record, "plaintext_len") * 0.08,
            "{record}"
        );
    }
    for frame in &frames {
        let bits = number(frame, "frame_len") * 8.0;
        for (rate, bound) in [
            ("frames_per_s", "gbit_per_s"),
            ("bound_frames_per_s", "bound_gbit_per_s"),
        ] {
            let ratio = number(frame, rate) * bits / 1e9 / number(frame, bound);
            assert!((ratio - 1.0).abs() < 1e-6, "{frame}");
        }
        assert!(number(frame, "frames_per_s") > 0.0, "{frame}");
        assert!(number(frame, "bound_gbit_per_s") < 100.0, "{frame}");
    }
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for args in [
        &["--flows", "0"][..],
        &["--flows", "many"],
        &["--seconds", "0"],
        &["fast"],
    ] {
        let output = sealnic(&[&["bench"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
