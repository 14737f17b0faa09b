//! Register: Completion array, low half

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Completion array, low half
///
/// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct CompletionsLo(u32);

unsafe impl Send for CompletionsLo {}
unsafe impl Sync for CompletionsLo {}

impl core::default::Default for CompletionsLo {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for CompletionsLo {
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

impl CompletionsLo {
    pub const VALUE_OFFSET: usize = 0;
    pub const VALUE_WIDTH: usize = 32;
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;

    /// Value
    ///
    /// Bits 31 to 0 of the IOVA.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn value(&self) -> u32 {
        let val = (self.0 >> Self::VALUE_OFFSET) & Self::VALUE_MASK;
        val
    }

    /// Value
    ///
    /// Bits 31 to 0 of the IOVA.
    #[inline(always)]
    pub fn set_value(&mut self, val: u32) {
        let val = val as u32;
        self.0 =
            (self.0 & !(Self::VALUE_MASK << Self::VALUE_OFFSET)) | ((val & Self::VALUE_MASK) << Self::VALUE_OFFSET);
    }
}

impl core::fmt::Debug for CompletionsLo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CompletionsLo").field("value", &self.value()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = CompletionsLo::default();
        assert_eq!(reg.value(), 0);
    }
}
