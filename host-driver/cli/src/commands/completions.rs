//! `sealnic completions` and `sealnic man`: what follows from the definition of the command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_complete::Shell;

use super::CommandError;

/// Prints a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell.
    shell: Shell,
}

/// Writes manual pages, one for each command.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Folder for them; made when it is missing.
    folder: PathBuf,
}

/// Runs `completions`.
pub(crate) fn run(args: &Args, mut command: clap::Command) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sealnic", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}

/// Runs `man`.
pub(crate) fn run_man(args: &ManArgs, command: clap::Command) -> Result<(), CommandError> {
    write_pages(&args.folder, command).map_err(|source| CommandError::File {
        path: args.folder.clone(),
        source,
    })
}

fn write_pages(folder: &Path, command: clap::Command) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
