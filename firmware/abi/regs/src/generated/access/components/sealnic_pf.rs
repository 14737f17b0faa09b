//! Addrmap: SealNIC PF BAR0

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

// Anonymous component instances
pub mod abi_version;
pub mod cap_associations;
pub mod cap_counters;
pub mod cap_flows;
pub mod cap_mailbox;
pub mod cap_mappings;
pub mod cap_ports;
pub mod cap_receive_epochs;
pub mod cap_replay_window;
pub mod cap_rings;
pub mod cap_sas;
pub mod cap_vnets;
pub mod control;
pub mod counter_snapshot;
pub mod device_id;
pub mod generation_hi;
pub mod generation_lo;
pub mod irq_cause;
pub mod irq_mask;
pub mod magic;
pub mod mailbox_doorbell;
pub mod mailbox_response_len;
pub mod mailbox_status;
pub mod status;

// Instances of named component types
pub use _root::components::ring_rf as command_ring;
pub use _root::components::ring_rf as event_ring;
pub use _root::components::ring_rf as host_receive_ring;
pub use _root::components::ring_rf as host_transmit_ring;

/// SealNIC PF BAR0
///
/// Management registers of the physical function. 16 KiB, 32-bit little-endian accesses only.
#[derive(Eq, PartialEq)]
pub struct SealnicPf<'io, IO = peakrdl_rust::io::PtrIO> {
    ptr: *mut u8,
    io: &'io IO,
}

unsafe impl<IO: Sync> Send for SealnicPf<'_, IO> {}
unsafe impl<IO: Sync> Sync for SealnicPf<'_, IO> {}

// manually implement Copy to ease generic bounds
// (IO does not need to be Copy)
impl<IO> Copy for SealnicPf<'_, IO> {}

// manually implement Clone to ease generic bounds
// (IO does not need to be Clone)
impl<IO> Clone for SealnicPf<'_, IO> {
    fn clone(&self) -> Self {
        *self
    }
}

impl SealnicPf<'static> {
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

impl<'io, IO> SealnicPf<'io, IO> {
    /// Size in bytes of the underlying memory
    pub const SIZE: usize = 0x1EC;

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

impl<'io, IO: peakrdl_rust::io::RegisterIO> SealnicPf<'io, IO> {
    /// Magic
    ///
    /// Tells a SealNIC from anything else. A driver that reads another value stops.
    #[inline(always)]
    #[must_use]
    pub const fn magic(&self) -> peakrdl_rust::reg::Reg<'io, magic::Magic, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x0).cast(), self.io) }
    }

