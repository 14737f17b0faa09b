//! The cycle models of a run: made of one hardware file, observed on request, and asked for their figures at the end.

use crate::run::RunError;
use crate::run::shared::Shared;
use sealnic_hw_model::cycle::{CycleModel, CycleStats, HwConfig, Probe};
use sealnic_hw_model::{HwModel, ModelConfig};
use sealnic_trace::{Tee, trace, wave};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files that show what happens inside as it happens.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Waveform of FIFOs and units (FST).
    pub wave: Option<PathBuf>,
    /// Trace of frames through units (Chrome's trace event format).
    pub trace: Option<PathBuf>,
}

/// The models of a run, in the order of its hosts; none when the run's model takes no time.
#[derive(Default)]
pub struct TimedModels {
    models: Vec<Shared<CycleModel>>,
    /// What those were made from whose steps are recorded: all, or none.
    recorded: Vec<ModelConfig>,
}

impl TimedModels {
    /// Makes the next host's, which records what it does when it is to be replayed.
    ///
    /// # Errors
    /// The hardware can't be, or there is no randomness.
    pub fn make(
        &mut self,
        config: &ModelConfig,
        hardware: &HwConfig,
        record: bool,
    ) -> Result<Box<dyn HwModel>, RunError> {
        let mut model = CycleModel::new(config, hardware)?;
        if record {
            model.record();
            self.recorded.push(*config);
        }
        let model = Shared::new(model);
        self.models.push(model.clone());
        Ok(Box::new(model))
    }

    /// Begins to count and to observe; what it took to get ready is forgotten.
    ///
    /// # Errors
    /// A file can't be made.
    pub fn begin(&self, names: &[&str], observation: &Observation) -> Result<(), RunError> {
        let output = |path: &Path| {
            let path = path.to_owned();
            |source| RunError::Output { path, source }
        };
        let mut waves = Vec::new();
        if let Some(path) = &observation.wave {
            waves = wave::create(path, names).map_err(output(path))?;
        }
        let mut traces = Vec::new();
        if let Some(path) = &observation.trace {
            traces = trace::create(path, names).map_err(output(path))?;
        }
        let (mut waves, mut traces) = (waves.into_iter(), traces.into_iter());
        for model in &self.models {
            let mut model = model.model();
            model.reset_stats();
            let wave = waves.next().map(|probe| Box::new(probe) as Box<dyn Probe>);
            let trace = traces.next().map(|probe| Box::new(probe) as Box<dyn Probe>);
            match (wave, trace) {
                (Some(wave), Some(trace)) => model.set_probe(Box::new(Tee(wave, trace))),
                (Some(probe), None) | (None, Some(probe)) => model.set_probe(probe),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Ends what [`begin`](Self::begin) began, and returns the figures by host.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn finish<'a>(&self, names: &[&'a str]) -> Result<BTreeMap<&'a str, CycleStats>, RunError> {
        let mut figures = BTreeMap::new();
        let mut result = Ok(());
        for (model, name) in self.models.iter().zip(names) {
            let mut model = model.model();
            figures.insert(*name, model.stats());
            if let Some(mut probe) = model.take_probe() {
                result = result.and(probe.finish());
            }
        }
        result.map_err(RunError::Observation)?;
        Ok(figures)
    }

    /// Carries out on functional models what was recorded, in the order in which it changed state: octets, verdicts, register values, events
    /// and counters must be the same. Returns the number of steps; `None` when nothing was recorded.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_replay(&self, names: &[&str]) -> Result<Option<usize>, RunError> {
        let mut steps = None;
        for ((model, config), name) in self.models.iter().zip(&self.recorded).zip(names) {
            let replayed = model.model().check_replay(config);
            let host = || (*name).to_owned();
            *steps.get_or_insert(0) += replayed.map_err(|source| RunError::Replay { host: host(), source })?;
        }
        Ok(steps)
    }
}
