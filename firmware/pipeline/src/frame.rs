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

/// A frame in its buffer; by default one without octets or room.
#[derive(Default)]
pub struct Frame<'a> {
    storage: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> Frame<'a> {
    /// A frame at `start..end` of a buffer; `None` when that isn't inside it.
    pub fn new(storage: &'a mut [u8], start: usize, end: usize) -> Option<Self> {
        (start <= end && end <= storage.len()).then_some(Self { storage, start, end })
    }

    /// The frame's octets.
    #[inline]
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// The frame's octets, to be changed.
    #[inline]
    pub fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.end]
    }

    /// Where the frame lies in its buffer.
    #[inline]
    #[must_use]
    pub fn range(&self) -> core::ops::Range<usize> {
        self.start..self.end
    }

    /// Length, in octets.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Adds `len` octets in front and returns the grown frame; `None` when the buffer has no room.
    #[inline]
    pub fn push_front(&mut self, len: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(len)?;
        Some(&mut self.storage[self.start..self.end])
    }

    /// Adds `len` octets behind; `None` when the buffer has no room.
    #[inline]
    pub fn push_back(&mut self, len: usize) -> Option<()> {
        let end = self.end.checked_add(len)?;
        (end <= self.storage.len()).then(|| self.end = end)
    }

    /// Keeps only a part of the frame, given relative to its start; a part outside leaves nothing.
    #[inline]
    pub fn narrow(&mut self, part: core::ops::Range<usize>) {
        let start = self.start.saturating_add(part.start).min(self.end);
        self.end = self.start.saturating_add(part.end).clamp(start, self.end);
        self.start = start;
    }

    /// Overwrites the whole buffer with zeros.
    pub fn wipe(&mut self) {
        self.storage.fill(0);
    }
}

/// Where a frame goes that the NIC made itself, or hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The underlay.
    Wire,
    /// The VM behind a port.
    Vf(u16),
    /// The host's exception path; the frame begins with a `HostFrame` header.
    Host,
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
    /// To the host in the place of the VM behind a port; the frame begins with a `HostFrame` header.
    Represented(u16),
    /// To the host.
    Host,
    /// Ended here on purpose.
    Consumed,
    /// Dropped.
    Drop(DropReason),
}

impl Verdict {
    /// Where the frame itself goes on to, if anywhere.
    #[must_use]
    pub fn destination(self) -> Option<Destination> {
        match self {
            Self::WireSealed | Self::WireClear => Some(Destination::Wire),
            Self::Vf(port) => Some(Destination::Vf(port)),
            Self::Host | Self::Represented(_) => Some(Destination::Host),
            Self::Consumed | Self::Drop(_) => None,
        }
    }
}

/// Takes the frames that the NIC makes besides the one being worked on: answers, segments, fragments. They are copied
/// out of the NIC's own buffer, so the taker keeps what it needs.
pub trait Output {
    /// One frame.
    fn emit(&mut self, to: Destination, frame: &[u8]);
}
