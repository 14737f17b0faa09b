//! Regfile: Ring

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

// Anonymous component instances
pub mod completions_hi;
pub mod completions_lo;
pub mod control;
pub mod descriptors_hi;
pub mod descriptors_lo;
pub mod doorbell;
pub mod fault_iova_hi;
pub mod fault_iova_lo;
pub mod head;
pub mod size;
pub mod status;

/// Ring
///
/// A ring in host memory.
#[derive(Eq, PartialEq)]
pub struct RingRf<'io, IO = peakrdl_rust::io::PtrIO> {
    ptr: *mut u8,
    io: &'io IO,
}

unsafe impl<IO: Sync> Send for RingRf<'_, IO> {}
unsafe impl<IO: Sync> Sync for RingRf<'_, IO> {}

// manually implement Copy to ease generic bounds
// (IO does not need to be Copy)
impl<IO> Copy for RingRf<'_, IO> {}

// manually implement Clone to ease generic bounds
// (IO does not need to be Clone)
impl<IO> Clone for RingRf<'_, IO> {
    fn clone(&self) -> Self {
        *self
    }
}

impl RingRf<'static> {
    /// # Safety
    ///
    /// The caller must guarantee that the provided address points to a
    /// hardware register block implementing this interface.
    #[inline(always)]
    #[must_use]
    pub const unsafe fn from_ptr(ptr: *mut ()) -> Self {
        Self {
            ptr: ptr.cast::<u8>(),
            io: &peakrdl_rust::io::PtrIO,
        }
    }
}

impl<'io, IO> RingRf<'io, IO> {
    /// Size in bytes of the underlying memory
    pub const SIZE: usize = 0x2C;

    /// # Safety
    ///
    /// The caller must guarantee that the provided address points to a
    /// hardware register block implementing this interface.
    #[inline(always)]
    #[must_use]
    pub const unsafe fn from_ptr_with(ptr: *mut (), io: &'io IO) -> Self {
        Self {
            ptr: ptr.cast::<u8>(),
            io,
        }
    }

    #[inline(always)]
    #[must_use]
    pub const fn as_ptr(&self) -> *mut () {
        self.ptr.cast::<()>()
    }
}

impl<'io, IO: peakrdl_rust::io::RegisterIO> RingRf<'io, IO> {
    /// Descriptor array, low half
    ///
    /// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
    #[inline(always)]
    #[must_use]
    pub const fn descriptors_lo(&self) -> peakrdl_rust::reg::Reg<'io, descriptors_lo::DescriptorsLo, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x0).cast(), self.io) }
    }

    /// Descriptor array, high half
    ///
    /// The other half of the IOVA.
    #[inline(always)]
    #[must_use]
    pub const fn descriptors_hi(&self) -> peakrdl_rust::reg::Reg<'io, descriptors_hi::DescriptorsHi, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x4).cast(), self.io) }
    }

    /// Completion array, low half
    ///
    /// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
    #[inline(always)]
    #[must_use]
    pub const fn completions_lo(&self) -> peakrdl_rust::reg::Reg<'io, completions_lo::CompletionsLo, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x8).cast(), self.io) }
    }

    /// Completion array, high half
    ///
    /// The other half of the IOVA.
    #[inline(always)]
    #[must_use]
    pub const fn completions_hi(&self) -> peakrdl_rust::reg::Reg<'io, completions_hi::CompletionsHi, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0xC).cast(), self.io) }
    }

    /// Ring size
    ///
    /// How many entries each array has. Taken when the ring is enabled.
    #[inline(always)]
    #[must_use]
    pub const fn size(&self) -> peakrdl_rust::reg::Reg<'io, size::Size, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x10).cast(), self.io) }
    }

    /// Ring control
    ///
    /// Starts and stops the ring.
    #[inline(always)]
    #[must_use]
    pub const fn control(&self) -> peakrdl_rust::reg::Reg<'io, control::Control, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x14).cast(), self.io) }
    }

    /// Ring status
    ///
    /// State of the ring.
    #[inline(always)]
    #[must_use]
    pub const fn status(&self) -> peakrdl_rust::reg::Reg<'io, status::Status, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x18).cast(), self.io) }
    }

    /// Ring doorbell
    ///
    /// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
    #[inline(always)]
    #[must_use]
    pub const fn doorbell(&self) -> peakrdl_rust::reg::Reg<'io, doorbell::Doorbell, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x1C).cast(), self.io) }
    }

    /// Ring head
    ///
    /// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
    #[inline(always)]
    #[must_use]
    pub const fn head(&self) -> peakrdl_rust::reg::Reg<'io, head::Head, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x20).cast(), self.io) }
    }

    /// Fault address, low half
    ///
    /// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
    #[inline(always)]
    #[must_use]
    pub const fn fault_iova_lo(&self) -> peakrdl_rust::reg::Reg<'io, fault_iova_lo::FaultIovaLo, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x24).cast(), self.io) }
    }

    /// Fault address, high half
    ///
    /// The other half of the IOVA.
    #[inline(always)]
    #[must_use]
    pub const fn fault_iova_hi(&self) -> peakrdl_rust::reg::Reg<'io, fault_iova_hi::FaultIovaHi, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x28).cast(), self.io) }
    }
}
