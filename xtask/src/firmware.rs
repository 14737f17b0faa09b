//! The firmware crates on a bare-metal target, against a sysroot that holds `core` and nothing else.
//!
//! That they build there proves that they, and all they depend on, use neither `std` nor `alloc`: the compiler finds no
//! such crate. An installed target (`rustup target add`) is used where there is one; otherwise `core` is compiled once from
//! the sources that belong to the compiler.

use crate::shell::{cargo, command, output, root, run, succeeds};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "riscv32imac-unknown-none-elf";
const CRATES: &[&str] = &[
    "sealnic-regs",
    "sealnic-abi",
    "sealnic-wire",
    "sealnic-dtls",
    "sealnic-policy",
    "sealnic-firmware",
];
/// Optimised, without the link-time work that a library has no use for.
const PROFILE: &str = "ci";
/// Raised when the way the sysroot is made changes, so that an old one is not taken for a new one.
const RECIPE: u32 = 1;

/// Builds the firmware crates, each on its own, so that no crate's features help another's.
pub(crate) fn check() -> Result<()> {
    let sysroot = core_only_sysroot()?;
    prove(&sysroot)?;
    for name in CRATES {
        run(cargo()
            .env("CARGO_TARGET_DIR", root().join("target/firmware"))
            .env("RUSTFLAGS", format!("--sysroot {}", sysroot.display()))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args([
                "build",
                "--profile",
                PROFILE,
                "--lib",
                "--target",
                TARGET,
                "--package",
                name,
            ]))?;
    }
    println!("{} crates build for {TARGET} with `core` alone", CRATES.len());
    Ok(())
}

/// Checks that the sysroot lets pass what it should and stops what it should.
fn prove(sysroot: &Path) -> Result<()> {
    let source = sysroot.join("probe.rs");
    let compiles = |text: &str| -> Result<bool> {
        fs::write(&source, text)?;
        let mut rustc = rustc();
        rustc.args([
            "--edition=2024",
            "--crate-type=lib",
            "--emit=metadata",
            "--target",
            TARGET,
        ]);
        Ok(succeeds(
            rustc
                .arg("--sysroot")
                .arg(sysroot)
                .arg("--out-dir")
                .arg(sysroot)
                .arg(&source),
        ))
    };
    if !compiles("#![no_std] pub fn f() -> Option<u8> { None }")? {
        bail!(
            "the sysroot {} is of no use: `core` is not found in it; delete it and try again",
            sysroot.display()
        );
    }
    for unwanted in ["alloc", "std"] {
        if compiles(&format!("#![no_std] extern crate {unwanted};"))? {
            bail!(
                "the sysroot {} offers `{unwanted}`, so a build with it proves nothing",
                sysroot.display()
            );
        }
    }
    Ok(())
}

/// A sysroot for [`TARGET`] with `core` and `compiler_builtins`, made on first use and kept in the user's cache.
fn core_only_sysroot() -> Result<PathBuf> {
    let version = output(rustc().arg("-vV"))?;
    let version = String::from_utf8_lossy(&version);
    let field = |name: &str| {
        version
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or("unknown")
            .trim()
    };
    let cache = cache_folder()?;
    let tag = format!(
        "{}-{}-{RECIPE}",
        field("release:"),
        &field("commit-hash:").chars().take(9).collect::<String>()
    );
    let sysroot = cache.join(format!("core-{tag}"));
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let done = libraries.join("done");
    if done.exists() {
        return Ok(sysroot);
    }
    let installed = output(rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
    let mut from = PathBuf::from(String::from_utf8_lossy(&installed).trim());
    if core_libraries(&from)?.is_empty() {
        from = build_core(&cache)?;
    }
    let found = core_libraries(&from)?;
    if found.len() != 2 {
        bail!(
            "expected one libcore and one libcompiler_builtins in {}, found {found:?}",
            from.display()
        );
    }
    if libraries.exists() {
        fs::remove_dir_all(&libraries)?;
    }
    fs::create_dir_all(&libraries)?;
    for library in found {
        let name = library.file_name().context("a library without a name")?;
        fs::copy(&library, libraries.join(name))?;
    }
    fs::write(done, "")?;
    Ok(sysroot)
}

/// The libraries in `folder` that go into the sysroot.
fn core_libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = name.starts_with("libcore-") || name.starts_with("libcompiler_builtins-");
        if wanted && name.ends_with(".rlib") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Compiles `core` from source for [`TARGET`] and returns the folder with its libraries.
///
/// Stable cargo refuses `-Zbuild-std` unless told to behave as a nightly one; that is done here, for the standard
/// library alone, and nowhere else.
fn build_core(cache: &Path) -> Result<PathBuf> {
    let sources = output(command("tools/firmware/rust-src.sh").arg(cache))
        .with_context(|| format!("no core library for {TARGET}; with rustup: rustup target add {TARGET}"))?;
    let sources = String::from_utf8(sources)?;
    let package = cache.join("build-core");
    if package.exists() {
        // Two builds of core side by side would both be found.
        fs::remove_dir_all(&package)?;
    }
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"build-core\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\npanic = \"abort\"\nopt-level = \"s\"\ncodegen-units = 1\n",
    )?;
    fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    run(cargo()
        .current_dir(&package)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", sources.trim())
        // Without bitcode a later build with link-time optimisation would fail.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_DIR", package.join("target"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .args(["build", "--quiet", "--release", "--target", TARGET, "-Zbuild-std=core"]))?;
    Ok(package.join("target").join(TARGET).join("release/deps"))
}

fn rustc() -> Command {
    command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn cache_folder() -> Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => root().join("target"),
    };
    let folder = base.join("sealnic");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
