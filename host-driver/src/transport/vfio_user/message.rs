//! Messages of the vfio-user protocol, version 0.1, as far as a client of a PCI device needs them. All fields are in the
//! host's byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`Commands` of the protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Command {
    Version = 1,
    DmaMap = 2,
    DeviceGetInfo = 4,
    DeviceGetRegionInfo = 5,
    DeviceGetIrqInfo = 7,
    SetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    DeviceReset = 13,
}

/// The message type in [`Header::flags`]: 0 a command, 1 a reply.
pub(super) const TYPE_MASK: u32 = 0xF;
pub(super) const TYPE_REPLY: u32 = 1;
/// In a command: no reply is wanted.
pub(super) const NO_REPLY: u32 = 1 << 4;
/// In a reply: the command failed, `Header::error` says why.
pub(super) const ERROR: u32 = 1 << 5;

/// Header of every message.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) command: u16,
    /// Length of the whole message, in octets.
    pub(super) len: u32,
    pub(super) flags: u32,
    /// An `errno` value.
    pub(super) error: u32,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Version {
    pub(super) major: u16,
    pub(super) minor: u16,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DmaMap {
    pub(super) argsz: u32,
    /// Bit 0: the device may read, bit 1: it may write.
    pub(super) flags: u32,
    /// Where in the file the memory begins.
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DeviceInfo {
    pub(super) argsz: u32,
    /// Bit 0: can be reset, bit 1: a PCI device.
    pub(super) flags: u32,
    pub(super) regions: u32,
    pub(super) irqs: u32,
}

pub(super) const DEVICE_RESET: u32 = 1;
pub(super) const DEVICE_PCI: u32 = 1 << 1;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct RegionInfo {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) cap_offset: u32,
    pub(super) size: u64,
    pub(super) offset: u64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct IrqInfo {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) count: u32,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct IrqSet {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) start: u32,
    pub(super) count: u32,
}

/// `VFIO_IRQ_SET_*` of `linux/vfio.h`.
pub(super) const IRQ_DATA_NONE: u32 = 1;
pub(super) const IRQ_DATA_EVENTFD: u32 = 1 << 2;
pub(super) const IRQ_ACTION_TRIGGER: u32 = 1 << 5;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct RegionAccess {
    pub(super) offset: u64,
    pub(super) region: u32,
    pub(super) count: u32,
}
