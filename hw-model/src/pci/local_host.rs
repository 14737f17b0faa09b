//! A host in the same process: memory behind an IOMMU, and interrupts that are counted.

use crate::host_port::{DmaFault, HostPort};
use crate::pci::iommu::{Backing, FaultRecord, IommuSpace, MapError, Permissions, SharedMemory};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A host in the same process. Its clones are the same host: one is plugged into a device, another stays with the host's side.
#[derive(Clone, Default)]
pub struct LocalHost(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    space: IommuSpace,
    /// Interrupts since they were last taken, by vector.
    interrupts: Vec<u64>,
}

impl LocalHost {
    /// A host that has given nothing away.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One change or access at a time; whoever panicked left none half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the device `len` octets of new memory from `iova` on; whole pages.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn give(&self, iova: u64, len: usize, permissions: Permissions) -> Result<SharedMemory, MapError> {
        let memory = SharedMemory::new(len);
        self.map(iova, len as u64, Arc::new(memory.clone()), 0, permissions)?;
        Ok(memory)
    }

    /// Maps memory for the device; see [`IommuSpace::map`].
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn map(
        &self,
        iova: u64,
        len: u64,
        backing: Arc<dyn Backing>,
        offset: u64,
        permissions: Permissions,
    ) -> Result<(), MapError> {
        self.state().space.map(iova, len, backing, offset, permissions)
    }

    /// Takes memory away: once this returns, the device doesn't touch it. See [`IommuSpace::unmap`].
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn unmap(&self, iova: u64, len: u64) -> Result<u64, MapError> {
        self.state().space.unmap(iova, len)
    }

    /// The device's last refused accesses, oldest first.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultRecord> {
        self.state().space.faults().copied().collect()
    }

    /// How often a vector was signalled since this was last asked.
    #[must_use]
    pub fn take_interrupts(&self, vector: u16) -> u64 {
        let mut state = self.state();
        state.interrupts.get_mut(usize::from(vector)).map_or(0, std::mem::take)
    }
}

impl HostPort for LocalHost {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        self.state().space.read(iova, octets)
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        self.state().space.write(iova, octets)
    }

    fn interrupt(&mut self, vector: u16) {
        let mut state = self.state();
        let index = usize::from(vector);
        if state.interrupts.len() <= index {
            state.interrupts.resize(index + 1, 0);
        }
        state.interrupts[index] += 1;
    }
}
