//! `sealnic sa`: security associations.

use std::path::{Path, PathBuf};

use sealnic_driver::control::protocol::{Rotate, RotateStep};
use sealnic_driver::control::spec::SaSpec;
use sealnic_driver::control::view::SaView;
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::CommandError;
use super::client::{Common, read_text};

/// Lists, installs, rotates, retires and removes security associations.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists SAs; never their keys.
    List {
        /// Only those of this association.
        #[arg(long)]
        association: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows one SA.
    Show {
        /// Its number.
        sa: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Installs an SA with keys that a handshake gave.
    Add {
        /// JSON object with the SA: sa, association, direction, epoch, key, iv, sn_key, and version, cipher, first_sequence where they are not
        /// Dtls13, Aes256Gcm, 0. "-" for standard input; keys are never given on the command line.
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Seals with an installed write SA from now on; the previous one is removed.
    Activate {
        /// Its number.
        sa: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Gives an association the static keys of its next epoch. Without loss when each step is done at both ends before the next one.
    Rotate {
        /// Association.
        association: u32,
        /// How far.
        #[arg(long, value_enum, default_value_t = Step::All)]
        step: Step,
        #[command(flatten)]
        common: Common,
    },
    /// Retires SAs: a read SA still opens records for its association's overlap.
    Retire {
        /// Their numbers.
        #[arg(required = true)]
        sa: Vec<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Removes SAs and wipes their keys at once.
    Remove {
        /// Their numbers.
        #[arg(required = true)]
        sa: Vec<u32>,
        #[command(flatten)]
        common: Common,
    },
}

/// Steps of a rotation.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Step {
    /// Install the keys of the next epoch beside those in use.
    Prepare,
    /// Seal with the next epoch.
    Switch,
    /// Retire what opened the old epoch.
    Finish,
    /// All of these at once.
    All,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List { association, common } => common.list::<SaView, 9>(
            "sa-list",
            |sa| association.is_none_or(|association| sa.association == association),
            [
                "SA",
                "association",
                "direction",
                "epoch",
                "phase",
                "sequence",
                "packets",
                "failed",
                "replayed",
            ],
            |sa| {
                [
                    sa.sa.to_string(),
                    sa.association.to_string(),
                    sa.direction.clone(),
                    sa.epoch.to_string(),
                    sa.phase.clone(),
                    sa.sequence.to_string(),
                    sa.packets.to_string(),
                    sa.auth_failures.to_string(),
                    sa.replayed.to_string(),
                ]
            },
        ),
        Command::Show { sa, common } => common.show::<SaView>("sa-list", &format!("SA {sa}"), |s| s.sa == *sa),
        Command::Add { input, common } => add(input, common),
        Command::Activate { sa, common } => common.each("sa-activate", "SAs activated", &[*sa]),
        Command::Rotate {
            association,
            step,
            common,
        } => rotate(*association, *step, common),
        Command::Retire { sa, common } => common.each("sa-retire", "SAs retired", sa),
        Command::Remove { sa, common } => common.each("sa-remove", "SAs removed", sa),
    }
}

fn rotate(association: u32, step: Step, common: &Common) -> Result<(), CommandError> {
    let request = Rotate {
        association,
        step: match step {
            Step::Prepare => RotateStep::Prepare,
            Step::Switch => RotateStep::Switch,
            Step::Finish => RotateStep::Finish,
            Step::All => RotateStep::All,
        },
    };
    let done: Value = common.connect()?.call("sa-rotate", &request)?;
    common.print(&done, |out| {
        writeln!(out, "association {association}: epoch {}", done["epoch"])
    })
}

fn add(input: &Path, common: &Common) -> Result<(), CommandError> {
    let bad = |problem: String| CommandError::Input {
        path: input.to_owned(),
        problem,
    };
    let text = Zeroizing::new(read_text(input).map_err(|error| bad(error.to_string()))?);
    // Looked at here, so that what is wrong with a file isn't told only by the daemon; sent as it stands, but on one line.
    serde_json::from_str::<SaSpec>(&text).map_err(|error| bad(error.to_string()))?;
    let line = Zeroizing::new(text.replace(['\n', '\r'], " "));
    let args: &RawValue = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
    common.connect()?.request("sa-add", Some(args), false, |_| Ok(()))?;
    common.say_count(1, "SA installed")
}
