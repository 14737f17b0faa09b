//! The slow path: first packets of flows wait for the control CPU, later frames of their flows behind them, other flows overtake.

use crate::core::edge;
use crate::cycle::flight::{NONE, Side};
use crate::cycle::ids::UnitState;
use crate::cycle::nic::{CONTROL_CPU, CycleNic, DMA_WRITE, MAC_TX};
use crate::cycle::parts::Slot;
use crate::cycle::record::{Outcome, Step};
use crate::packet::Edge;
use sealnic_firmware::stages::Answer;
use std::collections::VecDeque;

/// A flow with frames on the slow path. It is known until the last of them has acted.
struct ParkedFlow {
    hash: u64,
    side: Side,
    /// The first frame has not been decided upon yet.
    is_waiting: bool,
    /// Frames of it that the CPU holds.
    held: u32,
    /// Frames of it that went through here and have not acted yet.
    pending: u32,
    /// Last frame behind the first.
    last: Slot,
}

/// What the control CPU has to do, and who waits for it.
pub(crate) struct SlowPath {
    /// Frames of each direction that may be here.
    room: u32,
    held: [u32; 2],
    queue: VecDeque<Slot>,
    /// The frame being decided, until a cycle.
    serving: Option<(Slot, u64)>,
    flows: Vec<ParkedFlow>,
    /// Frames decided upon, in order, by direction.
    released: [VecDeque<Slot>; 2],
    /// Frames of the host that are done, and wait for room.
    host: VecDeque<Slot>,
    host_held: u32,
    awaited: Vec<usize>,
}

impl SlowPath {
    pub(crate) fn new(room: u32) -> Self {
        Self {
            room,
            held: [0; 2],
            queue: VecDeque::new(),
            serving: None,
            flows: Vec::new(),
            released: [VecDeque::new(), VecDeque::new()],
            host: VecDeque::new(),
            host_held: 0,
            awaited: Vec::new(),
        }
    }

    /// Frames here.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.held[0] + self.held[1] + self.host_held)
    }

    fn has_room(&self, side: Side) -> bool {
        self.held[side as usize] < self.room
    }

    /// Whether the CPU has a frame for this FIFO, once it has room; asks once.
    pub(crate) fn waits_for(&mut self, fifo: usize) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|awaited| *awaited != fifo);
        self.awaited.len() != before
    }

    pub(crate) fn wait_for(&mut self, fifo: usize) {
        if !self.awaited.contains(&fifo) {
            self.awaited.push(fifo);
        }
    }

    fn flow(&mut self, hash: u64, side: Side) -> Option<&mut ParkedFlow> {
        self.flows
            .iter_mut()
            .find(|flow| flow.hash == hash && flow.side == side)
    }

    /// Whether a frame waits for the CPU.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether another frame of the host may wait.
    pub(crate) fn host_has_room(&self) -> bool {
        self.host_held < self.room
    }

    /// Puts a frame of the host that is decided behind the others.
    pub(crate) fn release_host(&mut self, slot: Slot) {
        self.host_held += 1;
        self.host.push_back(slot);
    }

    fn is_released(&self, slot: Slot) -> bool {
        self.released.iter().any(|released| released.contains(&slot))
    }

    /// Forgets all frames.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.released.iter_mut().for_each(VecDeque::clear);
        self.host.clear();
        (self.held, self.host_held) = ([0; 2], 0);
        (self.serving, self.flows) = (None, Vec::new());
    }

    /// All frames but those behind the first of a flow that waits; these hang on it.
    fn heads(&self) -> impl Iterator<Item = Slot> {
        let released = self.released.iter().flatten();
        let serving = self.serving.iter().map(|(slot, _)| slot);
        self.queue
            .iter()
            .chain(released)
            .chain(&self.host)
            .chain(serving)
            .copied()
    }
}

/// Where a frame goes after its lookup.
pub(crate) enum AfterLookup {
    /// On.
    On,
    /// To the control CPU.
    Park,
    /// Nowhere: the slow path is full.
    Wait,
}

impl CycleNic {
    /// All frames that the control CPU holds.
    pub(crate) fn parked(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.slow.heads().collect();
        let is_waiting = |slot: &Slot| self.flights[*slot].from != Edge::Host && !self.slow.is_released(*slot);
        for head in slots.clone().iter().filter(|slot| is_waiting(slot)) {
            let mut next = self.flights[*head].follower;
            while next != NONE {
                slots.push(next);
                next = self.flights[next].follower;
            }
        }
        slots
    }

