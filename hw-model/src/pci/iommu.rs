//! The IOMMU in front of a function: what of host memory it sees, page by page.

use crate::host_port::DmaFault;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Size of a page, in octets: mappings begin and end at multiples of it.
pub const PAGE: u64 = 4096;
/// Faults that are remembered.
const FAULTS_KEPT: usize = 64;

/// Memory behind mappings: a buffer of this process, or a file shared with another.
///
/// Accesses may race with those of the memory's owner; an access sees or leaves some mixture of octets then, and nothing worse.
pub trait Backing: Send + Sync {
    /// Fills `octets` from `offset` on.
    ///
    /// # Errors
    /// When some of it lies outside or can't be read.
    fn read(&self, offset: u64, octets: &mut [u8]) -> Result<(), BackingFault>;

    /// Writes `octets` from `offset` on, in rising order.
    ///
    /// # Errors
    /// When some of it lies outside or can't be written.
    fn write(&self, offset: u64, octets: &[u8]) -> Result<(), BackingFault>;
}

/// Memory behind a mapping failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackingFault;

impl fmt::Display for BackingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory behind a mapping failed")
    }
}

impl std::error::Error for BackingFault {}

/// Memory of this process that a device may be given.
#[derive(Clone)]
pub struct SharedMemory(Arc<Mutex<Vec<u8>>>);

impl SharedMemory {
    /// `len` octets of zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; len])))
    }

    /// Length, in octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.octets().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whoever panicked while holding the octets left octets.
    fn octets(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of `len` octets from `offset` on.
fn part(offset: u64, len: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(len)?)
}

impl Backing for SharedMemory {
    fn read(&self, offset: u64, octets: &mut [u8]) -> Result<(), BackingFault> {
        let part = part(offset, octets.len()).ok_or(BackingFault)?;
        octets.copy_from_slice(self.octets().get(part).ok_or(BackingFault)?);
        Ok(())
    }

    fn write(&self, offset: u64, octets: &[u8]) -> Result<(), BackingFault> {
        let part = part(offset, octets.len()).ok_or(BackingFault)?;
        self.octets().get_mut(part).ok_or(BackingFault)?.copy_from_slice(octets);
        Ok(())
    }
}

/// What a device may do with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// The device may read it.
    pub read: bool,
    /// The device may write it.
    pub write: bool,
}

impl Permissions {
    /// Both.
    pub const READ_WRITE: Self = Self {
        read: true,
        write: true,
    };
    /// Reading alone.
    pub const READ: Self = Self {
        read: true,
        write: false,
    };
}

/// Why a mapping can't be made or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// Address, length or offset is no multiple of a page, the length is 0, or the range wraps round.
    BadRange,
    /// Some page is mapped already.
    Overlap,
    /// As many ranges are mapped as may be, or taking away the middle of one would make one more.
    TooMany,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRange => {
                "address, length or offset is no multiple of 4096, the length is 0, or the range wraps round"
            }
            Self::Overlap => "some page of the range is mapped already; unmap it first",
            Self::TooMany => "as many ranges are mapped as the IOMMU takes",
        })
    }
}

impl std::error::Error for MapError {}

/// An access of the device that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRecord {
    /// First address of the access.
    pub iova: u64,
    /// Length of the access, in octets.
    pub len: usize,
    /// Whether the device wanted to write.
    pub is_write: bool,
    /// Why it was refused.
    pub fault: DmaFault,
}

#[derive(Clone)]
struct Mapping {
    /// Last address, so that the end of the address space can be mapped.
    last: u64,
    backing: Arc<dyn Backing>,
    offset: u64,
    permissions: Permissions,
}

/// Translations of one function. It has no lock of its own: whoever holds it alone, by whatever lock, may be sure that after
/// [`unmap`](Self::unmap) nobody touches the memory any more.
pub struct IommuSpace {
    /// By first address; they don't overlap.
    mappings: BTreeMap<u64, Mapping>,
    limit: usize,
    faults: VecDeque<FaultRecord>,
    fault_count: u64,
}

