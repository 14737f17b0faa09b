//! The record layer from outside: published vectors, records that other libraries made, hostile input, limits, recovery.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests; a failure should stop the test"
)]

mod fixture;
mod hostile;
mod independent;
mod limits;
mod recovery;
mod replay;
mod round_trip;
mod secrets;
mod vectors_aead;
mod vectors_records;
