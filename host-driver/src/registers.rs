//! What the driver knows of the registers, all in this file, through the generated access.

use crate::transport::{Transport, TransportError};
use sealnic_abi::registers::access::components::ring_rf::RingRf;
use sealnic_abi::registers::{
    Bar, BusIo, FaultCode, MailboxError as DoorbellError, RegisterBus, RingError, Window, WindowError, offsets,
};
use sealnic_abi::ring::Ring;
use std::cell::RefCell;

/// The registers of a device, for as long as nobody else needs its transport.
pub(crate) struct Registers<'t, T: Transport + ?Sized> {
    bar: Bar<ExclusiveBus<'t, T>>,
}

/// Where the mailbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailboxState {
    /// No request since the last reset.
    Idle,
    /// The device works on a request; both windows are its own.
    Busy,
    /// The response is in its window.
    Done,
    /// The last doorbell was refused; `None` for a code this driver doesn't know.
    Refused(Option<DoorbellError>),
    /// Bits that exclude each other are set, as when the device is gone and everything reads as ones.
    Inconsistent,
}

/// State of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceStatus {
    pub(crate) ready: bool,
    pub(crate) fault: bool,
    /// `None` for a code this driver doesn't know.
    pub(crate) fault_code: Option<FaultCode>,
}

/// State of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingState {
    pub(crate) running: bool,
    /// `None` for a code this driver doesn't know.
    pub(crate) error: Option<RingError>,
    /// Descriptors taken, or events written.
    pub(crate) head: u16,
    pub(crate) fault_iova: u64,
}

/// What happened since the causes were last cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterruptCauses {
    /// A request was completed.
    pub mailbox_done: bool,
    /// Events wait to be drained.
    pub events_pending: bool,
    /// A frame or record for the host waits.
    pub host_frame_pending: bool,
    /// The device stopped after a fault.
    pub fault: bool,
}

/// What `magic` reads on a SealNIC.
pub(crate) const MAGIC: u32 = offsets::magic::VALUE_RESET;

type Result<V> = core::result::Result<V, TransportError>;

impl<'t, T: Transport + ?Sized> Registers<'t, T> {
    pub(crate) fn new(transport: &'t mut T) -> Self {
        Self {
            bar: Bar::new(ExclusiveBus(RefCell::new(transport))),
        }
    }

    pub(crate) fn magic(&self) -> Result<u32> {
        Ok(self.bar.registers().magic().try_read()?.value())
    }

    /// Major and minor version.
    pub(crate) fn abi_version(&self) -> Result<(u16, u16)> {
        let version = self.bar.registers().abi_version().try_read()?;
        Ok((version.major(), version.minor()))
    }

    /// Longest request and longest response, in octets.
    pub(crate) fn mailbox_limits(&self) -> Result<(u16, u16)> {
        let limits = self.bar.registers().cap_mailbox().try_read()?;
        Ok((limits.request_len(), limits.response_len()))
    }

    pub(crate) fn status(&self) -> Result<DeviceStatus> {
        let status = self.bar.registers().status().try_read()?;
        Ok(DeviceStatus {
            ready: status.ready(),
            fault: status.fault(),
            fault_code: status.fault_code().ok(),
        })
    }

    pub(crate) fn set_enabled(&self, enabled: bool) -> Result<()> {
        self.bar
            .registers()
            .control()
            .try_write(|control| control.set_enable(enabled))
    }

    pub(crate) fn is_enabled(&self) -> Result<bool> {
        Ok(self.bar.registers().control().try_read()?.enable())
    }

    pub(crate) fn soft_reset(&self) -> Result<()> {
        self.bar
            .registers()
            .control()
            .try_write(|control| control.set_soft_reset(true))
    }

    /// Lets the causes through that this driver waits for; events and host frames when their owner asks for them.
    pub(crate) fn unmask_interrupts(&self, events: bool, frames: bool) -> Result<()> {
        self.bar.registers().irq_mask().try_write(|mask| {
            mask.set_mailbox_done(false);
            mask.set_fault(false);
            mask.set_commands_done(false);
            mask.set_events_pending(!events);
            mask.set_host_frame_pending(!frames);
            mask.set_host_frames_taken(!frames);
        })
    }

    pub(crate) fn interrupt_causes(&self) -> Result<InterruptCauses> {
        let cause = self.bar.registers().irq_cause().try_read()?;
        Ok(InterruptCauses {
            mailbox_done: cause.mailbox_done(),
            events_pending: cause.events_pending(),
            host_frame_pending: cause.host_frame_pending(),
            fault: cause.fault(),
        })
    }

    /// A one written clears its cause; the others stay.
    pub(crate) fn clear_mailbox_cause(&self) -> Result<()> {
        self.bar
            .registers()
            .irq_cause()
            .try_write(|cause| cause.set_mailbox_done(true))
    }

    /// As [`clear_mailbox_cause`](Self::clear_mailbox_cause), for what a ring's vector tells.
    pub(crate) fn clear_ring_cause(&self, ring: Ring) -> Result<()> {
        self.bar.registers().irq_cause().try_write(|cause| match ring {
            Ring::Command => cause.set_commands_done(true),
            Ring::Event => cause.set_events_pending(true),
            Ring::HostReceive => cause.set_host_frame_pending(true),
            Ring::HostTransmit => cause.set_host_frames_taken(true),
        })
    }

