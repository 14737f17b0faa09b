//! DMA memory that the kernel maps: shared with a device behind an IOMMU, or with a device's process through its file.
#![allow(unsafe_code)]

use super::{DmaError, DmaMemory, HugePages};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// Size of a huge page that is asked for, in octets.
const HUGE_PAGE: usize = 2 << 20;

/// Memory of a file that exists nowhere but in memory, mapped shared, until it is dropped.
pub(crate) struct MappedMemory {
    map: MmapRaw,
    /// Kept for who maps it at the device's side.
    #[cfg(any(feature = "vfio-user", test))]
    file: File,
}

impl MappedMemory {
    /// Zeroed memory of at least `len` octets, a multiple of the page size.
    pub(crate) fn new(len: usize, huge_pages: HugePages) -> Result<Self, DmaError> {
        let failed = |source| DmaError::Memory { len, source };
        let round = |page: usize| {
            len.max(1)
                .checked_next_multiple_of(page)
                .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))
        };
        if huge_pages == HugePages::WhereAvailable {
            // Mapping reserves the pages, so that touching them can't fail later.
            match Self::of_pages(round(HUGE_PAGE)?, MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB) {
                Ok(memory) => return Ok(memory),
                Err(error) => tracing::debug!(%error, "no huge pages for DMA, taking ordinary ones"),
            }
        }
        Self::of_pages(round(rustix::param::page_size())?, MemfdFlags::empty()).map_err(failed)
    }

    fn of_pages(len: usize, flags: MemfdFlags) -> io::Result<Self> {
        let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("sealnic-dma", flags)?;
        ftruncate(&file, u64::try_from(len).unwrap_or(u64::MAX))?;
        // Nobody who is given the file can shorten it and have an access to the mapping end in SIGBUS.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let file = File::from(file);
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Self {
            map,
            #[cfg(any(feature = "vfio-user", test))]
            file,
        })
    }

    /// The file behind it, for whoever maps the memory at the device's side.
    #[cfg(any(feature = "vfio-user", test))]
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Where it is mapped, for the kernel.
    #[cfg(feature = "vfio")]
    pub(crate) fn address(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// The first octet of a range that lies in the memory.
    fn pointer(&self, at: usize, len: usize) -> Option<*mut u8> {
        let end = at.checked_add(len)?;
        (end <= self.map.len()).then(|| self.map.as_mut_ptr().wrapping_add(at))
    }

    fn word(&self, at: usize) -> Option<&AtomicU32> {
        let pointer = self.pointer(at, 4).filter(|_| at.is_multiple_of(4))?;
        // SAFETY: valid and aligned: the four octets lie in the mapping, which lives as long as `self` and begins at a page.
        // Aliasing: all access to the mapping in this process is atomic, so is the device's for aligned words.
        Some(unsafe { AtomicU32::from_ptr(pointer.cast()) })
    }

    /// Splits a range into octets before, whole 64-bit words in, and octets after the aligned part.
    const fn split(at: usize, len: usize) -> (usize, usize, usize) {
        let to_aligned = at.next_multiple_of(8) - at;
        let head = if to_aligned < len { to_aligned } else { len };
        (head, (len - head) / 8, (len - head) % 8)
    }
}

/// One octet of the mapping.
///
/// # Safety
/// `pointer` lies in the mapping of the `MappedMemory` that `'a` borrows.
unsafe fn octet<'a>(pointer: *mut u8) -> &'a AtomicU8 {
    // SAFETY: valid for `'a` by the caller's promise, an octet is always aligned. Aliasing: as in `word`; accesses of other
    // sizes to the same octets are ordered with this one, because a buffer is used by one thread at a time, or are the
    // device's, which is no part of this program.
    unsafe { AtomicU8::from_ptr(pointer) }
}

/// As [`octet`], eight of them.
///
/// # Safety
/// The eight octets lie in the mapping, and `pointer` is aligned to eight.
unsafe fn eight<'a>(pointer: *mut u8) -> &'a AtomicU64 {
    // SAFETY: as in `octet`, with the alignment by the caller's promise.
    unsafe { AtomicU64::from_ptr(pointer.cast()) }
}

// Ordering of all below: copies are relaxed and become ordered by the words around them. A driver that loads a word with
// `load32` (acquire) and then copies sees what the device wrote before the word; one that copies and then stores a word
// with `store32` (release) has the copy seen first. The fence before a doorbell is the transport's own.
impl DmaMemory for MappedMemory {
    fn len(&self) -> usize {
        self.map.len()
    }

