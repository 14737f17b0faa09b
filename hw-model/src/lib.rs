//! Models of the SealNIC device behind one trait, so that driver and firmware are tested without hardware.
//!
//! * [`packet`]: frames at the edges of a device, with room around them
//! * [`functional`]: the functional model
//! * [`cycle`]: the cycle model, its hardware files and what it measures
//! * [`middleware`]: capture and impairments around any model
//! * [`memory`]: the model's DRAM and random generator
//! * [`host_port`]: the device's way into the host: memory and interrupts
//! * `core`: what every model is built around
//! * `rings`: rings in host memory
//! * `host_log`: what a device does to its host's memory
//! * [`pci`]: the device as a PCIe function
//! * `bar`: BAR0 with its effects

mod bar;
mod core;
pub mod cycle;
pub mod functional;
mod host_log;
pub mod host_port;
pub mod memory;
pub mod middleware;
pub mod packet;
pub mod pci;
mod rings;

pub use functional::FunctionalModel;
pub use host_port::{DmaFault, HostPort};
pub use packet::{Edge, Ended, Offload, Packet, Segmentation, Verdict};
pub use sealnic_firmware::Sizes;

/// A SealNIC device as its surroundings see it: PF registers, the VMs' ports, the wire, the host's exception path.
///
/// Time is the frames': it never goes back, and nothing reads a host clock.
pub trait HwModel: Send {
    /// Reads a 32-bit register of PF BAR0. `offset` is in octets, a multiple of 4; where nothing stands all ones are read.
    fn read32(&mut self, offset: u32) -> u32;

    /// Writes a 32-bit register of PF BAR0. Writes where nothing stands are ignored.
    fn write32(&mut self, offset: u32, value: u32);

    /// Hands a frame to the device at `packet.time_ns`. A time before the last one seen counts as the last one.
    fn submit(&mut self, from: Edge, packet: Packet);

    /// Takes the next frame that left the device, oldest first.
    fn collect(&mut self) -> Option<(Edge, Packet)>;

    /// Takes the next frame that ended inside the device, dropped or consumed, oldest first: for observers, visible on no
    /// bus. A device keeps the last [`ENDED_KEPT`] of them.
    fn ended(&mut self) -> Option<Ended>;

    /// Time at which something inside will happen by itself because frames are on their way, rounded up to a nanosecond;
    /// `None` when nothing is. Aging and ends of overlaps wait for [`advance`](Self::advance) and don't count.
    fn next_event_ns(&self) -> Option<u64>;

    /// Lets time pass until `now_ns`: aging, flow log, ends of overlaps. At the time of [`next_event_ns`](Self::next_event_ns) only
    /// what is due happens.
    fn advance(&mut self, now_ns: u64);

    /// Plugs the device into a host, in place of the one before. Without a host it reaches no memory and raises no interrupt.
    fn connect(&mut self, host: Box<dyn HostPort>);

    /// Function-level reset (PCIe 6.0 section 6.6.2): a clean state and a new generation; keys, windows and rings are wiped, frames
    /// inside are dropped and counted. Counters of frames go on, and what left the device can still be collected.
    fn reset(&mut self);
}

/// Frames that ended inside which a device remembers until they are taken: older ones are forgotten, so that a device whose
/// observer isn't there doesn't grow.
pub const ENDED_KEPT: usize = 65_536;

impl<M: HwModel + ?Sized> HwModel for Box<M> {
    fn read32(&mut self, offset: u32) -> u32 {
        (**self).read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        (**self).write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        (**self).submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        (**self).collect()
    }

    fn ended(&mut self) -> Option<Ended> {
        (**self).ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        (**self).next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        (**self).advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        (**self).connect(host);
    }

    fn reset(&mut self) {
        (**self).reset();
    }
}

/// What a model is made with.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelConfig {
    /// Sizes of the device's tables.
    pub sizes: Sizes,
    /// Seed of the device's random generator; `None` takes one from the operating system.
    pub seed: Option<u64>,
}

/// Why a model can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelError {
    /// The operating system has no random octets to give.
    NoEntropy,
}

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEntropy => f.write_str("the operating system has no random octets for the device's generator"),
        }
    }
}

impl std::error::Error for ModelError {}

impl From<getrandom::Error> for ModelError {
    fn from(_: getrandom::Error) -> Self {
        Self::NoEntropy
    }
}
