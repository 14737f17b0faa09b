//! From a scenario to NICs that wait for traffic.

use crate::run::network::Network;
use crate::run::timed::TimedModels;
use crate::run::{ModelKind, RunError, RunOptions, keys, outputs};
use crate::scenario::Scenario;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use sealnic_driver::{DesiredState, KeyDerivation, RunId};
use sealnic_hw_model::cycle::{CycleModelError, HwConfig};
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig, Sizes};

/// A scenario's NICs, ready for traffic.
pub struct BroughtUp {
    /// The hosts on their wire, programmed, with keys, enabled.
    pub network: Network,
    /// What each host's driver programmed.
    pub states: Vec<DesiredState>,
    /// Its models that take time.
    pub timed: TimedModels,
    /// From which the keys derive.
    pub run_id: RunId,
}

/// Makes a scenario's NICs, programs them, installs fresh keys and enables them.
///
/// # Errors
/// A device can't be made or programmed, there is no randomness, or the file of `unsafe_write_keys` can't be written.
pub fn bring_up(scenario: &Scenario, options: &RunOptions) -> Result<BroughtUp, RunError> {
    let mut timed = TimedModels::default();
    let hardware = match (&options.hardware, options.model) {
        (Some(hardware), _) => Some(hardware.clone()),
        (None, ModelKind::Cycle) => Some(HwConfig::default_preset().map_err(CycleModelError::from)?),
        (None, ModelKind::Functional) => None,
    };
    let brought_up = bring_up_with(scenario, options, |_, config| match (options.model, &hardware) {
        (ModelKind::Cycle, Some(hardware)) => timed.make(config, hardware, options.check_replay),
        _ => Ok(Box::new(FunctionalModel::new(config)?)),
    })?;
    Ok(BroughtUp { timed, ..brought_up })
}

/// As [`bring_up`], with models that the caller makes from the host's index and what the scenario asks for.
///
/// # Errors
/// As [`bring_up`].
pub fn bring_up_with(
    scenario: &Scenario,
    options: &RunOptions,
    mut model: impl FnMut(usize, &ModelConfig) -> Result<Box<dyn HwModel>, RunError>,
) -> Result<BroughtUp, RunError> {
    let run_id = if options.unsafe_fixed_keys {
        RunId::UNSAFE_FIXED
    } else {
        RunId::random().map_err(RunError::Random)?
    };
    // All that is drawn besides keys comes from the seed, because time depends on it: connection ids choose nothing, but hash secrets
    // choose the lines of the tables that a flow's caches keep.
    let mut random = ChaCha12Rng::seed_from_u64(options.seed);
    let states = scenario.desired_states(&mut random);
    let latency_ns = match options.model {
        ModelKind::Functional => 0,
        ModelKind::Cycle => scenario.latency_ns,
    };
    let mut network = Network::new(scenario, &states, options.impairments, latency_ns, |host| {
        model(host, &model_config(scenario, options, host))
    })?;
    let derivation = KeyDerivation::new(scenario.secret.expose(), &run_id);
    let key_file = keys::install(
        scenario,
        &mut network,
        &states,
        &derivation,
        options.unsafe_write_keys.is_some(),
    )?;
    if let Some(path) = &options.unsafe_write_keys {
        outputs::write_private_json(path, &key_file).map_err(|source| RunError::Output {
            path: path.clone(),
            source,
        })?;
    }
    for (index, host) in scenario.hosts.iter().enumerate() {
        network
            .host(index)
            .set_enabled(true)
            .map_err(|source| RunError::Driver {
                host: host.name.clone(),
                source,
            })?;
    }
    Ok(BroughtUp {
        network,
        states,
        timed: TimedModels::default(),
        run_id,
    })
}

impl Scenario {
    /// Sizes of the tables of a host's NIC.
    #[must_use]
    pub fn nic_sizes(&self, host: usize) -> Sizes {
        let nic = self.hosts[host].nic;
        Sizes {
            flows: nic.flows as usize,
            mappings: nic.mappings as usize,
            associations: nic.associations as usize,
            sas: nic.associations as usize * 4,
            ports: nic.ports as usize,
            port_addresses: nic.mappings as usize,
            vnets: self.vnets.len().max(64),
            exclusions: self.exclusions.len().max(64),
            key_history: 65_536,
            ..Sizes::default()
        }
    }
}

fn model_config(scenario: &Scenario, options: &RunOptions, host: usize) -> ModelConfig {
    ModelConfig {
        sizes: scenario.nic_sizes(host),
        seed: Some(options.seed.wrapping_add(host as u64)),
    }
}
