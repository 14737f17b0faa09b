//! What SealNIC costs on one core: a record beside other libraries, a packet's whole path, a frame and a cycle of the models.
//!
//! ```text
//! sealnic-bench [--quick] [--only records|paths|model] [--flows N] [--json FILE]
//! ```
//!
//! Everything runs in one thread, in one run, one contender after another. The paths are measured twice: with the tables in
//! ordinary pages, and in a second process whose allocator asks for huge ones.
//!
//! - `measure`: runs, least and median
//! - `report`: figures as data, tables
//! - `machine`: what the figures are of
//! - `contenders`, `records`: seal and open per record
//! - `device`, `paths`: the pipeline
//! - `model`: the functional and the cycle model

mod contenders;
mod device;
mod machine;
mod measure;
mod model;
mod paths;
mod records;
mod report;

use anyhow::{Context, Result, bail, ensure};
use machine::Machine;
use measure::Effort;
use report::Sample;
use std::process::Command;

/// Tells glibc to ask for transparent huge pages.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

const USAGE: &str = "usage: bench [--quick] [--only records|paths|model] [--flows N] [--json FILE]
  --quick      a smoke test: everything once, briefly; the figures mean nothing
  --only PART  one part
  --flows N    the paths with this number of flows only: 1, 1024, 65536 or 1048576
  --json FILE  write all figures to FILE besides";

#[derive(Debug, Default)]
struct Options {
    quick: bool,
    only: Option<String>,
    flows: Option<u32>,
    json: Option<String>,
    /// Measure the paths with these pages and write figures to standard output: what the second process does.
    child_pages: Option<String>,
}

impl Options {
    fn parse() -> Result<Option<Self>> {
        let (mut options, mut args) = (Self::default(), std::env::args().skip(1));
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} wants a value\n{USAGE}"));
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()?),
                "--flows" => options.flows = Some(value()?.parse().context("--flows")?),
                "--json" => options.json = Some(value()?),
                "--paths-with-pages" => options.child_pages = Some(value()?),
                "-h" | "--help" => return Ok(None),
                _ => bail!("unknown argument {arg}\n{USAGE}"),
            }
        }
        ensure!(
            options.flows.is_none_or(|flows| paths::FLOWS.contains(&flows)),
            "no path is measured with that number of flows\n{USAGE}"
        );
        if let Some(only) = &options.only {
            ensure!(
                ["records", "paths", "model"].contains(&only.as_str()),
                "no part is called {only}\n{USAGE}"
            );
        }
        Ok(Some(options))
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

fn main() -> Result<()> {
    let Some(options) = Options::parse()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let mut effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    if let Some(flows) = options.flows {
        effort.flows = (flows, flows);
    }
    if let Some(pages) = &options.child_pages {
        println!("{}", serde_json::to_string(&paths::run(effort, pages)?)?);
        return Ok(());
    }
    let machine = Machine::here();
    println!(
        "{} ({}) at {:.2} GHz, {}, one thread, {} runs per figure{}",
        machine.cpu,
        machine.cpu_family,
        machine.ghz,
        machine.rustc,
        effort.runs,
        if options.quick {
            "; QUICK: figures mean nothing"
        } else {
            ""
        }
    );
    match &machine.openssl {
        Some(version) => println!("OpenSSL: {version}"),
        None => println!("OpenSSL: not in this build (--features openssl needs its headers and pkg-config)"),
    }
    let mut samples = Vec::new();
    if options.wants("records") {
        samples.extend(records::run(effort)?);
        records::print(&samples, &machine);
    }
    if options.wants("paths") {
        samples.extend(paths::run(effort, "4K")?);
        samples.extend(paths_in_huge_pages(&options)?);
        paths::print(&samples);
    }
    if options.wants("model") {
        samples.extend(model::run(effort)?);
        model::print(&samples);
    }
    if let Some(file) = &options.json {
        let document = serde_json::json!({ "machine": machine, "quick": options.quick, "samples": samples });
        std::fs::write(file, serde_json::to_string_pretty(&document)?).with_context(|| format!("writing {file}"))?;
    }
    Ok(())
}

/// Runs the paths once more in a process of its own, since pages are chosen when a process starts.
fn paths_in_huge_pages(options: &Options) -> Result<Vec<Sample>> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["--paths-with-pages", "huge"]).env(TUNABLES.0, TUNABLES.1);
    if options.quick {
        child.arg("--quick");
    }
    if let Some(flows) = options.flows {
        child.args(["--flows", &flows.to_string()]);
    }
    let output = child.output().context("starting the benchmark a second time")?;
    ensure!(
        output.status.success(),
        "the second process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("reading the second process's figures")
}
