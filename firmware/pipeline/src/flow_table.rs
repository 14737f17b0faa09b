//! The flow table: exact match over caller-supplied memory.
//!
//! Three arrays of 512-bit lines. A bucket is sixteen 32-bit fingerprints; slot `s` of bucket `b` owns entry `16 b + s`
//! (key and action) and the counters of the same number. A key has two buckets, so a lookup reads at most two bucket
//! lines and, but for a collision of fingerprints, one entry line. The first bucket is preferred: at the usual half load
//! hardly any flow lives in its second one. Within a bucket each flow has a favourite slot, and at half load three of four flows
//! live there: their entry and counters can be asked for together with the bucket, instead of after it.

use crate::memory::Memory;
use crate::toeplitz::Toeplitz;
use sealnic_abi::flow::{BUCKET_SLOTS, FlowAction, FlowBucket, FlowCounters, FlowKey};

/// One line of memory: 64 octets on their own cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line<T>(pub T);

/// Entry line: key and action.
#[derive(Clone, Copy)]
pub struct FlowEntry {
    /// Exact-match key.
    pub key: FlowKey,
    /// Decision.
    pub action: FlowAction,
}

const _: () = assert!(size_of::<Line<FlowEntry>>() == 64);
const _: () = assert!(size_of::<Line<FlowCounters>>() == 64 && size_of::<Line<FlowBucket>>() == 64);

/// Lines of memory that one lookup touches, in rounds: those of a round can be read side by side, and a round waits for the one
/// before. Lines are numbered through the three arrays: buckets, entries, counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    lines: [u32; Self::MAX],
    len: u8,
    /// Where each round ends.
    ends: [u8; Self::ROUNDS],
    /// The counters that are brought up to date afterwards.
    pub counters: Option<u32>,
}

impl Lines {
    /// Most lines of a lookup that are told; further ones, of entries whose fingerprints happen to be equal, are left out.
    const MAX: usize = 6;
    /// First bucket and favourite slot; other slots and second bucket; its slots.
    const ROUNDS: usize = 3;

    /// The rounds, none of them empty.
    pub fn rounds(&self) -> impl Iterator<Item = &[u32]> {
        let starts = core::iter::once(0).chain(self.ends);
        starts
            .zip(self.ends)
            .filter_map(|(start, end)| self.lines.get(start.into()..end.into()))
            .filter(|round| !round.is_empty())
    }

    fn add(&mut self, round: usize, line: usize) {
        if let Some(place) = self.lines.get_mut(usize::from(self.len)) {
            *place = line as u32;
            self.len += 1;
        }
        for end in &mut self.ends[round..] {
            *end = self.len;
        }
    }
}

/// Number of a live flow entry.
pub type FlowId = usize;

/// The flow table.
pub struct FlowTable<M: Memory> {
    buckets: M::Slice<Line<FlowBucket>>,
    entries: M::Slice<Line<FlowEntry>>,
    counters: M::Slice<Line<FlowCounters>>,
    hash: Toeplitz,
    live: usize,
}

const EMPTY: Line<FlowEntry> = Line(FlowEntry {
    key: FlowKey::ZERO,
    action: FlowAction::ZERO,
});

impl<M: Memory> FlowTable<M> {
    /// An empty table for `flows` entries, rounded up to a power of two of at least 1,024.
    pub fn new(memory: &mut M, flows: usize, secret: [u8; 16]) -> Self {
        let slots = flows.clamp(1_024, 1 << 30).next_power_of_two();
        Self {
            buckets: memory.slice(slots / BUCKET_SLOTS, || Line(FlowBucket::ZERO)),
            entries: memory.slice(slots, || EMPTY),
            counters: memory.slice(slots, || Line(FlowCounters::ZERO)),
            hash: Toeplitz::new(secret),
            live: 0,
        }
    }

