//! `sealnic vnet`: virtual networks.

use sealnic_abi::object::Enforcement;
use sealnic_driver::control::spec::VnetSpec;
use sealnic_driver::control::text::Name;

use super::CommandError;
use super::client::{Common, Input, yes_no};

/// Lists, adds and removes virtual networks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists VNets.
    List(Common),
    /// Shows one VNet.
    Show {
        /// Its VNI.
        vni: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Adds VNets, or changes those that are there.
    Add(Add),
    /// Removes VNets.
    Remove {
        /// Their VNIs.
        #[arg(required = true)]
        vni: Vec<u32>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// VNI, 1 to 16777215.
    #[arg(required_unless_present = "input", conflicts_with = "input")]
    vni: Option<u32>,
    /// Encryption is enabled.
    #[arg(long)]
    encryption: bool,
    /// AllowUnencrypted or DropUnencrypted.
    #[arg(long, default_value = "AllowUnencrypted")]
    enforcement: Name<Enforcement>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List(common) => common.list::<VnetSpec, 3>(
            "vnet-list",
            |_| true,
            ["VNI", "encryption", "enforcement"],
            |v| [v.vni.to_string(), yes_no(v.encryption), v.enforcement.to_string()],
        ),
        Command::Show { vni, common } => {
            common.show::<VnetSpec>("vnet-list", &format!("VNet {vni}"), |v| v.vni == *vni)
        }
        Command::Add(add) => {
            let items = add.input.read()?.unwrap_or_else(|| {
                vec![VnetSpec {
                    vni: add.vni.unwrap_or_default(),
                    encryption: add.encryption,
                    enforcement: add.enforcement,
                }]
            });
            add.common.each("vnet-add", "VNets set", &items)
        }
        Command::Remove { vni, common } => common.each("vnet-remove", "VNets removed", vni),
    }
}
