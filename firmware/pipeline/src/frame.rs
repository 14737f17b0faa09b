//! A frame being worked on: a buffer with room before and behind, so that headers, record and tag are written in place.

use sealnic_abi::DropReason;

/// Octets a frame must have free in front of it: outer Ethernet, IPv6, UDP, the longest record header (DTLS 1.2 with a
/// 20-octet connection id and explicit nonce) and VXLAN are 119.
pub const HEADROOM: usize = 128;
/// Octets a frame must have free behind it: inner content type and tag are 17.
pub const TAILROOM: usize = 32;

/// Segmentation that a VM asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Segmentation {
    /// None.
    #[default]
    None,
    /// TCP over IPv4 or IPv6, by the frame (VIRTIO `GSO_TCPV4`, `GSO_TCPV6`).
    Tcp,
    /// UDP over IPv4 or IPv6 (VIRTIO `GSO_UDP_L4`).
    Udp,
}

/// virtio-net-header semantics of a frame (VIRTIO 1.2 section 5.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// From a VM: the checksum over `csum_start..` is to be completed at `csum_start + csum_offset`. To a VM: never set.
    pub needs_csum: bool,
    /// To a VM: checksums need no verification. From a VM: ignored.
    pub data_valid: bool,
    /// From a VM: segmentation asked for.
    pub segmentation: Segmentation,
    /// Offset from the frame's start at which the checksum begins, in octets.
    pub csum_start: u16,
    /// Offset of the checksum field from `csum_start`, in octets.
    pub csum_offset: u16,
    /// Payload of each segment, in octets.
    pub segment_len: u16,
}

/// A frame in its buffer.
#[derive(Debug)]
pub struct Frame<'a> {
    storage: &'a mut [u8],
    start: usize,
    end: usize,
}

/// How the pipeline disposed of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// On the wire, in a record.
    WireSealed,
    /// On the wire, in the clear.
    WireClear,
    /// To the VM behind a port.
    Vf(u16),
    /// To the host.
    Host,
    /// Ended here on purpose.
    Consumed,
    /// Dropped.
    Drop(DropReason),
}