    /// Keyed hash of a flow key.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        self.hash.hash(key)
    }

    /// Changes the hash's secret and empties the table.
    pub fn rekey(&mut self, secret: [u8; 16]) {
        self.clear();
        self.hash = Toeplitz::new(secret);
    }

    #[inline]
    fn places(&self, hash: u64) -> ([usize; 2], u32) {
        let mask = self.buckets.len() - 1;
        let fingerprint = (hash as u32).max(1);
        let first = (hash >> 32) as usize & mask;
        // Depends on the fingerprint alone, as in cuckoo filters, and is never zero in the low bit: the two differ.
        let second = first ^ ((fingerprint.wrapping_mul(0x9e37_79b1) >> 4) as usize | 1) & mask;
        ([first, second], fingerprint)
    }

    /// Slot of a bucket where a flow would rather live.
    #[inline]
    fn favourite(hash: u64) -> usize {
        (hash >> 60) as usize
    }

    /// Reads the three lines that a lookup of this hash and the counting after it will most likely want, so that the misses of
    /// several frames overlap. The result is for [`black_box`](core::hint::black_box), and no answer.
    #[inline]
    #[must_use]
    pub fn warm(&self, hash: u64) -> u64 {
        let ([first, _], _) = self.places(hash);
        let likely = first * BUCKET_SLOTS + Self::favourite(hash);
        u64::from(self.buckets[first].0.fingerprints[0])
            ^ u64::from(self.entries[likely].0.key.scope)
            ^ self.counters[likely].0.packets
    }

    /// As [`warm`](Self::warm), once the bucket's line is at hand: reads the entry and the counters of a flow that does not
    /// live in its favourite slot.
    #[inline]
    #[must_use]
    pub fn warm_displaced(&self, hash: u64) -> u64 {
        let ([first, second], fingerprint) = self.places(hash);
        let bucket = &self.buckets[first].0;
        if bucket.fingerprints[Self::favourite(hash)] == fingerprint {
            return 0;
        }
        let found = matches(bucket, fingerprint);
        if found == 0 {
            return u64::from(self.buckets[second].0.fingerprints[0]);
        }
        let id = first * BUCKET_SLOTS + found.trailing_zeros() as usize;
        u64::from(self.entries[id].0.key.scope) ^ self.counters[id].0.packets
    }

    /// Entry of a key, if it's there.
    #[inline(always)]
    #[must_use]
    pub fn lookup(&self, key: &FlowKey, hash: u64) -> Option<FlowId> {
        let ([first, _], fingerprint) = self.places(hash);
        let slot = Self::favourite(hash);
        let likely = first * BUCKET_SLOTS + slot;
        // Most flows live in their favourite slot, whose entry is read while the bucket is still on its way.
        if self.buckets[first].0.fingerprints[slot] == fingerprint && is_same(&self.entries[likely].0.key, key) {
            return Some(likely);
        }
        self.search(key, hash)
    }

    #[inline(never)]
    fn search(&self, key: &FlowKey, hash: u64) -> Option<FlowId> {
        let (places, fingerprint) = self.places(hash);
        for bucket in places {
            let mut found = matches(&self.buckets[bucket].0, fingerprint);
            while found != 0 {
                let id = bucket * BUCKET_SLOTS + found.trailing_zeros() as usize;
                if is_same(&self.entries[id].0.key, key) {
                    return Some(id);
                }
                found &= found - 1;
            }
        }
        None
    }

    /// As [`lookup`](Self::lookup), and which lines it touches.
    #[must_use]
    pub fn trace(&self, key: &FlowKey, hash: u64) -> (Option<FlowId>, Lines) {
        let (places, fingerprint) = self.places(hash);
        let entries = self.buckets.len();
        let counters = entries + self.entries.len();
        let likely = places[0] * BUCKET_SLOTS + Self::favourite(hash);
        let mut lines = Lines::default();
        lines.add(0, places[0]);
        lines.add(0, entries + likely);
        let found = self.lookup(key, hash);
        if found != Some(likely) {
            for (round, bucket) in (1..).zip(places) {
                if round == 2 {
                    lines.add(1, bucket);
                }
                let mut slots = matches(&self.buckets[bucket].0, fingerprint);
                while slots != 0 {
                    let id = bucket * BUCKET_SLOTS + slots.trailing_zeros() as usize;
                    if id != likely {
                        lines.add(round, entries + id);
                    }
                    if found == Some(id) {
                        break;
                    }
                    slots &= slots - 1;
                }
                if found.is_some_and(|id| id / BUCKET_SLOTS == bucket) {
                    break;
                }
            }
        }
        lines.counters = found.map(|id| (counters + id) as u32);
        (found, lines)
    }

    /// Adds an entry whose key is not there yet; `None` when both of its buckets are full.
    pub fn insert(&mut self, key: FlowKey, hash: u64, action: FlowAction, now_ns: u64) -> Option<FlowId> {
        let (places, fingerprint) = self.places(hash);
        let id = places.into_iter().find_map(|bucket| {
            let free = matches(&self.buckets[bucket].0, 0);
            let favourite = Self::favourite(hash);
            let slot = if free & 1 << favourite != 0 {
                favourite
            } else {
                free.trailing_zeros() as usize
            };
            (free != 0).then_some(bucket * BUCKET_SLOTS + slot)
        })?;
        self.buckets[id / BUCKET_SLOTS].0.fingerprints[id % BUCKET_SLOTS] = fingerprint;
        self.entries[id] = Line(FlowEntry { key, action });
        self.counters[id] = Line(FlowCounters {
            first_ns: now_ns,
            last_ns: now_ns,
            logged_ns: now_ns,
            ..FlowCounters::ZERO
        });
        self.live += 1;
        Some(id)
    }

    /// Removes an entry.
    pub fn remove(&mut self, id: FlowId) {
        let fingerprint = &mut self.buckets[id / BUCKET_SLOTS].0.fingerprints[id % BUCKET_SLOTS];
        if *fingerprint != 0 {
            *fingerprint = 0;
            self.entries[id] = EMPTY;
            self.live -= 1;
        }
    }

    /// A live entry; `None` for a free slot.
    #[inline]
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&FlowEntry> {
        let bucket = self.buckets.get(id / BUCKET_SLOTS)?;
        (bucket.0.fingerprints[id % BUCKET_SLOTS] != 0).then(|| &self.entries[id].0)
    }

    /// Entry line of a slot; meaningful only for an id just looked up.
    #[inline]
    #[must_use]
    pub fn entry(&self, id: FlowId) -> &FlowEntry {
        &self.entries[id].0
    }

    /// Replaces the decision of a live entry.
    pub fn set_action(&mut self, id: FlowId, action: FlowAction) {
        self.entries[id].0.action = action;
    }

    /// Counters of a slot.
    #[inline]
    #[must_use]
    pub fn counters(&self, id: FlowId) -> &FlowCounters {
        &self.counters[id].0
    }

    /// Counters of a slot, to be changed.
    #[inline]
    pub fn counters_mut(&mut self, id: FlowId) -> &mut FlowCounters {
        &mut self.counters[id].0
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Number of live entries.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.buckets
            .iter_mut()
            .for_each(|bucket| *bucket = Line(FlowBucket::ZERO));
        self.live = 0;
    }
}

