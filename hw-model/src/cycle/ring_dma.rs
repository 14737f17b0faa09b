//! What the rings in host memory take of PCIe and of the control CPU.
//!
//! What an entry of a ring does is done at once, in the gap between two frames, as by a command of the mailbox. The time it takes is
//! played after it: its accesses to host memory one behind another, and between request and answer the CPU's work. Each ring has a
//! lane of its own; together they issue one request a cycle, from the read tags and posted credits that frames use, too. A frame of
//! the host goes on when it has been read; one for the host takes PCIe when it is written to its buffer.

use crate::cycle::clock::Clock;
use crate::cycle::flight::Side;
use crate::cycle::ids::UnitState;
use crate::cycle::nic::{CONTROL_CPU, CycleNic, RING_DMA};
use crate::cycle::parts::{Slot, share};
use crate::cycle::stats::{ResourceStats, WayStats};
use crate::cycle::unit::Times;
use crate::host_log::{Access, AccessKind, Entry};
use crate::packet::{Edge, Packet};
use sealnic_abi::DropReason;
use sealnic_abi::ring::Ring;
use std::collections::VecDeque;

/// Entries whose accesses may be under way or wait; nothing more is begun beyond, so that the host's memory is what queues.
const MOST_JOBS: usize = 64;

const LANES: usize = Ring::ALL.len();

/// Names of the lanes among the shared parts, in the order of [`Ring`].
const NAMES: [&str; LANES] = ["ring.command", "ring.event", "ring.host_receive", "ring.host_transmit"];
/// Names of the ways from an entry's being taken to its completion's being visible.
const WAYS: [&str; LANES] = ["command_ring", "event_ring", "host_receive_ring", "host_transmit_ring"];

/// One step of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// So many octets from host memory, by one request; whether it is the last of its access.
    Read(u64, bool),
    /// So many octets to it.
    Write(u64),
    /// The control CPU carries a command out.
    Command,
    /// A frame of the host goes on.
    Frame(Slot),
}

/// An entry's steps, as far as they are not done.
struct Job {
    steps: VecDeque<Step>,
    posted_ns: u64,
    /// Cycle in which it began.
    began: Option<u64>,
}

/// One ring.
struct Lane {
    jobs: VecDeque<Job>,
    /// Cycle from which the next step may begin.
    ready_at: u64,
    entries: u64,
    octets: u64,
    busy_cycles: u64,
    wait_ns: u64,
    times: Times,
}

/// The rings' lanes.
pub(crate) struct RingDma {
    lanes: [Lane; LANES],
    jobs: usize,
    /// Frames of the host that are being read.
    frames: u64,
}

impl RingDma {
    pub(crate) fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane {
                jobs: VecDeque::new(),
                ready_at: 0,
                entries: 0,
                octets: 0,
                busy_cycles: 0,
                wait_ns: 0,
                times: Times::new(),
            }),
            jobs: 0,
            frames: 0,
        }
    }

    /// Whether more may be begun.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs < MOST_JOBS
    }

    /// Frames here.
    pub(crate) fn len(&self) -> u64 {
        self.frames
    }

    /// Forgets everything; returns the frames that were here.
    pub(crate) fn drain(&mut self) -> Vec<Slot> {
        (self.jobs, self.frames) = (0, 0);
        self.rebase();
        let steps = self.lanes.iter_mut().flat_map(|lane| lane.jobs.drain(..));
        let frames = steps.flat_map(|job| job.steps).filter_map(|step| match step {
            Step::Frame(slot) => Some(slot),
            _ => None,
        });
        frames.collect()
    }

    /// Nothing is under way any more.
    pub(crate) fn rebase(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.ready_at = 0);
    }

    pub(crate) fn reset_stats(&mut self) {
        for lane in &mut self.lanes {
            (lane.entries, lane.octets, lane.busy_cycles, lane.wait_ns) = (0, 0, 0, 0);
            lane.times.clear();
        }
    }

    /// Figures of the rings that were used.
    pub(crate) fn stats(&self, observed_cycles: u64) -> impl Iterator<Item = ResourceStats> {
        let used = NAMES.iter().zip(&self.lanes).filter(|(_, lane)| lane.entries != 0);
        used.map(move |(name, lane)| ResourceStats {
            name: (*name).to_owned(),
            requests: lane.entries,
            octets: lane.octets,
            hits: 0,
            utilisation: share(lane.busy_cycles, observed_cycles).min(1.0),
            wait_ns: lane.wait_ns,
        })
    }

    /// Times from an entry's being taken to its completion's being visible.
    pub(crate) fn ways(&self) -> impl Iterator<Item = WayStats> {
        WAYS.iter().zip(&self.lanes).map(|(way, lane)| WayStats {
            way,
            latency_ns: lane.times.percentiles(),
        })
    }
}

