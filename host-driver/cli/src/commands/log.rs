//! `sealnic log`: the device's events.

use std::io::{self, Write};

use sealnic_driver::control::protocol::Tail;
use sealnic_driver::control::view::EventView;
use serde_json::Value;

use super::CommandError;
use super::client::Common;

/// Prints the device's events: flows that begin, go on, end or are denied, SAs at their limits, resets.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on with events as they come.
    #[arg(long)]
    follow: bool,
    /// Greatest number of past events; the daemon keeps the last 4096.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    last: usize,
    #[command(flatten)]
    common: Common,
}

/// Runs the command. As JSON, each event is a line of its own.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let tail = serde_json::value::to_raw_value(&Tail {
        last: Some(args.last),
        follow: args.follow,
    });
    let tail = tail.map_err(io::Error::from)?;
    let mut client = args.common.connect()?;
    client.request("log", Some(&tail), args.follow, |part| {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match part {
            Value::Array(events) => {
                for event in events {
                    if args.common.json {
                        serde_json::to_writer(&mut out, &event)?;
                        writeln!(out)?;
                    } else {
                        write_event(&mut out, &serde_json::from_value(event)?)?;
                    }
                }
            }
            lost if args.common.json => writeln!(out, "{lost}")?,
            lost => writeln!(
                out,
                "({} events were lost: they came faster than they were read)",
                lost["lost"]
            )?,
        }
        out.flush()
    })?;
    Ok(())
}

fn write_event(out: &mut impl Write, event: &EventView) -> io::Result<()> {
    write!(
        out,
        "{:>13}.{:03} {:<12}",
        event.time_ms / 1000,
        event.time_ms % 1000,
        event.kind
    )?;
    if let Some(flow) = &event.flow {
        let direction = if flow.ingress { "in" } else { "out" };
        write!(
            out,
            " {direction:<3} {} port {} -> {} port {} protocol {}",
            flow.src, flow.src_port, flow.dst, flow.dst_port, flow.protocol
        )?;
        if let Some(code) = &event.code {
            write!(out, " {code}")?;
        }
        if event.packets != 0 {
            write!(out, " {} packets, {} octets", event.packets, event.octets)?;
        }
        if let Some(reason) = &event.reason {
            write!(out, " ({reason})")?;
        }
    } else if let Some(subject) = event.subject {
        write!(out, " {subject}")?;
    }
    writeln!(out)
}
