//! Models of the SealNIC device behind one trait, so that driver and firmware are tested without hardware.
//!
//! * [`packet`]: frames at the edges of a device, with room around them
#![forbid(unsafe_code)]

pub mod packet;

pub use packet::{Edge, Offload, Packet, Segmentation};

/// A SealNIC device as its surroundings see it: PF registers, the VMs' ports, the wire, the host's exception path.
///
/// Time is the frames': it never goes back, and nothing reads a host clock.
pub trait HwModel {
    /// Reads a 32-bit register of PF BAR0. `offset` is in octets, a multiple of 4; outside the BAR all ones are read.
    fn read32(&mut self, offset: u32) -> u32;

    /// Writes a 32-bit register of PF BAR0. Writes outside the BAR are ignored.
    fn write32(&mut self, offset: u32, value: u32);

    /// Hands a frame to the device at `packet.time_ns`. A time before the last one seen counts as the last one.
    fn submit(&mut self, from: Edge, packet: Packet);

    /// Takes the next frame that left the device, oldest first.
    fn collect(&mut self) -> Option<(Edge, Packet)>;

    /// Lets time pass until `now_ns`: aging, flow log, ends of overlaps.
    fn advance(&mut self, now_ns: u64);
}
