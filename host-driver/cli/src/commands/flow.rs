//! `sealnic flow`: flow entries.

use sealnic_driver::control::protocol::Flush;
use sealnic_driver::control::view::FlowView;

use super::CommandError;
use super::client::Common;

/// Lists flow entries, and removes them so that they are decided again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists flow entries.
    List {
        /// Only those of this port.
        #[arg(long)]
        port: Option<u16>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows the entries, in both directions, of what runs between two addresses.
    Show {
        /// One address.
        one: std::net::IpAddr,
        /// The other one.
        other: std::net::IpAddr,
        #[command(flatten)]
        common: Common,
    },
    /// Removes flow entries; all without an option.
    Flush {
        /// Egress entries of this port.
        #[arg(long, conflicts_with = "vni")]
        port: Option<u16>,
        /// Ingress entries of this VNI.
        #[arg(long)]
        vni: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List { port, common } => list(common, |flow| port.is_none_or(|port| flow.port == port)),
        Command::Show { one, other, common } => {
            let (one, other) = (one.to_string(), other.to_string());
            list(common, |view| {
                let ends = (&view.flow.src, &view.flow.dst);
                ends == (&one, &other) || ends == (&other, &one)
            })
        }
        Command::Flush { port, vni, common } => {
            let flush = Flush { port: *port, vni: *vni };
            common.act("flow-flush", "flow entries removed", &flush)
        }
    }
}

fn list(common: &Common, wanted: impl Fn(&FlowView) -> bool) -> Result<(), CommandError> {
    common.list::<FlowView, 9>(
        "flow-list",
        wanted,
        [
            "", "port", "from", "to", "protocol", "action", "code", "packets", "octets",
        ],
        |view| {
            let flow = &view.flow;
            let ports = flow.src_port != 0 || flow.dst_port != 0;
            let end = |address: &str, port: u16| {
                if ports {
                    format!("{address} port {port}")
                } else {
                    address.to_owned()
                }
            };
            [
                if flow.ingress { "in" } else { "out" }.to_owned(),
                view.port.to_string(),
                end(&flow.src, flow.src_port),
                end(&flow.dst, flow.dst_port),
                flow.protocol.to_string(),
                view.reason.clone().unwrap_or_else(|| view.action.clone()),
                view.code.clone(),
                view.packets.to_string(),
                view.octets.to_string(),
            ]
        },
    )
}
