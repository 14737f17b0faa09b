//! Co-simulation: a real kernel and the real driver in a guest of QEMU, the devices outside, behind vfio-user sockets.
//!
//! * `machine`: QEMU and a kernel, fetched once
//! * `guest`: one boot
//! * `nics`: the devices outside
//! * `wire`: what was on the wire
//! * `records`: keys and numbers of what was on the wire

mod guest;
mod machine;
mod nics;
// The crash test's own, so that both judge alike; it needs nothing of the workspace.
#[path = "../../host-driver/cli/tests/crash/wire.rs"]
mod records;
mod wire;

use crate::ci::FAULT_POINTS;
use crate::shell::{cargo, root, run};
use anyhow::{Context as _, Result, bail, ensure};
use guest::{Boot, Report};
use machine::Machine;
use nics::Nics;
use records::Records;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The whole run under TCG takes about half of this on a machine that has nothing else to do.
const LIMIT: Duration = Duration::from_secs(240);
/// Two hosts, each with a NIC, on a wire: what the guest drives with two of its functions.
const SCENARIO: &str = "examples/two-hosts.toml";
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "ci";

/// What a run may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// How QEMU runs the guest: `tcg` or `kvm`.
    accelerator: &'a str,
    /// What stands for the NICs: `functional` or `cycle`.
    model: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            accelerator: "tcg",
            model: "functional",
        }
    }
}

impl<'a> Options<'a> {
    /// From the command line, each option at most once.
    pub(crate) fn parse(args: &[&'a str]) -> Option<Self> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for pair in args.chunks(2) {
            match *pair {
                [name, _] if seen.contains(&name) => return None,
                ["--accel", accelerator @ ("tcg" | "kvm")] => options.accelerator = accelerator,
                ["--model", model @ ("functional" | "cycle")] => options.model = model,
                _ => return None,
            }
            seen.extend(pair.first());
        }
        Some(options)
    }
}

/// Runs the driver's tests in a guest, on five NICs that `sealnic serve` stands for.
pub(crate) fn qemu(options: &Options<'_>) -> Result<()> {
    let start = Instant::now();
    let folder = root().join("target/cosim");
    fs::create_dir_all(&folder)?;
    let machine = Machine::ensure()?;
    print!("{}", machine.versions());
    let (sealnic, program) = build(&folder)?;
    println!("ready after {:.1} s", start.elapsed().as_secs_f64());

    let scenario = daemons_scenario(&folder)?;
    let initrd = guest::write_initrd(
        &machine,
        &[(&program, "guest"), (&sealnic, "sealnic"), (&scenario, "scenario.toml")],
        &folder,
    )?;
    let capture = folder.join("wire.pcapng");
    let serve = |name, arguments: &[&str], capture| {
        let arguments = [&["--model", options.model], arguments].concat();
        Nics::serve(&sealnic, &folder, name, &arguments, capture)
    };
    let alone = serve("alone", &["--socket"], None)?;
    let hosts = serve("hosts", &["--scenario", SCENARIO, "--socket-dir"], Some(&capture))?;
    let daemons_capture = folder.join("daemons.pcapng");
    let daemons = serve(
        "daemons",
        &["--scenario", &scenario.to_string_lossy(), "--socket-dir"],
        Some(&daemons_capture),
    )?;
    let sockets: Vec<PathBuf> = [&alone, &hosts, &daemons]
        .into_iter()
        .flat_map(|nics| nics.sockets().iter().cloned())
        .collect();
    let boot = Boot {
        machine: &machine,
        initrd: &initrd,
        sockets: &sockets,
        log: &folder.join("serial.log"),
        limit: LIMIT,
        accelerator: options.accelerator,
    };
    let report = boot.run();
    // They are stopped before anything is judged, so that the capture is whole.
    alone.stop()?;
    hosts.stop()?;
    daemons.stop()?;
    let report = report?;
    judge_wire(&report, &capture)?;
    judge_daemons_wire(&report, &daemons_capture)?;
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

/// The command line, which serves NICs outside and owns some inside, and the guest's program. Both stand on nothing that the guest would have
/// to bring along; the daemons in there are killed at named points, so this command line has those.
fn build(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let target = folder.join("build");
    run(cargo()
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols")
        .args(["build", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(&target)
        .args(["--package", "sealnic", "--package", "sealnic-cosim-guest"])
        .args(["--features", FAULT_POINTS]))?;
    let built = target.join(TARGET).join(PROFILE);
    Ok((built.join("sealnic"), built.join("sealnic-cosim-guest")))
}

/// The scenario of the daemons that are killed: records of DTLS 1.2 show their numbers, so that they can be judged on the wire.
fn daemons_scenario(folder: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(root().join(SCENARIO)).with_context(|| format!("cannot read {SCENARIO}"))?;
    let changed = text.replace("dtls = \"1.3\"", "dtls = \"1.2\"");
    ensure!(changed != text, "{SCENARIO} does not say `dtls = \"1.3\"`");
    let path = folder.join("scenario.toml");
    fs::write(&path, changed)?;
    Ok(path)
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

/// The wire between the hosts whose daemons were killed, judged from outside: no key sealed a number twice, and nothing is in the clear.
fn judge_daemons_wire(report: &Report, capture: &Path) -> Result<()> {
    let file = fs::read(capture).with_context(|| format!("cannot read {}", capture.display()))?;
    let frames = wire::frames(&file)?;
    let said = |word: &str| report.results(word).next().map(str::to_owned);
    let (Some(marker), Some(sent)) = (said("daemons-marker"), said("daemons-sent")) else {
        bail!("the guest did not say what its daemons sent");
    };
    wire::check(&frames, marker.as_bytes())?;
    let mut records = Records::default();
    frames.iter().for_each(|frame| records.take(frame));
    ensure!(
        records.clear == 0,
        "{} datagrams are no records of DTLS 1.2",
        records.clear
    );
    if let Some(first) = records.twice.first() {
        bail!(
            "{} numbers were sealed twice under a key, the first: {first}",
            records.twice.len()
        );
    }
    ensure!(
        records.sealed() > 100,
        "the daemons' hosts were given {sent} frames, and {} are on the wire",
        records.sealed()
    );
    println!(
        "wire of the killed daemons: {} of {sent} frames as records under {} keys, none with a number twice, none in the clear",
        records.sealed(),
        records.keys()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_order_and_others_are_not() {
        let both = Options {
            accelerator: "kvm",
            model: "cycle",
        };
        assert_eq!(Options::parse(&[]), Some(Options::default()));
        assert_eq!(Options::parse(&["--model", "cycle", "--accel", "kvm"]), Some(both));
        assert_eq!(Options::parse(&["--accel", "kvm", "--model", "cycle"]), Some(both));
        for wrong in [
            &["--model"][..],
            &["--model", "rtl"],
            &["cycle"],
            &["--accel", "tcg", "--accel", "kvm"],
        ] {
            assert_eq!(Options::parse(wrong), None, "{wrong:?}");
        }
    }
}
