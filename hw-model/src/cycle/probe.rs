//! What an observer of the model is told: every handshake of a FIFO, every state of a unit, every frame on the line.

use crate::cycle::ids::{Direction, FifoId, FrameId, UnitId, UnitState};
use std::io;

/// The parts that events are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Name of the hardware.
    pub hardware: String,
    /// Clock of everything that counts cycles, in MHz: cycle `n` begins `n * 1_000_000 / core_mhz` ps after the origin.
    pub core_mhz: u32,
    /// Units, in the order in which they act within a cycle.
    pub units: Vec<UnitId>,
    /// FIFOs.
    pub fifos: Vec<FifoInfo>,
}

/// A FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FifoInfo {
    /// Which.
    pub fifo: FifoId,
    /// The unit that puts frames in.
    pub producer: UnitId,
    /// Room, in frames.
    pub depth: u32,
}

/// Observes one model. Cycles never go back from call to call, except that `start` of [`stage`](Self::stage) lies in the past.
///
/// A model without an observer asks once per event whether there is one, and nothing else.
pub trait Probe: Send {
    /// The parts. Called once, before anything else.
    fn topology(&mut self, topology: &Topology);

    /// From now on cycle 0 and 0 ps stand for this time. Called before the first event, and again only when the device has been idle
    /// for months: cycles begin anew then.
    fn origin(&mut self, origin_ns: u64);

    /// A frame entered a FIFO, whose occupancy, with it, is now `occupancy` frames.
    fn fifo_push(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32);

    /// A frame left a FIFO, whose occupancy, without it, is now `occupancy` frames.
    fn fifo_pop(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32);

    /// A frame is ready for a FIFO that has no room (valid, not ready). Told once for each frame that waits.
    fn fifo_stall(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32);

    /// A unit changed its state.
    fn state(&mut self, unit: UnitId, cycle: u64, state: UnitState);

    /// A frame was in a unit from the cycle at which the unit took it until `end`, the present cycle, at which it gave it on. The time
    /// in the FIFO before is not in it. Units are pipelined: several frames may be inside at once.
    fn stage(&mut self, frame: FrameId, unit: UnitId, start: u64, end: u64);

    /// A frame on the line, whose last bit passes at `end_ps`; `len` is in octets with FCS, without preamble and gap.
    fn wire(&mut self, direction: Direction, frame: FrameId, end_ps: u64, len: u32);

    /// The run is over: writes out what is still held.
    ///
    /// # Errors
    /// The first error met since the beginning, if any.
    fn finish(&mut self) -> io::Result<()>;
}
