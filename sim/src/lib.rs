//! Scenarios of several hosts: what their virtual networks look like, what each NIC must be told, and what should become of
//! the traffic between their VMs.
//!
//! * [`line_rate`]: how much of a line's rate a NIC reaches
//! * [`run`]: the main job: a capture's frames through the NICs of a scenario
//! * [`serve`]: NICs as vfio-user devices
//! * [`scenario`]: scenario files, the plan drawn from one, and the state that each host's driver must program
#![forbid(unsafe_code)]

pub mod line_rate;
pub mod run;
pub mod scenario;
pub mod serve;

pub use scenario::Scenario;
