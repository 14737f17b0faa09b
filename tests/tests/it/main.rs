//! Tests that run on every backend, through the driver and the edges of the devices only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, where a panic is a finding and the test runner shows what is printed"
)]

mod answers;
mod clear_ingress;
mod control_records;
mod delivery;
mod device;
mod flows;
mod impairments;
mod invariants;
mod isolation;
mod keys;
mod mailbox;
mod mtu;
mod objects;
mod offload;
mod outer_headers;
mod pci;
mod policy;
mod random_program;
mod refusals;
mod rings;
mod sealed_ingress;
