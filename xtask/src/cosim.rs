//! Co-simulation: a real kernel and the real driver in a guest of QEMU, the devices outside, behind vfio-user sockets.
//!
//! * `machine`: QEMU and a kernel, fetched once
//! * `guest`: one boot
//! * `nics`: the devices outside
//! * `wire`: what was on the wire

mod guest;
mod machine;
mod nics;
mod wire;

use crate::shell::{cargo, output, root, run};
use anyhow::{Context as _, Result, bail, ensure};
use guest::{Boot, Report};
use machine::Machine;
use nics::Nics;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The whole run under TCG takes a fraction of this.
const LIMIT: Duration = Duration::from_secs(240);
/// Two hosts, each with a NIC, on a wire: what the guest drives with two of its functions.
const SCENARIO: &str = "examples/two-hosts.toml";
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "ci";

/// Runs the driver's tests in a guest, on three NICs that `sealnic serve` stands for.
pub(crate) fn qemu(accelerator: &str) -> Result<()> {
    let start = Instant::now();
    let folder = root().join("target/cosim");
    fs::create_dir_all(&folder)?;
    let machine = Machine::ensure()?;
    print!("{}", machine.versions());
    let (sealnic, program) = build(&folder)?;
    println!("ready after {:.1} s", start.elapsed().as_secs_f64());

    let initrd = guest::write_initrd(&machine, &program, &folder)?;
    let capture = folder.join("wire.pcapng");
    let alone = Nics::serve(&sealnic, &folder, "alone", &["--socket"], None)?;
    let hosts = Nics::serve(
        &sealnic,
        &folder,
        "hosts",
        &["--scenario", SCENARIO, "--socket-dir"],
        Some(&capture),
    )?;
    let sockets: Vec<PathBuf> = alone.sockets().iter().chain(hosts.sockets()).cloned().collect();
    let boot = Boot {
        machine: &machine,
        initrd: &initrd,
        sockets: &sockets,
        log: &folder.join("serial.log"),
        limit: LIMIT,
        accelerator,
    };
    let report = boot.run();
    // They are stopped before anything is judged, so that the capture is whole.
    alone.stop()?;
    hosts.stop()?;
    let report = report?;
    judge_wire(&report, &capture)?;
    let failed: Vec<&str> = report.results("FAIL").collect();
    let passed = report.results("PASS").count();
    println!(
        "{passed} passed, {} failed; guest {:.1} s, all {:.1} s",
        failed.len(),
        report.elapsed.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    ensure!(failed.is_empty(), "failed in the guest: {}", failed.join("; "));
    ensure!(passed != 0, "no test ran in the guest");
    Ok(())
}

/// The command line, and the guest's program, which stands on nothing that the guest would have to bring along.
fn build(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    run(cargo().args(["build", "--profile", PROFILE, "--package", "sealnic"]))?;
    let guest_target = folder.join("build");
    run(cargo()
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "--profile", PROFILE, "--package", "sealnic-cosim-guest"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&guest_target))?;
    let sealnic = target_folder()?.join(PROFILE).join("sealnic");
    let program = guest_target.join(TARGET).join(PROFILE).join("sealnic-cosim-guest");
    Ok((sealnic, program))
}

fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).context("cargo's metadata is no JSON")?;
    let folder = metadata.get("target_directory").and_then(|folder| folder.as_str());
    Ok(folder.context("cargo's metadata names no target folder")?.into())
}

/// The wire between the two hosts, judged from outside: as many records as the guest sent frames, and not one in the clear.
fn judge_wire(report: &Report, capture: &Path) -> Result<()> {
    let file = fs::read(capture).with_context(|| format!("cannot read {}", capture.display()))?;
    let frames = wire::frames(&file)?;
    let said = |word: &str| report.results(word).next().map(str::to_owned);
    let (Some(marker), Some(sent)) = (said("marker"), said("sent")) else {
        bail!("the guest did not say what it sent");
    };
    let sent: usize = sent.parse().context("the guest sent no number of frames")?;
    ensure!(
        sent != 0 && frames.len() == sent,
        "the guest sent {sent} frames, and {} are on the wire",
        frames.len()
    );
    wire::check(&frames, marker.as_bytes())?;
    println!(
        "wire: {} datagrams, each one DTLS record, none in the clear",
        frames.len()
    );
    Ok(())
}
