//! Where the desired state comes from, and how its static keys get to the device, each of them once.

use super::ledger::{Ledger, LedgerError};
use super::protocol::RotateStep;
use crate::desired::DesiredState;
use crate::device::{Device, SaParams};
use crate::error::Error;
use crate::flow_log::FlowLogConfig;
use crate::keys::{RunId, SaKeys};
use crate::reconcile::{Report, reconcile};
use crate::transport::Transport;
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{AssociationState, Direction, SaPhase, SaState};
use std::collections::HashSet;

/// What a device is to be programmed with, keys included.
pub struct Desired {
    /// All but the keys.
    pub state: DesiredState,
    /// Its static keys; without, somebody else installs them.
    pub keys: Option<StaticKeys>,
    /// What the flow log says about its origin; its `epoch_ns` is not looked at.
    pub flow_log: FlowLogConfig,
}

/// Static keys of one end of a run.
pub struct StaticKeys {
    /// The run; both ends must have the same.
    pub run_id: RunId,
    /// Name of this end, its own in the run.
    pub end: String,
    /// Gives the keys.
    pub source: Box<dyn KeySource>,
}

/// Gives the static keys of a run to one of its ends.
pub trait KeySource: Send {
    /// Epoch of an association's first keys.
    fn first_epoch(&self, association: u32) -> u64;

    /// Keys of an association's direction, as seen from this end; `None` when it isn't of the run.
    fn keys(&self, association: u32, direction: Direction, epoch: u64) -> Option<SaKeys>;
}

/// A place from which the desired state can be loaded again and again, such as a scenario file.
pub trait DesiredSource: Send {
    /// What it is, for people.
    fn describe(&self) -> String;

    /// The desired state as it is now.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    fn load(&mut self) -> Result<Desired, String>;
}

/// Why keys are not in place.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The run was used in another life of this device, or the ledger can't be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The device refused, or failed.
    #[error("association {association}: {source}")]
    Device {
        /// Association.
        association: u32,
        /// Why.
        source: Error,
    },
    /// These very keys were on the device before.
    #[error(
        "association {association}: the keys of epoch {epoch} have been on this device before, and no key is installed twice; rotate the association or give both ends a new run id"
    )]
    Reused {
        /// Association.
        association: u32,
        /// Epoch.
        epoch: u64,
    },
    /// The sealing SA reached its end.
    #[error(
        "association {association}: its write SA is dead; rotate it (sealnic sa rotate {association}), at both ends"
    )]
    Dead {
        /// Association.
        association: u32,
    },
    /// The run has no keys for it.
    #[error(
        "association {0} is not one of the scenario's, so there are no keys for it; install a handshake's (sealnic sa add)"
    )]
    Stranger(u32),
    /// There is no run.
    #[error(
        "this daemon has no static keys to rotate to; start it with --scenario, or install a handshake's keys (sealnic sa add)"
    )]
    NoRun,
    /// A step of a rotation was left out.
    #[error("association {0} has no keys of a next epoch; prepare the rotation first (--step prepare), at both ends")]
    NotPrepared(u32),
    /// As many epochs can be opened as may be.
    #[error("association {0} still opens the epoch before; finish that rotation first (--step finish)")]
    NotFinished(u32),
    /// All SA numbers are taken.
    #[error("all {0} SA numbers of the device are in use; remove SAs that nobody needs")]
    Full(u32),
}

/// Makes a device's state the desired one, its keys apart.
///
/// # Errors
/// See [`reconcile`].
pub(super) fn program<T: Transport>(device: &mut Device<T>, desired: &Desired) -> Result<Report, Error> {
    reconcile(device, &desired.state)
}

/// Installs what is missing of the first keys of every association that is to be ready, and goes on where an earlier daemon
/// was interrupted. Returns how many SAs were installed; errors are per association, and the others get theirs.
pub(super) fn ensure_keys<T: Transport>(
    device: &mut Device<T>,
    desired: &Desired,
    ledger: &Ledger,
) -> (usize, Vec<KeyError>) {
    let Some(keys) = &desired.keys else {
        return (0, Vec::new());
    };
    let ready = u8::from(AssociationState::Ready);
    let ready: Vec<u32> = desired
        .state
        .associations
        .iter()
        .filter(|association| association.state == ready)
        .map(|association| association.id)
        .collect();
    if ready.is_empty() {
        return (0, Vec::new());
    }
    // Before the first of them is derived: a run belongs to one life of this device.
    if let Err(error) = ledger.claim(&keys.run_id, &keys.end, device.identity().generation) {
        return (0, vec![error.into()]);
    }
    #[cfg(feature = "fault-points")]
    super::fault::here("run-claimed");
    let mut installed = 0;
    let mut errors = Vec::new();
    let mut store = match SaTable::read(device) {
        Ok(store) => store,
        Err(source) => {
            let association = ready.first().copied().unwrap_or_default();
            return (0, vec![KeyError::Device { association, source }]);
        }
    };
    for association in ready {
        match store.ensure(device, keys, association) {
            Ok(count) => installed += count,
            Err(error) => errors.push(error),
        }
    }
    (installed, errors)
}

