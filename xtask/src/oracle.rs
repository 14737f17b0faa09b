//! Whole runs of the command line, judged by the independent oracles of `tests/oracle`.
//!
//! Each scenario is run on every model, with every version of records, each cipher, with connection ids and without, over both kinds of
//! underlay, and on a wire that loses, reorders, repeats and damages. Captures from elsewhere can be tried in the same way. Then
//! presets of the cycle model are measured, and judged by the times at their wire ports alone.

use crate::browser;
use crate::setup::TEST_VENV;
use crate::shell::{cargo, command, output, root, run};
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const EXAMPLES: &[&str] = &["examples/two-hosts.toml", "examples/many-flows.toml"];
const PROFILE: &str = "ci";
const MODELS: &[&str] = &["functional", "cycle"];
/// Hardware that must reach its line's rate.
const LINE_RATE_PRESETS: &[&str] = &["100g", "400g"];
const IMPAIRMENTS: &str = "--seed 1 --loss 0.01 --reorder 0.05 --duplicate 0.01 --corrupt 0.001";
/// Last lines of a failed program that are shown.
const SHOWN_LINES: usize = 12;

/// Runs the oracles' own tests, then every scenario; with `captures`, every capture below that folder too.
pub(crate) fn check(captures: Option<&str>) -> Result<()> {
    TEST_VENV.ensure()?;
    run(&mut python("selftest.py"))?;
    run(cargo().args(["build", "--profile", PROFILE, "--package", "sealnic"]))?;
    let bench = Bench {
        sealnic: target_folder()?.join(PROFILE).join("sealnic"),
        folder: root().join("target/oracle"),
    };
    // What a former run left is of no use, and its keys should not lie about.
    let _ = fs::remove_dir_all(&bench.folder);
    fs::create_dir_all(&bench.folder)?;

    let mut tally = Tally::default();
    for example in EXAMPLES {
        let path = root().join(example);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {example}"))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        bench.judge(&name, &absolute_capture(&text, path.parent())?, &mut tally);
    }
    if let Some(captures) = captures {
        let files = captures_below(Path::new(captures))?;
        if files.is_empty() {
            bail!("{captures} holds no .pcap, .pcapng or .cap file");
        }
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            match output(python("scenario_for.py").arg(&file)) {
                Ok(text) => bench.judge(&name, &String::from_utf8(text)?, &mut tally),
                Err(_) => tally.skip(&name, "no scenario can be made for it, see above"),
            }
        }
    }
    tally.close()?;
    for preset in LINE_RATE_PRESETS {
        let start = Instant::now();
        bench
            .judge_line_rate(preset)
            .with_context(|| format!("line rate of {preset}"))?;
        println!("ok      line rate of {preset}, {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// One way to run a scenario.
struct Variant {
    model: &'static str,
    dtls: &'static str,
    cipher: &'static str,
    connection_id: &'static str,
    underlay: &'static str,
    /// Of both hosts; what the scenario says, where this is none.
    underlay_mtu: Option<u16>,
    is_impaired: bool,
}

impl Variant {
    fn all() -> Vec<Self> {
        MODELS.iter().flat_map(|model| Self::all_of(model)).collect()
    }

    fn all_of(model: &'static str) -> Vec<Self> {
        let mut all = Vec::new();
        for dtls in ["1.2", "1.3"] {
            for cipher in ["AES-128-GCM", "AES-256-GCM"] {
                for connection_id in ["8", "0"] {
                    all.push(Self {
                        model,
                        dtls,
                        cipher,
                        connection_id,
                        underlay: "ipv4",
                        underlay_mtu: None,
                        is_impaired: false,
                    });
                }
            }
        }
        for (dtls, connection_id, underlay, underlay_mtu, is_impaired) in [
            ("1.3", "8", "ipv6", None, false),
            ("1.2", "0", "ipv4", Some(1500), false),
            ("1.3", "8", "ipv6", Some(1500), false),
            ("1.2", "0", "ipv4", None, true),
            ("1.3", "8", "ipv4", None, true),
        ] {
            all.push(Self {
                model,
                dtls,
                cipher: "AES-256-GCM",
                connection_id,
                underlay,
                underlay_mtu,
                is_impaired,
            });
        }
        all
    }

    /// The scenario with its records made in this way.
    fn applied_to(&self, scenario: &str) -> String {
        let association = vec![
            ("dtls", format!("{:?}", self.dtls)),
            ("cipher", format!("{:?}", self.cipher)),
            ("connection_id", self.connection_id.to_owned()),
            ("underlay", format!("{:?}", self.underlay)),
        ];
        let host = self.underlay_mtu.map(|mtu| ("underlay_mtu", mtu.to_string()));
        let tables = [("[association]", association), ("[[host]]", host.into_iter().collect())];
        let mut text = String::new();
        let mut fields: &[(&str, String)] = &[];
        for line in scenario.lines() {
            let is_header = line.starts_with('[');
            if is_header {
                let table = tables.iter().find(|(name, _)| line.trim_end() == *name);
                fields = table.map_or(&[], |(_, fields)| fields);
            }
            let key = line.split_once('=').map_or("", |(key, _)| key.trim());
            if fields.iter().any(|(name, _)| *name == key) {
                continue;
            }
            text.push_str(line);
            text.push('\n');
            for (name, value) in fields.iter().filter(|_| is_header) {
                text.push_str(&format!("{name} = {value}\n"));
            }
        }
        text
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dtls, cipher, .. } = self;
        write!(f, "DTLS {dtls} {cipher} cid {} {}", self.connection_id, self.underlay)?;
        if let Some(mtu) = self.underlay_mtu {
            write!(f, " mtu {mtu}")?;
        }
        if self.model != MODELS[0] {
            write!(f, " {}", self.model)?;
        }
        f.write_str(if self.is_impaired { " impaired" } else { "" })
    }
}

/// Where runs happen.
struct Bench {
    sealnic: PathBuf,
    folder: PathBuf,
}

impl Bench {
    /// Runs a scenario in every way.
    fn judge(&self, name: &str, scenario: &str, tally: &mut Tally) {
        for variant in Variant::all() {
            let start = Instant::now();
            let folder = self.folder.join(format!("{name} {variant}").replace(' ', "-"));
            let result = self.try_one(&folder, scenario, &variant);
            tally.add(name, &variant, start.elapsed().as_secs_f64(), result);
        }
    }

    /// Runs a scenario in one way, and asks the oracles. The folder stays when something is wrong.
    fn try_one(&self, folder: &Path, scenario: &str, variant: &Variant) -> Result<Outcome> {
        fs::create_dir_all(folder)?;
        let file = folder.join("scenario.toml");
        fs::write(&file, variant.applied_to(scenario))?;
        let (out, keys) = (folder.join("out"), folder.join("keys.json"));
        let mut sealnic = command(&self.sealnic);
        sealnic.arg("run").arg(&file).arg("--out").arg(&out);
        sealnic.args(["--model", variant.model]);
        sealnic.arg("--frame-fates").arg("--unsafe-write-keys").arg(&keys);
        let impaired = variant.is_impaired.then_some("--impaired");
        if variant.is_impaired {
            sealnic.args(IMPAIRMENTS.split(' '));
        }
        let timed = (variant.model != MODELS[0]).then_some("--timed");
        if timed.is_some() {
            sealnic.arg("--check-replay");
        }
        quietly(&mut sealnic)?;
        let mut check_run = python("check_run.py");
        quietly(check_run.arg(&file).arg(&out).arg(&keys).args(impaired).args(timed))?;
        quietly(python("check_flow_log.py").arg(&file).arg(&out).args(impaired))?;
        let outcome = Outcome::read(&out.join("summary.json"))?;
        fs::remove_dir_all(folder)?;
        Ok(outcome)
    }
}

impl Bench {
    /// Measures a preset with a short sweep, and asks the oracle.
    fn judge_line_rate(&self, preset: &str) -> Result<()> {
        let folder = self.folder.join(format!("line-rate-{preset}"));
        let mut sealnic = command(&self.sealnic);
        sealnic.args(["bench", "line-rate", "--quick", "--hw", preset]);
        quietly(sealnic.arg("--out").arg(&folder))?;
        quietly(python("check_line_rate.py").arg(&folder))?;
        browser::judge(&folder.join("line-rate.html"), &folder.join("line-rate.json"))?;
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}

/// What a run says of its frames.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    submitted: u64,
    delivered: u64,
    /// Drops by reason, as text.
    drops: String,
}

impl Outcome {
    fn read(summary: &Path) -> Result<Self> {
        let summary: serde_json::Value = serde_json::from_slice(&fs::read(summary)?)?;
        let count = |name: &str| {
            let count = summary["frames"][name].as_u64();
            count.ok_or_else(|| anyhow!("summary.json has no frames.{name}"))
        };
        let drops = summary["drops"].as_object().context("summary.json has no drops")?;
        let drops: Vec<String> = drops.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        Ok(Self {
            submitted: count("submitted")?,
            delivered: count("delivered")?,
            drops: drops.join(", "),
        })
    }
}

/// How all of it went.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    /// Ways of running by scenario and outcome.
    outcomes: BTreeMap<(String, Outcome), usize>,
}

