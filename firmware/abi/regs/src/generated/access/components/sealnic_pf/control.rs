//! Register: Control

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Control
///
/// Starts and stops the device.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct Control(u32);

unsafe impl Send for Control {}
unsafe impl Sync for Control {}

impl core::default::Default for Control {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for Control {
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

impl Control {
    pub const ENABLE_OFFSET: usize = 0;
    pub const ENABLE_WIDTH: usize = 1;
    pub const ENABLE_MASK: u32 = 0x1;

    /// Enable
    ///
    /// While set, frames flow. While clear, frames from the virtual functions and from the wire are dropped and counted; the mailbox works all the same.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn enable(&self) -> bool {
        let val = (self.0 >> Self::ENABLE_OFFSET) & Self::ENABLE_MASK;
        val != 0
    }

    /// Enable
    ///
    /// While set, frames flow. While clear, frames from the virtual functions and from the wire are dropped and counted; the mailbox works all the same.
    #[inline(always)]
    pub fn set_enable(&mut self, val: bool) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::ENABLE_MASK << Self::ENABLE_OFFSET)) | ((val & Self::ENABLE_MASK) << Self::ENABLE_OFFSET);
    }

    pub const SOFT_RESET_OFFSET: usize = 1;
    pub const SOFT_RESET_WIDTH: usize = 1;
    pub const SOFT_RESET_MASK: u32 = 0x1;

    /// Soft reset
    ///
    /// Writing 1 resets the device: keys are wiped, tables emptied, the registers return to their reset values and a new generation is drawn. Frame counters go on, so that the balance of frames holds across it. Reads as 0; STATUS.ready tells the end.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn soft_reset(&self) -> bool {
        let val = (self.0 >> Self::SOFT_RESET_OFFSET) & Self::SOFT_RESET_MASK;
        val != 0
    }

    /// Soft reset
    ///
    /// Writing 1 resets the device: keys are wiped, tables emptied, the registers return to their reset values and a new generation is drawn. Frame counters go on, so that the balance of frames holds across it. Reads as 0; STATUS.ready tells the end.
    #[inline(always)]
    pub fn set_soft_reset(&mut self, val: bool) {
        let val = val as u32;
        self.0 = (self.0 & !(Self::SOFT_RESET_MASK << Self::SOFT_RESET_OFFSET))
            | ((val & Self::SOFT_RESET_MASK) << Self::SOFT_RESET_OFFSET);
    }
}

impl core::fmt::Debug for Control {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Control")
            .field("enable", &self.enable())
            .field("soft_reset", &self.soft_reset())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Control::default();
        assert_eq!(reg.enable(), false);
        assert_eq!(reg.soft_reset(), false);
    }
}
