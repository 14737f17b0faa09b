//! The cycle model behind the trait: when time passes, and how commands of the host act between frames.

use crate::core::Core;
use crate::cycle::clock::REACH_NS;
use crate::cycle::config::{HwConfig, HwConfigError};
use crate::cycle::flight::Side;
use crate::cycle::nic::{
    CONTROL_CPU, CycleNic, EGRESS_COMMIT, INGRESS_COMMIT, MAC_RX, NEVER, RING_DMA, VF_FETCH, unit_of,
};
use crate::cycle::probe::Probe;
use crate::cycle::record::{Outcome, Record, ReplayError, Step};
use crate::cycle::stats::CycleStats;
use crate::host_port::HostPort;
use crate::packet::{Edge, Ended, Packet};
use crate::{HwModel, ModelConfig, ModelError};
use sealnic_abi::DropReason;
use sealnic_abi::registers::offsets::counter_snapshot;
use sealnic_abi::registers::{Location, Register, Window};
use sealnic_firmware::Destination;

/// Why a cycle model can't be made.
#[derive(Debug, thiserror::Error)]
pub enum CycleModelError {
    /// As any model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The hardware is not one that can be.
    #[error(transparent)]
    Hardware(#[from] HwConfigError),
}

/// A device that takes the time its hardware takes.
///
/// Frames are submitted at times that don't go back and come out at theirs. Commands of the host act between frames: what has begun
/// to act on the device's state leaves first, nothing else begins meanwhile, and the device's clock runs ahead of the caller's by
/// the time this takes; so after the answer to a command nothing leaves that was decided before it.
pub struct CycleModel {
    nic: CycleNic,
    /// Latest cycle at which anything happened.
    cycle: u64,
    sweep_at_ns: u64,
    has_begun: bool,
}

/// How far a command waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fence {
    /// Until no frame is between arrival and delivery.
    Delivered,
    /// Until all that acted has left.
    Left,
}

impl CycleModel {
    /// A device in reset state.
    ///
    /// # Errors
    /// The hardware can't be, or no seed is given and the operating system has no random octets to give.
    pub fn new(config: &ModelConfig, hardware: &HwConfig) -> Result<Self, CycleModelError> {
        hardware.check()?;
        Ok(Self {
            nic: CycleNic::new(Core::new(config)?, hardware),
            cycle: 0,
            sweep_at_ns: 0,
            has_begun: false,
        })
    }

    /// What the device is built of.
    #[must_use]
    pub fn hardware(&self) -> &HwConfig {
        &self.nic.config
    }

    /// Has an observer told of everything from now on. Frames that are inside already are told of as they move on.
    pub fn set_probe(&mut self, mut probe: Box<dyn Probe>) {
        probe.topology(&self.nic.topology());
        probe.origin(self.nic.clock.origin_ns);
        self.nic.probe = Some(probe);
    }

    /// Takes the observer back, to have it finish.
    pub fn take_probe(&mut self) -> Option<Box<dyn Probe>> {
        self.nic.probe.take()
    }

    /// Records every change of state from now on; the record is of use only from the beginning, before the first command and before
    /// the device is plugged into a host.
    pub fn record(&mut self) {
        self.nic.record = Some(Record::default());
        self.nic.core.log.keeps_octets = true;
    }

    /// What was recorded so far; recording goes on.
    #[must_use]
    pub fn recorded(&self) -> Option<&Record> {
        self.nic.record.as_ref()
    }

    /// Replays what was recorded on a functional model made from `config`, as this one was, and compares the counters, too. Returns
    /// the number of steps.
    ///
    /// # Errors
    /// The replay came out differently, or nothing was recorded.
    pub fn check_replay(&mut self, config: &ModelConfig) -> Result<usize, ReplayError> {
        let seen = counters(self);
        let record = self.recorded().ok_or(ReplayError::NotRecorded)?;
        let mut replayed = record.replay(config)?;
        if counters(&mut replayed) != seen {
            return Err(ReplayError::Counters);
        }
        Ok(record.len())
    }

