//! The commands, one module each.

pub(crate) mod plan;

use std::io;

use sealnic_sim::scenario::ScenarioError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The scenario can't be used.
    #[error("the scenario can't be used:\n{0}")]
    Scenario(#[from] ScenarioError),
    /// The result can't be written.
    #[error("the output can't be written: {0}; check where it is sent")]
    Output(#[from] io::Error),
}
