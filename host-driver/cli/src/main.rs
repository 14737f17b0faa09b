//! The `sealnic` command line.
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage. Results go to standard output, as text or with `--json` as JSON; errors go to
//! standard error and say what failed, where, and what to do.
#![forbid(unsafe_code)]

mod commands;
mod daemon;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use sealnic_driver::control::ClientError;

use commands::{
    CommandError, association, bench, completions, device, exclusion, flow, frame, log, mapping, plan, port, run, sa,
    selftest, serve, stats, vnet,
};

/// Software and models of the SealNIC: virtual networks encrypted by the NIC.
#[derive(Debug, Parser)]
#[command(name = "sealnic", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Plan(plan::Args),
    Serve(serve::Args),
    Selftest(selftest::Args),
    Bench(bench::Args),
    Daemon(Box<daemon::Args>),
    Device(device::Args),
    Vnet(vnet::Args),
    Port(port::Args),
    Mapping(mapping::Args),
    Association(association::Args),
    Sa(sa::Args),
    Exclusion(exclusion::Args),
    Flow(flow::Args),
    Frame(frame::Args),
    Stats(stats::Args),
    Log(log::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are no errors; clap knows which is which, and where each is printed.
            let status = if message.use_stderr() { 2 } else { 0 };
            return if message.print().is_ok() {
                ExitCode::from(status)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    // RUST_LOG=info shows what the devices and drivers say.
    let level = if matches!(cli.command, Command::Daemon(_)) {
        "info"
    } else {
        "warn"
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Daemon(args) => daemon::run(*args),
        Command::Device(args) => device::run(&args),
        Command::Vnet(args) => vnet::run(&args),
        Command::Port(args) => port::run(&args),
        Command::Mapping(args) => mapping::run(&args),
        Command::Association(args) => association::run(&args),
        Command::Sa(args) => sa::run(&args),
        Command::Exclusion(args) => exclusion::run(&args),
        Command::Flow(args) => flow::run(&args),
        Command::Frame(args) => frame::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => completions::run_man(&args, Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone too, the status is all that is left to say.
            let _ = writeln!(std::io::stderr(), "sealnic: {error}");
            if matches!(error, CommandError::Usage(_)) {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

impl CommandError {
    /// True when the reader of our output went away, as `head` does: nothing went wrong here.
    fn is_closed_pipe(&self) -> bool {
        let (Self::Output(error) | Self::Client(ClientError::Taker(error))) = self else {
            return false;
        };
        error.kind() == std::io::ErrorKind::BrokenPipe
    }
}
