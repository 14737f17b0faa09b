//! Register: Interrupt cause

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Interrupt cause
///
/// What happened since the cause was last cleared. Writing 1 to a bit clears it; a bit whose reason persists is set again at once. A vector is signalled whenever its cause occurs while its mask bit is 0, whether or not the bit here was cleared before.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct IrqCause(u32);

unsafe impl Send for IrqCause {}
unsafe impl Sync for IrqCause {}

impl core::default::Default for IrqCause {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for IrqCause {
    type Regwidth = u32;
    type Accesswidth = u32;
    type Access = peakrdl_rust::access::RW;
    type ByteEndian = peakrdl_rust::endian::LittleEndian;
    type WordEndian = peakrdl_rust::endian::LittleEndian;

    unsafe fn from_raw(val: Self::Regwidth) -> Self {
        Self(val)
    }

    fn to_raw(self) -> Self::Regwidth {
        self.0
    }
}

impl IrqCause {
    pub const MAILBOX_DONE_OFFSET: usize = 0;
    pub const MAILBOX_DONE_WIDTH: usize = 1;
    pub const MAILBOX_DONE_MASK: u32 = 0x1;

    /// Mailbox done
    ///
    /// A request was completed: MAILBOX_STATUS.done or .error became set.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn mailbox_done(&self) -> bool {
        let val = (self.0 >> Self::MAILBOX_DONE_OFFSET) & Self::MAILBOX_DONE_MASK;
        val != 0
    }

    /// Mailbox done
    ///
    /// A request was completed: MAILBOX_STATUS.done or .error became set.
    #[inline(always)]
    pub fn set_mailbox_done(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::MAILBOX_DONE_MASK << Self::MAILBOX_DONE_OFFSET))
            | ((val & Self::MAILBOX_DONE_MASK) << Self::MAILBOX_DONE_OFFSET);
    }

    pub const EVENTS_PENDING_OFFSET: usize = 1;
    pub const EVENTS_PENDING_WIDTH: usize = 1;
    pub const EVENTS_PENDING_MASK: u32 = 0x1;

    /// Events pending
    ///
    /// The event queue is not empty, or events were written to the event ring.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn events_pending(&self) -> bool {
        let val = (self.0 >> Self::EVENTS_PENDING_OFFSET) & Self::EVENTS_PENDING_MASK;
        val != 0
    }

    /// Events pending
    ///
    /// The event queue is not empty, or events were written to the event ring.
    #[inline(always)]
    pub fn set_events_pending(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::EVENTS_PENDING_MASK << Self::EVENTS_PENDING_OFFSET))
            | ((val & Self::EVENTS_PENDING_MASK) << Self::EVENTS_PENDING_OFFSET);
    }

    pub const HOST_FRAME_PENDING_OFFSET: usize = 2;
    pub const HOST_FRAME_PENDING_WIDTH: usize = 1;
    pub const HOST_FRAME_PENDING_MASK: u32 = 0x1;

    /// Host frame pending
    ///
    /// A frame for the host waits, or was written by way of the host receive ring.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn host_frame_pending(&self) -> bool {
        let val = (self.0 >> Self::HOST_FRAME_PENDING_OFFSET) & Self::HOST_FRAME_PENDING_MASK;
        val != 0
    }

    /// Host frame pending
    ///
    /// A frame for the host waits, or was written by way of the host receive ring.
    #[inline(always)]
    pub fn set_host_frame_pending(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::HOST_FRAME_PENDING_MASK << Self::HOST_FRAME_PENDING_OFFSET))
            | ((val & Self::HOST_FRAME_PENDING_MASK) << Self::HOST_FRAME_PENDING_OFFSET);
    }

    pub const FAULT_OFFSET: usize = 3;
    pub const FAULT_WIDTH: usize = 1;
    pub const FAULT_MASK: u32 = 0x1;

    /// Fault
    ///
    /// STATUS.fault became set, or an error stopped a ring.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn fault(&self) -> bool {
        let val = (self.0 >> Self::FAULT_OFFSET) & Self::FAULT_MASK;
        val != 0
    }

    /// Fault
    ///
    /// STATUS.fault became set, or an error stopped a ring.
    #[inline(always)]
    pub fn set_fault(&mut self, val: bool) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::FAULT_MASK << Self::FAULT_OFFSET)) | ((val & Self::FAULT_MASK) << Self::FAULT_OFFSET);
    }

    pub const COMMANDS_DONE_OFFSET: usize = 4;
    pub const COMMANDS_DONE_WIDTH: usize = 1;
    pub const COMMANDS_DONE_MASK: u32 = 0x1;

    /// Commands done
    ///
    /// The command ring has new completions.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn commands_done(&self) -> bool {
        let val = (self.0 >> Self::COMMANDS_DONE_OFFSET) & Self::COMMANDS_DONE_MASK;
        val != 0
    }

    /// Commands done
    ///
    /// The command ring has new completions.
    #[inline(always)]
    pub fn set_commands_done(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::COMMANDS_DONE_MASK << Self::COMMANDS_DONE_OFFSET))
            | ((val & Self::COMMANDS_DONE_MASK) << Self::COMMANDS_DONE_OFFSET);
    }

    pub const HOST_FRAMES_TAKEN_OFFSET: usize = 5;
    pub const HOST_FRAMES_TAKEN_WIDTH: usize = 1;
    pub const HOST_FRAMES_TAKEN_MASK: u32 = 0x1;

    /// Host frames taken
    ///
    /// The host transmit ring has new completions.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn host_frames_taken(&self) -> bool {
        let val = (self.0 >> Self::HOST_FRAMES_TAKEN_OFFSET) & Self::HOST_FRAMES_TAKEN_MASK;
        val != 0
    }

    /// Host frames taken
    ///
    /// The host transmit ring has new completions.
    #[inline(always)]
    pub fn set_host_frames_taken(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::HOST_FRAMES_TAKEN_MASK << Self::HOST_FRAMES_TAKEN_OFFSET))
            | ((val & Self::HOST_FRAMES_TAKEN_MASK) << Self::HOST_FRAMES_TAKEN_OFFSET);
    }
}

impl core::fmt::Debug for IrqCause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IrqCause")
            .field("mailbox_done", &self.mailbox_done())
            .field("events_pending", &self.events_pending())
            .field("host_frame_pending", &self.host_frame_pending())
            .field("fault", &self.fault())
            .field("commands_done", &self.commands_done())
            .field("host_frames_taken", &self.host_frames_taken())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = IrqCause::default();
        assert_eq!(reg.mailbox_done(), false);
        assert_eq!(reg.events_pending(), false);
        assert_eq!(reg.host_frame_pending(), false);
        assert_eq!(reg.fault(), false);
        assert_eq!(reg.commands_done(), false);
        assert_eq!(reg.host_frames_taken(), false);
    }
}
