//! The NIC cycle by cycle: units carry time, the firmware's stage functions decide what becomes of a frame.
//!
//! * [`model`]: the model behind the trait; commands between frames
//! * [`config`]: the hardware file
//! * [`ids`]: names of units, FIFOs and frames
//! * [`probe`]: what an observer is told as it happens
//! * [`stats`]: what was measured
//! * [`record`]: the order of all changes of state, and its replay on the functional model
//! * `nic`: units, FIFOs and the loop that lets them act
//! * `accounts`: figures of the whole device
//! * `vf`, `mac`, `stations`, `slow`, `ring_dma`: what each unit does
//! * `parts`, `unit`, `flight`, `clock`: what they are made of

mod accounts;
mod clock;
pub mod config;
mod flight;
pub mod ids;
mod mac;
pub mod model;
mod nic;
mod parts;
pub mod probe;
pub mod record;
mod ring_dma;
mod slow;
mod stations;
pub mod stats;
mod unit;
mod vf;

pub use config::{HwConfig, HwConfigError};
pub use ids::{Direction, FifoId, FrameId, UnitId, UnitKind, UnitState};
pub use model::{CycleModel, CycleModelError};
pub use probe::{FifoInfo, Probe, Topology};
pub use record::{Record, ReplayError};
pub use stats::CycleStats;
