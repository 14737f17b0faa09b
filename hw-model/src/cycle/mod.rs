//! The NIC cycle by cycle: units carry time, the firmware's stage functions decide what becomes of a frame.
//!
//! * [`config`]: the hardware file
//! * [`ids`]: names of units, FIFOs and frames
//! * [`probe`]: what an observer is told as it happens
//! * [`stats`]: what was measured

pub mod config;
pub mod ids;
pub mod probe;
pub mod stats;

pub use config::{HwConfig, HwConfigError};
pub use ids::{Direction, FifoId, FrameId, UnitId, UnitKind, UnitState};
pub use probe::{FifoInfo, Probe, Topology};
pub use stats::CycleStats;
