//! The SealNIC host driver: everything a host needs to own a device, over whatever transport reaches its registers.
//! A [`Device`] finds the device, refuses one whose ABI it doesn't know, and offers every mailbox command as a typed
//! method; [`reconcile()`] makes what is programmed equal to a [`DesiredState`]; [`FlowLog`] turns the device's events into
//! the Azure VNet flow log, version 4. The driver holds no state that it could not read back from the device.
//!
//! * [`bind`](mod@bind): handing a PCI function to the kernel's VFIO driver and back
//! * [`clock`]: time for deadlines, replaceable in tests
//! * [`dma`]: host memory that a device reaches
//! * [`ring`]: commands, events and frames by way of rings in host memory, where the transport has DMA
//! * [`transport`]: how a device is reached: a model in this process (feature `model`), a device served over a Unix socket
//!   (`vfio-user`), a PCI function through the kernel's VFIO (`vfio`)
//! * [`mailbox`]: commands and answers, with deadlines and retries that never execute a command twice
//! * [`device`]: discovery and the typed commands
//! * [`list`](mod@list): paging through the device's tables
//! * [`counters`]: a snapshot of all counters and their conservation law
//! * [`desired`]: the desired state, checked
//! * [`plan`](mod@plan): the steps from one state to another, in an order that opens no clear path
//! * [`reconcile`](mod@reconcile): reads back, plans, applies, reports
//! * [`flow_log`]: flow-log records from events; [`flow_tuple`] for one line of it
//! * [`keys`]: secrets of an SA, and static keys derived for scenarios
//! * `control` (feature `control`): one daemon owns a device, its clients program and read it over a socket
#![deny(unsafe_code)] // Allowed in `dma/mapped.rs`, `transport/vfio/mmio.rs` and `transport/vfio/sys.rs` alone.

pub mod bind;
pub mod clock;
#[cfg(feature = "control")]
pub mod control;
pub mod counters;
pub mod desired;
pub mod device;
mod device_rings;
pub mod dma;
mod error;
pub mod flow_log;
pub mod flow_tuple;
pub mod keys;
pub mod list;
pub mod mailbox;
pub mod plan;
pub mod reconcile;
mod registers;
pub mod ring;
pub mod transport;
#[cfg(any(feature = "vfio-user", feature = "control"))]
mod unix_socket;

#[cfg(test)]
mod tests;

pub use counters::CounterSnapshot;
pub use desired::DesiredState;
pub use device::Device;
pub use error::Error;
pub use flow_log::FlowLog;
pub use keys::{KeyDerivation, RunId, SaKeys};
pub use mailbox::{MailboxConfig, MailboxError};
pub use reconcile::reconcile;
pub use ring::RingError;
pub use ring::frame::HostPacket;
pub use transport::{Transport, TransportError};
