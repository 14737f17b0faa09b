//! Scenarios of several hosts: what their virtual networks look like, what each NIC must be told, and what should become of
//! the traffic between their VMs.
//!
//! * [`scenario`]: scenario files, the plan drawn from one, and the state that each host's driver must program
#![forbid(unsafe_code)]

pub mod scenario;

pub use scenario::Scenario;
