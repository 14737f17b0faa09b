//! A pipeline of two units and their FIFOs, stepped cycle by cycle, that tells an observer what it does and keeps its own record.

use sealnic_hw_model::cycle::{Direction, FifoId, FifoInfo, FrameId, Probe, Topology, UnitId, UnitKind, UnitState};

pub(crate) const CORE_MHZ: u32 = 322;
pub(crate) const DEPTH: u32 = 4;
pub(crate) const PARSER: UnitId = UnitId {
    kind: UnitKind::EgressParser,
    pipeline: 0,
};
pub(crate) const ENGINES: UnitId = UnitId {
    kind: UnitKind::EgressEngines,
    pipeline: 0,
};
/// Frames that the engines hold at once.
const ENGINE_PLACES: usize = 3;

pub(crate) fn fifo(unit: UnitId) -> FifoId {
    FifoId { unit, input: 0 }
}

pub(crate) fn topology() -> Topology {
    let info = |unit, producer| FifoInfo {
        fifo: fifo(unit),
        producer,
        depth: DEPTH,
    };
    let source = UnitId {
        kind: UnitKind::VfFetch,
        pipeline: 0,
    };
    Topology {
        hardware: "test bench".to_owned(),
        core_mhz: CORE_MHZ,
        units: vec![ENGINES, PARSER],
        fifos: vec![info(PARSER, source), info(ENGINES, PARSER)],
    }
}

/// What happened in one cycle at one FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beat {
    pub(crate) pushed: Option<u64>,
    pub(crate) popped: Option<u64>,
    pub(crate) is_blocked: bool,
    /// At the beginning of the cycle.
    pub(crate) occupancy: u32,
}

/// What happened in all cycles.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) parser_in: Vec<Beat>,
    pub(crate) engines_in: Vec<Beat>,
    pub(crate) parser_states: Vec<UnitState>,
    /// Frame, unit, first and last cycle.
    pub(crate) stages: Vec<(u64, UnitId, u64, u64)>,
    /// Frame, time in ps, octets.
    pub(crate) line: Vec<(u64, u64, u32)>,
}

/// Pseudo-random numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Queue {
    id: FifoId,
    frames: std::collections::VecDeque<u64>,
    told: Option<u64>,
}

impl Queue {
    fn new(unit: UnitId) -> Self {
        Self {
            id: fifo(unit),
            frames: std::collections::VecDeque::new(),
            told: None,
        }
    }

    /// Puts a frame in where there is room.
    fn offer(&mut self, probe: &mut dyn Probe, cycle: u64, number: u64, beat: &mut Beat) -> bool {
        let room = self.frames.len() < DEPTH as usize;
        if room {
            self.frames.push_back(number);
            beat.pushed = Some(number);
            probe.fifo_push(self.id, cycle, frame(number), self.frames.len() as u32);
        } else {
            beat.is_blocked = true;
            if self.told != Some(number) {
                self.told = Some(number);
                probe.fifo_stall(self.id, cycle, frame(number), self.frames.len() as u32);
            }
        }
        room
    }

    fn take(&mut self, probe: &mut dyn Probe, cycle: u64, beat: &mut Beat) -> Option<u64> {
        let number = self.frames.pop_front()?;
        beat.popped = Some(number);
        probe.fifo_pop(self.id, cycle, frame(number), self.frames.len() as u32);
        Some(number)
    }
}

pub(crate) fn frame(number: u64) -> FrameId {
    FrameId {
        number,
        tag: 1_000 + number,
    }
}

/// Runs it for this many cycles from `first_cycle`.
pub(crate) fn run(probe: &mut dyn Probe, seed: u64, first_cycle: u64, cycles: u64) -> Record {
    let mut random = Random(seed);
    let mut record = Record::default();
    let (mut parser_in, mut engines_in) = (Queue::new(PARSER), Queue::new(ENGINES));
    let mut arriving: Option<u64> = None;
    let mut next_number = 0;
    let mut parsing: Option<(u64, u64)> = None;
    let mut state = UnitState::WaitInput;
    let mut sealing: Vec<(u64, u64, u64)> = Vec::new();
    for cycle in first_cycle..first_cycle + cycles {
        let mut beats = [Beat::default(); 2];
        beats[0].occupancy = parser_in.frames.len() as u32;
        beats[1].occupancy = engines_in.frames.len() as u32;

        // Engines: pipelined, each frame takes its own time.
        while let Some(at) = sealing.iter().position(|(_, _, end)| *end <= cycle) {
            let (number, start, _) = sealing.remove(at);
            probe.stage(frame(number), ENGINES, start, cycle);
            record.stages.push((number, ENGINES, start, cycle));
            let end_ps = cycle * 1_000_000 / u64::from(CORE_MHZ) + 700;
            probe.wire(Direction::Transmit, frame(number), end_ps, 64 + number as u32 % 1_000);
            record.line.push((number, end_ps, 64 + number as u32 % 1_000));
        }
        if sealing.len() < ENGINE_PLACES
            && random.below(2) == 0
            && let Some(number) = engines_in.take(probe, cycle, &mut beats[1])
        {
            sealing.push((number, cycle, cycle + 3 + random.below(20)));
        }
        // The parser: one frame at a time, two cycles each.
        if let Some((number, start)) = parsing
            && cycle >= start + 2
            && engines_in.offer(probe, cycle, number, &mut beats[1])
        {
            probe.stage(frame(number), PARSER, start, cycle);
            record.stages.push((number, PARSER, start, cycle));
            parsing = None;
        }
        if parsing.is_none()
            && let Some(number) = parser_in.take(probe, cycle, &mut beats[0])
        {
            parsing = Some((number, cycle));
        }
        let now = match parsing {
            None => UnitState::WaitInput,
            Some(_) if beats[1].is_blocked => UnitState::OutputFull,
            Some(_) => UnitState::Busy,
        };
        if now != state {
            probe.state(PARSER, cycle, now);
            state = now;
        }
        record.parser_states.push(state);
        // Arrivals, in bursts.
        if arriving.is_none() && random.below(256) > cycle % 256 {
            arriving = Some(next_number);
            next_number += 1;
        }
        if let Some(number) = arriving
            && parser_in.offer(probe, cycle, number, &mut beats[0])
        {
            arriving = None;
        }
        let [first, second] = beats;
        record.parser_in.push(first);
        record.engines_in.push(second);
    }
    record
}
