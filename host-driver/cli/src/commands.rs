//! The commands, one module each.

pub(crate) mod association;
pub(crate) mod bench;
mod client;
pub(crate) mod completions;
pub(crate) mod device;
pub(crate) mod exclusion;
pub(crate) mod flow;
pub(crate) mod frame;
pub(crate) mod log;
pub(crate) mod mapping;
pub(crate) mod plan;
pub(crate) mod port;
pub(crate) mod run;
pub(crate) mod sa;
pub(crate) mod selftest;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod vnet;

use std::io;
use std::path::{Path, PathBuf};

use sealnic_driver::control::ClientError;
use sealnic_hw_model::cycle::{HwConfig, HwConfigError};
use sealnic_sim::scenario::ScenarioError;

use crate::daemon::DaemonError;

/// The hardware that an argument names: a preset, or else a file.
pub(crate) fn hardware(name: &Path) -> Result<HwConfig, CommandError> {
    let preset = name.to_str().and_then(HwConfig::preset);
    Ok(preset.unwrap_or_else(|| HwConfig::read(name))?)
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// Arguments don't go together.
    #[error("{0}")]
    Usage(String),
    /// The hardware can't be used.
    #[error("the hardware can't be used: {0}; presets are 100g, 200g, 400g and entry")]
    Hardware(#[from] HwConfigError),
    /// The scenario can't be used.
    #[error("the scenario can't be used:\n{0}")]
    Scenario(#[from] ScenarioError),
    /// The run failed.
    #[error("the run failed: {0}")]
    Run(#[from] sealnic_sim::run::RunError),
    /// The device can't be used.
    #[error("the device can't be used: {0}")]
    Device(#[from] sealnic_driver::Error),
    /// A model can't be made.
    #[error("the model can't be made: {0}")]
    Model(#[from] sealnic_hw_model::ModelError),
    /// Known-answer tests failed.
    #[error("{failed} of {run} known-answer tests failed: this device must not seal or open anything")]
    SelfTest {
        /// Tests failed.
        failed: usize,
        /// Tests run.
        run: usize,
    },
    /// The daemon can't begin or go on.
    #[error("{0}")]
    Daemon(#[from] DaemonError),
    /// A client's request has no answer.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A PCI function can't be handed over.
    #[error("{0}")]
    Bind(#[from] sealnic_driver::bind::BindError),
    /// There is no such object.
    #[error("there is no {0}; the list command shows what there is")]
    NotThere(String),
    /// Objects given as JSON can't be used.
    #[error("{}: {problem}; give objects as the list command prints them with --json", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file can't be written.
    #[error("{}: {source}; check path and permissions", path.display())]
    File {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A measurement failed.
    #[error("nothing can be measured: {0}")]
    Bench(String),
    /// NICs can't be served.
    #[error("the NICs can't be served: {0}")]
    Serve(#[from] sealnic_sim::serve::ServeError),
    /// The result can't be written.
    #[error("the output can't be written: {0}; check where it is sent")]
    Output(#[from] io::Error),
}