    fn read(&self, at: usize, octets: &mut [u8]) -> Option<()> {
        let start = self.pointer(at, octets.len())?;
        let (head, words, tail) = Self::split(at, octets.len());
        for (i, to) in octets[..head].iter_mut().enumerate() {
            // SAFETY: `head` octets from `start` on lie in the mapping.
            *to = unsafe { octet(start.wrapping_add(i)) }.load(Ordering::Relaxed);
        }
        let aligned = start.wrapping_add(head);
        let (middle, end) = octets[head..].split_at_mut(words * 8);
        for (i, to) in middle.chunks_exact_mut(8).enumerate() {
            // SAFETY: `words` words from `aligned` on lie in the mapping, which begins at a page; `aligned` is a multiple of
            // eight octets from there.
            let word = unsafe { eight(aligned.wrapping_add(i * 8)) }.load(Ordering::Relaxed);
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let rest = aligned.wrapping_add(words * 8);
        for (i, to) in end.iter_mut().enumerate().take(tail) {
            // SAFETY: `tail` octets from `rest` on are the range's last.
            *to = unsafe { octet(rest.wrapping_add(i)) }.load(Ordering::Relaxed);
        }
        Some(())
    }

    fn write(&self, at: usize, octets: &[u8]) -> Option<()> {
        let start = self.pointer(at, octets.len())?;
        let (head, words, _) = Self::split(at, octets.len());
        for (i, from) in octets[..head].iter().enumerate() {
            // SAFETY: `head` octets from `start` on lie in the mapping.
            unsafe { octet(start.wrapping_add(i)) }.store(*from, Ordering::Relaxed);
        }
        let aligned = start.wrapping_add(head);
        let (middle, end) = octets[head..].split_at(words * 8);
        for (i, from) in middle.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: as for reading.
            unsafe { eight(aligned.wrapping_add(i * 8)) }.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
        }
        let rest = aligned.wrapping_add(words * 8);
        for (i, from) in end.iter().enumerate() {
            // SAFETY: as for reading.
            unsafe { octet(rest.wrapping_add(i)) }.store(*from, Ordering::Relaxed);
        }
        Some(())
    }

    fn load32(&self, at: usize) -> Option<u32> {
        let value = self.word(at)?.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        Some(u32::from_le(value))
    }

    fn store32(&self, at: usize, value: u32) -> Option<()> {
        fence(Ordering::Release);
        self.word(at)?.store(value.to_le(), Ordering::Relaxed);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_at_every_alignment_and_nothing_beside_them_changes() {
        let memory = MappedMemory::new(4096, HugePages::Never).unwrap();
        assert_eq!(memory.len() % rustix::param::page_size(), 0);
        for at in 0..24 {
            for len in 0..40 {
                memory.write(0, &[0xEE; 96]).unwrap();
                let octets: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5A).collect();
                memory.write(at, &octets).unwrap();
                let mut all = [0; 96];
                memory.read(0, &mut all).unwrap();
                assert!(all[..at].iter().chain(&all[at + len..]).all(|&o| o == 0xEE));
                assert_eq!(all[at..at + len], octets);
                let mut back = vec![0; len];
                memory.read(at, &mut back).unwrap();
                assert_eq!(back, octets);
            }
        }
    }

    #[test]
    fn words_are_little_endian_and_need_their_alignment() {
        let memory = MappedMemory::new(64, HugePages::WhereAvailable).unwrap();
        memory.store32(8, 0x0403_0201).unwrap();
        let mut octets = [0; 4];
        memory.read(8, &mut octets).unwrap();
        assert_eq!(octets, [1, 2, 3, 4]);
        assert_eq!(memory.load32(8), Some(0x0403_0201));
        assert_eq!(memory.load32(6), None);
        assert_eq!(memory.store32(6, 1), None);
    }

    #[test]
    fn nothing_outside_is_reached() {
        let memory = MappedMemory::new(4096, HugePages::Never).unwrap();
        let len = memory.len();
        let mut two = [0; 2];
        assert!(memory.read(len - 2, &mut two).is_some());
        assert!(memory.read(len - 1, &mut two).is_none());
        assert!(memory.write(usize::MAX, &two).is_none());
        assert!(memory.load32(len).is_none());
        assert!(memory.store32(len - 3, 0).is_none());
        assert!(MappedMemory::new(usize::MAX, HugePages::WhereAvailable).is_err());
    }

    #[test]
    fn who_maps_the_file_sees_the_same_memory() {
        let memory = MappedMemory::new(4096, HugePages::Never).unwrap();
        memory.write(100, b"from the driver").unwrap();
        let other = MmapOptions::new().len(4096).map_raw(memory.file()).unwrap();
        // SAFETY: fifteen octets at 100 lie in the mapping, and nobody else writes them meanwhile.
        let seen: [u8; 15] = unsafe { other.as_ptr().add(100).cast::<[u8; 15]>().read_volatile() };
        assert_eq!(&seen, b"from the driver");
    }
}
