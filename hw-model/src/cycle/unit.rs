//! A unit's pipeline and its accounts.

use crate::cycle::ids::{UnitId, UnitState};
use crate::cycle::parts::{Slot, share};
use crate::cycle::stats::{DropStats, Percentiles, UnitStats};
use hdrhistogram::Histogram;
use sealnic_abi::DropReason;
use sealnic_firmware::Verdict;
use std::collections::VecDeque;

/// Times by number, to two significant digits, in memory that doesn't grow.
#[derive(Clone)]
pub(crate) struct Times(Option<Histogram<u64>>);

impl Times {
    /// For times up to 2^40.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 1 << 40, 2).ok())
    }

    pub(crate) fn add(&mut self, time: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(time);
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let Some(times) = self.0.as_ref().filter(|times| !times.is_empty()) else {
            return Percentiles::default();
        };
        Percentiles {
            count: times.len(),
            min: times.min(),
            p50: times.value_at_quantile(0.5),
            p90: times.value_at_quantile(0.9),
            p99: times.value_at_quantile(0.99),
            p999: times.value_at_quantile(0.999),
            max: times.max(),
            mean: times.mean(),
        }
    }
}

/// Ways in which a frame ends inside: each drop reason, and on purpose.
const ENDS: usize = DropReason::ALL.len() + 1;

/// A unit.
pub(crate) struct Unit {
    pub(crate) id: UnitId,
    /// Its FIFOs, as a range of the NIC's.
    pub(crate) first_input: usize,
    pub(crate) inputs: usize,
    /// Input to be asked first, among several.
    pub(crate) turn: usize,
    /// Frames in work and the cycle at which each is done; they leave in this order.
    pub(crate) pipe: VecDeque<(Slot, u64)>,
    /// No frame is taken before this cycle.
    pub(crate) accept_at: u64,
    /// It works until this cycle.
    pub(crate) busy_until: u64,
    /// Cycles of work done, of all that work side by side in it.
    pub(crate) work_cycles: u64,
    /// How many work side by side.
    pub(crate) width: u64,
    /// The frame at the front has been told of as waiting for room.
    pub(crate) is_stalled: bool,
    state: UnitState,
    since: u64,
    state_cycles: [u64; UnitState::ALL.len()],
    entered: u64,
    left: u64,
    ended: u64,
    pub(crate) held: u64,
    most_held: u64,
    frame_cycles: u64,
    held_since: u64,
    stay_cycles: u64,
    times: Times,
    ends: Box<[u64; ENDS]>,
}

impl Unit {
    pub(crate) fn new(id: UnitId) -> Self {
        Self {
            id,
            first_input: 0,
            inputs: 0,
            turn: 0,
            pipe: VecDeque::new(),
            accept_at: 0,
            busy_until: 0,
            work_cycles: 0,
            width: 1,
            is_stalled: false,
            state: UnitState::WaitInput,
            since: 0,
            state_cycles: [0; UnitState::ALL.len()],
            entered: 0,
            left: 0,
            ended: 0,
            held: 0,
            most_held: 0,
            frame_cycles: 0,
            held_since: 0,
            stay_cycles: 0,
            times: Times::new(),
            ends: Box::new([0; ENDS]),
        }
    }

    /// The oldest frame, if it is done.
    pub(crate) fn done(&self, now: u64) -> Option<Slot> {
        let (slot, done_at) = self.pipe.front()?;
        (*done_at <= now).then_some(*slot)
    }

    /// Puts a frame to work; it is done at a cycle, but not before those that it follows.
    pub(crate) fn begin(&mut self, slot: Slot, done_at: u64) {
        let done_at = self.pipe.back().map_or(done_at, |(_, last)| done_at.max(*last));
        self.pipe.push_back((slot, done_at));
    }

    /// Works for so many cycles from now on, and takes nothing meanwhile.
    pub(crate) fn work(&mut self, now: u64, cycles: u64) {
        self.accept_at = now + cycles;
        self.busy_until = now + cycles;
        self.work_cycles += cycles;
    }

