//! `sealnic association`: DTLS associations with peers.

use std::net::IpAddr;

use sealnic_abi::object::{AssociationState, CipherSuite, DtlsVersion};
use sealnic_driver::control::protocol::Declare;
use sealnic_driver::control::spec::AssociationSpec;
use sealnic_driver::control::text::{Name, Octets};

use super::CommandError;
use super::client::{Common, Input, or_dash};

/// Lists, adds and removes associations with peers, and declares their state.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists associations.
    List(Common),
    /// Shows one association.
    Show {
        /// Its number.
        id: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Adds associations, or changes state and overlap of those that are there.
    Add(Box<Add>),
    /// Declares an association's state. "Failed" lets its traffic go in the clear where both VNets allow that.
    State {
        /// Its number.
        id: u32,
        /// NotReady, Ready or Failed.
        state: Name<AssociationState>,
        #[command(flatten)]
        common: Common,
    },
    /// Removes associations and wipes their keys.
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
    #[arg(required_unless_present = "input", conflicts_with = "input", requires_all = ["local_vni", "local_pa", "peer_pa"])]
    id: Option<u32>,
    /// Our VNI.
    #[arg(long)]
    local_vni: Option<u32>,
    /// Their VNI; ours by default.
    #[arg(long)]
    peer_vni: Option<u32>,
    /// Our provider address.
    #[arg(long)]
    local_pa: Option<IpAddr>,
    /// Their provider address.
    #[arg(long)]
    peer_pa: Option<IpAddr>,
    /// Our UDP port.
    #[arg(long, default_value_t = 4433)]
    local_port: u16,
    /// Their UDP port.
    #[arg(long, default_value_t = 4433)]
    peer_port: u16,
    /// Dtls12 or Dtls13.
    #[arg(long, default_value = "Dtls13")]
    dtls: Name<DtlsVersion>,
    /// Aes128Gcm or Aes256Gcm.
    #[arg(long, default_value = "Aes256Gcm")]
    cipher: Name<CipherSuite>,
    /// NotReady, Ready or Failed.
    #[arg(long, default_value = "NotReady")]
    state: Name<AssociationState>,
    /// Connection id that we send, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    peer_cid: Option<Octets>,
    /// Connection id that the peer sends, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    local_cid: Option<Octets>,
    /// Replay window, in records.
    #[arg(long, default_value_t = 1024)]
    replay_window: u16,
    /// Time for which a retiring read SA still opens records, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    overlap: u32,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List(common) => common.list::<AssociationSpec, 9>(
            "association-list",
            |_| true,
            [
                "id",
                "VNI",
                "to VNI",
                "PA",
                "to PA",
                "DTLS",
                "cipher",
                "state",
                "connection id",
            ],
            |a| {
                [
                    a.id.to_string(),
                    a.local_vni.to_string(),
                    or_dash(a.peer_vni),
                    format!("{} port {}", a.local_pa, a.local_port),
                    format!("{} port {}", a.peer_pa, a.peer_port),
                    a.version.to_string(),
                    a.cipher.to_string(),
                    a.state.to_string(),
                    a.local_cid.to_string(),
                ]
            },
        ),
        Command::Show { id, common } => {
            common.show::<AssociationSpec>("association-list", &format!("association {id}"), |a| a.id == *id)
        }
        Command::Add(add) => {
            let items = match (add.input.read()?, add.id, add.local_vni, add.local_pa, add.peer_pa) {
                (Some(items), ..) => items,
                (None, Some(id), Some(local_vni), Some(local_pa), Some(peer_pa)) => vec![AssociationSpec {
                    id,
                    local_vni,
                    peer_vni: add.peer_vni,
                    local_pa,
                    peer_pa,
                    local_port: add.local_port,
                    peer_port: add.peer_port,
                    version: add.dtls,
                    cipher: add.cipher,
                    state: add.state,
                    peer_cid: add.peer_cid.clone().unwrap_or_default(),
                    local_cid: add.local_cid.clone().unwrap_or_default(),
                    replay_window: add.replay_window,
                    overlap_ms: add.overlap,
                }],
                // The definition of the command line leaves no other way.
                _ => Vec::new(),
            };
            add.common.each("association-add", "associations set", &items)
        }
        Command::State { id, state, common } => {
            let declare = Declare { id: *id, state: *state };
            common.act("association-state", "association set", &declare)
        }
        Command::Remove { id, common } => common.each("association-remove", "associations removed", id),
    }
}
