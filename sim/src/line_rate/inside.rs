//! What measures inside a cycle model.

use super::bed::{Meter, WireMark};
use super::{Direction, Hardware, Limit, Parameter};
use crate::run::RunError;
use crate::run::shared::Shared;
use sealnic_hw_model::cycle::UnitState;
use sealnic_hw_model::cycle::stats::StateCycles;
use sealnic_hw_model::cycle::{
    self, CycleModel, CycleStats, FifoId, FrameId, HwConfig, Probe, Topology, UnitId, UnitKind,
};
use sealnic_hw_model::{HwModel, ModelConfig};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The control CPU's look at its tables is put off: it takes no simulated time, and no flow rests long enough to matter.
const SWEEP_US: u32 = 10_000_000;

/// Figures of a cycle model, and its wire port.
pub struct CycleMeter {
    model: Shared<CycleModel>,
    marks: Marks,
}

/// Frames that passed the wire port: absolute time in picoseconds, octets, direction.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<(u128, u32, Direction)>>>);

impl Marks {
    fn lock(&self) -> MutexGuard<'_, Vec<(u128, u32, Direction)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CycleMeter {
    /// A cycle model with its meter.
    ///
    /// # Errors
    /// The hardware can't be, or there is no randomness.
    pub fn new(config: &ModelConfig, hardware: &HwConfig) -> Result<(Box<dyn HwModel>, Self), RunError> {
        let mut hardware = hardware.clone();
        hardware.control_cpu.sweep_us = SWEEP_US;
        let mut model = CycleModel::new(config, &hardware)?;
        let marks = Marks::default();
        model.set_probe(Box::new(WireProbe {
            origin_ns: 0,
            marks: marks.clone(),
        }));
        let model = Shared::new(model);
        Ok((Box::new(model.clone()), Self { model, marks }))
    }

    /// Figures since the last load's sample began.
    #[must_use]
    pub fn stats(&self) -> CycleStats {
        self.model.model().stats()
    }
}

impl Meter for CycleMeter {
    fn restart(&mut self) {
        self.model.model().reset_stats();
    }

    fn wire_marks(&mut self, since_ns: u64) -> Vec<WireMark> {
        let since_ps = u128::from(since_ns) * 1_000;
        let marks = std::mem::take(&mut *self.marks.lock());
        let relative = marks.into_iter().map(|(end_ps, len, direction)| WireMark {
            end_ps: u64::try_from(end_ps.saturating_sub(since_ps)).unwrap_or(u64::MAX),
            len,
            direction,
        });
        relative.collect()
    }

    fn limit(&self, direction: Direction) -> Limit {
        limit(&self.stats(), direction)
    }

    fn dropping_unit(&self, direction: Direction, reason: &str) -> String {
        let stats = self.stats();
        let own = |unit: UnitId| direction_of(unit.kind).is_none_or(|its| its == direction);
        let drops = stats
            .drops
            .iter()
            .find(|drops| drops.reason == reason && own(drops.unit));
        drops.map_or_else(String::new, |drops| drops.unit.to_string())
    }
}

/// The direction that a unit serves; both when none.
fn direction_of(kind: UnitKind) -> Option<Direction> {
    match kind {
        UnitKind::VfFetch
        | UnitKind::EgressParser
        | UnitKind::EgressLookup
        | UnitKind::EgressSaFetch
        | UnitKind::EgressCommit
        | UnitKind::EgressEngines
        | UnitKind::EgressEncap
        | UnitKind::MacTx => Some(Direction::Egress),
        UnitKind::MacRx
        | UnitKind::IngressParser
        | UnitKind::IngressSaFetch
        | UnitKind::IngressEngines
        | UnitKind::IngressCommit
        | UnitKind::IngressLookup
        | UnitKind::IngressDeliver
        | UnitKind::DmaWrite => Some(Direction::Ingress),
        UnitKind::ControlCpu | UnitKind::RingDma => None,
    }
}

/// Shared parts that carry a direction's frames: PCI Express, the table memory. The line is for the bed to judge: it is as busy as it
/// is offered, whatever becomes of the frames.
fn is_resource_of(name: &str, direction: Direction) -> bool {
    match name {
        "pcie.downstream" => direction == Direction::Egress,
        "pcie.upstream" => direction == Direction::Ingress,
        "memory" => true,
        _ => false,
    }
}

