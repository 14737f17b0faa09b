//! The core's clock against time: cycles, picoseconds and nanoseconds, counted from an origin that moves only while nothing does.

/// Farther than this from the origin, an idle device gets a new one: products of times and frequencies stay within 64 bits.
pub(crate) const REACH_NS: u64 = 3_600_000_000_000;

/// Conversions; all times but absolute nanoseconds are relative to the origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    mhz: u64,
    /// Time of cycle 0, in nanoseconds.
    pub(crate) origin_ns: u64,
}

impl Clock {
    pub(crate) fn new(mhz: u32) -> Self {
        Self {
            mhz: mhz.into(),
            origin_ns: 0,
        }
    }

    /// First cycle that begins at a time or after it.
    pub(crate) fn cycle_of_ps(self, ps: u64) -> u64 {
        (ps * self.mhz).div_ceil(1_000_000)
    }

    /// Last cycle that begins at a time or before it.
    pub(crate) fn last_cycle_at_ps(self, ps: u64) -> u64 {
        ps * self.mhz / 1_000_000
    }

    /// First cycle that begins at an absolute time or after it.
    pub(crate) fn cycle_of_ns(self, ns: u64) -> u64 {
        (ns.saturating_sub(self.origin_ns) * self.mhz).div_ceil(1_000)
    }

    /// Last cycle that begins at an absolute time or before it.
    pub(crate) fn last_cycle_at_ns(self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns) * self.mhz / 1_000
    }

    /// Whole cycles that last at least this long.
    pub(crate) fn cycles(self, ns: u64) -> u64 {
        (ns * self.mhz).div_ceil(1_000)
    }

    /// Beginning of a cycle, rounded down.
    pub(crate) fn ps(self, cycle: u64) -> u64 {
        cycle * 1_000_000 / self.mhz
    }

    /// Beginning of a cycle as absolute time, rounded up.
    pub(crate) fn ns(self, cycle: u64) -> u64 {
        self.origin_ns + (cycle * 1_000).div_ceil(self.mhz)
    }

    /// A relative time as absolute time, rounded up.
    pub(crate) fn ns_of_ps(self, ps: u64) -> u64 {
        self.origin_ns + ps.div_ceil(1_000)
    }

    /// An absolute time as relative one.
    pub(crate) fn ps_of_ns(self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_times_agree_at_every_frequency() {
        for mhz in [10, 200, 322, 333, 1_000, 2_000] {
            let clock = Clock::new(mhz);
            for cycle in [0, 1, 2, 3, 7, 1_000, 123_457, 7_200_000_000_000] {
                assert_eq!(
                    clock.last_cycle_at_ns(clock.ns(cycle)).max(cycle),
                    clock.last_cycle_at_ns(clock.ns(cycle))
                );
                assert!(clock.ns(cycle) - clock.origin_ns >= clock.ps(cycle) / 1_000);
                assert!(clock.cycle_of_ps(clock.ps(cycle)) <= cycle);
                assert!(clock.cycle_of_ps(clock.ps(cycle) + 1) >= cycle);
            }
            assert!(clock.cycles(1) >= 1 && clock.cycles(0) == 0);
        }
    }
}
