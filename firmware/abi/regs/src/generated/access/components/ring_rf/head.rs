//! Register: Ring head

#[allow(unused_imports)]
use super::_root; // alias to root module of generated code

/// Ring head
///
/// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
#[repr(transparent)]
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct Head(u32);

unsafe impl Send for Head {}
unsafe impl Sync for Head {}

impl core::default::Default for Head {
    fn default() -> Self {
        Self(0x0)
    }
}

impl peakrdl_rust::reg::Register for Head {
    type Regwidth = u32;
    type Accesswidth = u32;
    type Access = peakrdl_rust::access::R;
    type ByteEndian = peakrdl_rust::endian::LittleEndian;
    type WordEndian = peakrdl_rust::endian::LittleEndian;

    unsafe fn from_raw(val: Self::Regwidth) -> Self {
        Self(val)
    }

    fn to_raw(self) -> Self::Regwidth {
        self.0
    }
}

impl Head {
    pub const INDEX_OFFSET: usize = 0;
    pub const INDEX_WIDTH: usize = 16;
    pub const INDEX_MASK: u32 = 0xFFFF;

    /// Index
    ///
    /// Descriptors taken so far; on the event ring events written so far.
    #[inline(always)]
    #[allow(clippy::missing_panics_doc)]
    #[must_use]
    pub fn index(&self) -> u16 {
        let val = (self.0 >> Self::INDEX_OFFSET) & Self::INDEX_MASK;
        val as u16
    }
}

impl core::fmt::Debug for Head {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Head").field("index", &self.index()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_default() {
        let reg = Head::default();
        assert_eq!(reg.index(), 0);
    }
}
