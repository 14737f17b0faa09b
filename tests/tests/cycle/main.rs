//! Tests of the cycle model's times: its throughput, its laws, and that it does nothing but what the functional model does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, where a panic is a finding and the test runner shows what is printed"
)]

mod laws;
mod line_rate;
mod replay;
mod rings;
