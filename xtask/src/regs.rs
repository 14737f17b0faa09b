//! Files that follow from `firmware/abi/sealnic.rdl` and from the shared structures: made, or compared with what is
//! committed.

use crate::setup::REGS_VENV;
use crate::shell::{cargo, command, output, root, run};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const RDL: &str = "firmware/abi/sealnic.rdl";
const RUST: &str = "firmware/abi/regs/src/generated";
const RTL: &str = "sim/rtl/generated";
const DOCS: &str = "docs/registers";
/// Everything in these folders is generated; a file that no generator writes any more is removed.
const OWNED: &[&str] = &[RUST, RTL, DOCS];

/// Path from the workspace's root → content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Generates all files anew.
pub(crate) fn write() -> Result<()> {
    // The registers first: the structures' generator depends on the crate that they are part of.
    let mut wanted = from_rdl()?;
    replace(&wanted)?;
    wanted.extend(from_structures()?);
    replace(&wanted)?;
    for (path, _) in committed()?.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
        fs::remove_file(root().join(path))?;
        println!("removed   {}", path.display());
    }
    println!("{} generated files are up to date", wanted.len());
    Ok(())
}

/// Fails, saying where, when a committed file differs from what is generated.
pub(crate) fn check() -> Result<()> {
    let mut wanted = from_rdl()?;
    wanted.extend(from_structures()?);
    let committed = committed()?;
    let mut drift = Vec::new();
    for (path, content) in &wanted {
        match committed.get(path) {
            None => drift.push(format!("missing   {}", path.display())),
            Some(present) if present != content => {
                drift.push(format!("differs   {}\n{}", path.display(), summary(present, content)));
            }
            Some(_) => {}
        }
    }
    let stray = committed.keys().filter(|path| !wanted.contains_key(*path));
    drift.extend(stray.map(|path| format!("stray     {}", path.display())));
    if !drift.is_empty() {
        println!("{}", drift.join("\n"));
        bail!(
            "{} of {} generated files have drifted: edit their source and run `cargo xtask regs`",
            drift.len(),
            wanted.len()
        );
    }
    println!("{} generated files are up to date", wanted.len());
    Ok(())
}

/// Runs the generators over the register description.
fn from_rdl() -> Result<Files> {
    REGS_VENV.ensure()?;
    let out = root().join("target/regs");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    for folder in OWNED {
        fs::create_dir_all(out.join(folder))?;
    }
    let peakrdl = |exporter: &str, to: &Path, options: &[&str]| {
        run(command(REGS_VENV.program("peakrdl"))
            .args([exporter, RDL])
            .args(options)
            .arg("-o")
            .arg(to))
    };
    // The memories are left out of the Rust access; the description says why.
    peakrdl("rust", &out.join(RUST).join("access"), &["-D", "WITHOUT_WINDOWS"])?;
    let regblock = [
        "--cpuif",
        "axi4-lite-flat",
        "--default-reset",
        "rst",
        "--err-if-bad-addr",
        "--err-if-bad-rw",
    ];
    peakrdl("regblock", &out.join(RTL), &regblock)?;
    peakrdl("markdown", &out.join(DOCS).join("sealnic_pf.md"), &[])?;
    let offsets = output(command(REGS_VENV.program("python")).args(["tools/regs/offsets.py", RDL]))?;
    fs::write(out.join(RUST).join("offsets.rs"), offsets)?;

    // rustfmt follows `mod` from the root to the other files of the access.
    let roots = ["access/mod.rs", "offsets.rs"].map(|file| out.join(RUST).join(file));
    run(command("rustfmt")
        .args(["--quiet", "--edition", "2024", "--config-path", "rustfmt.toml"])
        .args(roots))?;
    let mut files = read_tree(&out)?;
    for content in files.values_mut() {
        *content = tidy(content)?;
    }
    Ok(files)
}

/// The SystemVerilog package of the shared structures.
fn from_structures() -> Result<Files> {
    let package = output(cargo().args(["run", "--quiet", "--package", "sealnic-sv-package"]))?;
    Ok(Files::from([(Path::new(RTL).join("sealnic_abi_pkg.sv"), package)]))
}

