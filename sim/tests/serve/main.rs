//! The vfio-user server, over real sockets: good clients (the `vfio_user` crate's, an independent one), bad ones and dying ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests; a failure should stop the test"
)]

mod client;
mod device;
mod good_clients;
mod hostile_clients;
mod sockets;