impl CycleNic {
    /// Takes note of entries that were worked off, and of the frames of the host among them, to play what they take.
    pub(crate) fn play_rings(
        &mut self,
        entries: &[Entry],
        accesses: &[Access],
        frames: impl IntoIterator<Item = Packet>,
        now: u64,
    ) {
        let (mut from, mut frames) = (0, frames.into_iter());
        for entry in entries {
            let accesses = &accesses[from..entry.end];
            from = entry.end;
            let (mut steps, mut octets) = (VecDeque::new(), 0);
            let mut has_come = false;
            for access in accesses {
                // All that is read has been; what is to be done about it comes before the answer.
                let is_answer = entry.is_command && access.kind == AccessKind::Write;
                if is_answer && !std::mem::replace(&mut has_come, true) {
                    steps.push_back(Step::Command);
                }
                let len = if access.result.is_ok() { access.len as u64 } else { 0 };
                octets += len;
                match access.kind {
                    AccessKind::Read => {
                        let most = u64::from(self.config.pcie.max_read_octets);
                        let starts = (0..len).step_by(most as usize);
                        steps.extend(starts.map(|at| Step::Read(most.min(len - at), at + most >= len)));
                    }
                    AccessKind::Write if len != 0 => steps.push_back(Step::Write(len)),
                    // What the host refused, and interrupts.
                    _ => {}
                }
            }
            if entry.is_frame
                && let Some(packet) = frames.next()
            {
                let slot = self.add(RING_DMA, packet, Edge::Host, Side::Egress, now);
                self.rings.frames += 1;
                let behind = steps.iter().rposition(|step| matches!(step, Step::Read(..)));
                steps.insert(behind.map_or(0, |at| at + 1), Step::Frame(slot));
            }
            let lane = &mut self.rings.lanes[usize::from(u8::from(entry.ring))];
            lane.entries += 1;
            lane.octets += octets;
            lane.jobs.push_back(Job {
                steps,
                posted_ns: self.core.now_ns,
                began: None,
            });
            self.rings.jobs += 1;
            self.wake(RING_DMA, now + 1);
        }
    }

    /// Lets each ring take its next step, if it may.
    pub(crate) fn ring_dma(&mut self, now: u64) -> UnitState {
        self.reclaim_reads(now);
        let mut state = UnitState::WaitInput;
        for lane in 0..LANES {
            while let Some(step) = self.next_step(lane, now) {
                let is_dma = matches!(step, Step::Read(..) | Step::Write(_));
                if is_dma && state == UnitState::Busy {
                    self.wake(RING_DMA, now + 1);
                    break;
                }
                let Some(ready_at) = self.step(lane, step, now) else {
                    state = UnitState::Credits;
                    break;
                };
                let unit = &mut self.units[RING_DMA];
                if is_dma {
                    state = UnitState::Busy;
                    unit.busy_until = now + 1;
                    unit.work_cycles += 1;
                }
                let clock = self.clock;
                self.rings.lanes[lane].stepped(ready_at, now, clock);
            }
        }
        state
    }

