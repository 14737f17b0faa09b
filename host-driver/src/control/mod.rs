//! One daemon owns a device; everybody else is a client of its Unix socket.
//!
//! The [`Owner`] is the one thread that touches the device: it drains events, notices resets, and carries out what it is
//! handed. The [`Server`] gives every connection a thread of its own, so that a slow or hostile client keeps nobody
//! waiting. The desired state comes from a [`DesiredSource`], and so do its static keys. `docs/daemon.md` describes the protocol.
//!
//! * [`protocol`]: requests and answers, a line of JSON each
//! * [`spec`]: the device's objects as JSON
//! * [`view`]: what can only be read, as JSON: SAs, flows, events, counters
//! * [`text`]: names, addresses and octets as text
//! * [`owner`]: the device's thread
//! * [`board`]: what it waits for
//! * `events`: the device's events
//! * `ops`: what each request does
//! * `follow`: whoever follows events or frames
//! * `frames`: the exception path, for clients
//! * [`desired`]: where the desired state comes from, and how its keys get to the device
//! * [`ledger`]: which run ids have been used, so that no key is installed in two lives of a device
//! * [`flow_file`]: the flow log in files that rotate
//! * [`server`], [`client`]: the two ends of the socket
//! * [`place`]: where sockets and locks are
//! * `line`: lines with bounds and deadlines

pub mod board;
pub mod client;
pub mod desired;
mod events;
#[cfg(feature = "fault-points")]
pub mod fault;
pub mod flow_file;
mod follow;
mod frames;
pub mod ledger;
mod line;
mod ops;
pub mod owner;
pub mod place;
pub mod protocol;
pub mod server;
pub mod spec;
pub mod text;
pub mod view;

pub use board::Board;
pub use client::{Client, ClientError};
pub use desired::{Desired, DesiredSource, KeySource};
pub use owner::{Owner, OwnerConfig, OwnerHandle};
pub use protocol::{Op, PROTOCOL_VERSION};
pub use server::{Server, ServerConfig};
