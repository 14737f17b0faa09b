//! One mapping for a device, and buffers in it.

use super::{DmaError, DmaMemory};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Memory that is mapped for a device as a whole, from which buffers are taken. Clones are the same arena.
#[derive(Clone)]
pub struct DmaArena(Arc<Inner>);

struct Inner {
    memory: Arc<dyn DmaMemory>,
    iova: u64,
    /// Free ranges (start, length), by start, never touching each other.
    free: Mutex<Vec<(usize, usize)>>,
    is_mapped: AtomicBool,
}

/// What freed memory is filled with: whoever still uses it sees so, and no secret stays.
const POISON: u8 = 0xD5;
/// Least alignment and unit of allocation, in octets: a cache line.
const UNIT: usize = 64;
const MAX_ALIGNMENT: usize = 4096;

impl DmaArena {
    /// An arena over all of `memory`, whose first octet the device reaches at `iova`.
    #[must_use]
    pub fn new(memory: Arc<dyn DmaMemory>, iova: u64) -> Self {
        let len = memory.len() / UNIT * UNIT;
        let free = if len == 0 { Vec::new() } else { vec![(0, len)] };
        Self(Arc::new(Inner {
            memory,
            iova,
            free: Mutex::new(free),
            is_mapped: AtomicBool::new(true),
        }))
    }

    /// A buffer, zeroed, aligned to its length rounded up to a power of two, at most 4096 and at least 64 octets.
    ///
    /// # Errors
    /// No room, or the arena isn't mapped any more.
    pub fn alloc(&self, len: usize) -> Result<DmaBuffer, DmaError> {
        if !self.is_mapped() {
            return Err(DmaError::Unmapped);
        }
        let no_room = || DmaError::NoRoom {
            wanted: len,
            capacity: self.0.memory.len(),
        };
        let taken = len.max(1).checked_next_multiple_of(UNIT).ok_or_else(no_room)?;
        let alignment = taken
            .checked_next_power_of_two()
            .map_or(MAX_ALIGNMENT, |a| a.min(MAX_ALIGNMENT));
        let start = self.0.take(taken, alignment).ok_or_else(no_room)?;
        self.0.fill(start, taken, 0);
        Ok(DmaBuffer {
            arena: self.0.clone(),
            start,
            taken,
            len,
            is_abandoned: false,
            one_thread: PhantomData,
        })
    }

    /// Says that the device doesn't reach the memory any more: every later access of a buffer is an error.
    pub fn unmap(&self) {
        self.0.is_mapped.store(false, Ordering::Release);
    }

    /// Whether the device reaches the memory.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.0.is_mapped.load(Ordering::Acquire)
    }

    /// IOVA of the first octet.
    #[must_use]
    pub fn iova(&self) -> u64 {
        self.0.iova
    }

    /// Octets in no buffer.
    #[must_use]
    pub fn free_len(&self) -> usize {
        self.0.lock().iter().map(|(_, len)| len).sum()
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, usize)>> {
        // Every change of the list below is whole before anything can panic.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first range that fits.
    fn take(&self, len: usize, alignment: usize) -> Option<usize> {
        let mut free = self.lock();
        let (at, start) = free.iter().enumerate().find_map(|(at, &(start, room))| {
            let aligned = start.checked_next_multiple_of(alignment)?;
            (aligned.checked_add(len)? <= start + room).then_some((at, aligned))
        })?;
        let (first, room) = free[at];
        let before = (first, start - first);
        let after = (start + len, first + room - start - len);
        free.splice(at..=at, [before, after].into_iter().filter(|(_, len)| *len != 0));
        Some(start)
    }

    fn give_back(&self, start: usize, len: usize) {
        let mut free = self.lock();
        let at = free.partition_point(|&(other, _)| other < start);
        free.insert(at, (start, len));
        if let Some(&(next, next_len)) = free.get(at + 1)
            && start + len == next
        {
            free[at].1 += next_len;
            free.remove(at + 1);
        }
        if let Some(before) = at.checked_sub(1)
            && free[before].0 + free[before].1 == start
        {
            free[before].1 += free[at].1;
            free.remove(at);
        }
    }

    fn fill(&self, start: usize, len: usize, octet: u8) {
        let chunk = [octet; 4096];
        for at in (0..len).step_by(chunk.len()) {
            let part = chunk.len().min(len - at);
            // The range was taken from this memory, so it lies in it.
            let _ = self.memory.write(start + at, &chunk[..part]);
        }
    }
}