impl Default for IommuSpace {
    fn default() -> Self {
        Self::new(65_536)
    }
}

impl IommuSpace {
    /// Nothing mapped; at most `limit` ranges will be.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            mappings: BTreeMap::new(),
            limit,
            faults: VecDeque::new(),
            fault_count: 0,
        }
    }

    /// Maps `len` octets from `iova` on to `backing` from `offset` on.
    ///
    /// # Errors
    /// See [`MapError`]; nothing is changed then.
    pub fn map(
        &mut self,
        iova: u64,
        len: u64,
        backing: Arc<dyn Backing>,
        offset: u64,
        permissions: Permissions,
    ) -> Result<(), MapError> {
        let last = last_of(iova, len)?;
        let are_pages = [iova, len, offset].iter().all(|value| value.is_multiple_of(PAGE));
        if !are_pages || offset.checked_add(len).is_none() {
            return Err(MapError::BadRange);
        }
        if self.overlapping(iova, last).next().is_some() {
            return Err(MapError::Overlap);
        }
        if self.mappings.len() >= self.limit {
            return Err(MapError::TooMany);
        }
        let mapping = Mapping {
            last,
            backing,
            offset,
            permissions,
        };
        self.mappings.insert(iova, mapping);
        Ok(())
    }

    /// Removes what is mapped of `len` octets from `iova` on, and returns how many octets that were. A mapping that lies in the range in
    /// part keeps its other pages; only there the range must begin or end with a page.
    ///
    /// # Errors
    /// [`MapError::BadRange`], and [`MapError::TooMany`] when a mapping would be left in two parts and there is no room for another;
    /// nothing is changed then.
    pub fn unmap(&mut self, iova: u64, len: u64) -> Result<u64, MapError> {
        let last = last_of(iova, len)?;
        let splits_page = |(start, mapping): (u64, &Mapping)| {
            start < iova && !iova.is_multiple_of(PAGE) || mapping.last > last && last % PAGE != PAGE - 1
        };
        if self.overlapping(iova, last).any(splits_page) {
            return Err(MapError::BadRange);
        }
        let leaves_two = |(start, mapping): (u64, &Mapping)| start < iova && mapping.last > last;
        if self.mappings.len() >= self.limit && self.overlapping(iova, last).any(leaves_two) {
            return Err(MapError::TooMany);
        }
        let starts: Vec<u64> = self.overlapping(iova, last).map(|(start, _)| start).collect();
        let mut removed = 0;
        for start in starts {
            let Some(mapping) = self.mappings.remove(&start) else {
                continue;
            };
            let (from, to) = (start.max(iova), mapping.last.min(last));
            removed += to - from + 1;
            if start < from {
                let before = Mapping {
                    last: from - 1,
                    ..mapping.clone()
                };
                self.mappings.insert(start, before);
            }
            if to < mapping.last {
                let behind = Mapping {
                    offset: mapping.offset + (to + 1 - start),
                    ..mapping
                };
                self.mappings.insert(to + 1, behind);
            }
        }
        Ok(removed)
    }

    /// Whether [`unmap`](Self::unmap) of the range would take a part of some mapping and leave the rest.
    ///
    /// # Errors
    /// [`MapError::BadRange`].
    pub fn cuts(&self, iova: u64, len: u64) -> Result<bool, MapError> {
        let last = last_of(iova, len)?;
        let sticks_out = |(start, mapping): (u64, &Mapping)| start < iova || mapping.last > last;
        Ok(self.overlapping(iova, last).any(sticks_out))
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.mappings.clear();
    }

    /// Number of mapped ranges.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.mappings.len()
    }

    /// The last refused accesses, oldest first.
    pub fn faults(&self) -> impl Iterator<Item = &FaultRecord> {
        self.faults.iter()
    }

    /// Number of accesses refused so far.
    #[must_use]
    pub fn fault_count(&self) -> u64 {
        self.fault_count
    }

    fn overlapping(&self, iova: u64, last: u64) -> impl Iterator<Item = (u64, &Mapping)> {
        let first = self
            .mappings
            .range(..=iova)
            .next_back()
            .map_or(iova, |(start, _)| *start);
        self.mappings
            .range(first..=last)
            .map(|(start, mapping)| (*start, mapping))
            .filter(move |(_, mapping)| mapping.last >= iova)
    }

    /// Reads what the device sees: all of it or nothing.
    ///
    /// # Errors
    /// See [`DmaFault`]; `octets` are as before then, unless the backing failed.
    pub fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let len = octets.len();
        let result = self.check(iova, len, |permissions| permissions.read).and_then(|()| {
            self.each(iova, len, |mapping, offset, part| {
                mapping.backing.read(offset, octets.get_mut(part).unwrap_or_default())
            })
        });
        self.note(iova, len, false, result)
    }

    /// Writes what the device sees: all of it or, unless the backing fails, nothing.
    ///
    /// # Errors
    /// See [`DmaFault`].
    pub fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let len = octets.len();
        let result = self.check(iova, len, |permissions| permissions.write).and_then(|()| {
            self.each(iova, len, |mapping, offset, part| {
                mapping.backing.write(offset, octets.get(part).unwrap_or_default())
            })
        });
        self.note(iova, len, true, result)
    }

    /// Whether each octet has a translation that permits the access.
    fn check(&self, iova: u64, len: usize, permits: impl Fn(Permissions) -> bool) -> Result<(), DmaFault> {
        let Some(beyond_first) = (len as u64).checked_sub(1) else {
            return Ok(());
        };
        let last = iova.checked_add(beyond_first).ok_or(DmaFault::NotMapped)?;
        let mut at = iova;
        loop {
            let (_, mapping) = self.at(at).ok_or(DmaFault::NotMapped)?;
            if !permits(mapping.permissions) {
                return Err(DmaFault::NotPermitted);
            }
            if mapping.last >= last {
                return Ok(());
            }
            at = mapping.last + 1;
        }
    }

    fn at(&self, iova: u64) -> Option<(u64, &Mapping)> {
        let (&start, mapping) = self.mappings.range(..=iova).next_back()?;
        (mapping.last >= iova).then_some((start, mapping))
    }

    /// Goes through a checked range, mapping by mapping: offset in the backing, and part of the access.
    fn each(
        &self,
        iova: u64,
        len: usize,
        mut access: impl FnMut(&Mapping, u64, std::ops::Range<usize>) -> Result<(), BackingFault>,
    ) -> Result<(), DmaFault> {
        let mut done = 0;
        while done < len {
            let at = iova + done as u64;
            let (start, mapping) = self.at(at).ok_or(DmaFault::NotMapped)?;
            let room = usize::try_from(mapping.last - at + 1).unwrap_or(usize::MAX);
            let part = done..done + room.min(len - done);
            done = part.end;
            access(mapping, mapping.offset + (at - start), part).map_err(|BackingFault| DmaFault::Backing)?;
        }
        Ok(())
    }

    fn note(&mut self, iova: u64, len: usize, is_write: bool, result: Result<(), DmaFault>) -> Result<(), DmaFault> {
        if let Err(fault) = result {
            if self.faults.len() == FAULTS_KEPT {
                self.faults.pop_front();
            }
            self.faults.push_back(FaultRecord {
                iova,
                len,
                is_write,
                fault,
            });
            self.fault_count += 1;
        }
        result
    }
}

