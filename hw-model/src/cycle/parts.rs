//! What units are made of and share: FIFOs, links, caches, table memory.

use crate::cycle::clock::Clock;
use crate::cycle::config::{HwConfig, Pcie, TableMemory};
use crate::cycle::ids::FifoId;
use crate::cycle::stats::{FifoStats, OCCUPANCY_CLASSES, ResourceStats};
use std::collections::VecDeque;

/// Number of a frame in the slab.
pub(crate) type Slot = u32;

/// A bounded FIFO of frames. What is put in at a cycle can be taken at the next one.
pub(crate) struct Fifo {
    pub(crate) id: FifoId,
    pub(crate) depth: u32,
    /// Indices of the units at both ends.
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    frames: VecDeque<(Slot, u64)>,
    /// The producer waits for room.
    pub(crate) is_awaited: bool,
    high_water: u32,
    pushed: u64,
    popped: u64,
    pub(crate) stalled: u64,
    occupancy_cycles: [u64; OCCUPANCY_CLASSES],
    since: u64,
}

impl Fifo {
    pub(crate) fn new(id: FifoId, depth: u32, producer: usize, consumer: usize) -> Self {
        Self {
            id,
            depth,
            producer,
            consumer,
            frames: VecDeque::with_capacity(depth.min(4_096) as usize),
            is_awaited: false,
            high_water: 0,
            pushed: 0,
            popped: 0,
            stalled: 0,
            occupancy_cycles: [0; OCCUPANCY_CLASSES],
            since: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.frames.len() as u32
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.depth
    }

    /// The frame that may be taken at this cycle.
    pub(crate) fn front(&self, now: u64) -> Option<Slot> {
        let (slot, pushed_at) = self.frames.front()?;
        (*pushed_at < now).then_some(*slot)
    }

    fn account(&mut self, now: u64) {
        let class = (self.len() * 16).div_ceil(self.depth).min(16);
        self.occupancy_cycles[class as usize] += now - self.since;
        self.since = now;
    }

    pub(crate) fn push(&mut self, slot: Slot, now: u64) {
        self.account(now);
        self.frames.push_back((slot, now));
        self.pushed += 1;
        self.high_water = self.high_water.max(self.len());
    }

    pub(crate) fn pop(&mut self, now: u64) -> Option<Slot> {
        self.account(now);
        let (slot, _) = self.frames.pop_front()?;
        self.popped += 1;
        Some(slot)
    }

    /// All frames, taken out.
    pub(crate) fn drain(&mut self, now: u64) -> Vec<Slot> {
        self.account(now);
        self.is_awaited = false;
        self.popped += u64::from(self.len());
        self.frames.drain(..).map(|(slot, _)| slot).collect()
    }

    /// Counts up to `now`, and goes on from `origin`.
    pub(crate) fn rebase(&mut self, now: u64, origin: u64) {
        self.account(now);
        self.since = origin;
    }

    pub(crate) fn reset_stats(&mut self, now: u64) {
        // What is inside counts as put in.
        (self.high_water, self.pushed, self.popped, self.stalled) = (self.len(), self.len().into(), 0, 0);
        self.occupancy_cycles = [0; OCCUPANCY_CLASSES];
        self.since = now;
    }

    pub(crate) fn stats(&mut self, now: u64) -> FifoStats {
        self.account(now);
        FifoStats {
            fifo: self.id,
            depth: self.depth,
            occupancy: self.len(),
            high_water: self.high_water,
            pushed: self.pushed,
            popped: self.popped,
            stalled: self.stalled,
            occupancy_cycles: self.occupancy_cycles,
        }
    }
}

/// Something that serves one transfer after another, in the order in which they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    name: &'static str,
    /// Time of an octet, in picoseconds, as a fraction.
    ps: (u64, u64),
    pub(crate) free_ps: u64,
    /// Busy time up to when it was last looked at.
    busy_ps: u64,
    /// From when to when it is busy after that, in order and apart.
    ahead: VecDeque<(u64, u64)>,
    octets: u64,
    requests: u64,
    wait_ps: u64,
}

