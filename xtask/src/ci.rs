//! The steps of CI and the test run.

use crate::campaign::ONLY_BACKEND;
use crate::shell::{cargo, run, succeeds};
use crate::{browser, cosim, firmware, oracle, regs, setup};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Lets tests end a daemon at named points; a feature, so that no other binary can be ended there.
pub(crate) const FAULT_POINTS: &str = "sealnic/fault-points";

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("regs --check", regs::check),
    ("firmware check", firmware::check),
    ("test", || test(&[], None)),
    ("doc", doc),
    ("cosim", || cosim::qemu(&cosim::Options::default())),
];

/// Runs every step, also after a failed one, and sums up.
pub(crate) fn ci() -> Result<()> {
    let mut results: Vec<(&str, Duration, Result<()>)> = Vec::new();
    for (name, step) in STEPS {
        println!("=== {name}");
        let start = Instant::now();
        let result = step();
        if let Err(error) = &result {
            println!("=== {name} FAILED: {error:#}");
        }
        results.push((name, start.elapsed(), result));
    }
    println!("=== summary");
    let mut failed = Vec::new();
    for (name, elapsed, result) in &results {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name:16} {word:8} {:7.1} s", elapsed.as_secs_f64());
        if result.is_err() {
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} steps failed: {}",
            failed.len(),
            results.len(),
            failed.join(", ")
        );
    }
    Ok(())
}

fn fmt() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    run(cargo().args(["clippy", "--workspace", "--all-targets"]).args([
        "--features",
        FAULT_POINTS,
        "--",
        "-D",
        "warnings",
    ]))
}

fn doc() -> Result<()> {
    run(cargo()
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps"]))
}

/// The workspace's tests, the documentation's, and whole runs; with `args`, which go to the test runner, the first alone.
pub(crate) fn test(args: &[&str], captures: Option<&str>) -> Result<()> {
    setup::TEST_VENV.ensure()?;
    let some_packages = args
        .iter()
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let scope: &[&str] = if some_packages {
        &[]
    } else {
        &["--workspace", "--features", FAULT_POINTS]
    };
    let runner: &[&str] = if succeeds(cargo().args(["nextest", "--version"])) {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--all-targets", "--no-fail-fast"]
    };
    let mut tests = cargo();
    tests.args(runner).args(scope).args(args);
    if args.is_empty() {
        // All tests are all tests, on every backend.
        tests.env_remove(ONLY_BACKEND);
    }
    let tests = run(&mut tests);
    // A filter, say, means nothing to the rest.
    if !args.is_empty() {
        return tests;
    }
    let parts = [
        tests,
        // Its generated modules are compiled out of documentation tests, and `--doc` doesn't heed its `doctest = false`.
        run(cargo().args(["test", "--workspace", "--doc", "--exclude", "sealnic-regs"])),
        oracle::check(captures),
        browser::check(),
    ];
    // Each part is worth its result, also after a failed one.
    let failed: Vec<String> = parts
        .into_iter()
        .filter_map(|part| part.err().map(|error| format!("{error:#}")))
        .collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}
