//! The calls to VFIO for which `vfio-ioctls` has no safe or no complete wrapper.
#![allow(unsafe_code)]

use crate::dma::DmaMemory;
use crate::dma::mapped::MappedMemory;
use rustix::ioctl::{NoArg, ioctl, opcode};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::sync::Arc;
use vfio_ioctls::{VfioDevice, VfioError, VfioOps};
use vmm_sys_util::eventfd::EventFd;

/// `VFIO_DEVICE_RESET`: `_IO(VFIO_TYPE, VFIO_BASE + 11)` of `linux/vfio.h`.
const DEVICE_RESET: rustix::ioctl::Opcode = opcode::none(b';', 111);

/// A mapping for the device; it is taken back when this is dropped. Holds the memory and the device's address space for as long.
pub(super) struct DmaMapping {
    memory: Arc<MappedMemory>,
    space: Arc<dyn VfioOps>,
    iova: u64,
}

impl DmaMapping {
    pub(super) fn new(space: Arc<dyn VfioOps>, memory: Arc<MappedMemory>, iova: u64) -> Result<Self, VfioError> {
        // SAFETY: until it is unmapped, by `drop` or with the address space, the memory stays mapped here, because `self` holds
        // it; and `MappedMemory` accesses it by atomic operations on raw pointers only.
        unsafe { space.vfio_dma_map(iova, memory.len(), memory.address())? };
        Ok(Self { memory, space, iova })
    }
}

impl Drop for DmaMapping {
    fn drop(&mut self) {
        if let Err(error) = self.space.vfio_dma_unmap(self.iova, self.memory.len()) {
            tracing::error!(%error, "DMA memory could not be unmapped; it is when the device is closed");
        }
    }
}

/// The device's file, for positioned reads and writes whose errors are told, and for mapping BARs.
pub(super) fn file(device: &VfioDevice) -> io::Result<File> {
    // SAFETY: the descriptor is open for as long as `device` is borrowed, which is longer than this borrow of it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) };
    borrowed.try_clone_to_owned().map(File::from)
}

/// An event descriptor in the type that `vfio-ioctls` takes.
pub(super) fn event(descriptor: BorrowedFd<'_>) -> io::Result<EventFd> {
    let descriptor = descriptor.try_clone_to_owned()?.into_raw_fd();
    // SAFETY: the descriptor was duplicated for this value alone, which closes it.
    Ok(unsafe { EventFd::from_raw_fd(descriptor) })
}

/// Resets the function.
pub(super) fn reset(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and touches no memory of this process; on a file that is no VFIO device the
    // kernel refuses it.
    let done = unsafe { ioctl(device, NoArg::<DEVICE_RESET>::new()) };
    Ok(done?)
}
