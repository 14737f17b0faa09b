//! `sealnic serve`: models of NICs as vfio-user devices.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::ValueEnum;
use sealnic_hw_model::cycle::{CycleModel, CycleModelError, HwConfig};
use sealnic_hw_model::pci::PfFunction;
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig, Sizes};
use sealnic_sim::Scenario;
use sealnic_sim::serve::function::ClientPort;
use sealnic_sim::serve::nic::nic;
use sealnic_sim::serve::{ServedNic, Server};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::CommandError;

/// Serves models of NICs as vfio-user devices, for QEMU, a daemon or a test, until it is told to stop (SIGTERM, SIGINT).
///
/// One NIC stands alone; two are wired back to back. With a scenario there is one for each of its hosts, on its wire. A NIC keeps
/// what it was told when its client goes, and forgets it when a client resets it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Socket of a NIC; twice for two NICs.
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "scenario",
        conflicts_with = "scenario"
    )]
    socket: Vec<PathBuf>,
    /// Scenario file: a NIC for each host, sized and wired as it says.
    #[arg(long, value_name = "FILE", requires = "socket_dir")]
    scenario: Option<PathBuf>,
    /// Folder for the sockets of a scenario's NICs, NAME.sock for the host of that name.
    #[arg(long, value_name = "DIR", requires = "scenario")]
    socket_dir: Option<PathBuf>,
    /// What stands for the NICs.
    #[arg(long, value_enum, default_value_t = Model::Functional)]
    model: Model,
    /// Hardware of the cycle model: a file, or one of the presets 100g, 200g, 400g, entry. The default is 100g.
    #[arg(long, value_name = "FILE")]
    hw: Option<PathBuf>,
    /// File for what is on the wire, as pcapng.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Print the sockets as JSON.
    #[arg(long)]
    json: bool,
}

/// Models on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Model {
    /// What happens to a frame, at once.
    Functional,
    /// What happens to a frame, cycle by cycle: time inside is the hardware's, and queues overflow.
    Cycle,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let hardware = match (args.model, &args.hw) {
        (Model::Functional, None) => None,
        (Model::Functional, Some(_)) => {
            return Err(CommandError::Usage(
                "--hw is of use with --model cycle only, the functional model takes no time; add --model cycle, or leave --hw out"
                    .to_owned(),
            ));
        }
        (Model::Cycle, Some(name)) => Some(super::hardware(name)?),
        (Model::Cycle, None) => Some(HwConfig::default_preset()?),
    };
    let scenario = args.scenario.as_deref().map(Scenario::load).transpose()?;
    let nics = match (&scenario, &args.socket_dir) {
        (Some(scenario), Some(folder)) => scenario
            .hosts
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let socket = folder.join(format!("{}.sock", host.name));
                served(hardware.as_ref(), socket, scenario.nic_sizes(index), index)
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => args
            .socket
            .iter()
            .enumerate()
            .map(|(index, socket)| served(hardware.as_ref(), socket.clone(), Sizes::default(), index))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let sockets: Vec<PathBuf> = nics.iter().map(|nic| nic.socket.clone()).collect();
    let (stop, stopper) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, stopper.try_clone()?)?;
    }
    let server = Server::bind(nics, scenario.as_ref(), args.capture.as_deref())?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "sockets": sockets }))?;
    } else {
        for socket in &sockets {
            writeln!(out, "serving a NIC at {}", socket.display())?;
        }
    }
    out.flush()?;
    drop(out);
    Ok(server.run(stop.as_fd())?)
}

fn served(
    hardware: Option<&HwConfig>,
    socket: PathBuf,
    sizes: Sizes,
    index: usize,
) -> Result<ServedNic<PfFunction>, CommandError> {
    let config = ModelConfig { sizes, seed: None };
    let model: Box<dyn HwModel> = match hardware {
        None => Box::new(FunctionalModel::new(&config)?),
        Some(hardware) => Box::new(CycleModel::new(&config, hardware).map_err(|error| match error {
            CycleModelError::Hardware(error) => CommandError::from(error),
            CycleModelError::Model(error) => CommandError::from(error),
        })?),
    };
    let port = ClientPort::default();
    Ok(ServedNic {
        socket,
        function: nic(model, &port, index as u64 + 1),
        port,
    })
}
