//! The units of a pipeline: parsers, lookups, SA fetches, commits, record engines, encapsulation, delivery.

use crate::core::edge;
use crate::cycle::flight::Side;
use crate::cycle::ids::UnitState;
use crate::cycle::nic::{
    CycleNic, DMA_WRITE, EGRESS_ENCAP, EGRESS_ENGINES, EGRESS_LOOKUP, EGRESS_SA_FETCH, FULL, INGRESS_COMMIT,
    INGRESS_DELIVER, INGRESS_LOOKUP, MAC_TX, NEVER, unit_of,
};
use crate::cycle::parts::Slot;
use crate::cycle::record::{Outcome, Step};
use crate::cycle::slow::AfterLookup;
use crate::packet::Edge;
use sealnic_abi::{Counter, DropReason};
use sealnic_firmware::Verdict;
use sealnic_firmware::stages::Answer;

/// What came of trying to give on the frame that is done.
enum Given {
    /// None is done.
    Nothing,
    /// One was given on.
    One,
    /// One waits.
    Waits(UnitState),
}

impl CycleNic {
    /// Gives the oldest frame on, if it is done, into a FIFO.
    fn give_done(&mut self, unit: usize, now: u64, to: impl FnOnce(&Self, Slot) -> usize) -> Given {
        let Some(slot) = self.units[unit].done(now) else {
            return Given::Nothing;
        };
        let fifo = to(self, slot);
        if !self.room(unit, fifo, slot, now) {
            return Given::Waits(FULL);
        }
        self.units[unit].pipe.pop_front();
        self.give(unit, fifo, slot, now);
        Given::One
    }

    /// When a unit acts next, and what its state is: `given` says what came of its output, `idle` why it took nothing.
    fn settle(&mut self, unit: usize, now: u64, given: &Given, idle: UnitState) -> UnitState {
        if let Some((_, done_at)) = self.units[unit].pipe.front() {
            match given {
                Given::Waits(_) => {}
                // One frame in a cycle.
                _ => {
                    let at = (*done_at).max(now + 1);
                    self.wake(unit, at);
                }
            }
        }
        let busy_until = self.units[unit].busy_until;
        self.expect_input(unit, now);
        match given {
            Given::Waits(state) => *state,
            _ if busy_until > now => UnitState::Busy,
            _ => idle,
        }
    }

    /// A unit's only FIFO, or its first.
    fn input_of(&self, pipeline: usize, unit: usize) -> usize {
        self.units[unit_of(pipeline, unit)].first_input
    }

    /// As many frames as a pipelined unit holds that takes one every `interval` and gives it on after `latency` cycles.
    fn stages(latency: u64, interval: u64) -> usize {
        (latency.div_ceil(interval) + 1) as usize
    }

    // Both ways.

