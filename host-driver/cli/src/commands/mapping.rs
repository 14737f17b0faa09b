//! `sealnic mapping`: where addresses are.

use std::net::IpAddr;

use sealnic_abi::object::{Capability, MappingKind};
use sealnic_driver::control::spec::{MappingName, MappingSpec};
use sealnic_driver::control::text::{Mac, Name, Prefix};

use super::CommandError;
use super::client::{Common, Input, or_dash};

/// Lists, adds and removes mappings of customer addresses to hosts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists mappings.
    List {
        /// Only those of this source VNI.
        #[arg(long)]
        vni: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows one mapping.
    Show {
        /// Source VNI.
        vni: u32,
        /// Address or prefix.
        prefix: Prefix,
        #[command(flatten)]
        common: Common,
    },
    /// Adds mappings, or changes those that are there.
    Add(Add),
    /// Removes a mapping.
    Remove {
        /// Source VNI.
        vni: u32,
        /// Address or prefix.
        prefix: Prefix,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Source VNI.
    #[arg(required_unless_present = "input", conflicts_with = "input", requires = "prefix")]
    vni: Option<u32>,
    /// Address or prefix.
    prefix: Option<Prefix>,
    /// Host that has it.
    #[arg(long)]
    pa: Option<IpAddr>,
    /// MAC that neighbour requests for it are answered with.
    #[arg(long)]
    mac: Option<Mac>,
    /// Destination VNI, across a peering.
    #[arg(long)]
    dst_vni: Option<u32>,
    /// Vm, Outside or Unreachable.
    #[arg(long, default_value = "Vm")]
    kind: Name<MappingKind>,
    /// Supported, HwNotSupported, SwNotReady or NoDiscovery.
    #[arg(long, default_value = "Supported")]
    capability: Name<Capability>,
    /// Revision of the store it comes from; an older one never replaces a newer one.
    #[arg(long, default_value_t = 0)]
    revision: u32,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List { vni, common } => common.list::<MappingSpec, 8>(
            "mapping-list",
            |m| vni.is_none_or(|vni| m.vni == vni),
            ["VNI", "prefix", "to VNI", "kind", "PA", "MAC", "capability", "revision"],
            |m| {
                [
                    m.vni.to_string(),
                    m.prefix.to_string(),
                    or_dash(m.dst_vni),
                    m.kind.to_string(),
                    or_dash(m.pa),
                    m.mac.to_string(),
                    m.capability.to_string(),
                    m.revision.to_string(),
                ]
            },
        ),
        Command::Show { vni, prefix, common } => {
            let what = format!("mapping {prefix} in VNet {vni}");
            common.show::<MappingSpec>("mapping-list", &what, |m| (m.vni, m.prefix) == (*vni, *prefix))
        }
        Command::Add(add) => {
            let items = match (add.input.read()?, add.vni, add.prefix) {
                (Some(items), ..) => items,
                (None, Some(vni), Some(prefix)) => vec![MappingSpec {
                    vni,
                    prefix,
                    dst_vni: add.dst_vni,
                    kind: add.kind,
                    pa: add.pa,
                    mac: add.mac.unwrap_or_default(),
                    capability: add.capability,
                    revision: add.revision,
                }],
                // The definition of the command line leaves no other way.
                _ => Vec::new(),
            };
            add.common.each("mapping-add", "mappings set", &items)
        }
        Command::Remove { vni, prefix, common } => {
            let name = MappingName {
                vni: *vni,
                prefix: *prefix,
            };
            common.each("mapping-remove", "mappings removed", &[name])
        }
    }
}
