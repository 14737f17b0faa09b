//! The SealNIC pipeline and the control plane over it: what the NIC does to a frame, in plain functions over caller-supplied
//! memory. No allocation, no clock, no I/O; the same code runs in the models, on a soft core, and as the reference for RTL.
//!
//! The data path reads top-down: [`nic`] (entry, and the one exit) → `egress` or `ingress` → `key_store`.
//!
//! * [`nic`]: the device: tables, time, counters, the exit of every frame
//! * [`frame`]: a frame in its buffer, verdicts, offload requests
//! * `parse`: headers to flow key
//! * `egress`, `ingress`: the two directions
//! * [`stages`]: the two directions' stages one by one, for models that take time
//! * [`burst`]: several frames at once, so that memory latencies overlap
//! * `encap`: outer headers
//! * `segment`: TCP/UDP segmentation, IPv4 fragmentation
//! * `answers`: ARP, neighbour discovery, packet-too-big, DHCP
//! * `exception`: the host's exception path
//! * `host_queue`: frames that wait for the host, and ports that it stands in for
//! * [`key_store`]: associations, SAs, keys
//! * [`flow_table`], `toeplitz`: exact match and its hash
//! * `flow_log`, [`events`]: what flows report
//! * [`tables`], [`prefix`], [`index`]: what the host programmed
//! * `control`: mailbox commands
//! * `self_test`: known-answer tests
//! * `log`: messages, through `defmt` or `log`
//! * [`memory`]: where tables live
#![no_std]

mod answers;
pub mod burst;
mod control;
mod egress;
mod encap;
pub mod events;
mod exception;
mod flow_log;
pub mod flow_table;
pub mod frame;
mod host_queue;
pub mod index;
mod ingress;
pub mod key_store;
mod log;
pub mod memory;
pub mod nic;
mod parse;
pub mod prefix;
mod segment;
mod self_test;
pub mod stages;
pub mod tables;
#[cfg(test)]
mod testing;
mod toeplitz;

pub use burst::{BURST, Queued};
pub use frame::{Destination, Frame, Offload, Output, Segmentation, Verdict};
pub use memory::{Memory, Sizes};
pub use nic::{Entropy, Nic};