    /// Reads headers. What a VM's frame is was read when it was chosen, what a record is when it came; here it takes its time.
    pub(crate) fn parser(&mut self, unit: usize, now: u64) -> UnitState {
        let next = self.inputs(unit + 1).start;
        let given = self.give_done(unit, now, |_, _| next);
        let parser = &self.config.parser;
        let (interval, latency) = (u64::from(parser.interval_cycles), u64::from(parser.latency_cycles));
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            if self.units[unit].pipe.len() < Self::stages(latency, interval) {
                self.take(fifo, now);
                self.units[unit].work(now, interval);
                self.units[unit].begin(slot, now + latency);
            } else {
                idle = FULL;
            }
        }
        self.settle(unit, now, &given, idle)
    }

    /// Which FIFO a frame goes into when its flow is known.
    pub(crate) fn fifo_after_lookup(&self, slot: Slot, side: Side) -> usize {
        let flight = &self.flights[slot];
        match side {
            Side::Egress => self.input_of(flight.home, EGRESS_SA_FETCH) + flight.front,
            Side::Ingress => self.input_of(flight.front, INGRESS_DELIVER),
        }
    }

    /// Has the lookup units try again that wait for the slow path.
    pub(crate) fn wake_lookups(&mut self, side: Side, at: u64) {
        let unit = match side {
            Side::Egress => EGRESS_LOOKUP,
            Side::Ingress => INGRESS_LOOKUP,
        };
        for pipeline in 0..self.pipelines {
            let unit = unit_of(pipeline, unit);
            if self.units[unit].is_stalled {
                self.wake(unit, at);
            }
        }
    }

    /// Asks the flow table; several frames' reads are under way at once, and answered in order.
    pub(crate) fn lookup(&mut self, unit: usize, pipeline: usize, side: Side, now: u64) -> UnitState {
        let given = match self.units[unit].done(now) {
            None => Given::Nothing,
            Some(slot) => match self.after_lookup(slot, side) {
                AfterLookup::On => {
                    let fifo = self.fifo_after_lookup(slot, side);
                    self.give_done(unit, now, |_, _| fifo)
                }
                AfterLookup::Park => {
                    self.units[unit].pipe.pop_front();
                    self.park(unit, slot, side, now);
                    Given::One
                }
                AfterLookup::Wait => {
                    self.units[unit].is_stalled = true;
                    Given::Waits(UnitState::SlowPath)
                }
            },
        };
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            if self.units[unit].pipe.len() < self.config.lookup.outstanding_frames as usize {
                self.take(fifo, now);
                let done_at = self.look_up(slot, pipeline, side, now);
                self.units[unit].work(now, self.config.lookup.interval_cycles.into());
                self.units[unit].begin(slot, done_at);
            } else {
                idle = UnitState::Memory;
            }
        }
        self.settle(unit, now, &given, idle)
    }

    /// Foresees the table's answer; returns the cycle at which it is there.
    fn look_up(&mut self, slot: Slot, pipeline: usize, side: Side, now: u64) -> u64 {
        let lookup = match side {
            Side::Egress => {
                let Edge::Vf(port) = self.flights[slot].from else {
                    return now + 1;
                };
                self.read_vf(slot, port);
                self.core.nic.egress_lookup(&self.flights[slot].read)
            }
            Side::Ingress => self.core.nic.ingress_lookup(&self.flights[slot].arrived),
        };
        let flight = &mut self.flights[slot];
        flight.lookup = lookup;
        if side == Side::Egress {
            flight.association = lookup.association;
            let home = lookup
                .association
                .map_or(flight.front as u32, |id| id % self.pipelines as u32);
            flight.home = home as usize;
        }
        self.memory.begin(now, self.clock);
        let cache = &mut self.flow_caches[2 * pipeline + side as usize];
        let mut at = now + u64::from(self.config.lookup.hit_cycles);
        let mut asked = now;
        for round in lookup.lines.rounds() {
            for line in round {
                at = at.max(cache.read(*line, 1, false, asked, &mut self.memory, self.clock));
            }
            asked = at;
        }
        if let Some(line) = lookup.lines.counters {
            // Nobody waits for the counters.
            cache.read(line, 1, true, asked, &mut self.memory, self.clock);
        }
        at
    }

    /// Reads the context of the SA that a frame needs.
    pub(crate) fn sa_fetch(&mut self, unit: usize, pipeline: usize, side: Side, now: u64) -> UnitState {
        let next = self.inputs(unit + 1).start;
        let given = self.give_done(unit, now, |_, _| next);
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            let fetch = self.config.sa_fetch;
            if self.units[unit].pipe.len() < fetch.outstanding_frames as usize {
                self.take(fifo, now);
                self.memory.begin(now, self.clock);
                let flight = &self.flights[slot];
                let sa = match side {
                    Side::Egress => flight
                        .association
                        .and_then(|association| Some(self.core.nic.sealing(association)?.sa)),
                    Side::Ingress => flight.record.map(|(sa, _)| sa),
                };
                let done_at = sa.map_or(now + u64::from(fetch.hit_cycles), |sa| {
                    let cache = &mut self.sa_caches[2 * pipeline + side as usize];
                    // The sequence number or the window is written back.
                    cache.read(sa, fetch.context_lines, true, now, &mut self.memory, self.clock)
                });
                self.units[unit].work(now, fetch.interval_cycles.into());
                self.units[unit].begin(slot, done_at);
            } else {
                idle = UnitState::Memory;
            }
        }
        self.settle(unit, now, &given, idle)
    }

    /// Record engines side by side; records leave in the order in which they came.
    pub(crate) fn record_engines(&mut self, unit: usize, pipeline: usize, side: Side, now: u64) -> UnitState {
        let next = self.inputs(unit + 1).start;
        let given = self.give_done(unit, now, |_, _| next);
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            let config = self.config.engines;
            if self.units[unit].pipe.len() >= config.reorder_frames as usize {
                idle = UnitState::Engines;
            } else if let Some((sa, octets)) = self.flights[slot].record {
                let engines = &mut self.engines[2 * pipeline + side as usize].engines;
                let switch = |key: u32| {
                    if key == sa {
                        0
                    } else {
                        u64::from(config.key_switch_cycles)
                    }
                };
                // The one that would be done with it first: one that has the key may be worth waiting for.
                let ready = |(free_at, key): (u64, u32)| free_at.max(now) + switch(key);
                let chosen = (0..engines.len()).min_by_key(|at| (ready(engines[*at]), engines[*at].0 > now));
                match chosen.filter(|at| engines[*at].0 <= now) {
                    Some(chosen) => {
                        let blocks = (octets as u64).div_ceil(16 * u64::from(config.lanes)).max(1);
                        let occupied = u64::from(config.header_cycles) + switch(engines[chosen].1) + blocks;
                        engines[chosen] = (now + occupied, sa);
                        let busy_until = engines.iter().map(|engine| engine.0).max().unwrap_or(now);
                        self.take(fifo, now);
                        let own = &mut self.units[unit];
                        own.begin(slot, now + occupied + u64::from(config.tail_cycles));
                        (own.accept_at, own.busy_until) = (now + 1, busy_until);
                        own.work_cycles += occupied;
                    }
                    None => {
                        let at = chosen.map_or(NEVER, |at| engines[at].0);
                        self.wake(unit, at);
                        idle = UnitState::Engines;
                    }
                }
            } else {
                // Nothing to seal or open: past the engines, in its place in the order.
                self.take(fifo, now);
                let own = &mut self.units[unit];
                own.accept_at = now + 1;
                own.begin(slot, now + 1);
            }
        }
        let state = self.settle(unit, now, &given, idle);
        if state == UnitState::Busy && idle == UnitState::Engines {
            idle
        } else {
            state
        }
    }

    // From a VM.

    /// Reads a VM's frame, unless that was done and no command came since.
    pub(crate) fn read_vf(&mut self, slot: Slot, port: u16) {
        let flight = &mut self.flights[slot];
        if flight.read_at != self.command {
            flight.read_at = self.command;
            self.core.nic.egress_read(port, flight.packet.frame(), &mut flight.read);
        }
    }

    /// Carries out a frame's decision, with all that it changes.
    pub(crate) fn egress_commit(&mut self, unit: usize, pipeline: usize, now: u64) -> UnitState {
        let given = self.give_done(unit, now, |nic, slot| match nic.flights[slot].to {
            Some(Edge::Wire) => nic.input_of(pipeline, EGRESS_ENGINES),
            _ => nic.inputs(DMA_WRITE).start + pipeline,
        });
        let idle = self.commit(unit, now, Self::commit_vf);
        self.settle(unit, now, &given, idle)
    }

    /// Takes the next frame of a commit unit and lets it act, unless a command waits; says why the unit has nothing to do if so.
    fn commit(&mut self, unit: usize, now: u64, act: impl FnOnce(&mut Self, usize, Slot, u64, u64)) -> UnitState {
        let (interval, latency) = (
            u64::from(self.config.commit.interval_cycles),
            u64::from(self.config.commit.latency_cycles),
        );
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            if self.is_fenced {
                return UnitState::Fence;
            }
            if self.units[unit].pipe.len() >= Self::stages(latency, interval) {
                return FULL;
            }
            self.take(fifo, now);
            self.units[unit].work(now, interval);
            act(self, unit, slot, now, latency);
        }
        UnitState::WaitInput
    }

    /// A frame's octets as it enters a step, when steps are recorded.
    pub(crate) fn input(&self, slot: Slot) -> Option<Vec<u8>> {
        self.record
            .is_some()
            .then(|| self.flights[slot].packet.frame().to_vec())
    }

    fn commit_vf(&mut self, unit: usize, slot: Slot, now: u64, latency: u64) {
        self.core.at(self.clock.ns(now));
        let Edge::Vf(port) = self.flights[slot].from else {
            return;
        };
        self.read_vf(slot, port);
        let input = self.input(slot);
        let misses = self.core.nic.counter(Counter::FlowMiss);
        let flight = &mut self.flights[slot];
        let offload = flight.packet.offload;
        let packet = &mut flight.packet;
        let mut frame = packet.as_frame();
        let nic = &mut self.core.nic;
        let verdict = nic.egress_commit(self.core.now_ns, &flight.read, offload, &mut frame, &mut self.made);
        let range = frame.range();
        packet.verdict = Some(verdict);
        if verdict.destination().is_some() {
            (packet.start, packet.end) = (range.start, range.end);
        }
        self.count_late_miss(slot, misses);
        let step = || Step::Vf {
            port,
            offload,
            frame: input.unwrap_or_default(),
        };
        self.note(step, |nic| Outcome::of(verdict, &nic.flights[slot].packet, &nic.made.0));
        self.acted_slow(slot, Side::Egress);
        if !self.made.0.is_empty() {
            for made in self.adopt(unit, slot, now) {
                self.units[unit].begin(made, now + latency);
            }
        }
        match verdict.destination() {
            Some(to) => {
                let record = self.flights[slot]
                    .association
                    .filter(|_| verdict == Verdict::WireSealed);
                let len = self.flights[slot].packet.frame().len();
                let record = record.and_then(|association| self.sealed_record(association, len));
                let flight = &mut self.flights[slot];
                (flight.to, flight.record, flight.has_acted) = (Some(edge(to)), record, true);
                self.acted += 1;
                self.units[unit].begin(slot, now + latency);
            }
            None => self.end(unit, slot, verdict, now),
        }
    }

    fn count_late_miss(&mut self, slot: Slot, misses_before: u64) {
        let flight = &self.flights[slot];
        let missed = self.core.nic.counter(Counter::FlowMiss) != misses_before;
        self.late_misses += u64::from(missed && !flight.is_slow && flight.lookup.answer == Answer::Hit);
    }

    /// Outer headers go in front, and the frame towards the MAC, word by word.
    pub(crate) fn encap(&mut self, unit: usize, pipeline: usize, now: u64) -> UnitState {
        let next = self.inputs(MAC_TX).start + pipeline;
        let given = self.give_done(unit, now, |_, _| next);
        let latency = u64::from(self.config.rewrite.latency_cycles);
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            if self.units[unit].pipe.len() < Self::stages(latency, 1) {
                self.take(fifo, now);
                let words = self.timing.words(self.flights[slot].packet.frame().len());
                self.units[unit].work(now, words);
                self.units[unit].begin(slot, now + words + latency);
            } else {
                idle = FULL;
            }
        }
        self.settle(unit, now, &given, idle)
    }

    // From the wire.

    /// Opens a record, which the engines have had, and commits its number, in order.
    pub(crate) fn ingress_commit(&mut self, unit: usize, pipeline: usize, now: u64) -> UnitState {
        let given = self.give_done(unit, now, |nic, slot| match nic.flights[slot].to {
            None => nic.input_of(pipeline, INGRESS_LOOKUP),
            Some(_) => nic.inputs(DMA_WRITE).start + nic.pipelines + pipeline,
        });
        let idle = self.commit(unit, now, Self::arrive);
        self.settle(unit, now, &given, idle)
    }

    fn arrive(&mut self, unit: usize, slot: Slot, now: u64, latency: u64) {
        self.core.at(self.clock.ns(now));
        let input = self.input(slot);
        let flight = &mut self.flights[slot];
        let packet = &mut flight.packet;
        let mut frame = packet.as_frame();
        let ended = self
            .core
            .nic
            .ingress_arrive(self.core.now_ns, &mut frame, &mut flight.arrived);
        let range = frame.range();
        packet.verdict = ended;
        if ended.is_none_or(|verdict| verdict.destination().is_some()) {
            (packet.start, packet.end) = (range.start, range.end);
        }
        let step = || Step::Arrive {
            frame: input.unwrap_or_default(),
        };
        let at = self.note(step, |nic| match ended {
            Some(verdict) => Outcome::of(verdict, &nic.flights[slot].packet, &[]),
            None => Outcome::arrived(&nic.flights[slot].packet),
        });
        let flight = &mut self.flights[slot];
        flight.arrive_step = at;
        match ended.map(Verdict::destination) {
            None => self.undelivered += 1,
            Some(Some(to)) => flight.to = Some(edge(to)),
            Some(None) => {
                self.end(unit, slot, ended.unwrap_or(Verdict::Consumed), now);
                return;
            }
        }
        self.flights[slot].has_acted = true;
        self.acted += 1;
        self.units[unit].begin(slot, now + latency);
    }

    /// Delivers what has arrived, if its flow may be.
    pub(crate) fn deliver(&mut self, unit: usize, pipeline: usize, now: u64) -> UnitState {
        let next = self.inputs(DMA_WRITE).start + 2 * self.pipelines + pipeline;
        let given = self.give_done(unit, now, |_, _| next);
        let latency = u64::from(self.config.rewrite.latency_cycles);
        let mut idle = UnitState::WaitInput;
        if self.units[unit].accept_at <= now
            && let Some((fifo, slot)) = self.offered(unit, now)
        {
            if self.units[unit].pipe.len() < Self::stages(latency, 1) {
                self.take(fifo, now);
                let verdict = self.deliver_one(slot, now);
                if verdict.destination().is_some() {
                    let words = self.timing.words(self.flights[slot].packet.frame().len());
                    self.units[unit].work(now, words);
                    self.units[unit].begin(slot, now + words + latency);
                } else {
                    self.units[unit].work(now, 1);
                    self.end(unit, slot, verdict, now);
                }
            } else {
                idle = FULL;
            }
        }
        self.settle(unit, now, &given, idle)
    }

    fn deliver_one(&mut self, slot: Slot, now: u64) -> Verdict {
        self.core.at(self.clock.ns(now));
        let misses = self.core.nic.counter(Counter::FlowMiss);
        let flight = &mut self.flights[slot];
        let packet = &mut flight.packet;
        let mut frame = packet.as_frame();
        let verdict = self
            .core
            .nic
            .ingress_deliver(self.core.now_ns, &flight.arrived, &mut frame);
        let range = frame.range();
        packet.verdict = Some(verdict);
        // A frame for the host in the place of a VM has a header in front.
        if verdict.destination().is_some() {
            (packet.start, packet.end) = (range.start, range.end);
        }
        flight.to = verdict.destination().map(edge);
        let arrive = flight.arrive_step;
        self.undelivered -= 1;
        self.count_late_miss(slot, misses);
        self.note(
            || Step::Deliver { arrive },
            |nic| Outcome::of(verdict, &nic.flights[slot].packet, &[]),
        );
        self.acted_slow(slot, Side::Ingress);
        verdict
    }

    /// A frame that ends before any stage of the firmware has seen it.
    pub(crate) fn turn_away(&mut self, unit: usize, slot: Slot, reason: DropReason, now: u64) {
        self.core.at(self.clock.ns(now));
        let flight = &mut self.flights[slot];
        let counter = flight.entered_as;
        let mut frame = flight.packet.as_frame();
        let verdict = self.core.nic.turn_away(self.core.now_ns, counter, reason, &mut frame);
        let step = || Step::TurnAway { counter, reason };
        self.note(step, |nic| Outcome::of(verdict, &nic.flights[slot].packet, &[]));
        self.end(unit, slot, verdict, now);
    }
}

const _: () = assert!(EGRESS_ENCAP == EGRESS_ENGINES + 1 && INGRESS_COMMIT + 1 == INGRESS_LOOKUP);
