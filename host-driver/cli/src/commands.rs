//! The commands, one module each.

pub(crate) mod bench;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod selftest;

use std::io;

use sealnic_sim::scenario::ScenarioError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
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
    /// A measurement failed.
    #[error("nothing can be measured: {0}; this is a bug, please report it")]
    Bench(String),
    /// The result can't be written.
    #[error("the output can't be written: {0}; check where it is sent")]
    Output(#[from] io::Error),
}