impl Link {
    /// One direction of a PCIe link: 8, 16 or 32 GT/s a lane, of 130 bits 128 carry data (PCI Express 5.0 section 4.2.2).
    pub(crate) fn pcie(name: &'static str, pcie: &Pcie) -> Self {
        let giga_transfers = 8 << (pcie.generation - 3);
        let bits = u64::from(giga_transfers * pcie.lanes) * 128;
        Self::new(name, (8 * 130 * 1_000, bits))
    }

    pub(crate) fn new(name: &'static str, ps: (u64, u64)) -> Self {
        Self {
            name,
            ps,
            free_ps: 0,
            busy_ps: 0,
            ahead: VecDeque::new(),
            octets: 0,
            requests: 0,
            wait_ps: 0,
        }
    }

    /// Time that so many octets take.
    pub(crate) fn duration_ps(&self, octets: u64) -> u64 {
        (octets * self.ps.0).div_ceil(self.ps.1)
    }

    /// Moves octets, from now on or as soon as the link is free; returns when the last has passed.
    pub(crate) fn transfer(&mut self, now_ps: u64, octets: u64) -> u64 {
        self.transfer_later(now_ps, now_ps, octets)
    }

    /// As [`transfer`](Self::transfer), from `at_ps` on, which may be ahead.
    pub(crate) fn transfer_later(&mut self, now_ps: u64, at_ps: u64, octets: u64) -> u64 {
        self.settle(now_ps);
        let start = self.free_ps.max(at_ps);
        self.free_ps = start + self.duration_ps(octets);
        match self.ahead.back_mut() {
            Some(last) if last.1 == start => last.1 = self.free_ps,
            _ => self.ahead.push_back((start, self.free_ps)),
        }
        self.octets += octets;
        self.requests += 1;
        self.wait_ps += start - at_ps;
        self.free_ps
    }

    /// Charges what has passed by now; what is booked but ahead is charged when it has.
    fn settle(&mut self, now_ps: u64) {
        while let Some((start, end)) = self.ahead.front_mut() {
            let passed = (*end).min(now_ps).saturating_sub(*start);
            self.busy_ps += passed;
            *start += passed;
            if start < end {
                break;
            }
            self.ahead.pop_front();
        }
    }

    pub(crate) fn rebase(&mut self) {
        self.settle(u64::MAX);
        self.free_ps = 0;
    }

    pub(crate) fn reset_stats(&mut self, now_ps: u64) {
        self.settle(now_ps);
        (self.busy_ps, self.octets, self.requests, self.wait_ps) = (0, 0, 0, 0);
    }

    pub(crate) fn stats(&mut self, now_ps: u64, observed_ps: u64) -> ResourceStats {
        self.settle(now_ps);
        ResourceStats {
            name: self.name.to_owned(),
            requests: self.requests,
            octets: self.octets,
            hits: 0,
            utilisation: share(self.busy_ps, observed_ps),
            wait_ns: self.wait_ps / 1_000,
        }
    }
}

pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One place of a cache.
#[derive(Clone, Copy, Default)]
struct CacheLine {
    /// Number of the line and one; 0 is an empty place.
    tag: u32,
    is_dirty: bool,
    /// Cycle at which the line is there.
    ready: u64,
}

/// A set-associative cache; the line used least recently makes room.
pub(crate) struct Cache {
    name: String,
    lines: Vec<CacheLine>,
    ways: usize,
    mask: usize,
    hit_cycles: u64,
    requests: u64,
    hits: u64,
}

impl Cache {
    pub(crate) fn new(name: String, sets: u32, ways: u32, hit_cycles: u32) -> Self {
        Self {
            name,
            lines: vec![CacheLine::default(); sets as usize * ways as usize],
            ways: ways as usize,
            mask: sets as usize - 1,
            hit_cycles: hit_cycles.into(),
            requests: 0,
            hits: 0,
        }
    }