/// Carries a rotation of an association's keys on by a step; returns the epoch that it is about.
pub(super) fn rotate<T: Transport>(
    device: &mut Device<T>,
    keys: Option<&StaticKeys>,
    ledger: &Ledger,
    association: u32,
    step: RotateStep,
) -> Result<u64, KeyError> {
    let at = |source| KeyError::Device { association, source };
    let mut store = SaTable::read(device).map_err(at)?;
    if matches!(step, RotateStep::Prepare | RotateStep::All) {
        let keys = keys.ok_or(KeyError::NoRun)?;
        ledger.claim(&keys.run_id, &keys.end, device.identity().generation)?;
        store.prepare(device, keys, association)?;
    }
    if matches!(step, RotateStep::Switch | RotateStep::All) {
        let next = store
            .next_write(association)
            .ok_or(KeyError::NotPrepared(association))?;
        device.activate_sa(next.sa).map_err(at)?;
        store = SaTable::read(device).map_err(at)?;
    }
    if matches!(step, RotateStep::Finish | RotateStep::All) {
        let current = store
            .current_epoch(association)
            .ok_or(KeyError::NotPrepared(association))?;
        let retiring = u8::from(SaPhase::Retiring);
        let old = store.of(association, Direction::Read);
        for sa in old.filter(|sa| sa.epoch < current && sa.phase != retiring) {
            device.retire_sa(sa.sa).map_err(at)?;
        }
    }
    let epochs = store.of(association, Direction::Write).map(|sa| sa.epoch);
    epochs.max().ok_or(KeyError::NotPrepared(association))
}

/// The device's SAs as last read.
struct SaTable {
    sas: Vec<SaState>,
    taken: HashSet<u32>,
    max: u32,
}

impl SaTable {
    fn read<T: Transport>(device: &mut Device<T>) -> Result<Self, Error> {
        let sas: Vec<SaState> = device.sas().collect::<Result<_, _>>()?;
        Ok(Self {
            taken: sas.iter().map(|sa| sa.sa).collect(),
            sas,
            max: device.identity().max_sas,
        })
    }

    fn of(&self, association: u32, direction: Direction) -> impl Iterator<Item = &SaState> {
        let direction = u8::from(direction);
        let own = move |sa: &&SaState| sa.association == association && sa.direction == direction;
        self.sas.iter().filter(own)
    }

    /// Epoch that seals, else the highest there is.
    fn current_epoch(&self, association: u32) -> Option<u64> {
        let active = u8::from(SaPhase::Active);
        let mut writes = self.of(association, Direction::Write);
        let sealing = writes.find(|sa| sa.phase == active).map(|sa| sa.epoch);
        let any = || self.sas.iter().filter(|sa| sa.association == association);
        // Without a sealing SA the lowest one is meant: what is above it was prepared, if anything.
        sealing.or_else(|| any().map(|sa| sa.epoch).min())
    }

    /// A write SA that waits to be the one that seals.
    fn next_write(&self, association: u32) -> Option<&SaState> {
        let installed = u8::from(SaPhase::Installed);
        self.of(association, Direction::Write)
            .filter(|sa| sa.phase == installed)
            .max_by_key(|sa| sa.epoch)
    }

    fn ensure<T: Transport>(
        &mut self,
        device: &mut Device<T>,
        keys: &StaticKeys,
        association: u32,
    ) -> Result<usize, KeyError> {
        let epoch = self.current_epoch(association);
        let epoch = epoch.unwrap_or_else(|| keys.source.first_epoch(association));
        let mut installed = 0;
        for direction in [Direction::Read, Direction::Write] {
            if !self.of(association, direction).any(|sa| sa.epoch == epoch) {
                self.install(device, keys, association, direction, epoch)?;
                installed += 1;
            }
        }
        let Some(write) = self.of(association, Direction::Write).find(|sa| sa.epoch == epoch) else {
            return Ok(installed);
        };
        match SaPhase::try_from(write.phase) {
            Ok(SaPhase::Installed) => device
                .activate_sa(write.sa)
                .map_err(|source| KeyError::Device { association, source })?,
            Ok(SaPhase::Dead) => return Err(KeyError::Dead { association }),
            _ => {}
        }
        Ok(installed)
    }

    fn prepare<T: Transport>(
        &mut self,
        device: &mut Device<T>,
        keys: &StaticKeys,
        association: u32,
    ) -> Result<(), KeyError> {
        let current = self
            .current_epoch(association)
            .ok_or(KeyError::NotPrepared(association))?;
        let next = current.saturating_add(1);
        for direction in [Direction::Read, Direction::Write] {
            if !self.of(association, direction).any(|sa| sa.epoch == next) {
                self.install(device, keys, association, direction, next)?;
            }
        }
        Ok(())
    }

    fn install<T: Transport>(
        &mut self,
        device: &mut Device<T>,
        keys: &StaticKeys,
        association: u32,
        direction: Direction,
        epoch: u64,
    ) -> Result<(), KeyError> {
        let sa = (0..self.max)
            .find(|sa| !self.taken.contains(sa))
            .ok_or(KeyError::Full(self.max))?;
        let secrets = keys
            .source
            .keys(association, direction, epoch)
            .ok_or(KeyError::Stranger(association))?;
        let params = SaParams::new(sa, association, direction, epoch);
        device
            .install_sa(&params, secrets)
            .map_err(|source| match source.status() {
                Some(Status::KeyReused) => KeyError::Reused { association, epoch },
                Some(Status::TooManyEpochs) => KeyError::NotFinished(association),
                _ => KeyError::Device { association, source },
            })?;
        tracing::info!(association, sa, epoch, direction = direction.name(), "keys installed");
        self.taken.insert(sa);
        self.sas.push(SaState {
            sa,
            association,
            epoch,
            direction: direction.into(),
            phase: SaPhase::Installed.into(),
            ..SaState::ZERO
        });
        Ok(())
    }
}