/// A piece of an arena. When it is dropped, it is overwritten and free again: whoever gave its address to a device takes
/// that back first.
pub struct DmaBuffer {
    arena: Arc<Inner>,
    start: usize,
    taken: usize,
    len: usize,
    /// The device may still write there: it goes back only with the whole mapping.
    is_abandoned: bool,
    /// Not shared between threads, so that accesses of one process never meet.
    one_thread: PhantomData<Cell<()>>,
}

impl DmaBuffer {
    /// Address at which the device reaches the first octet.
    #[must_use]
    pub fn iova(&self) -> u64 {
        // The arena was mapped there as a whole: no overflow.
        self.arena.iova.wrapping_add(self.start as u64)
    }

    /// Size in octets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies octets out. They may change at any time: look only at the copy.
    ///
    /// # Errors
    /// Outside the buffer, or not mapped any more.
    pub fn read(&self, at: usize, octets: &mut [u8]) -> Result<(), DmaError> {
        let place = self.place(at, octets.len())?;
        self.arena.memory.read(place, octets).ok_or(DmaError::Unmapped)
    }

    /// Copies octets in.
    ///
    /// # Errors
    /// Outside the buffer, or not mapped any more.
    pub fn write(&self, at: usize, octets: &[u8]) -> Result<(), DmaError> {
        let place = self.place(at, octets.len())?;
        self.arena.memory.write(place, octets).ok_or(DmaError::Unmapped)
    }

    /// Loads a little-endian word whole; reads after it see what the device wrote before it.
    ///
    /// # Errors
    /// Outside the buffer, not a multiple of 4, or not mapped any more.
    pub fn load32(&self, at: usize) -> Result<u32, DmaError> {
        let place = self.place(at, 4)?;
        self.arena.memory.load32(place).ok_or_else(|| self.out_of_bounds(at, 4))
    }

    /// Stores a little-endian word whole; a device that sees it sees everything written before.
    ///
    /// # Errors
    /// Outside the buffer, not a multiple of 4, or not mapped any more.
    pub fn store32(&self, at: usize, value: u32) -> Result<(), DmaError> {
        let place = self.place(at, 4)?;
        self.arena
            .memory
            .store32(place, value)
            .ok_or_else(|| self.out_of_bounds(at, 4))
    }

    /// Overwrites all of it with zeros.
    ///
    /// # Errors
    /// Not mapped any more.
    pub fn wipe(&self) -> Result<(), DmaError> {
        self.place(0, 0)?;
        self.arena.fill(self.start, self.taken, 0);
        Ok(())
    }

    /// Never uses this memory again, here or in another buffer: for a device that may still write there.
    pub fn abandon(mut self) {
        self.is_abandoned = true;
    }

    fn place(&self, at: usize, len: usize) -> Result<usize, DmaError> {
        if !self.arena.is_mapped.load(Ordering::Acquire) {
            return Err(DmaError::Unmapped);
        }
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(self.start + at),
            _ => Err(self.out_of_bounds(at, len)),
        }
    }

    const fn out_of_bounds(&self, at: usize, len: usize) -> DmaError {
        DmaError::OutOfBounds {
            at,
            len,
            capacity: self.len,
        }
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        if !self.is_abandoned {
            self.arena.fill(self.start, self.taken, POISON);
            self.arena.give_back(self.start, self.taken);
        }
    }
}

impl std::fmt::Debug for DmaBuffer {
    /// Where it is, never what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DmaBuffer")
            .field("iova", &format_args!("{:#x}", self.iova()))
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::HeapMemory;
    use super::*;
    use crate::tests::random::Random;

    fn arena(len: usize) -> (Arc<HeapMemory>, DmaArena) {
        let memory = Arc::new(HeapMemory::new(len));
        (memory.clone(), DmaArena::new(memory, 0x100_0000))
    }

