//! What a guest of a co-simulation does with its NICs, over any transport.
//!
//! * [`daemons`]: daemons of two hosts, killed again and again
//! * [`two_hosts`]: two NICs of one scenario, and traffic between their VMs

pub mod daemons;
pub mod two_hosts;

/// What came of a test.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
