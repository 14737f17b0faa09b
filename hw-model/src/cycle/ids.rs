//! Names of what the model is made of.

use serde::Serialize;
use std::fmt;

/// What a unit is. Egress is from a VM to the wire, ingress from the wire to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitKind {
    /// Port scheduler and DMA reads of VMs' frames.
    VfFetch,
    /// Reads a VM's headers.
    EgressParser,
    /// Flow lookup of a VM's frame.
    EgressLookup,
    /// Reads the write SA's context.
    EgressSaFetch,
    /// Carries out a frame's decision: sequence number, seal.
    EgressCommit,
    /// Record engines that seal, and the order in which their records leave.
    EgressEngines,
    /// Outer headers.
    EgressEncap,
    /// The MAC towards the wire.
    MacTx,
    /// The MAC from the wire.
    MacRx,
    /// Reads outer headers.
    IngressParser,
    /// Reads the read SA's context.
    IngressSaFetch,
    /// Record engines that open, and the order in which their records leave.
    IngressEngines,
    /// Authenticated records meet the replay window, in order.
    IngressCommit,
    /// Flow lookup of an opened frame.
    IngressLookup,
    /// Carries out an arrived frame's decision.
    IngressDeliver,
    /// DMA writes of frames and completions to VMs and host.
    DmaWrite,
    /// The control CPU: first packets of flows, host frames, commands.
    ControlCpu,
    /// DMA of the rings in host memory: descriptors, commands, frames of the host, events, completions.
    RingDma,
}

impl UnitKind {
    /// Name, as a hierarchy of hardware would have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VfFetch => "vf_fetch",
            Self::EgressParser | Self::IngressParser => "parser",
            Self::EgressLookup | Self::IngressLookup => "lookup",
            Self::EgressSaFetch | Self::IngressSaFetch => "sa_fetch",
            Self::EgressCommit | Self::IngressCommit => "commit",
            Self::EgressEngines | Self::IngressEngines => "engines",
            Self::EgressEncap => "encap",
            Self::MacTx => "mac_tx",
            Self::MacRx => "mac_rx",
            Self::IngressDeliver => "deliver",
            Self::DmaWrite => "dma_write",
            Self::ControlCpu => "control_cpu",
            Self::RingDma => "ring_dma",
        }
    }

    fn side(self) -> Option<&'static str> {
        match self {
            Self::EgressParser
            | Self::EgressLookup
            | Self::EgressSaFetch
            | Self::EgressCommit
            | Self::EgressEngines
            | Self::EgressEncap => Some("egress"),
            Self::IngressParser
            | Self::IngressSaFetch
            | Self::IngressEngines
            | Self::IngressCommit
            | Self::IngressLookup
            | Self::IngressDeliver => Some("ingress"),
            Self::VfFetch | Self::MacTx | Self::MacRx | Self::DmaWrite | Self::ControlCpu | Self::RingDma => None,
        }
    }
}

/// A unit: its kind, and the pipeline it stands in. Units that all pipelines share stand in pipeline 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId {
    /// What it is.
    pub kind: UnitKind,
    /// Pipeline.
    pub pipeline: u8,
}

impl UnitId {
    /// Name within its pipeline, such as `parser`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.kind.name()
    }

    /// Place in the hierarchy, such as `egress0.parser`.
    #[must_use]
    pub fn path(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.side() {
            Some(side) => write!(f, "{side}{}.{}", self.pipeline, self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl Serialize for UnitId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A FIFO: the unit that takes from it, and which of that unit's inputs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FifoId {
    /// The consumer.
    pub unit: UnitId,
    /// Input of the consumer; the producer is the pipeline of this number where there are several.
    pub input: u8,
}

impl FifoId {
    /// Place in the hierarchy, such as `egress0.parser.in0`.
    #[must_use]
    pub fn path(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for FifoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.in{}", self.unit, self.input)
    }
}

impl Serialize for FifoId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A frame inside the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId {
    /// Counts the frames that the device has seen or made, from 0.
    pub number: u64,
    /// The giver's name for it, which frames made from it keep.
    pub tag: u64,
}

/// Way of a frame on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the wire.
    Receive,
    /// To the wire.
    Transmit,
}

/// What a unit does at an instant, or why it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum UnitState {
    /// No input.
    WaitInput = 0,
    /// Working.
    Busy = 1,
    /// A result waits: the FIFO behind is full.
    OutputFull = 2,
    /// All outstanding table reads are in use, or the oldest is not back yet and nothing more may be taken in.
    Memory = 3,
    /// PCIe read tags, posted credits or packet buffer are used up.
    Credits = 4,
    /// Every record engine is busy, or no further record may wait for its turn to leave.
    Engines = 5,
    /// The slow path's queue is full.
    SlowPath = 6,
    /// A command of the host is waiting to act between two frames.
    Fence = 7,
}

impl UnitState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::WaitInput,
        Self::Busy,
        Self::OutputFull,
        Self::Memory,
        Self::Credits,
        Self::Engines,
        Self::SlowPath,
        Self::Fence,
    ];

    /// Name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitInput => "wait_input",
            Self::Busy => "busy",
            Self::OutputFull => "output_full",
            Self::Memory => "memory",
            Self::Credits => "credits",
            Self::Engines => "engines",
            Self::SlowPath => "slow_path",
            Self::Fence => "fence",
        }
    }
}