/// Removes what depends on this machine or would be noise in a diff: the checkout's path, blanks at line ends.
fn tidy(content: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(content).context("a generator wrote something other than text")?;
    let prefix = format!("{}/", root().display());
    let mut tidy: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    tidy = tidy.replace(&prefix, "");
    tidy.truncate(tidy.trim_end().len());
    tidy.push('\n');
    Ok(tidy.into_bytes())
}

/// Writes the files whose content is another than `files` says.
fn replace(files: &Files) -> Result<()> {
    for (path, content) in files {
        let to = root().join(path);
        if fs::read(&to).is_ok_and(|present| present == *content) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        println!("written   {}", path.display());
    }
    Ok(())
}

/// What stands in the owned folders now.
fn committed() -> Result<Files> {
    let mut files = Files::new();
    for folder in OWNED {
        for (path, content) in read_tree(&root().join(folder))? {
            files.insert(Path::new(folder).join(path), content);
        }
    }
    Ok(files)
}

/// All files below `folder`, by their path from it; nothing when it does not exist.
fn read_tree(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        if !current.exists() {
            continue;
        }
        for entry in fs::read_dir(&current).with_context(|| format!("cannot read {}", current.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.insert(path.strip_prefix(folder)?.to_path_buf(), content);
            }
        }
    }
    Ok(files)
}

/// The first differing lines of two texts, and how many there are.
fn summary(present: &[u8], wanted: &[u8]) -> String {
    let (present, wanted) = (String::from_utf8_lossy(present), String::from_utf8_lossy(wanted));
    let (present, wanted): (Vec<&str>, Vec<&str>) = (present.lines().collect(), wanted.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = present.iter().zip(&wanted).take_while(same).count();
    let rest = present.len().min(wanted.len()) - head;
    let tail = present
        .iter()
        .rev()
        .zip(wanted.iter().rev())
        .take(rest)
        .take_while(same)
        .count();
    let mut present = present[head..present.len() - tail].to_vec();
    let mut wanted = wanted[head..wanted.len() - tail].to_vec();
    if present.len() == wanted.len() {
        // Values were edited in place: the lines between the edits are noise.
        (present, wanted) = present.iter().zip(&wanted).filter(|(a, b)| a != b).unzip();
    }
    let mut out = vec![format!("  from line {} (- committed, + generated)", head + 1)];
    for (sign, lines) in [('-', present), ('+', wanted)] {
        out.extend(lines.iter().take(SHOWN).map(|line| format!("  {sign} {line}")));
        if lines.len() > SHOWN {
            out.push(format!("  {sign} and {} more lines", lines.len() - SHOWN));
        }
    }
    out.join("\n")
}

/// Lines of either side that a summary shows.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_shows_only_what_differs() {
        let text = summary(b"a\nb\nc\nd\n", b"a\nX\nY\nc\nd\n");
        assert_eq!(text, "  from line 2 (- committed, + generated)\n  - b\n  + X\n  + Y");
    }

    #[test]
    fn a_summary_of_values_edited_in_place_leaves_out_the_lines_between() {
        let text = summary(b"a\nb\nc\nd\n", b"A\nb\nc\nD\n");
        assert_eq!(
            text,
            "  from line 1 (- committed, + generated)\n  - a\n  - d\n  + A\n  + D"
        );
    }

    #[test]
    fn a_summary_of_an_appended_line_does_not_repeat_its_neighbours() {
        assert_eq!(
            summary(b"a\na\n", b"a\na\na\n"),
            "  from line 3 (- committed, + generated)\n  + a"
        );
    }

    #[test]
    fn tidied_text_names_no_folder_of_this_machine() {
        let text = format!("- {}/firmware/abi/sealnic.rdl  \n\n\n", root().display());
        assert_eq!(tidy(text.as_bytes()).unwrap(), b"- firmware/abi/sealnic.rdl\n");
    }
}