    /// When a line, asked for at `now`, is there. What isn't in the cache is read, `count` lines of it.
    pub(crate) fn read(
        &mut self,
        line: u32,
        count: u32,
        is_write: bool,
        now: u64,
        memory: &mut Memory,
        clock: Clock,
    ) -> u64 {
        self.requests += 1;
        // Lines of neighbouring numbers spread over the sets, those of different tables too.
        let set = (line ^ line >> 15) as usize & self.mask;
        let places = &mut self.lines[set * self.ways..(set + 1) * self.ways];
        let tag = line.wrapping_add(1).max(1);
        if let Some(at) = places.iter().position(|place| place.tag == tag) {
            self.hits += 1;
            let mut hit = places[at];
            hit.is_dirty |= is_write;
            places.copy_within(..at, 1);
            places[0] = hit;
            return hit.ready.max(now + self.hit_cycles);
        }
        let oldest = places[self.ways - 1];
        places.copy_within(..self.ways - 1, 1);
        let asked = now + self.hit_cycles;
        if oldest.tag != 0 && oldest.is_dirty {
            // Written back without anybody waiting, but it takes the memory's time.
            let first = (oldest.tag - 1).wrapping_mul(count);
            (0..count).for_each(|n| {
                memory.access(first.wrapping_add(n), asked, clock);
            });
        }
        let ready = (0..count)
            .map(|n| memory.access(line.wrapping_mul(count).wrapping_add(n), asked, clock))
            .max()
            .unwrap_or(asked);
        places[0] = CacheLine {
            tag,
            is_dirty: is_write,
            ready,
        };
        ready
    }

    pub(crate) fn rebase(&mut self) {
        self.lines.iter_mut().for_each(|line| line.ready = 0);
    }

    pub(crate) fn reset_stats(&mut self) {
        (self.requests, self.hits) = (0, 0);
    }

    pub(crate) fn stats(&self, observed_cycles: u64) -> ResourceStats {
        ResourceStats {
            name: self.name.clone(),
            requests: self.requests,
            octets: self.requests * 64,
            hits: self.hits,
            // A cache answers one request in a cycle for each of the three tables.
            utilisation: share(self.requests, 3 * observed_cycles),
            wait_ns: 0,
        }
    }
}

/// The table memory: channels that move a line at a time, with banks that are busy for a row's cycle.
pub(crate) struct Memory {
    latency_ps: u64,
    bank_ps: u64,
    line_ps: u64,
    banks: usize,
    channel_free_ps: Vec<u64>,
    channel_busy_ps: Vec<u64>,
    bank_free_ps: Vec<u64>,
    /// When the reads are decided upon that are asked for now.
    now_ps: u64,
    requests: u64,
    wait_ps: u64,
}

impl Memory {
    pub(crate) fn new(config: &TableMemory) -> Self {
        let (channels, banks) = (config.channels as usize, config.banks as usize);
        Self {
            latency_ps: u64::from(config.latency_ns) * 1_000,
            bank_ps: u64::from(config.bank_ns) * 1_000,
            line_ps: u64::from(config.line_tenths_ns) * 100,
            banks,
            channel_free_ps: vec![0; channels],
            channel_busy_ps: vec![0; channels],
            bank_free_ps: vec![0; channels * banks],
            now_ps: 0,
            requests: 0,
            wait_ps: 0,
        }
    }

    /// From now on reads are asked for at this cycle or later.
    pub(crate) fn begin(&mut self, now: u64, clock: Clock) {
        self.now_ps = clock.ps(now);
    }

    /// Cycle at which a line asked for at `at` is there. Requests of a channel move in the order in which they are decided upon; one
    /// whose bank is busy, or that is asked for only when another's answer is there, lets the others pass. Channel and bank are charged
    /// from the present: a place in the future would hold up all that is asked for until then.
    pub(crate) fn access(&mut self, line: u32, at: u64, clock: Clock) -> u64 {
        let channels = self.channel_free_ps.len();
        let channel = line as usize % channels;
        let bank = channel * self.banks + line as usize / channels % self.banks;
        let at_ps = clock.ps(at);
        let turn = self.channel_free_ps[channel].max(self.now_ps);
        self.channel_free_ps[channel] = turn + self.line_ps;
        self.channel_busy_ps[channel] += self.line_ps;
        let bank_turn = self.bank_free_ps[bank].max(turn);
        self.bank_free_ps[bank] = bank_turn + self.bank_ps;
        let start = bank_turn.max(at_ps);
        self.requests += 1;
        self.wait_ps += start - at_ps;
        clock.cycle_of_ps(start + self.latency_ps)
    }

    pub(crate) fn rebase(&mut self) {
        self.channel_free_ps.fill(0);
        self.bank_free_ps.fill(0);
        self.now_ps = 0;
    }

    /// What a channel has yet to work off at a time. It works without a pause until it is free.
    fn ahead_ps(&self, channel: usize, now_ps: u64) -> u64 {
        self.channel_free_ps[channel].saturating_sub(now_ps)
    }