    /// Figures since the device was made, or since they were last reset.
    pub fn stats(&mut self) -> CycleStats {
        let now = self.now_cycle();
        self.nic.stats(now)
    }

    /// Starts all figures anew: what is inside stays inside.
    pub fn reset_stats(&mut self) {
        let now = self.now_cycle();
        self.nic.reset_stats(now);
    }

    /// Frames inside.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.nic.inside
    }

    /// Whether a port's transmit ring has room for a frame at this moment. A VM knows this from its ring.
    #[must_use]
    pub fn has_room(&self, port: u16) -> bool {
        self.nic.vf.has_room(port)
    }

    /// The present cycle: the first that has not passed.
    fn now_cycle(&self) -> u64 {
        self.cycle.max(self.nic.clock.last_cycle_at_ns(self.nic.core.now_ns))
    }

    /// Lets happen what happens until a time.
    fn run_until(&mut self, now_ns: u64) {
        let now_ns = now_ns.max(self.nic.core.now_ns);
        if !self.has_begun || now_ns.saturating_sub(self.nic.clock.origin_ns) > REACH_NS {
            // Whatever is inside is out long before.
            self.run_while(|_| true);
            let end = self.now_cycle();
            self.nic.rebase(end, now_ns, !self.has_begun);
            self.cycle = 0;
            self.has_begun = true;
        }
        let last = self.nic.clock.last_cycle_at_ns(now_ns);
        loop {
            let (unit, at) = self.nic.next_act();
            if at > last {
                break;
            }
            self.cycle = self.cycle.max(at);
            self.nic.act(unit, at);
        }
        self.nic.core.at(now_ns);
    }

    /// Lets happen what happens while something holds and anything is going on.
    fn run_while(&mut self, holds: impl Fn(&CycleNic) -> bool) {
        while holds(&self.nic) {
            let (unit, at) = self.nic.next_act();
            if at == NEVER {
                break;
            }
            self.cycle = self.cycle.max(at);
            self.nic.act(unit, at);
        }
        self.nic.core.at(self.nic.clock.ns(self.cycle));
    }

    /// Waits for the gap between two frames in which a command acts.
    fn fence(&mut self, fence: Fence) {
        self.nic.is_fenced = true;
        match fence {
            Fence::Delivered => self.run_while(|nic| nic.undelivered != 0),
            Fence::Left => self.run_while(|nic| nic.acted != 0),
        }
        debug_assert_eq!(self.nic.undelivered, 0, "a frame that arrived is stuck");
        debug_assert!(fence == Fence::Delivered || self.nic.acted == 0, "a frame is stuck");
        self.nic.is_fenced = false;
        let now = self.now_cycle();
        if self.nic.slow.has_queued() {
            self.nic.wake(CONTROL_CPU, now + 1);
        }
        self.nic.command += u64::from(fence == Fence::Left);
        for pipeline in 0..self.nic.pipelines {
            for unit in [EGRESS_COMMIT, INGRESS_COMMIT] {
                let unit = unit_of(pipeline, unit);
                if self.nic.offered(unit, now + 1).is_some() {
                    self.nic.wake(unit, now + 1);
                }
            }
        }
    }

    /// Ends overlaps that are over, and has the control CPU look at its tables when it is time.
    fn look_after(&mut self) {
        while self.nic.core.nic.has_expired_keys(self.nic.core.now_ns) {
            self.fence(Fence::Left);
            self.poll(0);
        }
        if self.nic.core.now_ns >= self.sweep_at_ns {
            let entries = self.nic.core.nic.sizes().flows.max(1_024).next_power_of_two();
            self.poll(entries);
            let sweep_ns = u64::from(self.nic.config.control_cpu.sweep_us) * 1_000;
            self.sweep_at_ns = self.nic.core.now_ns.saturating_add(sweep_ns);
        }
    }

    fn poll(&mut self, entries: usize) {
        let now_ns = self.nic.core.now_ns;
        self.nic.core.nic.poll(now_ns, entries);
        self.nic.note(|| Step::Poll { entries }, |_| Outcome::default());
    }

    /// Works on the rings in host memory: commands act like those of the mailbox, frames of the host are taken, events and frames for
    /// the host are written. What this takes of PCIe is played from now on; nothing more is begun while much of that is left.
    fn serve_rings(&mut self) {
        if self.nic.core.host.is_none() || !self.nic.rings.has_room() {
            return;
        }
        if self.nic.core.has_posted() {
            self.fence(Fence::Left);
            let before = self.nic.core.out.take();
            self.nic.core.fetch();
            let made = self.nic.core.out.take();
            self.nic.core.out.put_back(before);
            let octets = made.frames.iter();
            let octets = octets.map(|(edge, packet)| ((*edge).into(), packet.frame().to_vec()));
            let made_octets = if self.nic.record.is_some() {
                octets.collect()
            } else {
                Vec::new()
            };
            let taken: Vec<Packet> = std::iter::from_fn(|| self.nic.core.next_from_host()).collect();
            self.played(Step::FromRings, made_octets, taken);
            let now = self.now_cycle();
            for (to, packet) in made.frames {
                self.nic.send_for_host(packet, to, now);
            }
        }
        self.nic.core.deliver();
        self.played(Step::ToRings, Vec::new(), Vec::new());
    }

    /// Notes what was done in host memory, and has it take its time.
    fn played(&mut self, step: Step, made: Vec<(Destination, Vec<u8>)>, mut frames: Vec<Packet>) {
        let (entries, accesses) = self.nic.core.log.take();
        let now = self.now_cycle();
        frames
            .iter_mut()
            .for_each(|packet| packet.time_ns = self.nic.core.now_ns);
        self.nic.play_rings(&entries, &accesses, frames, now);
        self.nic.note(|| step, |_| Outcome::by_rings(made, accesses));
    }

    /// How far a write waits, if it does anything to the device's state.
    fn fence_of(offset: u32) -> Option<Fence> {
        match Location::decode(offset)? {
            Location::Register(Register::IrqCause | Register::IrqMask) | Location::Window { .. } => None,
            Location::Register(Register::CounterSnapshot) => Some(Fence::Delivered),
            Location::Register(_) => Some(Fence::Left),
        }
    }
}