/// The last address of a range that has one.
fn last_of(iova: u64, len: u64) -> Result<u64, MapError> {
    let beyond_first = len.checked_sub(1).ok_or(MapError::BadRange)?;
    iova.checked_add(beyond_first).ok_or(MapError::BadRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(len: usize, octet: u8) -> SharedMemory {
        let memory = SharedMemory::new(len);
        memory.write(0, &vec![octet; len]).unwrap();
        memory
    }

    #[test]
    fn an_access_crosses_neighbouring_mappings_and_stops_at_the_first_gap() {
        let mut space = IommuSpace::default();
        let (a, b) = (filled(8192, 1), filled(8192, 2));
        space
            .map(PAGE, PAGE, Arc::new(a.clone()), PAGE, Permissions::READ_WRITE)
            .unwrap();
        space
            .map(2 * PAGE, PAGE, Arc::new(b.clone()), 0, Permissions::READ_WRITE)
            .unwrap();
        let mut octets = [0; 4];
        space.read(2 * PAGE - 2, &mut octets).unwrap();
        assert_eq!(octets, [1, 1, 2, 2]);
        space.write(2 * PAGE - 1, &[7, 8]).unwrap();
        let mut back = [0; 1];
        a.read(2 * PAGE - 1, &mut back).unwrap();
        assert_eq!(back, [7]);
        b.read(0, &mut back).unwrap();
        assert_eq!(back, [8]);
        let mut long = [9; 4];
        assert_eq!(space.read(3 * PAGE - 2, &mut long), Err(DmaFault::NotMapped));
        assert_eq!(long, [9; 4], "nothing is read in part");
        assert_eq!(space.write(3 * PAGE - 2, &[5; 4]), Err(DmaFault::NotMapped));
        b.read(PAGE - 1, &mut back).unwrap();
        assert_eq!(back, [2], "nothing is written in part");
        assert_eq!(space.read(u64::MAX - 1, &mut long), Err(DmaFault::NotMapped));
        assert_eq!(space.fault_count(), 3);
    }

    #[test]
    fn permissions_hold_and_faults_are_remembered() {
        let mut space = IommuSpace::default();
        space
            .map(0, PAGE, Arc::new(filled(4096, 3)), 0, Permissions::READ)
            .unwrap();
        assert_eq!(space.write(16, &[1]), Err(DmaFault::NotPermitted));
        assert_eq!(space.read(16, &mut [0]), Ok(()));
        let expected = FaultRecord {
            iova: 16,
            len: 1,
            is_write: true,
            fault: DmaFault::NotPermitted,
        };
        assert_eq!(space.faults().collect::<Vec<_>>(), [&expected]);
    }

    #[test]
    fn unmapping_the_middle_leaves_both_ends_where_they_were() {
        let mut space = IommuSpace::default();
        let memory = SharedMemory::new(3 * 4096);
        for page in 0..3u8 {
            memory.write(u64::from(page) * PAGE, &[page; 4096]).unwrap();
        }
        space
            .map(0, 3 * PAGE, Arc::new(memory), 0, Permissions::READ_WRITE)
            .unwrap();
        assert_eq!(space.unmap(PAGE, PAGE), Ok(PAGE));
        let mut octet = [9];
        assert_eq!(space.read(0, &mut octet), Ok(()));
        assert_eq!(octet, [0]);
        assert_eq!(space.read(PAGE, &mut octet), Err(DmaFault::NotMapped));
        assert_eq!(space.read(2 * PAGE, &mut octet), Ok(()));
        assert_eq!(octet, [2]);
        assert_eq!(space.unmap(0, 16 * PAGE), Ok(2 * PAGE));
        assert_eq!(space.ranges(), 0);
    }

    #[test]
    fn taking_the_middle_away_never_makes_more_ranges_than_the_limit() {
        let mut space = IommuSpace::new(2);
        let mut map = |iova, pages| {
            let memory = Arc::new(SharedMemory::new(0x4000));
            space.map(iova, pages * PAGE, memory, 0, Permissions::READ)
        };
        map(0, 4).unwrap();
        map(8 * PAGE, 3).unwrap();
        for (iova, pages) in [(PAGE, 1), (PAGE, 2), (9 * PAGE, 1)] {
            assert_eq!(space.unmap(iova, pages * PAGE), Err(MapError::TooMany));
        }
        assert_eq!(space.read(PAGE, &mut [0; 4096]), Ok(()), "it is all there");
        // A page is taken away whole or not at all.
        for (iova, len) in [(3 * PAGE + 1, 2 * PAGE), (7 * PAGE, PAGE + 1)] {
            assert_eq!(space.unmap(iova, len), Err(MapError::BadRange));
        }
        // At its ends a mapping only gets shorter.
        assert_eq!(space.unmap(3 * PAGE, 6 * PAGE), Ok(2 * PAGE));
        assert_eq!(space.ranges(), 2);
        assert_eq!(space.unmap(0, 16 * PAGE), Ok(5 * PAGE));
        assert_eq!(space.ranges(), 0);
    }

    #[test]
    fn the_last_page_of_the_address_space_is_one_like_any_other() {
        let mut space = IommuSpace::default();
        let top = u64::MAX - PAGE + 1;
        space
            .map(top, PAGE, Arc::new(filled(4096, 3)), 0, Permissions::READ)
            .unwrap();
        let mut octets = [0; 2];
        assert_eq!(space.read(u64::MAX - 1, &mut octets), Ok(()));
        assert_eq!(octets, [3, 3]);
        assert_eq!(space.read(u64::MAX, &mut octets), Err(DmaFault::NotMapped));
        assert_eq!(space.cuts(top - PAGE, 2 * PAGE), Ok(false));
        assert_eq!(space.unmap(top, PAGE), Ok(PAGE));
        assert_eq!(space.unmap(0, u64::MAX), Ok(0), "nothing is left");
    }

    #[test]
    fn a_range_cuts_a_mapping_of_which_it_has_a_part() {
        let mut space = IommuSpace::default();
        let memory = Arc::new(SharedMemory::new(0x4000));
        space
            .map(4 * PAGE, 4 * PAGE, memory, 0, Permissions::READ_WRITE)
            .unwrap();
        for (first, pages, cuts) in [(4, 4, false), (0, 16, false), (8, 4, false), (0, 4, false)]
            .into_iter()
            .chain([(0, 5, true), (4, 3, true), (5, 1, true), (7, 9, true)])
        {
            assert_eq!(space.cuts(first * PAGE, pages * PAGE), Ok(cuts), "{first} {pages}");
        }
    }

    #[test]
    fn bad_ranges_and_overlaps_are_refused() {
        let mut space = IommuSpace::new(2);
        let memory = SharedMemory::new(4096);
        let mut map = |iova, len, offset| space.map(iova, len, Arc::new(memory.clone()), offset, Permissions::READ);
        for (iova, len, offset) in [
            (1, PAGE, 0),
            (0, 1, 0),
            (0, 0, 0),
            (0, PAGE, 8),
            (u64::MAX - PAGE + 1, 2 * PAGE, 0),
            (0, PAGE, u64::MAX - PAGE + 1),
        ] {
            assert_eq!(
                map(iova, len, offset),
                Err(MapError::BadRange),
                "{iova:#x} {len:#x} {offset:#x}"
            );
        }
        assert_eq!(map(PAGE, 2 * PAGE, 0), Ok(()));
        for (iova, pages) in [(0, 2), (0, 9), (PAGE, 1), (2 * PAGE, 4)] {
            assert_eq!(map(iova, pages * PAGE, 0), Err(MapError::Overlap));
        }
        assert_eq!(map(0, PAGE, 0), Ok(()));
        assert_eq!(map(PAGE << 20, PAGE, 0), Err(MapError::TooMany));
    }

    #[test]
    fn a_backing_that_is_too_short_is_a_fault_of_its_own() {
        let mut space = IommuSpace::default();
        space
            .map(
                0,
                2 * PAGE,
                Arc::new(SharedMemory::new(4096)),
                0,
                Permissions::READ_WRITE,
            )
            .unwrap();
        assert_eq!(space.read(PAGE, &mut [0]), Err(DmaFault::Backing));
    }
}
