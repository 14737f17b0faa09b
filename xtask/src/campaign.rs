//! Long runs that CI does not wait for.

use crate::shell::{cargo, cargo_of, output, root, run, which};
use anyhow::{Result, bail};
use std::process::Command;

/// What cargo-mutants works on, and the packages whose tests must notice: policy, replay window, sequence numbers and limits by
/// their own tests; the modules that give verdicts by the tests on every backend, too.
const MUTATED: &[(&[&str], &[&str])] = &[
    (
        &[
            "firmware/policy/src/**",
            "firmware/dtls/src/replay.rs",
            "firmware/dtls/src/limits.rs",
            "firmware/dtls/src/read_state.rs",
            "firmware/dtls/src/write_state.rs",
        ],
        &["sealnic-policy", "sealnic-dtls"],
    ),
    (
        &[
            "firmware/pipeline/src/nic.rs",
            "firmware/pipeline/src/egress.rs",
            "firmware/pipeline/src/ingress.rs",
        ],
        &["sealnic-firmware", "sealnic-tests"],
    ),
];

/// Runs the benchmarks, which are a workspace of their own; with the system's OpenSSL beside the others where it can be built against.
pub(crate) fn bench(args: &[&str]) -> Result<()> {
    let has_openssl = Command::new("pkg-config")
        .args(["--exists", "openssl"])
        .status()
        .is_ok_and(|status| status.success());
    run(cargo()
        .args(["run", "--release", "--manifest-path", "bench/Cargo.toml"])
        .args(has_openssl.then_some("--features=openssl"))
        .arg("--")
        .args(args))
}

/// Runs each fuzz target for `seconds` and fails after the first that finds something.
pub(crate) fn fuzz(seconds: u32) -> Result<()> {
    require("cargo-fuzz")?;
    let fuzz = || {
        let mut cargo = cargo_of("nightly");
        cargo.arg("fuzz");
        cargo
    };
    let folder = ["--fuzz-dir", "tests/fuzz"];
    let listed = output(fuzz().arg("list").args(folder))?;
    let listed = String::from_utf8_lossy(&listed);
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if targets.is_empty() {
        bail!("{} has no fuzz targets", root().join("tests/fuzz").display());
    }
    for target in &targets {
        run(fuzz()
            .arg("run")
            .args(folder)
            .arg(target)
            .arg("--")
            .arg(format!("-max_total_time={seconds}")))?;
    }
    println!("{} fuzz targets ran {seconds} s each without a finding", targets.len());
    Ok(())
}

/// The environment variable that limits `sealnic-tests` to one backend (`ONLY` there).
pub(crate) const ONLY_BACKEND: &str = "SEALNIC_TEST_BACKEND";

/// Runs cargo-mutants on [`MUTATED`].
pub(crate) fn mutants(args: &[&str]) -> Result<()> {
    require("cargo-mutants")?;
    for (files, packages) in MUTATED {
        let mut mutants = cargo();
        mutants.arg("mutants");
        for file in *files {
            mutants.args(["--file", file]);
        }
        for package in *packages {
            mutants.args(["--test-package", package]);
        }
        // Its own time-out is measured on the mutated package's tests alone.
        mutants.args(["--minimum-test-timeout", "120"]);
        // One model says what is decided; two take ten times as long for each mutant.
        run(mutants.args(args).env(ONLY_BACKEND, "functional"))?;
    }
    Ok(())
}

fn require(program: &str) -> Result<()> {
    if which(program).is_none() {
        bail!("{program} is missing: cargo install --locked {program}");
    }
    Ok(())
}
