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