    pub(crate) fn reset_stats(&mut self, now_ps: u64) {
        for channel in 0..self.channel_busy_ps.len() {
            self.channel_busy_ps[channel] = self.ahead_ps(channel, now_ps);
        }
        (self.requests, self.wait_ps) = (0, 0);
    }

    pub(crate) fn stats(&self, now_ps: u64, observed_ps: u64) -> ResourceStats {
        let busy = self.channel_busy_ps.iter().enumerate();
        // What is booked but ahead is charged when it has passed.
        let busy = busy.map(|(channel, busy)| busy.saturating_sub(self.ahead_ps(channel, now_ps)));
        let busiest = busy.max().unwrap_or(0);
        ResourceStats {
            name: "memory".to_owned(),
            requests: self.requests,
            octets: self.requests * 64,
            hits: 0,
            utilisation: share(busiest, observed_ps),
            wait_ns: self.wait_ps / 1_000,
        }
    }
}

/// Times of the hardware file in the core's cycles, and lengths in its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) bus_octets: u64,
    /// Time of an octet on the line, in picoseconds.
    pub(crate) octet_ps: u64,
    pub(crate) decide_cycles: u64,
    pub(crate) host_frame_cycles: u64,
    pub(crate) command_cycles: u64,
    pub(crate) descriptor_cycles: u64,
}

impl Timing {
    pub(crate) fn new(config: &HwConfig, clock: Clock) -> Self {
        let cpu = &config.control_cpu;
        let on_cpu =
            |cycles: u32| (u64::from(cycles) * u64::from(config.core.clock_mhz)).div_ceil(cpu.clock_mhz.into());
        Self {
            bus_octets: u64::from(config.core.bus_bits / 8),
            octet_ps: u64::from(8_000 / config.link.rate_gbps),
            decide_cycles: on_cpu(cpu.decide_cycles),
            host_frame_cycles: on_cpu(cpu.host_frame_cycles),
            command_cycles: on_cpu(cpu.command_cycles),
            descriptor_cycles: clock.cycles(config.pcie.read_ns.into()),
        }
    }

    /// Cycles that a frame takes to pass the datapath.
    pub(crate) fn words(&self, octets: usize) -> u64 {
        (octets as u64).div_ceil(self.bus_octets).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_charged_for_what_has_passed_and_no_more() {
        // A picosecond for each octet.
        let mut link = Link::new("link", (1, 1));
        let busy = |link: &mut Link, now_ps| (link.stats(now_ps, 1_000).utilisation * 1_000.0).round() as u64;
        // Booked at once: 0 to 300 without a pause, and 700 to 1,200 after one.
        link.transfer(0, 100);
        link.transfer(0, 200);
        link.transfer_later(0, 700, 500);
        assert_eq!(busy(&mut link, 0), 0);
        assert_eq!(busy(&mut link, 50), 50);
        assert_eq!(busy(&mut link, 600), 300);
        assert_eq!(busy(&mut link, 1_000), 600);
        // The rest belongs to what is observed from now on.
        link.reset_stats(1_000);
        assert_eq!(busy(&mut link, 1_000), 0);
        assert_eq!(busy(&mut link, 1_100), 100);
        assert_eq!(busy(&mut link, 2_000), 200);
    }

    #[test]
    fn a_backlog_of_the_table_memory_is_charged_as_it_is_worked_off() {
        let hardware = HwConfig::default_preset().unwrap();
        let mut memory = Memory::new(&hardware.memory);
        let clock = Clock::new(1_000);
        let line_ps = memory.line_ps;
        let channels = memory.channel_free_ps.len() as u32;
        // Forty lines of one channel, asked for at once.
        (0..40).for_each(|line| {
            memory.access(line * channels, 0, clock);
        });
        for lines in [1, 10, 40] {
            let now_ps = lines * line_ps;
            let utilisation = memory.stats(now_ps, now_ps).utilisation;
            assert!((utilisation - 1.0).abs() < 1e-9, "{lines}: {utilisation}");
        }
        memory.reset_stats(30 * line_ps);
        let utilisation = memory.stats(50 * line_ps, 20 * line_ps).utilisation;
        assert!((utilisation - 0.5).abs() < 1e-9, "{utilisation}");
    }
}