    #[test]
    fn buffers_never_overlap_and_all_room_comes_back() {
        let (_, arena) = arena(1 << 16);
        let mut random = Random(7);
        let mut buffers: Vec<DmaBuffer> = Vec::new();
        let mut refused = 0;
        for _ in 0..5_000 {
            if random.one_in(2) {
                let len = usize::try_from(random.next() % 9_000).unwrap();
                match arena.alloc(len) {
                    Ok(buffer) => {
                        let alignment = len.max(64).next_power_of_two().min(4096) as u64;
                        assert_eq!(buffer.iova() % alignment, 0);
                        let range = buffer.start..buffer.start + buffer.taken;
                        assert!(range.end <= 1 << 16);
                        assert!(
                            buffers
                                .iter()
                                .all(|b| b.start >= range.end || b.start + b.taken <= range.start)
                        );
                        buffers.push(buffer);
                    }
                    Err(DmaError::NoRoom { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            } else if !buffers.is_empty() {
                let at = usize::try_from(random.next() % buffers.len() as u64).unwrap();
                buffers.swap_remove(at);
            }
        }
        assert!(refused > 0, "the arena was full at times");
        buffers.clear();
        assert_eq!(arena.free_len(), 1 << 16);
        assert_eq!(arena.0.lock().len(), 1, "freed ranges grow together");
        assert!(arena.alloc(1 << 16).is_ok());
        assert!(arena.alloc(usize::MAX).is_err());
    }

    #[test]
    fn freed_memory_is_overwritten_and_new_memory_is_zero() {
        let (memory, arena) = arena(4096);
        let buffer = arena.alloc(100).unwrap();
        buffer.write(0, &[0x77; 100]).unwrap();
        drop(buffer);
        let mut octets = [0; 128];
        memory.read(0, &mut octets).unwrap();
        assert_eq!(octets, [POISON; 128]);
        let buffer = arena.alloc(100).unwrap();
        let mut octets = [1; 100];
        buffer.read(0, &mut octets).unwrap();
        assert_eq!(octets, [0; 100]);
    }

    #[test]
    fn an_abandoned_buffer_is_never_given_out_again_and_its_arena_still_ends() {
        let (memory, arena) = arena(4096);
        let buffer = arena.alloc(128).unwrap();
        let start = buffer.start;
        buffer.abandon();
        assert_eq!(arena.free_len(), 4096 - 128);
        while let Ok(buffer) = arena.alloc(64) {
            assert!(buffer.start >= start + 128 || buffer.start + 64 <= start);
            buffer.abandon();
        }
        drop(arena);
        assert_eq!(Arc::strong_count(&memory), 1, "nothing holds the memory any more");
    }

    #[test]
    fn nothing_outside_a_buffer_is_reached() {
        let (_, arena) = arena(4096);
        let buffer = arena.alloc(100).unwrap();
        let mut octets = [0; 8];
        for at in [93, 100, 128, usize::MAX - 3, usize::MAX] {
            assert!(
                matches!(buffer.read(at, &mut octets), Err(DmaError::OutOfBounds { .. })),
                "{at}"
            );
            assert!(
                matches!(buffer.write(at, &octets), Err(DmaError::OutOfBounds { .. })),
                "{at}"
            );
        }
        assert!(buffer.load32(98).is_err());
        assert!(buffer.load32(2).is_err());
        assert!(buffer.store32(97, 0).is_err());
        buffer.store32(96, 5).unwrap();
        assert_eq!(buffer.load32(96).unwrap(), 5);
    }

    #[test]
    fn a_buffer_that_outlives_its_mapping_says_so() {
        let (_, arena) = arena(4096);
        let buffer = arena.alloc(64).unwrap();
        arena.unmap();
        let mut octets = [0; 4];
        assert!(matches!(buffer.read(0, &mut octets), Err(DmaError::Unmapped)));
        assert!(matches!(buffer.store32(0, 1), Err(DmaError::Unmapped)));
        assert!(matches!(buffer.wipe(), Err(DmaError::Unmapped)));
        assert!(matches!(arena.alloc(64), Err(DmaError::Unmapped)));
        assert!(!format!("{buffer:?}").contains("octets"));
    }
}