    pub(crate) fn mailbox_state(&self) -> Result<MailboxState> {
        let status = self.bar.registers().mailbox_status().try_read()?;
        Ok(match (status.busy(), status.done(), status.error()) {
            (false, false, false) => MailboxState::Idle,
            (true, false, false) => MailboxState::Busy,
            (false, true, false) => MailboxState::Done,
            (false, false, true) => MailboxState::Refused(status.error_code().ok()),
            _ => MailboxState::Inconsistent,
        })
    }

    /// Length of the response as the device gives it: it may be anything.
    pub(crate) fn response_len(&self) -> Result<u16> {
        Ok(self.bar.registers().mailbox_response_len().try_read()?.len())
    }

    pub(crate) fn write_request(&self, octets: &[u8]) -> Result<()> {
        window(
            self.bar.write_window(Window::MailboxRequest, 0, octets),
            Window::MailboxRequest,
        )
    }

    pub(crate) fn read_response(&self, octets: &mut [u8]) -> Result<()> {
        window(
            self.bar.read_window(Window::MailboxResponse, 0, octets),
            Window::MailboxResponse,
        )
    }

    /// Greatest number of entries of a ring, and longest frame on the host frame rings in octets; zeros without rings.
    pub(crate) fn ring_limits(&self) -> Result<(u16, u16)> {
        // The first minor version has no rings, and reads as ones there.
        if self.abi_version()?.1 == 0 {
            return Ok((0, 0));
        }
        let limits = self.bar.registers().cap_rings().try_read()?;
        Ok((limits.max_entries(), limits.host_frame_len()))
    }

    /// Gives a ring its arrays and starts it.
    pub(crate) fn start_ring(&self, ring: Ring, descriptors: u64, completions: u64, entries: u16) -> Result<()> {
        let ring = self.ring_block(ring);
        // Each half on its own; the masks make the casts exact.
        let (low, high) = (|iova: u64| iova as u32, |iova: u64| (iova >> 32) as u32);
        ring.descriptors_lo().try_write(|r| r.set_value(low(descriptors)))?;
        ring.descriptors_hi().try_write(|r| r.set_value(high(descriptors)))?;
        ring.completions_lo().try_write(|r| r.set_value(low(completions)))?;
        ring.completions_hi().try_write(|r| r.set_value(high(completions)))?;
        ring.size().try_write(|r| r.set_entries(entries))?;
        ring.doorbell().try_write(|r| r.set_index(0))?;
        ring.control().try_write(|r| r.set_enable(true))
    }

    pub(crate) fn stop_ring(&self, ring: Ring) -> Result<()> {
        self.ring_block(ring).control().try_write(|r| r.set_enable(false))
    }

    pub(crate) fn ring_doorbell(&self, ring: Ring, index: u16) -> Result<()> {
        self.ring_block(ring).doorbell().try_write(|r| r.set_index(index))
    }

    pub(crate) fn ring_state(&self, ring: Ring) -> Result<RingState> {
        let ring = self.ring_block(ring);
        let status = ring.status().try_read()?;
        // A device that is gone reads as ones: an error it doesn't know, whatever the other bits say.
        let error = status.error().ok();
        let fault_iova = match error {
            Some(RingError::DmaFault) => {
                u64::from(ring.fault_iova_hi().try_read()?.value()) << 32
                    | u64::from(ring.fault_iova_lo().try_read()?.value())
            }
            _ => 0,
        };
        Ok(RingState {
            running: status.running() && error == Some(RingError::None),
            error,
            head: ring.head().try_read()?.index(),
            fault_iova,
        })
    }

    fn ring_block(&self, ring: Ring) -> RingRf<'_, BusIo<ExclusiveBus<'t, T>>> {
        let registers = self.bar.registers();
        match ring {
            Ring::Command => registers.command_ring(),
            Ring::Event => registers.event_ring(),
            Ring::HostReceive => registers.host_receive_ring(),
            Ring::HostTransmit => registers.host_transmit_ring(),
        }
    }

    pub(crate) fn ring(&self, request_len: u16) -> Result<()> {
        self.bar
            .registers()
            .mailbox_doorbell()
            .try_write(|doorbell| doorbell.set_request_len(request_len))
    }
}

/// The bus of the generated access over a transport that is held alone.
struct ExclusiveBus<'t, T: ?Sized>(RefCell<&'t mut T>);

// A borrow lasts for one call of the transport, which has no way back to this bus: it is never taken twice.
impl<T: Transport + ?Sized> RegisterBus for ExclusiveBus<'_, T> {
    type Error = TransportError;

    fn read32(&self, offset: u32) -> Result<u32> {
        self.0.borrow_mut().read32(offset)
    }

    fn write32(&self, offset: u32, value: u32) -> Result<()> {
        self.0.borrow_mut().write32(offset, value)
    }
}

fn window<V>(result: core::result::Result<V, WindowError<TransportError>>, window: Window) -> Result<V> {
    result.map_err(|error| match error {
        WindowError::Bus(error) => error,
        WindowError::Range | WindowError::ReadOnly => TransportError::OutOfRange {
            offset: window.offset(),
        },
    })
}
