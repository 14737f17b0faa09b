//! Tests of the driver against a device in memory, and against worse.

mod device;
mod flow_log;
mod hostile;
mod mailbox;
mod mock;
#[cfg(feature = "model")]
mod model;
mod plan;
pub(crate) mod random;
mod reconcile;
mod ring_mock;
mod rings;
mod tuple_parser;
#[cfg(feature = "vfio-user")]
mod vfio_user;
