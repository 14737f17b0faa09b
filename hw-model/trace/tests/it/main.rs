//! Waveforms and traces, written of a small pipeline and read back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops where it fails, and the test runner shows what is printed"
)]

mod pipeline;
mod trace;
mod wave;
