//! What the observers of several NICs share: one output, its first error, and who is still writing.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An output that stops at its first error.
pub(crate) struct Output<T> {
    state: Mutex<State<T>>,
}

pub(crate) struct State<T> {
    /// The writer; none after an error or the end.
    writer: Option<T>,
    /// Kind and text of the first error.
    error: Option<(io::ErrorKind, String)>,
    /// Observers that have not finished.
    open: usize,
}

impl<T> Output<T> {
    pub(crate) fn new(writer: T, observers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                writer: Some(writer),
                error: None,
                open: observers,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic elsewhere leaves at worst a file that ends early.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the writer, unless it failed before.
    pub(crate) fn with(&self, act: impl FnOnce(&mut T) -> io::Result<()>) {
        self.lock().attempt(act);
    }

    /// One observer is done. The last one closes the output.
    pub(crate) fn finish(&self, is_first_call: bool, close: impl FnOnce(T) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        if is_first_call {
            state.open = state.open.saturating_sub(1);
        }
        if state.open == 0
            && let Some(writer) = state.writer.take()
            && let Err(error) = close(writer)
        {
            state.fail(&error);
        }
        match &state.error {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

impl<T> State<T> {
    fn attempt(&mut self, act: impl FnOnce(&mut T) -> io::Result<()>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = act(writer)
        {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.writer = None;
        self.error.get_or_insert_with(|| (error.kind(), error.to_string()));
    }
}

/// Absolute time, in ps.
pub(crate) type Ps = u128;

/// One NIC's cycles as absolute time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    core_mhz: u32,
    origin: Ps,
}

impl Clock {
    pub(crate) fn set_core_mhz(&mut self, core_mhz: u32) {
        self.core_mhz = core_mhz;
    }

    pub(crate) fn set_origin(&mut self, origin_ns: u64) {
        self.origin = Ps::from(origin_ns) * 1_000;
    }

    /// Time of cycle 0.
    pub(crate) fn origin(&self) -> Ps {
        self.origin
    }

    /// When a cycle begins.
    pub(crate) fn cycle(&self, cycle: u64) -> Ps {
        self.origin + Ps::from(cycle) * 1_000_000 / Ps::from(self.core_mhz.max(1))
    }

    /// A time that counts from the origin.
    pub(crate) fn ps(&self, ps: u64) -> Ps {
        self.origin + Ps::from(ps)
    }
}

/// The axis of a file: from the first event's origin, without the long stretches in which all NICs are idle and take a new origin. A device
/// that is set up at time zero and sees its first frame at a date would else be one that does nothing for decades.
#[derive(Debug, Default)]
pub(crate) struct Axis {
    stretches: Vec<Stretch>,
    /// The latest time seen.
    latest: Ps,
}

#[derive(Debug)]
struct Stretch {
    /// Absolute time from which on it counts.
    from: Ps,
    /// Absolute time of the axis' zero.
    zero: Ps,
}

/// A new origin so far after everything else begins a new stretch: one hour.
const LONG_IDLE: Ps = 3_600 * 1_000_000_000_000;
/// What is shown of the idle time: one microsecond.
const SHOWN_IDLE: Ps = 1_000_000;

impl Axis {
    /// Place of a time, in ps. `origin` is the one that the NIC counts from.
    pub(crate) fn place(&mut self, origin: Ps, at: Ps) -> u64 {
        match self.stretches.last() {
            None => self.stretches.push(Stretch { from: 0, zero: origin }),
            Some(last) if origin > self.latest + LONG_IDLE => {
                let shown = self.latest.saturating_sub(last.zero) + SHOWN_IDLE;
                // Other NICs' origins are near this one, before or after.
                self.stretches.push(Stretch {
                    from: origin - LONG_IDLE / 2,
                    zero: origin.saturating_sub(shown),
                });
            }
            Some(_) => {}
        }
        self.latest = self.latest.max(at);
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.from <= at);
        let place = at.saturating_sub(stretch.map_or(0, |stretch| stretch.zero));
        u64::try_from(place).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Ps = 1_000_000_000_000;

    #[test]
    fn an_axis_begins_at_the_first_origin() {
        let mut axis = Axis::default();
        let origin = 1_700_000_000 * SECOND;
        assert_eq!(axis.place(origin, origin + 5), 5);
        assert_eq!(axis.place(origin, origin + SECOND), 1_000_000_000_000);
        assert_eq!(
            axis.place(origin - 7, origin - 7),
            0,
            "what was before is at the beginning"
        );
    }

    #[test]
    fn decades_of_idleness_are_left_out_for_all_nics_alike() {
        let mut axis = Axis::default();
        assert_eq!(axis.place(0, 30), 30);
        let date = 1_700_000_000 * SECOND;
        assert_eq!(axis.place(date, date + 2), 30 + 1_000_000 + 2);
        // The other NIC's origin is a little earlier or later.
        assert_eq!(axis.place(date - 10, date), 30 + 1_000_000);
        assert_eq!(axis.place(date + 4, date + 4), 30 + 1_000_000 + 4);
        assert_eq!(axis.place(0, 20), 20, "a NIC that is behind still stands where it was");
    }

    #[test]
    fn a_pause_of_minutes_stays_as_long_as_it_is() {
        let mut axis = Axis::default();
        axis.place(0, 0);
        assert_eq!(axis.place(600 * SECOND, 600 * SECOND), 600_000_000_000_000);
    }
}
