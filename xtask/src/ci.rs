//! The steps of CI and the test run.

use crate::shell::{cargo, run, succeeds};
use crate::{firmware, regs, setup};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("regs --check", regs::check),
    ("firmware check", firmware::check),
    ("test", || test(&[])),
    ("doc", doc),
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
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn doc() -> Result<()> {
    run(cargo()
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps"]))
}

/// The workspace's tests and the documentation's; `args` go to the test runner.
pub(crate) fn test(args: &[&str]) -> Result<()> {
    setup::TEST_VENV.ensure()?;
    let some_packages = args
        .iter()
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let scope: &[&str] = if some_packages { &[] } else { &["--workspace"] };
    if succeeds(cargo().args(["nextest", "--version"])) {
        run(cargo().args(["nextest", "run"]).args(scope).args(args))?;
    } else {
        run(cargo().args(["test", "--all-targets"]).args(scope).args(args))?;
    }
    // The runner's arguments (a filter, say) mean nothing to documentation tests.
    if args.is_empty() {
        run(cargo().args(["test", "--workspace", "--doc"]))
    } else {
        Ok(())
    }
}
