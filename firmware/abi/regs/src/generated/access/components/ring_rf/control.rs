//! Register: Ring control

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Ring control
///
/// Starts and stops the ring.
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
    /// A change from 0 to 1 starts the ring: both indices at 0, the phase at 1. 0 stops it: once STATUS.running reads 0 the device touches neither the arrays nor the buffers. A ring that an error stopped is started again by writing 0, then 1.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn enable(&self) -> bool {
        let val = (self.0 >> Self::ENABLE_OFFSET) & Self::ENABLE_MASK;
        val != 0
    }

    /// Enable
    ///
    /// A change from 0 to 1 starts the ring: both indices at 0, the phase at 1. 0 stops it: once STATUS.running reads 0 the device touches neither the arrays nor the buffers. A ring that an error stopped is started again by writing 0, then 1.
    #[inline(always)]
    pub fn set_enable(&mut self, val: bool) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::ENABLE_MASK << Self::ENABLE_OFFSET)) | ((val & Self::ENABLE_MASK) << Self::ENABLE_OFFSET);
    }
}

impl core::fmt::Debug for Control {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Control").field("enable", &self.enable()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Control::default();
        assert_eq!(reg.enable(), false);
    }
}
