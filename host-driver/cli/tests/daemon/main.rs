//! `sealnic daemon` and its clients as a user meets them: processes, a socket, files.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it fails"
)]

mod clients;
mod documents;
mod harness;
mod hostile;
mod keys;
mod life;
#[path = "../crash/nic.rs"]
mod nic;
#[allow(dead_code, reason = "shared with the test that kills daemons")]
#[path = "../crash/rig.rs"]
mod rig;
mod served;