/// All counters, by the registers.
fn counters(model: &mut dyn HwModel) -> Vec<u32> {
    model.write32(Register::CounterSnapshot.offset(), counter_snapshot::LATCH_MASK);
    let window = Window::Counters;
    (0..window.byte_len())
        .step_by(4)
        .map(|offset| model.read32(window.offset() + offset))
        .collect()
}

impl HwModel for CycleModel {
    fn read32(&mut self, offset: u32) -> u32 {
        let value = self.nic.core.read32(offset);
        // What waits for the host at a time depends on how long frames take.
        if offset != Register::IrqCause.offset() {
            self.nic.note(|| Step::Read { offset }, |_| Outcome::value(value));
        }
        value
    }

    fn write32(&mut self, offset: u32, value: u32) {
        let fence = Self::fence_of(offset);
        if let Some(fence) = fence {
            self.fence(fence);
        }
        let generation = self.nic.core.nic.generation();
        let before = self.nic.core.out.take();
        self.nic.core.write32(offset, value);
        let made = self.nic.core.out.take();
        self.nic.core.out.put_back(before);
        let octets = || {
            made.frames
                .iter()
                .map(|(edge, packet)| ((*edge).into(), packet.frame().to_vec()))
        };
        self.nic
            .note(|| Step::Write { offset, value }, |_| Outcome::made(octets().collect()));
        let now = self.now_cycle();
        if self.nic.core.nic.generation() != generation {
            // What is inside came before the reset: the state that comes after it must not decide it.
            self.nic.drop_all(DropReason::Reset, now);
        }
        if offset == Register::MailboxDoorbell.offset() {
            self.nic.charge_command(now);
        }
        for (to, packet) in made.frames {
            self.nic.send_for_host(packet, to, now);
        }
        // A host that only looks on doesn't let time pass.
        self.run_while(|nic| !nic.rings.has_room());
        self.serve_rings();
    }

