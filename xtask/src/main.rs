//! The project's tasks: everything that CI runs and everything that a developer runs besides plain `cargo`.
//!
//! It depends on no other crate of the workspace, so that it still builds, and can regenerate files, while they do not.
//!
//! * [`ci`]: the steps of CI, one after another, and the test run
//! * [`regs`]: files generated from `sealnic.rdl` and from the shared structures
//! * [`firmware`]: the firmware crates on a bare-metal target
//! * [`browser`]: the line-rate report in a browser
//! * [`cosim`]: the driver in a guest of QEMU, the device outside
//! * [`oracle`]: whole runs, judged by independent programs
//! * [`setup`]: what a machine has and lacks
//! * [`campaign`]: long runs: benchmarks, fuzzing, mutation testing
//! * [`shell`]: running commands

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod browser;
mod campaign;
mod ci;
mod cosim;
mod firmware;
mod oracle;
mod regs;
mod setup;
mod shell;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  ci                    all that CI runs: fmt, clippy, regs --check, firmware check, test, doc, cosim qemu
  test [--captures DIR] the workspace's tests, the documentation's, oracle, and browser
  test ARGS             the workspace's tests alone; ARGS go to the test runner
  oracle [--captures DIR]
                        runs of the examples, and of every capture in DIR, judged by independent programs
  browser               the line-rate report, judged in a headless browser
  regs [--check]        regenerate, or compare, what follows from sealnic.rdl and the shared structures
  firmware check        build the firmware crates for a bare-metal RISC-V core with nothing but `core`
  cosim qemu [--accel kvm] [--model cycle]
                        the driver's tests in a guest of QEMU, on devices served over vfio-user
  setup [--all]         say what this machine has, install what the tests need (--all: the optional tools too)
  bench [ARGS]          the benchmarks of bench/
  fuzz [--seconds N]    every fuzz target of tests/fuzz for N seconds each (60)
  mutants [ARGS]        mutation testing of policy, replay, sequence numbers and verdicts";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        eprintln!("xtask: {error:#}");
        std::process::exit(if error.is::<Usage>() { 2 } else { 1 });
    }
}

/// A command line that no task understands.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown arguments `{}`\n{USAGE}", self.0)
    }
}

impl std::error::Error for Usage {}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["ci"] => ci::ci(),
        ["test", "--captures", captures] => ci::test(&[], Some(captures)),
        ["test", rest @ ..] => ci::test(rest, None),
        ["oracle"] => oracle::check(None),
        ["oracle", "--captures", captures] => oracle::check(Some(captures)),
        ["browser"] => browser::check(),
        ["regs"] => regs::write(),
        ["regs", "--check"] => regs::check(),
        ["firmware", "check"] => firmware::check(),
        ["cosim", "qemu", options @ ..] => match cosim::Options::parse(options) {
            Some(options) => cosim::qemu(&options),
            None => Err(Usage(args.join(" ")).into()),
        },
        ["setup"] => setup::setup(setup::Extent::Needed),
        ["setup", "--all"] => setup::setup(setup::Extent::All),
        ["bench", rest @ ..] => campaign::bench(rest),
        ["fuzz"] => campaign::fuzz(60),
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => campaign::fuzz(seconds),
            Err(error) => bail!("--seconds {seconds}: {error}"),
        },
        ["mutants", rest @ ..] => campaign::mutants(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Usage(args.join(" ")).into()),
    }
}
