//! What the driver knows of the registers, all in this file, through the generated access.

use crate::transport::{Transport, TransportError};
use sealnic_abi::registers::{
    Bar, FaultCode, MailboxError as DoorbellError, RegisterBus, Window, WindowError, offsets,
};
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

    /// Lets the causes through that this driver waits for; events and host frames are asked for by their owner.
    pub(crate) fn unmask_interrupts(&self) -> Result<()> {
        self.bar.registers().irq_mask().try_write(|mask| {
            mask.set_mailbox_done(false);
            mask.set_fault(false);
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