impl Tally {
    fn add(&mut self, name: &str, variant: &Variant, seconds: f64, result: Result<Outcome>) {
        let case = format!("{name:28} {:60}", variant.to_string());
        match result {
            Ok(outcome) => {
                println!("ok      {case} {:>7} delivered {seconds:6.1} s", outcome.delivered);
                self.passed += 1;
                if !variant.is_impaired {
                    *self.outcomes.entry((name.to_owned(), outcome)).or_default() += 1;
                }
            }
            Err(error) => {
                println!("FAILED  {case}\n{error:#}");
                self.failed.push(format!("{name} {variant}"));
            }
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        println!("skipped {name:28} {why}");
        self.skipped += 1;
    }

    /// The table of outcomes and the last word.
    fn close(self) -> Result<()> {
        println!(
            "\n{:28} {:>4} {:>9} {:>9}  drops over all NICs",
            "on a perfect wire", "runs", "submitted", "delivered"
        );
        for ((name, outcome), runs) in &self.outcomes {
            let Outcome {
                submitted,
                delivered,
                drops,
            } = outcome;
            println!("{name:28} {runs:4} {submitted:9} {delivered:9}  {drops}");
        }
        let failed = self.failed.len();
        let skipped = match self.skipped {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        println!("\noracle: {} runs passed, {failed} failed{skipped}", self.passed);
        if failed != 0 {
            bail!(
                "{failed} runs failed, left in target/oracle: {}",
                self.failed.join("; ")
            );
        }
        Ok(())
    }
}

/// A program of `tests/oracle`.
fn python(script: &str) -> Command {
    let mut python = command(TEST_VENV.program("python"));
    python.arg(root().join("tests/oracle").join(script));
    python
}

/// Runs the command and shows what it said only when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
    bail!("{command:?}: {}\n  {last}", output.status)
}

/// The scenario with the path of its capture made independent of where the scenario lies.
fn absolute_capture(scenario: &str, folder: Option<&Path>) -> Result<String> {
    let line = scenario.lines().find(|line| line.starts_with("capture"));
    let name = line.and_then(|line| line.split('"').nth(1));
    let name = name.context("the scenario names no capture")?;
    let path = folder.unwrap_or(Path::new("")).join(name);
    Ok(scenario.replace(&format!("{name:?}"), &format!("{:?}", path.display().to_string())))
}

fn captures_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        if path.is_dir() {
            files.extend(captures_below(&path)?);
        } else if ["pcap", "pcapng", "cap"].iter().any(|known| extension == *known) {
            files.push(fs::canonicalize(path)?);
        }
    }
    files.sort();
    Ok(files)
}

/// Where cargo builds.
fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder.context("cargo metadata names no target directory")?.into())
}
