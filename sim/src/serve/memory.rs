//! A client's memory, reached through the files it handed over.
//!
//! Accesses are `pread` and `pwrite`, never a mapping: a client that truncates its file gets a DMA fault, where a mapping
//! would kill the server, and a file that could make an access wait is refused.

use super::message::Refusal;
use rustix::fs::{OFlags, fcntl_get_seals, fcntl_getfl};
use sealnic_hw_model::DmaFault;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Weak};

/// Granule of mappings in octets.
const PAGE: u64 = 4096;
/// Most mappings at a time; a client with 4 KiB pages reaches 256 MiB with them. Told to the client; QEMU takes no greater number.
pub(crate) const MAX_MAPPINGS: usize = 65_535;
/// Most files behind a client's mappings: each is held open, and the process has only so many. A VMM has one for each piece of its RAM.
const MAX_FILES: usize = 64;
/// Octets at the end of a write that are written last.
const LAST: usize = 4;

/// How the device may use a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// Where device addresses lead.
#[derive(Default)]
pub(crate) struct ClientMemory {
    /// By first address; they don't overlap.
    mappings: BTreeMap<u64, Mapping>,
    /// Files that mappings use: thousands of mappings share the file of a machine's memory.
    files: HashMap<FileKey, Weak<File>>,
}

struct Mapping {
    /// Last address, so that the end of the address space can be mapped.
    last: u64,
    permissions: Permissions,
    /// Without one nothing is reached: a client says so of memory that it can't share.
    backing: Option<Backing>,
}

struct Backing {
    file: Arc<File>,
    offset: u64,
}

/// Device, inode, and whether it was opened for writing.
type FileKey = (u64, u64, bool);

impl ClientMemory {
    /// Maps `len` octets from `iova` on to a file from `offset` on.
    pub(crate) fn map(
        &mut self,
        iova: u64,
        len: u64,
        permissions: Permissions,
        file: Option<OwnedFd>,
        offset: u64,
    ) -> Result<(), Refusal> {
        let last = last_of(iova, len)?;
        if [iova, len, offset].iter().any(|value| !value.is_multiple_of(PAGE))
            || !(permissions.read || permissions.write)
        {
            return Err(Refusal::Invalid);
        }
        let before = self.mappings.range(..=last).next_back();
        if before.is_some_and(|(_, mapping)| mapping.last >= iova) {
            return Err(Refusal::Exists);
        }
        if self.mappings.len() >= MAX_MAPPINGS {
            return Err(Refusal::Full);
        }
        let backing = match file {
            Some(file) => Some(Backing {
                file: self.keep(File::from(file), permissions, offset, len)?,
                offset,
            }),
            None => None,
        };
        let mapping = Mapping {
            last,
            permissions,
            backing,
        };
        self.mappings.insert(iova, mapping);
        Ok(())
    }

    /// The file, or the one that was handed over earlier and is the same.
    fn keep(&mut self, file: File, permissions: Permissions, offset: u64, len: u64) -> Result<Arc<File>, Refusal> {
        // Only memory files have seals. Nothing else is sure not to make an access wait: a pipe, a terminal, a network file.
        fcntl_get_seals(&file).map_err(|_| Refusal::BadFile)?;
        let mode = fcntl_getfl(&file).map_err(|_| Refusal::BadFile)? & OFlags::RWMODE;
        let writable = mode != OFlags::RDONLY;
        let fits = |len_of_file| offset.checked_add(len).is_some_and(|end| end <= len_of_file);
        let metadata = file.metadata().map_err(|_| Refusal::BadFile)?;
        if mode == OFlags::WRONLY || (permissions.write && !writable) || !fits(metadata.len()) {
            return Err(Refusal::BadFile);
        }
        // Files of huge pages can't be written this way: better said now than by a fault later.
        if permissions.write && rustix::io::pwrite(&file, &[], 0).is_err() {
            return Err(Refusal::BadFile);
        }
        let key = (metadata.dev(), metadata.ino(), writable);
        if let Some(known) = self.files.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        self.files.retain(|_, file| file.strong_count() != 0);
        if self.files.len() >= MAX_FILES {
            return Err(Refusal::Full);
        }
        let file = Arc::new(file);
        self.files.insert(key, Arc::downgrade(&file));
        Ok(file)
    }