    /// What is to be done with a frame that was looked up.
    pub(crate) fn after_lookup(&mut self, slot: Slot, side: Side) -> AfterLookup {
        let lookup = &self.flights[slot].lookup;
        let (hash, answer) = (lookup.hash, lookup.answer);
        if answer == Answer::NotAsked {
            return AfterLookup::On;
        }
        let parks = if self.slow.flows.is_empty() {
            answer == Answer::Miss
        } else {
            match self.slow.flow(hash, side) {
                // Behind those of its flow that the CPU has; those that have gone on are in front in the same FIFO.
                Some(flow) => flow.held != 0,
                None => answer == Answer::Miss,
            }
        };
        match (parks, self.slow.has_room(side)) {
            (false, _) => AfterLookup::On,
            (true, true) => AfterLookup::Park,
            (true, false) => AfterLookup::Wait,
        }
    }

    /// Puts a frame on the slow path.
    pub(crate) fn park(&mut self, unit: usize, slot: Slot, side: Side, now: u64) {
        self.gone(unit, slot, now);
        self.units[unit].is_stalled = false;
        self.came(CONTROL_CPU, slot, now);
        self.slow.held[side as usize] += 1;
        let hash = self.flights[slot].lookup.hash;
        self.flights[slot].is_slow = true;
        self.flights[slot].follower = NONE;
        match self.slow.flow(hash, side) {
            Some(flow) => {
                flow.held += 1;
                flow.pending += 1;
                if flow.is_waiting {
                    let last = std::mem::replace(&mut flow.last, slot);
                    self.flights[last].follower = slot;
                } else {
                    self.slow.released[side as usize].push_back(slot);
                }
            }
            None => {
                self.slow.flows.push(ParkedFlow {
                    hash,
                    side,
                    is_waiting: true,
                    held: 1,
                    pending: 1,
                    last: slot,
                });
                self.slow.queue.push_back(slot);
            }
        }
        self.wake(CONTROL_CPU, now + 1);
    }

    /// A frame of the host.
    pub(crate) fn park_host(&mut self, slot: Slot, now: u64) {
        self.slow.host_held += 1;
        self.slow.queue.push_back(slot);
        self.wake(CONTROL_CPU, now + 1);
    }

    /// A frame that was on the slow path has acted.
    pub(crate) fn acted_slow(&mut self, slot: Slot, side: Side) {
        if !self.flights[slot].is_slow {
            return;
        }
        let hash = self.flights[slot].lookup.hash;
        let flows = &mut self.slow.flows;
        if let Some(at) = flows.iter().position(|flow| flow.hash == hash && flow.side == side) {
            flows[at].pending -= 1;
            if flows[at].pending == 0 {
                flows.swap_remove(at);
            }
        }
    }

    pub(crate) fn control_cpu(&mut self, now: u64) -> UnitState {
        if let Some((slot, done_at)) = self.slow.serving
            && done_at <= now
        {
            self.slow.serving = None;
            self.served(slot, now);
        }
        let is_blocked = self.release(now);
        // While a command waits for its gap, no frame of the host begins.
        let is_fenced = self.is_fenced;
        let next = |nic: &Self| {
            let may_begin = |slot: &Slot| !is_fenced || nic.flights[*slot].from != Edge::Host;
            nic.slow.queue.iter().position(may_begin)
        };
        if self.slow.serving.is_none()
            && self.units[CONTROL_CPU].accept_at <= now
            && let Some(slot) = next(self).and_then(|at| self.slow.queue.remove(at))
        {
            let cycles = match self.flights[slot].from {
                Edge::Host => self.timing.host_frame_cycles,
                _ => self.timing.decide_cycles,
            };
            self.flights[slot].taken = now;
            self.units[CONTROL_CPU].work(now, cycles);
            self.slow.serving = Some((slot, now + cycles));
        }
        if let Some((_, done_at)) = self.slow.serving {
            self.wake(CONTROL_CPU, done_at);
        } else if next(self).is_some() {
            let at = self.units[CONTROL_CPU].accept_at;
            self.wake(CONTROL_CPU, at);
        }
        if self.units[CONTROL_CPU].busy_until > now {
            UnitState::Busy
        } else if is_blocked {
            UnitState::OutputFull
        } else {
            UnitState::WaitInput
        }
    }

