//! Scenario files: hosts, virtual networks, VMs and their traffic, read from TOML and checked.
//!
//! A file goes from text to tables with places ([`Problems`] name file, line, column and field), from there to the checked
//! [`Scenario`], and on to a [`Plan`] for people or to one [`DesiredState`](sealnic_driver::DesiredState) for each host's driver. `docs/scenario.md`
//! describes the format.
//!
//! * [`model`]: the checked scenario
//! * [`mac`]: MAC addresses
//! * [`error`]: what is wrong with a file, and where
//! * [`plan`]: which pairs of VMs are encrypted, and why the others are not
//! * [`desired`]: what each host's driver must program
//! * [`end`]: one host's part of a scenario, for a daemon that shares nothing with its peers but the file and a run id

mod check;
pub mod desired;
pub mod end;
pub mod error;
pub mod mac;
pub mod model;
mod parse;
mod place;
pub mod plan;
mod raw;
#[cfg(test)]
mod tests;

use std::path::Path;

use error::Findings;
use place::Place;
use toml::de::DeTable;

pub use desired::Link;
pub use error::{Problem, Problems, ScenarioError};
pub use mac::MacAddress;
pub use model::{
    AssociationSettings, Exclusion, Gateway, Host, NicSizes, PairState, Scenario, Secret, Traffic, Underlay, Vm, Vnet,
};
pub use plan::Plan;

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file can't be read, or breaks rules of the format.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::parse(&text, path)?)
    }

    /// Checks the text of a file. `path` names it in errors, and is where relative paths in it start.
    ///
    /// # Errors
    /// All problems found. A file that isn't TOML, or has unknown, missing or mistyped fields, is not checked further.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let mut findings = Findings::default();

        let (tables, syntax) = DeTable::parse_recoverable(text);
        let place = Place::new(text, &tables);
        for error in syntax {
            findings.add(
                error.span().unwrap_or(0..0),
                error.message(),
                "see docs/scenario.md for the format",
            );
        }
        if let Some(problems) = findings.into_problems(&file, &place) {
            return Err(problems);
        }

        let mut findings = Findings::default();
        let raw = parse::tables(&tables, &mut findings);
        if let Some(problems) = findings.into_problems(&file, &place) {
            return Err(problems);
        }

        let mut findings = Findings::default();
        let scenario = check::scenario(&raw, path, &mut findings);
        match findings.into_problems(&file, &place) {
            Some(problems) => Err(problems),
            None => Ok(scenario),
        }
    }
}
