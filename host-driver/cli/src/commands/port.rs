//! `sealnic port`: the VMs' ports.

use sealnic_abi::object::Capability;
use sealnic_driver::control::spec::PortSpec;
use sealnic_driver::control::text::{Mac, Name, Prefix};

use super::CommandError;
use super::client::{Common, Input, yes_no};

/// Lists, adds and removes ports of VMs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists ports.
    List(Common),
    /// Shows one port.
    Show {
        /// Its number.
        port: u16,
        #[command(flatten)]
        common: Common,
    },
    /// Adds ports, or changes those that are there.
    Add(Add),
    /// Removes ports, their addresses and their flows.
    Remove {
        /// Their numbers.
        #[arg(required = true)]
        port: Vec<u16>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Port number.
    #[arg(
        required_unless_present = "input",
        conflicts_with = "input",
        requires = "vni",
        requires = "mac"
    )]
    port: Option<u16>,
    /// VNI of its VNet.
    #[arg(long)]
    vni: Option<u32>,
    /// MAC of the VM.
    #[arg(long)]
    mac: Option<Mac>,
    /// An address or prefix of the VM; may be given several times. Without any, its addresses stay as they are.
    #[arg(long, value_name = "PREFIX")]
    address: Vec<Prefix>,
    /// Greatest IP packet, in octets.
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
    /// Supported, HwNotSupported, SwNotReady or NoDiscovery.
    #[arg(long, default_value = "Supported")]
    capability: Name<Capability>,
    /// Leave it down.
    #[arg(long)]
    down: bool,
    /// Accept any source MAC: a VM that routes for others.
    #[arg(long)]
    any_mac: bool,
    /// Stand in for the VM: its frames come and go by `sealnic frame`, and its virtual function is shut.
    #[arg(long)]
    representor: bool,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List(common) => common.list::<PortSpec, 7>(
            "port-list",
            |_| true,
            ["port", "VNI", "MAC", "MTU", "capability", "up", "addresses"],
            |p| {
                let addresses: Vec<String> = p.addresses.iter().flatten().map(Prefix::to_string).collect();
                [
                    p.port.to_string(),
                    p.vni.to_string(),
                    if p.any_mac { "any".to_owned() } else { p.mac.to_string() },
                    p.mtu.to_string(),
                    p.capability.to_string(),
                    yes_no(p.up),
                    addresses.join(" "),
                ]
            },
        ),
        Command::Show { port, common } => {
            common.show::<PortSpec>("port-list", &format!("port {port}"), |p| p.port == *port)
        }
        Command::Add(add) => {
            let items = add.input.read()?.unwrap_or_else(|| {
                vec![PortSpec {
                    port: add.port.unwrap_or_default(),
                    vni: add.vni.unwrap_or_default(),
                    mac: add.mac.unwrap_or_default(),
                    mtu: add.mtu,
                    capability: add.capability,
                    up: !add.down,
                    any_mac: add.any_mac,
                    representor: add.representor,
                    addresses: (!add.address.is_empty()).then(|| add.address.clone()),
                }]
            });
            add.common.each("port-add", "ports set", &items)
        }
        Command::Remove { port, common } => common.each("port-remove", "ports removed", port),
    }
}
