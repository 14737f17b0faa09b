//! A scenario as the desired state of one host.

use std::path::PathBuf;

use sealnic_abi::object::Direction;
use sealnic_driver::SaKeys;
use sealnic_driver::control::desired::StaticKeys;
use sealnic_driver::control::{Desired, DesiredSource, KeySource};
use sealnic_driver::flow_log::FlowLogConfig;
use sealnic_sim::Scenario;
use sealnic_sim::scenario::end::End;

use super::run_id::RunIdSource;

/// A scenario file and one of its hosts.
pub(super) struct ScenarioSource {
    file: PathBuf,
    host: String,
    run_id: RunIdSource,
}

impl ScenarioSource {
    pub(super) const fn new(file: PathBuf, host: String, run_id: RunIdSource) -> Self {
        Self { file, host, run_id }
    }
}

impl DesiredSource for ScenarioSource {
    fn describe(&self) -> String {
        format!("host {} of {}", self.host, self.file.display())
    }

    fn load(&mut self) -> Result<Desired, String> {
        let scenario = Scenario::load(&self.file).map_err(|error| format!("the scenario can't be used:\n{error}"))?;
        let host = scenario.host_named(&self.host).ok_or_else(|| {
            let names: Vec<&str> = scenario.hosts.iter().map(|host| host.name.as_str()).collect();
            format!(
                "{} has no host {:?}; it has {}",
                self.file.display(),
                self.host,
                names.join(", ")
            )
        })?;
        let run_id = self.run_id.get()?;
        let end = scenario.end(host, &run_id);
        Ok(Desired {
            state: end.state.clone(),
            keys: Some(StaticKeys {
                run_id,
                end: self.host.clone(),
                source: Box::new(Keys(end)),
            }),
            flow_log: FlowLogConfig {
                target_resource_id: format!("/providers/SealNIC/scenarios/{}", scenario.name),
                ..FlowLogConfig::default()
            },
        })
    }
}

struct Keys(End);

impl KeySource for Keys {
    fn first_epoch(&self, _association: u32) -> u64 {
        self.0.first_epoch()
    }

    fn keys(&self, association: u32, direction: Direction, epoch: u64) -> Option<SaKeys> {
        self.0.keys(association, direction, epoch)
    }
}