    fn submit(&mut self, from: Edge, mut packet: Packet) {
        self.run_until(packet.time_ns);
        self.look_after();
        packet.time_ns = self.nic.core.now_ns;
        let now = self.nic.clock.cycle_of_ns(packet.time_ns).max(self.cycle);
        self.cycle = now;
        match from {
            Edge::Vf(port) => self.nic.submit_vf(port, packet, now),
            Edge::Wire => self.nic.submit_wire(packet, now),
            Edge::Host => self.nic.submit_host(packet, now),
        }
        self.serve_rings();
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.nic.core.out.pop()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.nic.core.out.ended.pop_front()
    }

    fn next_event_ns(&self) -> Option<u64> {
        let (_, at) = self.nic.next_act();
        debug_assert!(
            at != NEVER || self.nic.inside == 0,
            "frames are inside and nothing will happen: {:?}",
            self.nic.where_held()
        );
        if self.nic.core.has_posted() && self.nic.rings.has_room() {
            return Some(self.nic.core.now_ns);
        }
        (at != NEVER).then(|| self.nic.clock.ns(at))
    }

    fn advance(&mut self, now_ns: u64) {
        self.run_until(now_ns);
        self.look_after();
        self.serve_rings();
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.nic.core.connect(host);
        self.nic.core.log.is_on = true;
        self.nic.note(|| Step::Connect, |_| Outcome::default());
    }

    /// What was counted as sent or delivered leaves; all else that is inside is dropped.
    fn reset(&mut self) {
        self.fence(Fence::Left);
        let now = self.now_cycle();
        self.nic.drop_all(DropReason::Reset, now);
        self.nic.core.reset();
        self.nic.note(|| Step::Reset, |_| Outcome::default());
    }
}

impl CycleNic {
    /// A frame of the host's exception path.
    fn submit_host(&mut self, packet: Packet, now: u64) {
        let slot = self.add(CONTROL_CPU, packet, Edge::Host, Side::Egress, now);
        if self.slow.host_has_room() {
            self.park_host(slot, now);
        } else {
            self.turn_away(CONTROL_CPU, slot, DropReason::HostPoliced, now);
        }
    }

    /// A frame that a command made: it has been decided and counted.
    fn send_for_host(&mut self, mut packet: Packet, to: Edge, now: u64) {
        packet.time_ns = self.core.now_ns;
        let slot = self.add(CONTROL_CPU, packet, Edge::Host, Side::Egress, now);
        let flight = &mut self.flights[slot];
        (flight.to, flight.has_acted) = (Some(to), true);
        self.acted += 1;
        self.slow.release_host(slot);
        self.wake(CONTROL_CPU, now + 1);
    }

    /// Drops every frame inside. None of them has acted.
    fn drop_all(&mut self, reason: DropReason, now: u64) {
        for unit in 0..self.units.len() {
            let mut slots: Vec<_> = self.units[unit].pipe.drain(..).map(|(slot, _)| slot).collect();
            for fifo in self.inputs(unit) {
                slots.extend(self.fifos[fifo].drain(now));
            }
            match unit {
                RING_DMA => slots.extend(self.rings.drain()),
                VF_FETCH => slots.extend(self.vf.drain()),
                MAC_RX => slots.extend(self.arriving.drain(..).map(|(slot, _)| slot)),
                CONTROL_CPU => {
                    slots.extend(self.parked());
                    self.slow.clear();
                }
                _ => {}
            }
            slots.sort_by_key(|slot| self.flights[*slot].id);
            for slot in slots {
                self.turn_away(unit, slot, reason, now);
            }
            self.units[unit].is_stalled = false;
        }
        self.outstanding_reads = 0;
        self.reads.clear();
        debug_assert_eq!(self.inside, 0, "a frame outlived a reset");
    }
}
