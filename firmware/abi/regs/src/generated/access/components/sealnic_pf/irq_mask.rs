//! Register: Interrupt mask

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Interrupt mask
///
/// A cause signals its vector only while its bit here is 0; clearing the bit while the cause is set signals it. All causes are masked after a reset.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct IrqMask(u32);

unsafe impl Send for IrqMask {}
unsafe impl Sync for IrqMask {}

impl core::default::Default for IrqMask {
    fn default() -> Self {
        Self(0x3F)
    }
}

impl peakrdl_rust::reg::Register for IrqMask {
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

impl IrqMask {
    pub const MAILBOX_DONE_OFFSET: usize = 0;
    pub const MAILBOX_DONE_WIDTH: usize = 1;
    pub const MAILBOX_DONE_MASK: u32 = 0x1;

    /// Mailbox done
    ///
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn mailbox_done(&self) -> bool {
        let val = (self.0 >> Self::MAILBOX_DONE_OFFSET) & Self::MAILBOX_DONE_MASK;
        val != 0
    }

    /// Mailbox done
    ///
    /// 1 masks the cause of the same name.
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
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn events_pending(&self) -> bool {
        let val = (self.0 >> Self::EVENTS_PENDING_OFFSET) & Self::EVENTS_PENDING_MASK;
        val != 0
    }

    /// Events pending
    ///
    /// 1 masks the cause of the same name.
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
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn host_frame_pending(&self) -> bool {
        let val = (self.0 >> Self::HOST_FRAME_PENDING_OFFSET) & Self::HOST_FRAME_PENDING_MASK;
        val != 0
    }

    /// Host frame pending
    ///
    /// 1 masks the cause of the same name.
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
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn fault(&self) -> bool {
        let val = (self.0 >> Self::FAULT_OFFSET) & Self::FAULT_MASK;
        val != 0
    }

    /// Fault
    ///
    /// 1 masks the cause of the same name.
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
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn commands_done(&self) -> bool {
        let val = (self.0 >> Self::COMMANDS_DONE_OFFSET) & Self::COMMANDS_DONE_MASK;
        val != 0
    }

    /// Commands done
    ///
    /// 1 masks the cause of the same name.
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
    /// 1 masks the cause of the same name.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn host_frames_taken(&self) -> bool {
        let val = (self.0 >> Self::HOST_FRAMES_TAKEN_OFFSET) & Self::HOST_FRAMES_TAKEN_MASK;
        val != 0
    }

    /// Host frames taken
    ///
    /// 1 masks the cause of the same name.
    #[inline(always)]
    pub fn set_host_frames_taken(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::HOST_FRAMES_TAKEN_MASK << Self::HOST_FRAMES_TAKEN_OFFSET))
            | ((val & Self::HOST_FRAMES_TAKEN_MASK) << Self::HOST_FRAMES_TAKEN_OFFSET);
    }
}

impl core::fmt::Debug for IrqMask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IrqMask")
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
        let reg = IrqMask::default();
        assert_eq!(reg.mailbox_done(), true);
        assert_eq!(reg.events_pending(), true);
        assert_eq!(reg.host_frame_pending(), true);
        assert_eq!(reg.fault(), true);
        assert_eq!(reg.commands_done(), true);
        assert_eq!(reg.host_frames_taken(), true);
    }
}
