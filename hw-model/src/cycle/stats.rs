//! What the model measured, ready to be written as `cycles.json`.

use crate::cycle::ids::{FifoId, UnitId, UnitState};
use serde::Serialize;

/// Classes of a FIFO's occupancy: empty, and sixteenths of its depth.
pub const OCCUPANCY_CLASSES: usize = 17;

/// All figures of one device since it was made, or since its figures were last reset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CycleStats {
    /// Name of the hardware.
    pub hardware: String,
    /// Core clock, in MHz.
    pub core_mhz: u32,
    /// Cycles observed.
    pub cycles: u64,
    /// Cycles among them in which some frame was inside.
    pub active_cycles: u64,
    /// Frames that came to an edge, and those the device made.
    pub entered: u64,
    /// Frames that left by an edge.
    pub left: u64,
    /// Frames that ended inside.
    pub ended: u64,
    /// Frames inside now: `entered - left - ended`.
    pub held: u64,
    /// Sum over all cycles of the frames inside (the area of Little's law).
    pub frame_cycles: u64,
    /// Units, in the order of the data's way.
    pub units: Vec<UnitStats>,
    /// What units share.
    pub resources: Vec<ResourceStats>,
    /// Time in the device by way, with queues at the edges.
    pub latency: Vec<WayStats>,
    /// Frames that ended inside, by unit and reason.
    pub drops: Vec<DropStats>,
    /// Frames whose flow was in the table when looked up, and no longer when decided.
    pub late_misses: u64,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitStats {
    /// Which.
    pub unit: UnitId,
    /// Frames that it took in, and those made in it.
    pub entered: u64,
    /// Frames that it gave on.
    pub left: u64,
    /// Frames that ended in it.
    pub ended: u64,
    /// Frames in it now.
    pub held: u64,
    /// Most frames in it at once.
    pub most_held: u64,
    /// Sum over all cycles of the frames in it.
    pub frame_cycles: u64,
    /// Sum over all frames of the cycles each has been in it.
    pub stay_cycles: u64,
    /// Cycles in each state.
    pub states: StateCycles,
    /// Share of the observed cycles in which it was busy, from 0 to 1.
    pub utilisation: f64,
    /// FIFOs in front of it.
    pub fifos: Vec<FifoStats>,
    /// Cycles from its FIFO's entry until it gave the frame on.
    pub latency_cycles: Percentiles,
}

/// Cycles in each state of a unit; together they are the cycles observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StateCycles {
    /// No input.
    pub wait_input: u64,
    /// Working.
    pub busy: u64,
    /// FIFO behind full.
    pub output_full: u64,
    /// Waiting for table memory.
    pub memory: u64,
    /// Waiting for PCIe credits, read tags or packet buffer.
    pub credits: u64,
    /// Waiting for record engines.
    pub engines: u64,
    /// Waiting for the slow path.
    pub slow_path: u64,
    /// Waiting for a command to act.
    pub fence: u64,
}

impl StateCycles {
    /// Cycles of one state.
    #[must_use]
    pub fn of(&self, state: UnitState) -> u64 {
        match state {
            UnitState::WaitInput => self.wait_input,
            UnitState::Busy => self.busy,
            UnitState::OutputFull => self.output_full,
            UnitState::Memory => self.memory,
            UnitState::Credits => self.credits,
            UnitState::Engines => self.engines,
            UnitState::SlowPath => self.slow_path,
            UnitState::Fence => self.fence,
        }
    }

    /// All cycles.
    #[must_use]
    pub fn sum(&self) -> u64 {
        UnitState::ALL.iter().map(|state| self.of(*state)).sum()
    }
}

impl From<[u64; UnitState::ALL.len()]> for StateCycles {
    /// Cycles in the order of [`UnitState::ALL`].
    fn from(cycles: [u64; UnitState::ALL.len()]) -> Self {
        let [
            wait_input,
            busy,
            output_full,
            memory,
            credits,
            engines,
            slow_path,
            fence,
        ] = cycles;
        Self {
            wait_input,
            busy,
            output_full,
            memory,
            credits,
            engines,
            slow_path,
            fence,
        }
    }
}

/// One FIFO.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FifoStats {
    /// Which.
    pub fifo: FifoId,
    /// Room, in frames.
    pub depth: u32,
    /// Frames in it now.
    pub occupancy: u32,
    /// Most frames that were in it at once.
    pub high_water: u32,
    /// Frames put in.
    pub pushed: u64,
    /// Frames taken out.
    pub popped: u64,
    /// Frames that had to wait for room.
    pub stalled: u64,
    /// Cycles by occupancy: `[0]` empty, `[n]` up to `n` sixteenths of the depth.
    pub occupancy_cycles: [u64; OCCUPANCY_CLASSES],
}

/// Something that units share: a link, a memory, a cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceStats {
    /// Name, such as `pcie.upstream`, `memory`, `egress0.flow_cache`.
    pub name: String,
    /// Transfers, reads or lookups.
    pub requests: u64,
    /// Octets moved.
    pub octets: u64,
    /// Requests that found what they wanted near (caches).
    pub hits: u64,
    /// Share of the observed time in which it was busy, from 0 to 1; for memories of the busiest channel.
    pub utilisation: f64,
    /// Sum over all requests of the time each waited for its turn, in nanoseconds.
    pub wait_ns: u64,
}

/// A way through the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WayStats {
    /// Such as `vf_to_wire`.
    pub way: &'static str,
    /// Time from the edge to the edge, in nanoseconds.
    pub latency_ns: Percentiles,
}

/// Distribution of a time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Percentiles {
    /// Number of samples.
    pub count: u64,
    /// Least.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// Greatest.
    pub max: u64,
    /// Mean.
    pub mean: f64,
}

/// Frames that ended in a unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DropStats {
    /// Where.
    pub unit: UnitId,
    /// Name of the drop reason, or `Consumed`.
    pub reason: String,
    /// How many.
    pub frames: u64,
}

impl CycleStats {
    /// What holds the rest back: the unit or shared part that was busy most, and its utilisation. `None` before anything was done.
    #[must_use]
    pub fn limit(&self) -> Option<(String, f64)> {
        let units = self.units.iter().map(|unit| (unit.unit.to_string(), unit.utilisation));
        let resources = self
            .resources
            .iter()
            .map(|resource| (resource.name.clone(), resource.utilisation));
        units
            .chain(resources)
            .filter(|(_, utilisation)| *utilisation > 0.0)
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Figures of a unit.
    #[must_use]
    pub fn unit(&self, path: &str) -> Option<&UnitStats> {
        self.units.iter().find(|unit| unit.unit.to_string() == path)
    }
}