    /// Charges the CPU with a command of the host, which has had its effect.
    pub(crate) fn charge_command(&mut self, now: u64) {
        let unit = &mut self.units[CONTROL_CPU];
        let start = unit.accept_at.max(now);
        let end = start + self.timing.command_cycles;
        unit.set_state(UnitState::Busy, now);
        (unit.accept_at, unit.busy_until) = (end, end);
        unit.work_cycles += self.timing.command_cycles;
        // What is being decided takes so much longer.
        if let Some((_, done_at)) = &mut self.slow.serving {
            *done_at += self.timing.command_cycles;
        }
    }

    /// The first frame of a flow has been thought about: it goes on, and those behind it.
    fn served(&mut self, slot: Slot, now: u64) {
        if self.flights[slot].from == Edge::Host {
            self.host_frame(slot, now);
            return;
        }
        let side = self.flights[slot].buffer.1;
        let hash = self.flights[slot].lookup.hash;
        if let Some(flow) = self.slow.flow(hash, side) {
            flow.is_waiting = false;
        }
        let mut next = slot;
        while next != NONE {
            self.slow.released[side as usize].push_back(next);
            next = self.flights[next].follower;
        }
    }

    /// Carries out what the host asks for with a frame of its own.
    fn host_frame(&mut self, slot: Slot, now: u64) {
        let now_ns = self.clock.ns(now);
        self.core.at(now_ns);
        let input = self.input(slot);
        let packet = &mut self.flights[slot].packet;
        let mut frame = packet.as_frame();
        let verdict = self.core.nic.from_host(self.core.now_ns, &mut frame, &mut self.made);
        let range = frame.range();
        (packet.start, packet.end) = (range.start, range.end);
        packet.verdict = Some(verdict);
        let step = || Step::Host {
            frame: input.unwrap_or_default(),
        };
        self.note(step, |nic| Outcome::of(verdict, &nic.flights[slot].packet, &nic.made.0));
        for made in self.adopt(CONTROL_CPU, slot, now) {
            self.slow.release_host(made);
        }
        match verdict.destination() {
            Some(to) => {
                self.flights[slot].to = Some(edge(to));
                self.flights[slot].has_acted = true;
                self.acted += 1;
                self.slow.host.push_back(slot);
            }
            None => {
                self.slow.host_held -= 1;
                self.end(CONTROL_CPU, slot, verdict, now);
            }
        }
    }

    /// Gives on what is decided, a frame for each direction in a cycle. Whether something waits for room.
    fn release(&mut self, now: u64) -> bool {
        let mut is_blocked = false;
        for side in [Side::Egress, Side::Ingress] {
            let Some(slot) = self.slow.released[side as usize].front().copied() else {
                continue;
            };
            let fifo = self.fifo_after_lookup(slot, side);
            if !self.room(CONTROL_CPU, fifo, slot, now) {
                is_blocked = true;
                continue;
            }
            self.slow.released[side as usize].pop_front();
            self.slow.held[side as usize] -= 1;
            let hash = self.flights[slot].lookup.hash;
            if let Some(flow) = self.slow.flow(hash, side) {
                flow.held -= 1;
            }
            self.give(CONTROL_CPU, fifo, slot, now);
            self.wake_lookups(side, now + 1);
            if !self.slow.released[side as usize].is_empty() {
                self.wake(CONTROL_CPU, now + 1);
            }
        }
        if let Some(slot) = self.slow.host.front().copied() {
            let unit = match self.flights[slot].to {
                Some(Edge::Wire) => MAC_TX,
                _ => DMA_WRITE,
            };
            // The CPU's is the last input.
            let fifo = self.inputs(unit).end - 1;
            if self.room(CONTROL_CPU, fifo, slot, now) {
                self.slow.host.pop_front();
                self.slow.host_held -= 1;
                self.give(CONTROL_CPU, fifo, slot, now);
                if !self.slow.host.is_empty() {
                    self.wake(CONTROL_CPU, now + 1);
                }
            } else {
                is_blocked = true;
            }
        }
        is_blocked
    }
}
