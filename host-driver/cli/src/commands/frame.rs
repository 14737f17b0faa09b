//! `sealnic frame`: the exception path.

use std::io::{self, Write};

use sealnic_driver::control::protocol::{FrameSend, Nothing};
use sealnic_driver::control::text::Octets;
use sealnic_driver::control::view::FrameView;
use serde_json::Value;

use super::CommandError;
use super::client::Common;

/// Takes frames that come up to the host, and sends frames in the place of a VM.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Sends frames as if the VM behind a port had sent them; the port must be a representor (`sealnic port add --representor`).
    Send {
        /// Port number.
        port: u16,
        /// The frames, from their Ethernet headers on, as hexadecimal digits.
        #[arg(required = true)]
        frame: Vec<Octets>,
        #[command(flatten)]
        common: Common,
    },
    /// Prints the frames that come up to the host, until it is stopped: those for a representor's VM, DHCP, handshakes, control records.
    Follow(Common),
}

/// Runs the command. As JSON, each frame is a line of its own.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::Send { port, frame, common } => {
            let send = FrameSend {
                port: *port,
                items: frame.clone(),
            };
            common.act("frame-send", "frames sent", &send)
        }
        Command::Follow(common) => follow(common),
    }
}

fn follow(common: &Common) -> Result<(), CommandError> {
    let nothing = serde_json::value::to_raw_value(&Nothing {}).map_err(io::Error::from)?;
    common
        .connect()?
        .request("frame-follow", Some(&nothing), true, |part| {
            let mut out = io::BufWriter::new(io::stdout().lock());
            match part {
                Value::Array(frames) if common.json => frames.iter().try_for_each(|frame| writeln!(out, "{frame}"))?,
                Value::Array(frames) => {
                    for frame in frames {
                        let frame: FrameView = serde_json::from_value(frame)?;
                        write!(out, "{:<13}", frame.kind)?;
                        match (frame.port, frame.association) {
                            (Some(port), _) => write!(out, " port {port}")?,
                            (None, Some(association)) => write!(out, " association {association}")?,
                            (None, None) => {}
                        }
                        writeln!(out, " {}", frame.frame)?;
                    }
                }
                lost if common.json => writeln!(out, "{lost}")?,
                lost => writeln!(
                    out,
                    "({} frames were lost: they came faster than they were read)",
                    lost["lost"]
                )?,
            }
            out.flush()
        })?;
    Ok(())
}
