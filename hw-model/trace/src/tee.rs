//! Two observers on one model.

use sealnic_hw_model::cycle::{Direction, FifoId, FrameId, Probe, Topology, UnitId, UnitState};
use std::io;

/// Tells both what it is told.
pub struct Tee(pub Box<dyn Probe>, pub Box<dyn Probe>);

impl Probe for Tee {
    fn topology(&mut self, topology: &Topology) {
        self.0.topology(topology);
        self.1.topology(topology);
    }

    fn origin(&mut self, origin_ns: u64) {
        self.0.origin(origin_ns);
        self.1.origin(origin_ns);
    }

    fn fifo_push(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32) {
        self.0.fifo_push(fifo, cycle, frame, occupancy);
        self.1.fifo_push(fifo, cycle, frame, occupancy);
    }

    fn fifo_pop(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32) {
        self.0.fifo_pop(fifo, cycle, frame, occupancy);
        self.1.fifo_pop(fifo, cycle, frame, occupancy);
    }

    fn fifo_stall(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32) {
        self.0.fifo_stall(fifo, cycle, frame, occupancy);
        self.1.fifo_stall(fifo, cycle, frame, occupancy);
    }

    fn state(&mut self, unit: UnitId, cycle: u64, state: UnitState) {
        self.0.state(unit, cycle, state);
        self.1.state(unit, cycle, state);
    }

    fn stage(&mut self, frame: FrameId, unit: UnitId, start: u64, end: u64) {
        self.0.stage(frame, unit, start, end);
        self.1.stage(frame, unit, start, end);
    }

    fn wire(&mut self, direction: Direction, frame: FrameId, end_ps: u64, len: u32) {
        self.0.wire(direction, frame, end_ps, len);
        self.1.wire(direction, frame, end_ps, len);
    }

    fn finish(&mut self) -> io::Result<()> {
        let first = self.0.finish();
        first.and(self.1.finish())
    }
}
