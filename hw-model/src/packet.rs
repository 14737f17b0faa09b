//! Frames at the edges of a device.

use sealnic_firmware::frame::{HEADROOM, TAILROOM};
pub use sealnic_firmware::frame::{Offload, Segmentation, Verdict};
use sealnic_firmware::{Destination, Frame};

/// Where a frame enters or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edge {
    /// The VM behind a port number.
    Vf(u16),
    /// The underlay.
    Wire,
    /// The host's exception path.
    Host,
}

impl From<Edge> for Destination {
    fn from(edge: Edge) -> Self {
        match edge {
            Edge::Vf(port) => Self::Vf(port),
            Edge::Wire => Self::Wire,
            Edge::Host => Self::Host,
        }
    }
}

/// A frame that was handed to a device and ended inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The giver's name for it.
    pub tag: u64,
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// Dropped or consumed: a verdict without destination.
    pub verdict: Verdict,
}

/// A frame with its time and with room around it, so that headers and tag are written in place.
#[derive(Clone)]
pub struct Packet {
    pub(crate) storage: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Time at the edge, in nanoseconds.
    pub time_ns: u64,
    /// The giver's name for this frame; what it becomes (segments, records) keeps it. Not visible on any wire.
    pub tag: u64,
    /// What the VM asks for, or may rely on (VIRTIO 1.2 section 5.1.6).
    pub offload: Offload,
    /// Made by a device, not handed to one: an answer, a segment, a fragment.
    pub is_generated: bool,
    pub(crate) verdict: Option<Verdict>,
}

impl Packet {
    /// A frame (without FCS) at a time.
    #[must_use]
    pub fn new(frame: &[u8], time_ns: u64, tag: u64) -> Self {
        let mut packet = Self::zeroed(frame.len(), time_ns, tag);
        packet.frame_mut().copy_from_slice(frame);
        packet
    }

    /// A frame of `len` zeros, to be filled.
    #[must_use]
    pub fn zeroed(len: usize, time_ns: u64, tag: u64) -> Self {
        let end = HEADROOM + len;
        Self {
            storage: vec![0; end + TAILROOM],
            start: HEADROOM,
            end,
            time_ns,
            tag,
            offload: Offload::default(),
            is_generated: false,
            verdict: None,
        }
    }

    /// The frame's octets.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// The frame in its buffer, for the firmware to work on.
    pub(crate) fn as_frame(&mut self) -> Frame<'_> {
        Frame::new(&mut self.storage, self.start, self.end).unwrap_or_default()
    }

    /// The frame's octets, to be changed (impairments, tests).
    #[must_use]
    pub fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.end]
    }
}
