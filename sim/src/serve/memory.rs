//! A client's memory, reached through the files it handed over.
//!
//! Accesses are `pread` and `pwrite`, never a mapping: a client that truncates its file gets a DMA fault, where a mapping
//! would kill the server, and a file that could make an access wait is refused.

use super::message::Refusal;
use rustix::fs::{OFlags, fcntl_get_seals, fcntl_getfl};
use sealnic_hw_model::DmaFault;
use sealnic_hw_model::pci::{Backing, BackingFault, IommuSpace, MapError, Permissions};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Weak};

/// Most mappings at a time; a client with 4 KiB pages reaches 256 MiB with them. Told to the client; QEMU takes no greater number.
pub(crate) const MAX_MAPPINGS: usize = 65_535;
/// Most files behind a client's mappings: each is held open, and the process has only so many. A VMM has one for each piece of its RAM.
const MAX_FILES: usize = 64;
/// Octets at the end of a write that are written last.
const LAST: usize = 4;

/// Where device addresses lead.
pub(crate) struct ClientMemory {
    space: IommuSpace,
    /// Files that mappings use: thousands of mappings share the file of a machine's memory.
    files: HashMap<FileKey, Weak<MemoryFile>>,
}

impl Default for ClientMemory {
    fn default() -> Self {
        Self {
            space: IommuSpace::new(MAX_MAPPINGS),
            files: HashMap::new(),
        }
    }
}

/// Device, inode, and whether it was opened for writing.
type FileKey = (u64, u64, bool);

/// A file of memory that the client handed over.
struct MemoryFile(File);

impl Backing for MemoryFile {
    fn read(&self, offset: u64, octets: &mut [u8]) -> Result<(), BackingFault> {
        self.0.read_exact_at(octets, offset).map_err(|_| BackingFault)
    }

    /// The last octets become visible after all the others, as those of a PCIe write do: a driver that polls a completion's last word
    /// may read the rest when it sees that.
    fn write(&self, offset: u64, octets: &[u8]) -> Result<(), BackingFault> {
        let (first, last) = octets.split_at(octets.len().saturating_sub(LAST));
        self.0
            .write_all_at(first, offset)
            .and_then(|()| self.0.write_all_at(last, offset + first.len() as u64))
            .map_err(|_| BackingFault)
    }
}

/// Memory that a client has and can't share.
struct Withheld;

impl Backing for Withheld {
    fn read(&self, _offset: u64, _octets: &mut [u8]) -> Result<(), BackingFault> {
        Err(BackingFault)
    }

    fn write(&self, _offset: u64, _octets: &[u8]) -> Result<(), BackingFault> {
        Err(BackingFault)
    }
}

impl From<MapError> for Refusal {
    fn from(error: MapError) -> Self {
        match error {
            MapError::BadRange => Self::Invalid,
            MapError::Overlap => Self::Exists,
            MapError::TooMany => Self::Full,
        }
    }
}

impl ClientMemory {
    /// Maps `len` octets from `iova` on to a file from `offset` on; without one nothing is reached there.
    pub(crate) fn map(
        &mut self,
        iova: u64,
        len: u64,
        permissions: Permissions,
        file: Option<OwnedFd>,
        offset: u64,
    ) -> Result<(), Refusal> {
        if !(permissions.read || permissions.write) {
            return Err(Refusal::Invalid);
        }
        let backing: Arc<dyn Backing> = match file {
            Some(file) => self.keep(File::from(file), permissions, offset, len)?,
            None => Arc::new(Withheld),
        };
        Ok(self.space.map(iova, len, backing, offset, permissions)?)
    }

    /// The file, or the one that was handed over earlier and is the same.
    fn keep(
        &mut self,
        file: File,
        permissions: Permissions,
        offset: u64,
        len: u64,
    ) -> Result<Arc<MemoryFile>, Refusal> {
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
        let file = Arc::new(MemoryFile(file));
        self.files.insert(key, Arc::downgrade(&file));
        Ok(file)
    }

    /// Unmaps all mappings within `len` octets from `iova` on. One that lies partly outside is refused, and all stay.
    pub(crate) fn unmap(&mut self, iova: u64, len: u64) -> Result<(), Refusal> {
        if self.space.cuts(iova, len)? {
            return Err(Refusal::Invalid);
        }
        self.space.unmap(iova, len)?;
        Ok(())
    }

    /// Unmaps everything.
    pub(crate) fn clear(&mut self) {
        self.space.clear();
        self.files.clear();
    }

    /// Reads from `iova` on.
    pub(crate) fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        self.space.read(iova, octets)
    }

    /// Writes from `iova` on.
    pub(crate) fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        self.space.write(iova, octets)
    }
}
