//! Makes what is programmed equal to what is desired: reads everything back, plans the difference, applies it.

use crate::desired::DesiredState;
use crate::device::Device;
use crate::error::Error;
use crate::plan::plan;
pub use crate::plan::{Change, Object, Programmed, Step};
use crate::transport::Transport;

/// What a reconciliation did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What is different now, each object once.
    pub changes: Vec<(Change, Object)>,
    /// Associations that are new or were made anew: without keys until somebody installs them.
    pub need_keys: Vec<u32>,
}

impl Report {
    /// Whether everything was as desired already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Number of objects that this happened to.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|(c, _)| *c == change).count()
    }
}

/// Reads back everything that is programmed, but keys and the device-wide configuration, which never come out.
///
/// # Errors
/// A command failed, or the device lists what can't be true.
pub fn read_back<T: Transport>(device: &mut Device<T>) -> Result<Programmed, Error> {
    Ok(Programmed {
        vnets: device.vnets().collect::<Result<_, _>>()?,
        ports: device.ports().collect::<Result<_, _>>()?,
        port_addresses: device.port_addresses().collect::<Result<_, _>>()?,
        mappings: device.mappings().collect::<Result<_, _>>()?,
        associations: device.associations().collect::<Result<_, _>>()?,
        exclusions: device.exclusions().collect::<Result<_, _>>()?,
    })
}

/// Makes the device's state the desired one. Safe to repeat at any time, after any failure: a second run changes nothing.
///
/// It neither enables the device nor installs keys. The order of steps is that of [`plan`](mod@crate::plan).
///
/// # Errors
/// The desired state contradicts itself or is older than the device's, or a step failed: then what came before it is in
/// place, and nothing permissive was done early.
pub fn reconcile<T: Transport>(device: &mut Device<T>, desired: &DesiredState) -> Result<Report, Error> {
    desired.check()?;
    let was_configured = device.identify()?.configured != 0;
    let current = read_back(device)?;
    let newest = current.mappings.iter().map(|m| m.revision).max().unwrap_or(0);
    if newest > desired.revision {
        return Err(Error::StaleRevision {
            device: newest,
            desired: desired.revision,
        });
    }
    // Always sent: it can't be read back, and the device refuses another one than it has.
    device.configure(&desired.config)?;
    let plan = plan(&current, desired);
    apply(device, &plan.steps)?;
    let mut report = Report {
        changes: plan.changes,
        need_keys: plan.need_keys,
    };
    if !was_configured {
        report.changes.insert(0, (Change::Added, Object::Config));
    }
    tracing::info!(
        revision = desired.revision,
        added = report.count(Change::Added),
        changed = report.count(Change::Changed),
        removed = report.count(Change::Removed),
        "reconciled"
    );
    Ok(report)
}

/// Gives the commands in order; neighbouring mappings travel together.
fn apply<T: Transport>(device: &mut Device<T>, steps: &[Step]) -> Result<(), Error> {
    let mut done = 0;
    while let Some(step) = steps.get(done) {
        tracing::debug!(%step, "applying");
        let mut len = 1;
        let result = match step {
            Step::SetVnet(vnet) => device.set_vnet(vnet),
            Step::RemoveVnet(vni) => device.remove_vnet(*vni),
            Step::SetPort(port) => device.set_port(port),
            Step::RemovePort(port) => device.remove_port(*port),
            Step::AddAddress(address) => device.add_port_address(address),
            Step::RemoveAddress(address) => device.remove_port_address(address),
            Step::SetMapping(_) => {
                let bulk: Vec<_> = steps[done..]
                    .iter()
                    .map_while(|step| match step {
                        Step::SetMapping(mapping) => Some(*mapping),
                        _ => None,
                    })
                    .collect();
                len = bulk.len();
                device.set_mappings(&bulk)
            }
            Step::RemoveMapping(mapping) => device.remove_mapping(mapping),
            Step::SetAssociation(association) => device.set_association(association),
            Step::SetAssociationState(id, state) => device.set_association_state(*id, *state),
            Step::RemoveAssociation(id) => device.remove_association(*id),
            Step::SetExclusion(exclusion) => {
                tracing::warn!(
                    exclusion = exclusion.id,
                    vni = exclusion.vni,
                    "traffic excluded from encryption"
                );
                device.set_exclusion(exclusion)
            }
            Step::RemoveExclusion(id) => device.remove_exclusion(*id),
        };
        result.map_err(|source| {
            let at = match source {
                Error::MappingRefused { index, .. } => done + index,
                _ => done,
            };
            Error::Step {
                step: at + 1,
                steps: steps.len(),
                action: steps.get(at).unwrap_or(step).to_string(),
                source: Box::new(source),
            }
        })?;
        done += len;
    }
    Ok(())
}
