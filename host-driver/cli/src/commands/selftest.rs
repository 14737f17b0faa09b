//! `sealnic selftest`: the device's known-answer tests.

use std::io::{self, Write};

use sealnic_driver::Device;
use sealnic_driver::transport::model::ModelTransport;
use sealnic_hw_model::{FunctionalModel, ModelConfig, Sizes};
use serde::Serialize;

use super::CommandError;

/// Runs the known-answer tests on a device: ciphers, records, replay window, flow hash.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    test: String,
    passed: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let sizes = Sizes {
        flows: 1_024,
        key_history: 1_024,
        sas: 16,
        associations: 16,
        mappings: 16,
        ..Sizes::default()
    };
    let model = FunctionalModel::new(&ModelConfig { sizes, seed: None })?;
    let mut device = Device::attach(ModelTransport::new(Box::new(model)))?;
    let outcomes: Vec<Outcome> = device
        .self_test()?
        .into_iter()
        .filter(|outcome| outcome.run)
        .map(|outcome| Outcome {
            test: outcome.name.to_owned(),
            passed: outcome.passed,
        })
        .collect();
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &outcomes).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for outcome in &outcomes {
            writeln!(
                out,
                "{:<20} {}",
                outcome.test,
                if outcome.passed { "passed" } else { "FAILED" }
            )?;
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if failed != 0 || outcomes.is_empty() {
        Err(CommandError::SelfTest {
            failed,
            run: outcomes.len(),
        })
    } else {
        Ok(())
    }
}
