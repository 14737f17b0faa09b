//! What a machine has and lacks for the project's tasks.

use crate::shell::{command, root, run, succeeds, which};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

/// How much to install.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What `cargo xtask ci` cannot do without.
    Needed,
    /// The optional tools too.
    All,
}

/// A private Python environment with pinned packages.
pub(crate) struct Venv {
    /// Folder below `target`.
    name: &'static str,
    /// Requirements file, from the workspace's root.
    requirements: &'static str,
}

/// Packages that tests use as independent oracles.
pub(crate) const TEST_VENV: Venv = Venv {
    name: "venv",
    requirements: "tools/requirements.txt",
};
/// What drives a browser.
pub(crate) const BROWSER_VENV: Venv = Venv {
    name: "venv-browser",
    requirements: "tools/browser/requirements.txt",
};
/// The register generators.
pub(crate) const REGS_VENV: Venv = Venv {
    name: "venv-regs",
    requirements: "tools/regs/requirements.txt",
};

impl Venv {
    fn folder(&self) -> PathBuf {
        root().join("target").join(self.name)
    }

    /// Path of a program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder().join("bin").join(name)
    }

    /// Makes the environment, or makes it anew when its requirements changed since.
    pub(crate) fn ensure(&self) -> Result<()> {
        let wanted = std::fs::read_to_string(root().join(self.requirements))
            .with_context(|| format!("cannot read {}", self.requirements))?;
        let stamp = self.folder().join("requirements.done");
        if std::fs::read_to_string(&stamp).is_ok_and(|present| present == wanted)
            && succeeds(command(self.program("python")).arg("--version"))
        {
            return Ok(());
        }
        let hint = "Debian and Ubuntu: apt-get install python3-venv";
        run(command("python3").args(["-m", "venv", "--clear"]).arg(self.folder()))
            .with_context(|| format!("cannot make a Python environment ({hint})"))?;
        run(command(self.program("python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(self.requirements))?;
        std::fs::write(stamp, wanted)?;
        Ok(())
    }
}

/// A program that some task starts.
struct Tool {
    program: &'static str,
    needed_by: &'static str,
    /// Debian package, where one serves.
    package: Option<&'static str>,
    /// What to do where no package serves.
    hint: &'static str,
    optional: bool,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cargo",
        needed_by: "everything",
        package: None,
        hint: "install Rust with rustup",
        optional: false,
    },
    Tool {
        program: "rustfmt",
        needed_by: "ci, regs",
        package: None,
        hint: "rustup component add rustfmt",
        optional: false,
    },
    Tool {
        program: "cargo-clippy",
        needed_by: "ci",
        package: None,
        hint: "rustup component add clippy",
        optional: false,
    },
    Tool {
        program: "python3",
        needed_by: "regs, test",
        package: Some("python3-venv"),
        hint: "",
        optional: false,
    },
    Tool {
        program: "chromium",
        needed_by: "browser, test",
        package: Some("chromium"),
        hint: "",
        optional: false,
    },
    Tool {
        program: "chromedriver",
        needed_by: "browser, test",
        package: Some("chromium-driver"),
        hint: "",
        optional: false,
    },
    Tool {
        program: "cargo-nextest",
        needed_by: "test (plain `cargo test` serves without it)",
        package: None,
        hint: "cargo install --locked cargo-nextest",
        optional: true,
    },
    Tool {
        program: "tshark",
        needed_by: "looking at captures with an independent dissector",
        package: Some("tshark"),
        hint: "",
        optional: true,
    },
    Tool {
        program: "fst2vcd",
        needed_by: "reading waveforms with GTKWave, and in tests with its reader",
        package: Some("gtkwave"),
        hint: "",
        optional: true,
    },
    Tool {
        program: "verilator",
        needed_by: "simulating and linting the RTL",
        package: Some("verilator"),
        hint: "",
        optional: true,
    },
    Tool {
        program: "cargo-fuzz",
        needed_by: "fuzz",
        package: None,
        hint: "cargo install --locked cargo-fuzz (and a nightly toolchain)",
        optional: true,
    },
    Tool {
        program: "cargo-mutants",
        needed_by: "mutants",
        package: None,
        hint: "cargo install --locked cargo-mutants",
        optional: true,
    },
];

/// Prints what is there and what is missing, and installs what it can.
pub(crate) fn setup(extent: Extent) -> Result<()> {
    let mut packages = Vec::new();
    for tool in TOOLS.iter().filter(|tool| which(tool.program).is_none()) {
        if extent == Extent::All || !tool.optional {
            packages.extend(tool.package);
        }
    }
    if !packages.is_empty() {
        install_packages(&packages)?;
    }
    TEST_VENV.ensure()?;
    BROWSER_VENV.ensure()?;
    REGS_VENV.ensure()?;

    let mut lacking = Vec::new();
    for tool in TOOLS {
        if let Some(path) = which(tool.program) {
            println!("present   {:14} {}", tool.program, path.display());
            continue;
        }
        let remedy = tool
            .package
            .map_or_else(|| tool.hint.to_owned(), |package| format!("apt-get install {package}"));
        let word = if tool.optional { "optional" } else { "MISSING" };
        println!("{word:9} {:14} for {}; {remedy}", tool.program, tool.needed_by);
        if !tool.optional {
            lacking.push(tool.program);
        }
    }
    for venv in [TEST_VENV, BROWSER_VENV, REGS_VENV] {
        println!("present   {:14} {}", venv.requirements, venv.folder().display());
    }
    if !lacking.is_empty() {
        bail!("missing: {}", lacking.join(", "));
    }
    Ok(())
}

/// Sees to it that these programs are there, installing their packages where it can.
pub(crate) fn ensure_programs(programs: &[&str]) -> Result<()> {
    let lacking = || -> Vec<&'static str> {
        let wanted = TOOLS.iter().filter(|tool| programs.contains(&tool.program));
        wanted
            .filter(|tool| which(tool.program).is_none())
            .filter_map(|tool| tool.package)
            .collect()
    };
    let packages = lacking();
    if !packages.is_empty() {
        install_packages(&packages)?;
    }
    let packages = lacking();
    if !packages.is_empty() {
        bail!("missing; as root: apt-get install {}", packages.join(" "));
    }
    Ok(())
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if which("apt-get").is_none() || !is_root() {
        println!(
            "cannot install packages here; as root: apt-get install {}",
            packages.join(" ")
        );
        return Ok(());
    }
    run(command("apt-get").args(["-qq", "update"]))?;
    run(command("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(packages))
}

fn is_root() -> bool {
    command("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
