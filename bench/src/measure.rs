//! Timing: many short runs, of which the least and the median count.

use std::time::{Duration, Instant};

/// Nanoseconds per item over many runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Of the quickest run: what the code costs when nothing disturbs it.
    pub(crate) min_ns: f64,
    /// Of the middle run: what this machine gave.
    pub(crate) median_ns: f64,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Runs per figure.
    pub(crate) runs: usize,
    /// What one run should take at least.
    pub(crate) run_time: Duration,
    /// Runs per figure of a path; short ones, so that some of them are left alone on a busy machine.
    pub(crate) path_runs: usize,
    /// Packets of one run of a path.
    pub(crate) packets: usize,
    /// Least and greatest number of flows that a path is measured with.
    pub(crate) flows: (u32, u32),
}

impl Effort {
    /// Figures to be quoted.
    pub(crate) const FULL: Self = Self {
        runs: 61,
        run_time: Duration::from_millis(1),
        path_runs: 251,
        packets: 1_024,
        flows: (1, 1 << 20),
    };

    /// A smoke test: everything runs, and no figure means anything.
    pub(crate) const QUICK: Self = Self {
        runs: 3,
        run_time: Duration::from_micros(50),
        path_runs: 3,
        packets: 1_024,
        flows: (1, 1 << 16),
    };
}

/// The time of several runs, each given as a total over `items`.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    ns_per_item: Vec<f64>,
}

impl Runs {
    /// Adds a run.
    pub(crate) fn add(&mut self, total: Duration, items: usize) {
        self.ns_per_item.push(total.as_nanos() as f64 / items as f64);
    }

    /// Least and median. Without any run, both are zero.
    pub(crate) fn timing(&mut self) -> Timing {
        self.ns_per_item.sort_by(f64::total_cmp);
        let at = |n: usize| self.ns_per_item.get(n).copied().unwrap_or_default();
        Timing {
            min_ns: at(0),
            median_ns: at(self.ns_per_item.len() / 2),
        }
    }
}

/// A stopwatch that knows what its own reading costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    cost: Duration,
}

impl Stopwatch {
    /// Measures what an empty measurement shows.
    pub(crate) fn new() -> Self {
        let cost = (0..10_000).map(|_| Instant::now().elapsed()).min().unwrap_or_default();
        Self { cost }
    }

    /// Time that `work` takes.
    #[inline]
    pub(crate) fn time(&self, work: impl FnOnce()) -> Duration {
        let start = Instant::now();
        work();
        start.elapsed().saturating_sub(self.cost)
    }
}