    /// Device identity
    ///
    /// Which device this is.
    #[inline(always)]
    #[must_use]
    pub const fn device_id(&self) -> peakrdl_rust::reg::Reg<'io, device_id::DeviceId, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x4).cast(), self.io) }
    }

    /// ABI version
    ///
    /// Version of everything that device and driver agree on. A driver refuses a device whose major version it does not know.
    #[inline(always)]
    #[must_use]
    pub const fn abi_version(&self) -> peakrdl_rust::reg::Reg<'io, abi_version::AbiVersion, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x8).cast(), self.io) }
    }

    /// Capability: flows
    ///
    /// Size of the flow table.
    #[inline(always)]
    #[must_use]
    pub const fn cap_flows(&self) -> peakrdl_rust::reg::Reg<'io, cap_flows::CapFlows, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x10).cast(), self.io) }
    }

    /// Capability: associations
    ///
    /// Size of the association table.
    #[inline(always)]
    #[must_use]
    pub const fn cap_associations(&self) -> peakrdl_rust::reg::Reg<'io, cap_associations::CapAssociations, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x14).cast(), self.io) }
    }

    /// Capability: SAs
    ///
    /// Size of the key store.
    #[inline(always)]
    #[must_use]
    pub const fn cap_sas(&self) -> peakrdl_rust::reg::Reg<'io, cap_sas::CapSas, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x18).cast(), self.io) }
    }

    /// Capability: ports
    ///
    /// Number of virtual functions' attachments.
    #[inline(always)]
    #[must_use]
    pub const fn cap_ports(&self) -> peakrdl_rust::reg::Reg<'io, cap_ports::CapPorts, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x1C).cast(), self.io) }
    }

    /// Capability: mappings
    ///
    /// Size of the mapping table.
    #[inline(always)]
    #[must_use]
    pub const fn cap_mappings(&self) -> peakrdl_rust::reg::Reg<'io, cap_mappings::CapMappings, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x20).cast(), self.io) }
    }

    /// Capability: virtual networks
    ///
    /// Size of the table of virtual networks.
    #[inline(always)]
    #[must_use]
    pub const fn cap_vnets(&self) -> peakrdl_rust::reg::Reg<'io, cap_vnets::CapVnets, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x24).cast(), self.io) }
    }

    /// Capability: replay window
    ///
    /// Longest replay window that an SA may ask for.
    #[inline(always)]
    #[must_use]
    pub const fn cap_replay_window(&self) -> peakrdl_rust::reg::Reg<'io, cap_replay_window::CapReplayWindow, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x28).cast(), self.io) }
    }

    /// Capability: receive epochs
    ///
    /// How many receive epochs of one association may be live at once.
    #[inline(always)]
    #[must_use]
    pub const fn cap_receive_epochs(&self) -> peakrdl_rust::reg::Reg<'io, cap_receive_epochs::CapReceiveEpochs, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x2C).cast(), self.io) }
    }

    /// Capability: mailbox
    ///
    /// Longest messages that the mailbox takes and gives. Never more than the windows hold.
    #[inline(always)]
    #[must_use]
    pub const fn cap_mailbox(&self) -> peakrdl_rust::reg::Reg<'io, cap_mailbox::CapMailbox, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x30).cast(), self.io) }
    }

    /// Capability: counters
    ///
    /// How much of the counter window means something.
    #[inline(always)]
    #[must_use]
    pub const fn cap_counters(&self) -> peakrdl_rust::reg::Reg<'io, cap_counters::CapCounters, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x34).cast(), self.io) }
    }

    /// Capability: rings
    ///
    /// What the rings in host memory take. All zero when the device reaches no host memory: then there is the mailbox alone.
    #[inline(always)]
    #[must_use]
    pub const fn cap_rings(&self) -> peakrdl_rust::reg::Reg<'io, cap_rings::CapRings, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x38).cast(), self.io) }
    }

    /// Control
    ///
    /// Starts and stops the device.
    #[inline(always)]
    #[must_use]
    pub const fn control(&self) -> peakrdl_rust::reg::Reg<'io, control::Control, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x40).cast(), self.io) }
    }

    /// Status
    ///
    /// State of the device.
    #[inline(always)]
    #[must_use]
    pub const fn status(&self) -> peakrdl_rust::reg::Reg<'io, status::Status, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x44).cast(), self.io) }
    }

    /// Generation, low half
    ///
    /// Random number drawn at each reset. Every installation of an SA carries it and is refused when it is not the current one.
    #[inline(always)]
    #[must_use]
    pub const fn generation_lo(&self) -> peakrdl_rust::reg::Reg<'io, generation_lo::GenerationLo, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x48).cast(), self.io) }
    }

    /// Generation, high half
    ///
    /// The other half of the generation. It only changes in a reset: read high, low, high and begin again when the two reads of the high half differ.
    #[inline(always)]
    #[must_use]
    pub const fn generation_hi(&self) -> peakrdl_rust::reg::Reg<'io, generation_hi::GenerationHi, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x4C).cast(), self.io) }
    }

    /// Interrupt cause
    ///
    /// What happened since the cause was last cleared. Writing 1 to a bit clears it; a bit whose reason persists is set again at once. A vector is signalled whenever its cause occurs while its mask bit is 0, whether or not the bit here was cleared before.
    #[inline(always)]
    #[must_use]
    pub const fn irq_cause(&self) -> peakrdl_rust::reg::Reg<'io, irq_cause::IrqCause, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x60).cast(), self.io) }
    }

    /// Interrupt mask
    ///
    /// A cause signals its vector only while its bit here is 0; clearing the bit while the cause is set signals it. All causes are masked after a reset.
    #[inline(always)]
    #[must_use]
    pub const fn irq_mask(&self) -> peakrdl_rust::reg::Reg<'io, irq_mask::IrqMask, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x64).cast(), self.io) }
    }

    /// Mailbox doorbell
    ///
    /// Writing it hands the request that stands in the request window to the device. While MAILBOX_STATUS.busy is set both windows belong to the device.
    #[inline(always)]
    #[must_use]
    pub const fn mailbox_doorbell(&self) -> peakrdl_rust::reg::Reg<'io, mailbox_doorbell::MailboxDoorbell, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x80).cast(), self.io) }
    }

    /// Mailbox status
    ///
    /// Where the last request stands. Exactly one of busy, done and error is set after the first doorbell.
    #[inline(always)]
    #[must_use]
    pub const fn mailbox_status(&self) -> peakrdl_rust::reg::Reg<'io, mailbox_status::MailboxStatus, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x84).cast(), self.io) }
    }

    /// Mailbox response length
    ///
    /// Valid while MAILBOX_STATUS.done is set.
    #[inline(always)]
    #[must_use]
    pub const fn mailbox_response_len(
        &self,
    ) -> peakrdl_rust::reg::Reg<'io, mailbox_response_len::MailboxResponseLen, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0x88).cast(), self.io) }
    }

    /// Counter snapshot
    ///
    /// The counter window shows a copy, so that both halves of a counter, and all counters, belong to one moment.
    #[inline(always)]
    #[must_use]
    pub const fn counter_snapshot(&self) -> peakrdl_rust::reg::Reg<'io, counter_snapshot::CounterSnapshot, IO> {
        unsafe { peakrdl_rust::reg::Reg::from_ptr_with(self.ptr.wrapping_byte_add(0xA0).cast(), self.io) }
    }

    /// Ring
    ///
    /// A ring in host memory.
    #[inline(always)]
    #[must_use]
    pub const fn command_ring(&self) -> command_ring::RingRf<'io, IO> {
        unsafe { command_ring::RingRf::from_ptr_with(self.ptr.wrapping_byte_add(0x100).cast(), self.io) }
    }

    /// Ring
    ///
    /// A ring in host memory.
    #[inline(always)]
    #[must_use]
    pub const fn event_ring(&self) -> event_ring::RingRf<'io, IO> {
        unsafe { event_ring::RingRf::from_ptr_with(self.ptr.wrapping_byte_add(0x140).cast(), self.io) }
    }

    /// Ring
    ///
    /// A ring in host memory.
    #[inline(always)]
    #[must_use]
    pub const fn host_receive_ring(&self) -> host_receive_ring::RingRf<'io, IO> {
        unsafe { host_receive_ring::RingRf::from_ptr_with(self.ptr.wrapping_byte_add(0x180).cast(), self.io) }
    }

    /// Ring
    ///
    /// A ring in host memory.
    #[inline(always)]
    #[must_use]
    pub const fn host_transmit_ring(&self) -> host_transmit_ring::RingRf<'io, IO> {
        unsafe { host_transmit_ring::RingRf::from_ptr_with(self.ptr.wrapping_byte_add(0x1C0).cast(), self.io) }
    }
}
