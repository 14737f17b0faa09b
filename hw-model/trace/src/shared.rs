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

/// Time on the axis that all NICs share, in ps.
pub(crate) type Ps = u128;

/// One NIC's cycles on the common axis.
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

    /// When a cycle begins.
    pub(crate) fn cycle(&self, cycle: u64) -> Ps {
        self.origin + Ps::from(cycle) * 1_000_000 / Ps::from(self.core_mhz.max(1))
    }

    /// A time that counts from the origin.
    pub(crate) fn ps(&self, ps: u64) -> Ps {
        self.origin + Ps::from(ps)
    }
}
