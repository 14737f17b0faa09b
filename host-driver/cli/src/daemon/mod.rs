//! `sealnic daemon`: owns one device, keeps it programmed, and answers the clients at its socket.
//!
//! * [`board`]: the ways to a device
//! * [`run_id`]: the run id that both ends of a scenario share
//! * [`source`]: a scenario as the desired state of one host

mod board;
mod run_id;
mod source;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use sealnic_driver::control::flow_file::FlowFile;
use sealnic_driver::control::ledger::Ledger;
use sealnic_driver::control::place::{Lock, Place, PlaceError, runtime_folder, state_folder};
use sealnic_driver::control::{DesiredSource, Owner, OwnerConfig, Server, ServerConfig, owner, server};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use board::DeviceSpec;
use run_id::{RunIdSource, parse_run_id};
use source::ScenarioSource;

use crate::commands::CommandError;

/// Owns a device: keeps a scenario programmed on it, writes its flow log, and answers the other commands.
///
/// SIGHUP loads the scenario again; SIGTERM and SIGINT stop. The device goes on as programmed, where it outlives the daemon: a model in the
/// daemon's own process dies with it, and a kernel's VFIO device is reset.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("run").args(["run_id", "run_id_file"])))]
pub(crate) struct Args {
    /// Device to own.
    #[arg(long, value_name = "DEVICE", long_help = board::DEVICE_HELP)]
    device: DeviceSpec,
    /// Socket for the clients; $XDG_RUNTIME_DIR/sealnic/NAME.sock by default, /run/sealnic/NAME.sock for root without that variable.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Name of this daemon, for its socket: the host's, else "default".
    #[arg(long, conflicts_with = "socket", value_parser = plain_name)]
    name: Option<String>,
    /// Scenario to keep programmed.
    #[arg(long, value_name = "FILE", requires = "host", requires = "run")]
    scenario: Option<PathBuf>,
    /// Host of the scenario that the device sits in.
    #[arg(long, requires = "scenario")]
    host: Option<String>,
    /// Run id, 32 hexadecimal digits: what the keys follow from, with the scenario's secret. The same for every host, and for one life of
    /// a device only.
    #[arg(long, value_name = "HEX", requires = "scenario", value_parser = parse_run_id)]
    run_id: Option<sealnic_driver::RunId>,
    /// File with the run id; made with a random one when it is missing.
    #[arg(long, value_name = "FILE", requires = "scenario")]
    run_id_file: Option<PathBuf>,
    /// Folder for what must outlive the daemon: which run ids were used. $XDG_STATE_HOME/sealnic by default.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder for the flow log, flow-log.jsonl.
    #[arg(long, value_name = "DIR")]
    flow_log: Option<PathBuf>,
    /// Size at which a flow-log file is put aside, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, requires = "flow_log", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    flow_log_size: u64,
    /// Flow-log files that are kept besides the one being written.
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "flow_log", value_parser = clap::value_parser!(u32).range(0..=1000))]
    flow_log_keep: u32,
    /// Time between two looks at a device that can't interrupt, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    poll: u64,
}

/// Why a daemon can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// Socket or lock.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The device, or its desired state.
    #[error(transparent)]
    Start(#[from] owner::StartError),
    /// The socket's thread.
    #[error(transparent)]
    Server(#[from] server::ServerError),
    /// The flow log can't be opened.
    #[error("{}: the flow log can't be opened: {source}; choose another folder (--flow-log)", folder.display())]
    FlowLog {
        /// Folder.
        folder: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Signals can't be had.
    #[error("signals can't be waited for: {0}")]
    Signals(#[source] io::Error),
    /// The device's thread ended by itself.
    #[error(
        "the device's thread ended by itself; this is a bug, please report it. The device goes on as programmed: start the daemon again"
    )]
    Died,
}

/// Pause between two looks for signals.
const LOOK: Duration = Duration::from_millis(50);

fn plain_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err("a name is letters, digits, '-', '_' and '.', and does not begin with '.'".to_owned());
    }
    Ok(name.to_owned())
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<(), CommandError> {
    Ok(serve(args)?)
}

fn socket_path(args: &Args) -> Result<PathBuf, PlaceError> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    // A host may be called what no file can: then it needs a name.
    let host = args.host.as_deref().filter(|host| plain_name(host).is_ok());
    let name = args.name.as_deref().or(host).unwrap_or("default");
    Ok(runtime_folder()?.join(format!("{name}.sock")))
}

fn serve(args: Args) -> Result<(), DaemonError> {
    // Before anything can go wrong halfway: who stops us meanwhile is heard.
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT]).map_err(DaemonError::Signals)?;
    let socket = socket_path(&args)?;
    let place = Place::take(&socket)?;
    let _device_lock = match args.device.lock_name() {
        Some(name) => Some(Lock::of_device(&runtime_folder()?, &name)?),
        None => None,
    };
    let flow_file = args.flow_log.as_ref().map(|folder| {
        let opened = FlowFile::open(folder, args.flow_log_size << 20, args.flow_log_keep);
        opened.map_err(|source| DaemonError::FlowLog {
            folder: folder.clone(),
            source,
        })
    });
    let state = match args.state {
        Some(folder) => folder,
        None => state_folder()?,
    };
    let run_id = match (args.run_id, args.run_id_file) {
        (Some(run_id), _) => Some(RunIdSource::Given(run_id)),
        (None, Some(path)) => Some(RunIdSource::File(path)),
        (None, None) => None,
    };
    let desired = match (args.scenario, args.host, run_id) {
        (Some(file), Some(host), Some(run_id)) => {
            Some(Box::new(ScenarioSource::new(file, host, run_id)) as Box<dyn DesiredSource>)
        }
        _ => None,
    };
    let device = args.device.clone();
    let owner = Owner::start(OwnerConfig {
        name: args.device.to_string(),
        open: Box::new(move || board::open(&device)),
        desired,
        ledger: Ledger::new(state.join("runs")),
        flow_file: flow_file.transpose()?,
        poll: Duration::from_millis(args.poll),
    })?;
    let server = Server::start(place, ServerConfig::new(socket.clone()), owner.handle())?;
    log::info!("{} is ready at {}", args.device, socket.display());
    // For whoever started us and waits; that nobody does is no reason to stop.
    let _ = writeln!(io::stdout(), "ready at {}", socket.display());
    let outcome = loop {
        if owner.is_dead() {
            break Err(DaemonError::Died);
        }
        let mut stop = false;
        for signal in signals.pending() {
            match signal {
                SIGHUP => match owner.handle().run(Owner::reload) {
                    Ok(Ok(done)) => log::info!(
                        "reloaded: {} added, {} changed, {} removed, {} keys installed",
                        done.added,
                        done.changed,
                        done.removed,
                        done.installed
                    ),
                    Ok(Err(failure)) | Err(failure) => log::error!("{failure}"),
                },
                _ => stop = true,
            }
        }
        if stop {
            break Ok(());
        }
        std::thread::sleep(LOOK);
    };
    log::info!("stopping");
    owner.announce_stop();
    server.stop();
    owner.stop();
    outcome
}
