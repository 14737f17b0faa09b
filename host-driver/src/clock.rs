//! Time for deadlines. It is the host's time, and never the device's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the driver needs of time; a value, so that tests wait without sleeping.
pub trait Clock: Send {
    /// Time since an origin of the clock's own choice; never goes back.
    fn now(&mut self) -> Duration;

    /// Lets about `duration` pass.
    fn sleep(&mut self, duration: Duration);
}

/// The host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that only moves when somebody sleeps on it; clones share its time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl Clock for ManualClock {
    fn now(&mut self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn sleep(&mut self, duration: Duration) {
        // A sleep of no time at all still moves the clock, so that whoever polls it gets somewhere.
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