    fn account_held(&mut self, now: u64) {
        self.frame_cycles += self.held * (now - self.held_since);
        self.held_since = now;
    }

    pub(crate) fn enter(&mut self, now: u64) {
        self.account_held(now);
        self.entered += 1;
        self.held += 1;
        self.most_held = self.most_held.max(self.held);
    }

    /// A frame that came at a cycle goes on.
    pub(crate) fn leave(&mut self, came: u64, now: u64) {
        self.account_held(now);
        self.left += 1;
        self.held -= 1;
        self.stay_cycles += now - came;
        self.times.add(now - came);
    }

    /// A frame that came at a cycle ends here.
    pub(crate) fn end(&mut self, came: u64, now: u64, verdict: Verdict) {
        self.account_held(now);
        self.ended += 1;
        self.held -= 1;
        self.stay_cycles += now - came;
        let way = match verdict {
            Verdict::Drop(reason) => usize::from(u8::from(reason)),
            _ => ENDS - 1,
        };
        self.ends[way.min(ENDS - 1)] += 1;
    }

    /// Frames taken in are given on, ended or held. Counted in three different places.
    pub(crate) fn is_conserving(&self) -> bool {
        self.entered == self.left + self.ended + self.held
    }

    /// Counts the time since the last change of state. Work may have ended since without an event.
    pub(crate) fn account_state(&mut self, now: u64) {
        if now == self.since {
            return;
        }
        let worked = if self.state == UnitState::Busy {
            now.min(self.busy_until.max(self.since)) - self.since
        } else {
            now - self.since
        };
        self.state_cycles[self.state as usize] += worked;
        self.state_cycles[UnitState::WaitInput as usize] += now - self.since - worked;
        self.since = now;
    }

    pub(crate) fn state(&self) -> UnitState {
        self.state
    }

    /// Takes note of the state from now on; whether it is another one.
    pub(crate) fn set_state(&mut self, state: UnitState, now: u64) -> bool {
        self.account_state(now);
        std::mem::replace(&mut self.state, state) != state
    }

    /// Counts up to `now`, and goes on from cycle 0, which is so many cycles later.
    pub(crate) fn rebase(&mut self, now: u64, gap: u64) {
        self.account_state(now);
        self.account_held(now);
        self.state_cycles[UnitState::WaitInput as usize] += gap;
        self.state = UnitState::WaitInput;
        (self.since, self.held_since) = (0, 0);
        (self.accept_at, self.busy_until) = (0, 0);
    }

    pub(crate) fn reset_stats(&mut self, now: u64) {
        self.account_state(now);
        self.state_cycles = [0; UnitState::ALL.len()];
        (self.entered, self.left, self.ended) = (self.held, 0, 0);
        (self.most_held, self.frame_cycles, self.held_since) = (self.held, 0, now);
        (self.stay_cycles, self.work_cycles) = (0, 0);
        self.times.clear();
        *self.ends = [0; ENDS];
    }

    pub(crate) fn stats(&mut self, now: u64, observed_cycles: u64) -> UnitStats {
        self.account_state(now);
        self.account_held(now);
        UnitStats {
            unit: self.id,
            entered: self.entered,
            left: self.left,
            ended: self.ended,
            held: self.held,
            most_held: self.most_held,
            frame_cycles: self.frame_cycles,
            stay_cycles: self.stay_cycles,
            states: self.state_cycles.into(),
            utilisation: share(self.work_cycles, self.width * observed_cycles).min(1.0),
            fifos: Vec::new(),
            latency_cycles: self.times.percentiles(),
        }
    }

    pub(crate) fn drops(&self) -> impl Iterator<Item = DropStats> {
        self.ends
            .iter()
            .enumerate()
            .filter(|(_, count)| **count != 0)
            .map(|(way, count)| DropStats {
                unit: self.id,
                reason: DropReason::ALL
                    .get(way)
                    .map_or_else(|| "Consumed".to_owned(), |reason| format!("{reason:?}")),
                frames: *count,
            })
    }
}