/// Whether a key just read is that of an entry. Each field is loaded as wide as it was stored a moment ago, and without a branch: a
/// load that spans several stores would wait until the last of them has reached the cache, behind all that the cipher wrote.
#[inline(always)]
fn is_same(entry: &FlowKey, key: &FlowKey) -> bool {
    let wide = |octets: &[u8; 16]| u128::from_ne_bytes(*octets);
    let addresses = (wide(&entry.src) ^ wide(&key.src)) | (wide(&entry.dst) ^ wide(&key.dst));
    let ports = (entry.src_port ^ key.src_port) | (entry.dst_port ^ key.dst_port);
    let rest = (entry.protocol ^ key.protocol) | (entry.flags ^ key.flags);
    addresses == 0 && (entry.scope ^ key.scope) | u32::from(ports) | u32::from(rest) == 0
}

/// Bit per slot whose fingerprint equals `wanted`; compiles to a vector compare.
#[inline]
fn matches(bucket: &FlowBucket, wanted: u32) -> u32 {
    let mut found = 0;
    for (slot, fingerprint) in bucket.fingerprints.iter().enumerate() {
        found |= u32::from(*fingerprint == wanted) << slot;
    }
    found
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::HeapMemory;
    use std::collections::HashMap;
    use std::vec::Vec;

    fn key(n: u32) -> FlowKey {
        let mut key = FlowKey {
            scope: 1,
            src_port: (n >> 8) as u16,
            dst_port: 80,
            protocol: 6,
            ..FlowKey::ZERO
        };
        key.src[..4].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn agrees_with_a_map_of_the_standard_library_under_random_use() {
        let mut table = FlowTable::<HeapMemory>::new(&mut HeapMemory, 1_024, [9; 16]);
        let mut oracle = HashMap::<u32, u32>::new();
        let mut random = 99u32;
        let mut refused = 0;
        for _ in 0..300_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (random >> 8) % 1_400;
            let hash = table.hash(&key(n));
            let found = table.lookup(&key(n), hash);
            assert_eq!(found.map(|id| table.entry(id).action.target), oracle.get(&n).copied());
            match found {
                Some(id) if random & 3 == 0 => {
                    table.remove(id);
                    oracle.remove(&n);
                }
                Some(_) => {}
                None => match table.insert(
                    key(n),
                    hash,
                    FlowAction {
                        target: random,
                        ..FlowAction::ZERO
                    },
                    0,
                ) {
                    Some(_) => drop(oracle.insert(n, random)),
                    None => refused += 1,
                },
            }
            assert_eq!(table.live(), oracle.len());
        }
        assert!(refused > 0, "the test never met a full bucket pair");
    }

    #[test]
    fn a_traced_lookup_finds_the_same_and_touches_what_it_read() {
        let mut table = FlowTable::<HeapMemory>::new(&mut HeapMemory, 1_024, [9; 16]);
        for n in (0..).map(|n| n * 977).take(960) {
            let hash = table.hash(&key(n));
            table.insert(key(n), hash, FlowAction::ZERO, 0);
        }
        let (mut displaced, mut second) = (0, 0);
        for n in (0..).map(|n| n * 977).take(1_500) {
            let hash = table.hash(&key(n));
            let (found, lines) = table.trace(&key(n), hash);
            assert_eq!(found, table.lookup(&key(n), hash));
            let ([first_bucket, second_bucket], _) = table.places(hash);
            let rounds: Vec<&[u32]> = lines.rounds().collect();
            assert_eq!(rounds[0][0] as usize, first_bucket);
            let touched: Vec<usize> = rounds.concat().iter().map(|line| *line as usize).collect();
            // A lookup has seen the entry that it found, or both buckets.
            match found {
                Some(id) => {
                    assert!(touched.contains(&(64 + id)), "{n}");
                    assert_eq!(lines.counters, Some((64 + 1_024 + id) as u32));
                    displaced += usize::from(rounds.len() == 2);
                    second += usize::from(id / BUCKET_SLOTS == second_bucket);
                }
                None => assert!(touched.contains(&first_bucket) && touched.contains(&second_bucket)),
            }
        }
        assert!(
            displaced > 100 && second > 10,
            "{displaced} displaced, {second} in their second bucket"
        );
    }

    #[test]
    fn holds_nine_tenths_of_its_slots_before_it_refuses() {
        let mut table = FlowTable::<HeapMemory>::new(&mut HeapMemory, 65_536, [7; 16]);
        for n in 0..58_982 {
            let hash = table.hash(&key(n));
            assert!(
                table.insert(key(n), hash, FlowAction::ZERO, 0).is_some(),
                "refused at {n}"
            );
        }
    }
}
