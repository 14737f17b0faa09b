//! `sealnic exclusion`: traffic that goes in the clear although policy would encrypt it.

use sealnic_driver::control::spec::ExclusionSpec;
use sealnic_driver::control::text::Prefix;

use super::CommandError;
use super::client::{Common, Input, or_dash};

/// Lists, adds and removes exclusions from encryption.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists exclusions.
    List(Common),
    /// Shows one exclusion.
    Show {
        /// Its number.
        id: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Adds exclusions, or changes those that are there.
    Add(Add),
    /// Removes exclusions.
    Remove {
        /// Their numbers.
        #[arg(required = true)]
        id: Vec<u32>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Number.
    #[arg(required_unless_present = "input", conflicts_with = "input", requires_all = ["vni", "prefix"])]
    id: Option<u32>,
    /// VNI of the VNet whose VMs send it.
    #[arg(long)]
    vni: Option<u32>,
    /// Destinations.
    #[arg(long)]
    prefix: Option<Prefix>,
    /// IP protocol; any by default.
    #[arg(long)]
    protocol: Option<u8>,
    /// Destination port; any by default.
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List(common) => common.list::<ExclusionSpec, 5>(
            "exclusion-list",
            |_| true,
            ["id", "VNI", "prefix", "protocol", "port"],
            |e| {
                [
                    e.id.to_string(),
                    e.vni.to_string(),
                    e.prefix.to_string(),
                    or_dash(e.protocol),
                    or_dash(e.port),
                ]
            },
        ),
        Command::Show { id, common } => {
            common.show::<ExclusionSpec>("exclusion-list", &format!("exclusion {id}"), |e| e.id == *id)
        }
        Command::Add(add) => {
            let items = match (add.input.read()?, add.id, add.vni, add.prefix) {
                (Some(items), ..) => items,
                (None, Some(id), Some(vni), Some(prefix)) => vec![ExclusionSpec {
                    id,
                    vni,
                    prefix,
                    protocol: add.protocol,
                    port: add.port,
                }],
                // The definition of the command line leaves no other way.
                _ => Vec::new(),
            };
            add.common.each("exclusion-add", "exclusions set", &items)
        }
        Command::Remove { id, common } => common.each("exclusion-remove", "exclusions removed", id),
    }
}
