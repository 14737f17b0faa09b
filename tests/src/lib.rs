//! The harness of SealNIC's tests: hosts with one device each, programmed through the driver, with a wire between them.
//! Nothing here reaches into a device but by its registers and the edges at which frames go in and out, so a test runs on
//! every backend. A [`TestBed`] that goes out of scope checks that every device and the harness itself account for every
//! frame.
//!
//! * [`backend`]: the models, by name
//! * [`setup`]: what stands where: hosts, VNets, VMs, associations; and the desired state that follows
//! * [`bed`]: the test bed: devices, VMs, wire, keys, accounts
//! * [`frames`]: frames of VMs, built with an independent library, and checks of checksums by it
//! * [`outer`]: datagrams of the underlay, read with an independent library
//! * [`pf`]: devices as PCIe functions, and hosts that drive their rings
//! * [`timed`]: the cycle model under load
//! * [`replayed`]: cycle models that are replayed on the functional one
//! * [`random`]: repeatable random values
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the harness runs in tests only, where a panic is a finding and the test runner shows what is printed"
)]

pub mod backend;
pub mod bed;
pub mod frames;
pub mod outer;
pub mod pf;
pub mod random;
pub mod replayed;
pub mod setup;
pub mod timed;

pub use backend::{Backend, for_each_backend};
pub use bed::{Outcome, TestBed};
pub use frames::{Body, FrameSpec};
pub use random::Random;
pub use setup::{Setup, Vm, VnetSpec};
