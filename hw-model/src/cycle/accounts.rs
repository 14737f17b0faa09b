//! The device's accounts: figures since they last began, the origin of time, and the parts that an observer is told of.

use crate::cycle::ids::UnitState;
use crate::cycle::nic::{CycleNic, NEVER, WAYS};
use crate::cycle::probe::{FifoInfo, Topology};
use crate::cycle::stats::{CycleStats, WayStats};
use crate::cycle::unit::{Times, Unit};

/// Counts of the whole device.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) entered: u64,
    pub(crate) left: u64,
    pub(crate) ended: u64,
    frame_cycles: u64,
    active_cycles: u64,
    /// Cycles of times before the present origin.
    past_cycles: u64,
    since: u64,
    /// Cycle from which figures count.
    from: u64,
}

impl CycleNic {
    pub(crate) fn account_inside(&mut self, now: u64) {
        let cycles = now - self.accounts.since;
        self.accounts.frame_cycles += self.inside * cycles;
        self.accounts.active_cycles += if self.inside == 0 { 0 } else { cycles };
        self.accounts.since = now;
    }

    /// Moves the origin to a time at which nothing is inside. The time before the first one doesn't count.
    pub(crate) fn rebase(&mut self, now: u64, origin_ns: u64, is_first: bool) {
        self.account_inside(now);
        let idle_ns = origin_ns.saturating_sub(self.clock.ns(now));
        let gap = u128::from(idle_ns) * u128::from(self.config.core.clock_mhz) / 1_000;
        let gap = if is_first {
            0
        } else {
            u64::try_from(gap).unwrap_or(u64::MAX)
        };
        for unit in &mut self.units {
            unit.rebase(now, gap);
        }
        for fifo in &mut self.fifos {
            fifo.rebase(now, 0);
        }
        for engines in &mut self.engines {
            engines.engines.iter_mut().for_each(|engine| engine.0 = 0);
        }
        for cache in self.flow_caches.iter_mut().chain(&mut self.sa_caches) {
            cache.rebase();
        }
        for link in [
            &mut self.upstream,
            &mut self.downstream,
            &mut self.line_out,
            &mut self.line_in,
        ] {
            link.rebase();
        }
        self.memory.rebase();
        self.rings.rebase();
        (self.dma_bus_ps, self.fetch_bus_ps) = (0, 0);
        self.next.fill(NEVER);
        self.accounts.past_cycles += now + gap - self.accounts.from;
        (self.accounts.since, self.accounts.from) = (0, 0);
        self.clock.origin_ns = origin_ns;
        if let Some(probe) = &mut self.probe {
            probe.origin(origin_ns);
        }
    }

    /// Units with frames inside, how many, and what each does; for messages of what can't be.
    pub(crate) fn where_held(&self) -> Vec<(String, u64, UnitState)> {
        let held = self.units.iter().filter(|unit| unit.held != 0);
        held.map(|unit| (unit.id.to_string(), unit.held, unit.state()))
            .collect()
    }

    /// Parts, for an observer.
    pub(crate) fn topology(&self) -> Topology {
        Topology {
            hardware: self.config.name.clone(),
            core_mhz: self.config.core.clock_mhz,
            units: self.units.iter().map(|unit| unit.id).collect(),
            fifos: self
                .fifos
                .iter()
                .map(|fifo| FifoInfo {
                    fifo: fifo.id,
                    producer: self.units[fifo.producer].id,
                    depth: fifo.depth,
                })
                .collect(),
        }
    }

    pub(crate) fn reset_stats(&mut self, now: u64) {
        self.account_inside(now);
        let now_ps = self.clock.ps(now);
        self.units.iter_mut().for_each(|unit| unit.reset_stats(now));
        self.fifos.iter_mut().for_each(|fifo| fifo.reset_stats(now));
        for cache in self.flow_caches.iter_mut().chain(&mut self.sa_caches) {
            cache.reset_stats();
        }
        for link in [
            &mut self.upstream,
            &mut self.downstream,
            &mut self.line_out,
            &mut self.line_in,
        ] {
            link.reset_stats(now_ps);
        }
        self.memory.reset_stats(now_ps);
        self.rings.reset_stats();
        self.ways.iter_mut().for_each(Times::clear);
        self.late_misses = 0;
        self.accounts = Accounts {
            entered: self.inside,
            since: now,
            from: now,
            ..Accounts::default()
        };
    }

    pub(crate) fn stats(&mut self, now: u64) -> CycleStats {
        self.account_inside(now);
        let observed = self.accounts.past_cycles + now - self.accounts.from;
        let observed_ps = u64::try_from(u128::from(observed) * 1_000_000 / u128::from(self.config.core.clock_mhz));
        let observed_ps = observed_ps.unwrap_or(u64::MAX);
        let mut units: Vec<_> = self.units.iter_mut().map(|unit| unit.stats(now, observed)).collect();
        for fifo in &mut self.fifos {
            let consumer = fifo.consumer;
            units[consumer].fifos.push(fifo.stats(now));
        }
        let now_ps = self.clock.ps(now);
        let links = [
            &mut self.upstream,
            &mut self.downstream,
            &mut self.line_out,
            &mut self.line_in,
        ];
        let links = links.into_iter().map(|link| link.stats(now_ps, observed_ps));
        let mut resources: Vec<_> = links.collect();
        resources.push(self.memory.stats(now_ps, observed_ps));
        let caches = self.flow_caches.iter().chain(&self.sa_caches);
        resources.extend(caches.map(|cache| cache.stats(observed)));
        resources.extend(self.rings.stats(observed));
        CycleStats {
            hardware: self.config.name.clone(),
            core_mhz: self.config.core.clock_mhz,
            cycles: observed,
            active_cycles: self.accounts.active_cycles,
            entered: self.accounts.entered,
            left: self.accounts.left,
            ended: self.accounts.ended,
            held: self.inside,
            frame_cycles: self.accounts.frame_cycles,
            units,
            resources,
            latency: WAYS
                .iter()
                .zip(&self.ways)
                .map(|(way, times)| WayStats {
                    way,
                    latency_ns: times.percentiles(),
                })
                .chain(self.rings.ways())
                .filter(|way| way.latency_ns.count != 0)
                .collect(),
            drops: self.units.iter().flat_map(Unit::drops).collect(),
            late_misses: self.late_misses,
        }
    }
}
