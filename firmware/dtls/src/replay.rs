//! The replay window (RFC 6347 section 4.1.2.6, RFC 9147 section 4.5.1), with check and commit apart.

use crate::record_config::{KeyError, MAX_SEQ};

/// Words of the bitmap: 4096 records.
const WORDS: usize = 64;

/// Longest window in records.
const MAX_LEN: usize = WORDS * 64;

/// The record was seen before, or is older than the window remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed;

/// A sliding window over record numbers.
///
/// The bitmap is a ring indexed by the number itself, so that sliding moves nothing: it clears the bits of the numbers that
/// the window enters. Numbers that are `len` or more below the highest are refused, whatever the ring still holds for them.
pub struct ReplayWindow {
    len: u32,
    /// One above the highest committed number; 0 before any.
    next: u64,
    bitmap: [u64; WORDS],
}

impl ReplayWindow {
    /// An empty window of `len` records.
    ///
    /// # Errors
    /// [`KeyError::WindowLen`] when `len` is not a multiple of 64 between 64 and 4096.
    pub const fn new(len: usize) -> Result<Self, KeyError> {
        if len == 0 || len > MAX_LEN || !len.is_multiple_of(64) {
            return Err(KeyError::WindowLen);
        }
        Ok(Self {
            len: len as u32,
            next: 0,
            bitmap: [0; WORDS],
        })
    }

    /// How many numbers, counted from the highest downwards, the window tells apart.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing was committed yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// One above the highest committed number; 0 before any.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Whether `seq` would be accepted now. Changes nothing.
    ///
    /// # Errors
    /// [`Replayed`] when `seq` was committed before or lies below the window.
    pub fn check(&self, seq: u64) -> Result<(), Replayed> {
        if seq >= self.next {
            return if seq <= MAX_SEQ { Ok(()) } else { Err(Replayed) };
        }
        let fresh = self.next - seq <= u64::from(self.len) && self.bitmap[word_of(seq)] & bit_of(seq) == 0;
        if fresh { Ok(()) } else { Err(Replayed) }
    }

    /// Tests and marks `seq` in one step. Only for numbers of authenticated records.
    ///
    /// # Errors
    /// [`Replayed`], and the window is as before, when [`Self::check`] refuses `seq`.
    pub fn commit(&mut self, seq: u64) -> Result<(), Replayed> {
        self.check(seq)?;
        if seq >= self.next {
            self.slide_to(seq);
        }
        self.bitmap[word_of(seq)] |= bit_of(seq);
        Ok(())
    }

    /// Takes every number below `next` as seen. Goes forward only; numbers above [`MAX_SEQ`] are taken as its successor.
    pub fn start_at(&mut self, next: u64) {
        if next > self.next {
            self.bitmap = [u64::MAX; WORDS];
            self.next = next.min(MAX_SEQ + 1);
        }
    }

    /// Makes `seq`, which is not below `next`, the highest number: clears the bits of all that lies from `next` to `seq`.
    fn slide_to(&mut self, seq: u64) {
        if seq - self.next >= MAX_LEN as u64 {
            self.bitmap = [0; WORDS];
        } else {
            let (first, last) = (self.next / 64, seq / 64);
            for word in first..=last {
                let from = if word == first { self.next % 64 } else { 0 };
                let to = if word == last { seq % 64 } else { 63 };
                let entered = (u64::MAX << from) & (u64::MAX >> (63 - to));
                self.bitmap[(word % WORDS as u64) as usize] &= !entered;
            }
        }
        self.next = seq + 1;
    }
}

const fn word_of(seq: u64) -> usize {
    (seq / 64 % WORDS as u64) as usize
}

const fn bit_of(seq: u64) -> u64 {
    1 << (seq % 64)
}
