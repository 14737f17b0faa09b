//! Events that the device reports: flow-log records and security-association notices.

use crate::fields::{abi_enum, abi_struct};
use crate::flow::FlowKey;

abi_enum! {
    /// Kind of an event.
    pub enum EventKind: u8 {
        /// Flow log: flow began (B).
        FlowBegin = 1,
        /// Flow log: flow continues, counters since the last record (C).
        FlowContinue = 2,
        /// Flow log: flow ended, counters since the last record (E).
        FlowEnd = 3,
        /// Flow log: flow denied (D).
        FlowDeny = 4,
        /// An SA reached a soft limit: time for a new one.
        SaSoftLimit = 5,
        /// An SA reached a hard limit and is dead.
        SaHardLimit = 6,
        /// An SA was retired and its keys wiped.
        SaRetired = 7,
        /// The device was reset; `subject` holds the low half of the new generation.
        Reset = 8,
        /// An error stopped a ring: `subject` holds its number (`Ring`), `code` the error as in the ring's status register.
        RingStopped = 9,
    }
}

abi_struct! {
    /// One event.
    pub struct Event: 96 {
        /// Device time, in nanoseconds.
        time_ns: u64,
        /// Frames since the last record (flow log).
        packets: u64,
        /// Octets since the last record (flow log).
        octets: u64,
        /// SA or association of the event, or 0.
        subject: u32,
        /// VNI of the port.
        vni: u32,
        /// Port number.
        port: u16,
        /// `EventKind`.
        kind: u8,
        /// `EncryptionCode`.
        code: u8,
        /// `DropReason` of a denied flow, else 0xff.
        reason: u8,
        /// Zero.
        reserved: [u8; 3],
        /// Flow (flow log).
        key: FlowKey,
        /// Zero.
        reserved2: [u8; 8],
    }
}

impl crate::fields::FieldType for FlowKey {}

abi_enum! {
    /// What a frame on the exception path is.
    pub enum HostFrameKind: u8 {
        /// To the host: datagram of the wire with a handshake record, from its Ethernet header on.
        Handshake = 1,
        /// To the host: content of a control record that was opened and replay-checked.
        ControlRecord = 2,
        /// To the host: DHCP frame of a VM.
        Dhcp = 3,
        /// From the host: datagram with a handshake record, from its Ethernet header on, to the wire.
        ToWire = 4,
        /// From the host: Ethernet frame to the VM behind `port`.
        ToVm = 5,
        /// To the host: Ethernet frame that the VM behind `port` would have got, had the host not taken the port's place.
        ForVm = 6,
        /// From the host: Ethernet frame as if the VM behind `port` had sent it, with what it asks of the NIC. Only for a port
        /// whose `representor` is set; it is checked, decided and counted (`VfIn`) as the VM's own.
        AsVm = 7,
    }
}

abi_enum! {
    /// Segmentation that a frame asks for, as in virtio-net's header (VIRTIO 1.2 section 5.1.6).
    pub enum HostSegmentation: u8 {
        /// None.
        None = 0,
        /// TCP, over the frame's IP version.
        Tcp = 1,
        /// UDP, over the frame's IP version.
        Udp = 2,
    }
}

abi_struct! {
    /// Header of every frame on the exception path.
    pub struct HostFrame: 32 {
        /// Sequence number of a control record.
        sequence: u64,
        /// Epoch of a control record.
        epoch: u64,
        /// Association of a control record.
        association: u32,
        /// Port number of a VM's frame.
        port: u16,
        /// `HostFrameKind`.
        kind: u8,
        /// Content type of a control record.
        content_type: u8,
        /// Offset from the frame's start at which the checksum begins, in octets (`AsVm` with `NEEDS_CSUM`).
        csum_start: u16,
        /// Offset of the checksum field from `csum_start`, in octets (`AsVm` with `NEEDS_CSUM`).
        csum_offset: u16,
        /// Payload of each segment, in octets (`AsVm` with a segmentation).
        segment_len: u16,
        /// `NEEDS_CSUM` (`AsVm`).
        offload_flags: u8,
        /// `HostSegmentation` (`AsVm`).
        segmentation: u8,
    }
}

impl HostFrame {
    /// In `offload_flags`: the NIC completes the checksum.
    pub const NEEDS_CSUM: u8 = 1;
}