/// What a unit waits for, other than frames and those behind it.
const OWN_WAITS: [(UnitState, &str); 5] = [
    (UnitState::Memory, "table memory"),
    (UnitState::Credits, "PCIe or packet buffer"),
    (UnitState::Engines, "record engines"),
    (UnitState::SlowPath, "control CPU"),
    (UnitState::Fence, "a command"),
];

/// What held a direction back most besides the line: of PCIe, the memory and the units that which was in use, or had to wait for what it
/// needs, for the greatest part of the time. What waits for those behind it is held back by them.
fn limit(stats: &CycleStats, direction: Direction) -> Limit {
    let mut most = Limit::default();
    let mut consider = |unit: &dyn Fn() -> String, share: f64, cause: &str| {
        if share * 100.0 > most.busy_percent {
            most = Limit {
                unit: unit(),
                busy_percent: share * 100.0,
                cause: cause.to_owned(),
            };
        }
    };
    for resource in &stats.resources {
        if is_resource_of(&resource.name, direction) {
            consider(&|| resource.name.clone(), resource.utilisation, "busy");
        }
    }
    for unit in &stats.units {
        let is_mac = matches!(unit.unit.kind, UnitKind::MacTx | UnitKind::MacRx);
        if is_mac || direction_of(unit.unit.kind).is_some_and(|own| own != direction) {
            continue;
        }
        let name = || unit.unit.to_string();
        consider(&name, unit.utilisation, "busy");
        let waits = OWN_WAITS.map(|(state, what)| (unit.states.of(state), what));
        let (cycles, what) = waits.into_iter().max_by_key(|(cycles, _)| *cycles).unwrap_or((0, ""));
        consider(&name, share(cycles, &unit.states), &format!("waits for {what}"));
    }
    most
}

fn share(cycles: u64, of: &StateCycles) -> f64 {
    cycles as f64 / of.sum().max(1) as f64
}

/// Keeps what passes the wire port.
struct WireProbe {
    origin_ns: u64,
    marks: Marks,
}

impl Probe for WireProbe {
    fn topology(&mut self, _: &Topology) {}

    fn origin(&mut self, origin_ns: u64) {
        self.origin_ns = origin_ns;
    }

    fn fifo_push(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}

    fn fifo_pop(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}

    fn fifo_stall(&mut self, _: FifoId, _: u64, _: FrameId, _: u32) {}

    fn state(&mut self, _: UnitId, _: u64, _: UnitState) {}

    fn stage(&mut self, _: FrameId, _: UnitId, _: u64, _: u64) {}

    fn wire(&mut self, direction: cycle::Direction, _: FrameId, end_ps: u64, len: u32) {
        let end_ps = u128::from(self.origin_ns) * 1_000 + u128::from(end_ps);
        let direction = match direction {
            cycle::Direction::Transmit => Direction::Egress,
            cycle::Direction::Receive => Direction::Ingress,
        };
        self.marks.lock().push((end_ps, len, direction));
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The report's view of a hardware file.
#[must_use]
pub fn hardware(config: &HwConfig) -> Hardware {
    let text = toml::to_string(config).unwrap_or_default();
    let (mut table, mut parameters) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((name, value)) = line.split_once(" = ").filter(|(name, _)| *name != "name") {
            parameters.push(Parameter {
                name: format!("{table}{name}"),
                value: value.to_owned(),
            });
        }
    }
    Hardware {
        name: config.name.clone(),
        line_mbit_per_s: u64::from(config.link.rate_gbps) * 1_000,
        parameters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_a_hardware_file_is_shown_with_its_unit() {
        let shown = hardware(&HwConfig::default_preset().unwrap());
        assert_eq!((shown.name.as_str(), shown.line_mbit_per_s), ("100g", 100_000));
        let value = |name: &str| {
            let parameter = shown.parameters.iter().find(|parameter| parameter.name == name);
            parameter.map(|parameter| parameter.value.as_str())
        };
        assert_eq!(value("core.clock_mhz"), Some("322"));
        assert_eq!(value("fifos.depth_frames"), Some("64"));
        assert!(shown.parameters.len() > 40);
    }
}