    /// Unmaps all mappings within `len` octets from `iova` on. One that lies partly outside is refused, and all stay.
    pub(crate) fn unmap(&mut self, iova: u64, len: u64) -> Result<(), Refusal> {
        let last = last_of(iova, len)?;
        let sticks_out_before = self
            .mappings
            .range(..iova)
            .next_back()
            .is_some_and(|(_, m)| m.last >= iova);
        let sticks_out_behind = self
            .mappings
            .range(iova..=last)
            .next_back()
            .is_some_and(|(_, m)| m.last > last);
        if sticks_out_before || sticks_out_behind {
            return Err(Refusal::Invalid);
        }
        self.mappings.extract_if(iova..=last, |_, _| true).for_each(drop);
        Ok(())
    }

    /// Unmaps everything.
    pub(crate) fn clear(&mut self) {
        self.mappings.clear();
        self.files.clear();
    }

    /// Reads from `iova` on.
    pub(crate) fn read(&self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let pieces = self.pieces(iova, octets.len(), |permissions| permissions.read)?;
        let mut rest = octets;
        for (file, offset, len) in pieces {
            let (piece, behind) = rest.split_at_mut(len);
            file.read_exact_at(piece, offset).map_err(|_| DmaFault::Backing)?;
            rest = behind;
        }
        Ok(())
    }

    /// Writes from `iova` on. The last octets become visible after all the others, as those of a PCIe write do: a driver that polls a
    /// completion's last word may read the rest when it sees that.
    pub(crate) fn write(&self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let pieces = self.pieces(iova, octets.len(), |permissions| permissions.write)?;
        let mut rest = octets;
        for (index, (file, offset, len)) in pieces.iter().enumerate() {
            let (piece, behind) = rest.split_at(*len);
            let is_last = index + 1 == pieces.len();
            let (first, last) = piece.split_at(if is_last { len.saturating_sub(LAST) } else { *len });
            file.write_all_at(first, *offset).map_err(|_| DmaFault::Backing)?;
            file.write_all_at(last, *offset + first.len() as u64)
                .map_err(|_| DmaFault::Backing)?;
            rest = behind;
        }
        Ok(())
    }

    /// The files, offsets and lengths that make up a range, when all of it may be used like that.
    fn pieces(
        &self,
        iova: u64,
        len: usize,
        permitted: impl Fn(Permissions) -> bool,
    ) -> Result<Vec<(&File, u64, usize)>, DmaFault> {
        let mut pieces = Vec::new();
        if len == 0 {
            return Ok(pieces);
        }
        let end = iova.checked_add(len as u64 - 1).ok_or(DmaFault::NotMapped)?;
        let mut at = iova;
        loop {
            let (start, mapping) = self.mappings.range(..=at).next_back().ok_or(DmaFault::NotMapped)?;
            if mapping.last < at {
                return Err(DmaFault::NotMapped);
            }
            if !permitted(mapping.permissions) {
                return Err(DmaFault::NotPermitted);
            }
            let backing = mapping.backing.as_ref().ok_or(DmaFault::Backing)?;
            let last = mapping.last.min(end);
            let piece = usize::try_from(last - at + 1).map_err(|_| DmaFault::NotMapped)?;
            pieces.push((&*backing.file, backing.offset + (at - start), piece));
            if last == end {
                return Ok(pieces);
            }
            at = last + 1;
        }
    }
}

fn last_of(iova: u64, len: u64) -> Result<u64, Refusal> {
    let beyond_first = len.checked_sub(1).ok_or(Refusal::Invalid)?;
    iova.checked_add(beyond_first).ok_or(Refusal::Invalid)
}
