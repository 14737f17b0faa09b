//! All that the SealNIC device and its host agree on, declared once: what stands here is what the firmware, the models,
//! the driver and the RTL share. Nothing in this crate knows how the device works inside.
//!
//! * [`fields`]: the field-table macros behind every shared structure
//! * [`flow`]: flow-table lines: key, action, counters, bucket
//! * [`object`]: what the host programs: device, VNets, ports, mappings, associations, SAs, exclusions
//! * [`mailbox`]: message framing, opcodes, commands tied to their responses
//! * [`event`]: flow-log records and other events
//! * [`ring`]: rings in host memory: commands, events, host frames
//! * [`counter`]: drop reasons and device counters
//! * [`registers`]: BAR0, generated from `sealnic.rdl`
#![no_std]

pub mod counter;
pub mod event;
pub mod fields;
pub mod flow;
pub mod mailbox;
pub mod object;
pub mod registers;
pub mod ring;

pub use counter::{Counter, DropReason};
pub use object::{Capability, EncryptionCode, Enforcement, MappingKind};

/// ABI version, major part: raised when an older driver can't drive the device any more.
pub const ABI_MAJOR: u16 = 1;
/// ABI version, minor part: raised when something is added.
pub const ABI_MINOR: u16 = 1;

/// PCI vendor id that the models show. Whoever builds cards brings one of his own.
pub const PCI_VENDOR_ID: u16 = 0x1DE5;
/// PCI device id of the physical function, as the register block has it.
pub const PCI_DEVICE_ID: u16 = registers::offsets::device_id::DEVICE_RESET as u16;

/// A value on the boundary that this version of the ABI doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownValue;

impl core::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("value unknown to this ABI version")
    }
}

impl core::error::Error for UnknownValue {}