    /// The step that a ring may take now; else has the unit act when it may.
    fn next_step(&mut self, lane: usize, now: u64) -> Option<Step> {
        let own = &mut self.rings.lanes[lane];
        while own.ready_at <= now && own.jobs.front().is_some_and(|job| job.steps.is_empty()) {
            own.jobs.pop_front();
            self.rings.jobs -= 1;
        }
        let job = own.jobs.front()?;
        if own.ready_at > now {
            let at = own.ready_at;
            self.wake(RING_DMA, at);
            return None;
        }
        job.steps.front().copied()
    }

    /// Takes a step; returns the cycle at which it is done, and that from which the next may begin. `None` when it has to wait.
    fn step(&mut self, lane: usize, step: Step, now: u64) -> Option<(u64, u64)> {
        let pcie = &self.config.pcie;
        let overhead = u64::from(pcie.packet_overhead_octets);
        let now_ps = self.clock.ps(now);
        match step {
            Step::Read(len, is_last) => {
                if self.outstanding_reads >= pcie.outstanding_reads {
                    if let Some((answered, _)) = self.reads.front() {
                        let at = (*answered).max(now + 1);
                        self.wake(RING_DMA, at);
                    }
                    return None;
                }
                let asked_ps = self.upstream.transfer(now_ps, overhead);
                let answered_ps = asked_ps + u64::from(pcie.read_ns) * 1_000;
                let packets = len.div_ceil(pcie.max_payload_octets.into()).max(1);
                let read_ps = self
                    .downstream
                    .transfer_later(now_ps, answered_ps, len + packets * overhead);
                let done_at = self.clock.cycle_of_ps(read_ps).max(now + 1);
                self.outstanding_reads += 1;
                let at = self.reads.partition_point(|(answered, _)| *answered <= done_at);
                self.reads.insert(at, (done_at, 1));
                // Answers come in the order of the requests.
                Some((done_at, if is_last { done_at } else { now + 1 }))
            }
            Step::Write(len) => {
                // Posted credits last for what the link can take until the next cycle.
                if self.upstream.free_ps >= self.clock.ps(now + 1) {
                    let at = self.clock.last_cycle_at_ps(self.upstream.free_ps).max(now + 1);
                    self.wake(RING_DMA, at);
                    return None;
                }
                let packets = len.div_ceil(pcie.max_payload_octets.into()).max(1);
                let written_ps = self.upstream.transfer(now_ps, len + packets * overhead);
                let visible_ps = written_ps + u64::from(self.config.pcie.write_ns) * 1_000;
                Some((self.clock.cycle_of_ps(visible_ps), now + 1))
            }
            Step::Command => {
                self.charge_command(now);
                let done_at = self.units[CONTROL_CPU].accept_at;
                Some((done_at, done_at))
            }
            Step::Frame(slot) => {
                self.rings.frames -= 1;
                if self.slow.host_has_room() {
                    self.gone(RING_DMA, slot, now);
                    self.came(CONTROL_CPU, slot, now);
                    self.park_host(slot, now);
                } else {
                    self.turn_away(RING_DMA, slot, DropReason::HostPoliced, now);
                }
                debug_assert_eq!(lane, usize::from(u8::from(Ring::HostTransmit)));
                Some((now, now))
            }
        }
    }

    /// A read's tags are free when its answer is here, wherever what was read goes.
    pub(crate) fn reclaim_reads(&mut self, now: u64) {
        while let Some((_, tags)) = self.reads.front().copied().filter(|(answered, _)| *answered <= now) {
            self.reads.pop_front();
            self.outstanding_reads -= tags;
        }
    }
}

impl Lane {
    /// A step of the first job was taken.
    fn stepped(&mut self, (done_at, ready_at): (u64, u64), now: u64, clock: Clock) {
        self.ready_at = ready_at;
        let Some(job) = self.jobs.front_mut() else { return };
        let began = *job.began.get_or_insert(now);
        if job.steps.len() == 1 {
            self.times.add(clock.ns(done_at).saturating_sub(job.posted_ns));
            self.busy_cycles += ready_at - began;
            self.wait_ns += clock.ns(began).saturating_sub(job.posted_ns);
        }
        job.steps.pop_front();
    }
}
