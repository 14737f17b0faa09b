//! The line-rate report in a headless browser.

use crate::setup::{BROWSER_VENV, ensure_programs};
use crate::shell::{cargo, command, output, root, run};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;

/// Draws a report that has all that a page must stand up to, judges it, and tests the judge on spoiled copies.
pub(crate) fn check() -> Result<()> {
    prepare()?;
    let folder = root().join("target/browser");
    std::fs::create_dir_all(&folder)?;
    let (data, page) = (folder.join("sample.json"), folder.join("sample.html"));
    std::fs::write(&data, output(&mut python("sample.py"))?)?;
    run(cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "sealnic-sim",
            "--example",
            "line_rate_page",
            "--",
        ])
        .args([&data, &page]))?;
    judge(&page, &data)?;
    run(python("selftest.py").arg(&page))
}

/// Judges a page against the data that it was drawn from.
pub(crate) fn judge(page: &Path, data: &Path) -> Result<()> {
    prepare()?;
    run(python("check_report.py").arg(page).arg("--data").arg(data))
}

/// Sees to it that there is a browser, and what drives it.
fn prepare() -> Result<()> {
    ensure_programs(&["chromium", "chromedriver"]).context("the line-rate report can't be judged without a browser")?;
    BROWSER_VENV.ensure()
}

/// A program of `tests/browser`.
fn python(script: &str) -> Command {
    let mut python = command(BROWSER_VENV.program("python"));
    python.arg(root().join("tests/browser").join(script));
    python
}
