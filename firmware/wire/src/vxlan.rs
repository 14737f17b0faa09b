//! VXLAN header (RFC 7348 section 5): flags and the 24-bit identifier of a virtual network, then the VM's Ethernet frame.

use crate::bytes::{Field, get_slice, get_slice_mut, get_u8, get_u24, put_u8, put_u24};
use crate::{Error, Result};

/// Octets of the header.
pub const HEADER_LEN: usize = 8;

/// The UDP destination port that IANA assigned.
pub const UDP_PORT: u16 = 4789;

/// The greatest virtual network identifier.
pub const VNI_MAX: u32 = 0x00ff_ffff;

/// The I flag: the identifier is valid. It must be set.
const FLAG_VNI: u8 = 0x08;

mod field {
    use super::Field;
    pub(super) const FLAGS: usize = 0;
    pub(super) const RESERVED_1: Field = 1..4;
    pub(super) const VNI: Field = 4..7;
    pub(super) const RESERVED_2: usize = 7;
}

/// View of a VXLAN header and the frame behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VxlanPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> VxlanPacket<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds a header with a valid identifier. Reserved bits are ignored, as section 5 says.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets; [`Error::Malformed`] when the I flag is clear.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let data = buffer.as_ref();
        if data.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        if get_u8(data, field::FLAGS) & FLAG_VNI == 0 {
            return Err(Error::Malformed);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// All eight flags.
    #[inline]
    pub fn flags(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::FLAGS)
    }

    /// Whether the I flag says that the identifier is valid.
    #[inline]
    pub fn has_vni(&self) -> bool {
        self.flags() & FLAG_VNI != 0
    }

    /// Virtual network identifier, 24 bits.
    #[inline]
    pub fn vni(&self) -> u32 {
        get_u24(self.buffer.as_ref(), field::VNI)
    }

    /// Whether every reserved bit is zero, as a sender must have it.
    #[inline]
    pub fn reserved_is_zero(&self) -> bool {
        let data = self.buffer.as_ref();
        self.flags() & !FLAG_VNI == 0 && get_u24(data, field::RESERVED_1) == 0 && get_u8(data, field::RESERVED_2) == 0
    }

    /// The Ethernet frame.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, HEADER_LEN..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> VxlanPacket<T> {
    /// Sets the I flag and clears the reserved bits.
    #[inline]
    pub fn set_flags(&mut self) {
        let data = self.buffer.as_mut();
        put_u8(data, field::FLAGS, FLAG_VNI);
        put_u24(data, field::RESERVED_1, 0);
        put_u8(data, field::RESERVED_2, 0);
    }

    /// Sets the identifier to the low 24 bits of `vni`.
    #[inline]
    pub fn set_vni(&mut self, vni: u32) {
        put_u24(self.buffer.as_mut(), field::VNI, vni);
    }

    /// The Ethernet frame.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, HEADER_LEN..end)
    }
}

/// A VXLAN header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VxlanRepr {
    /// Virtual network identifier, at most [`VNI_MAX`].
    pub vni: u32,
}

impl VxlanRepr {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the I flag is clear.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &VxlanPacket<T>) -> Result<Self> {
        if !packet.has_vni() {
            return Err(Error::Malformed);
        }
        Ok(Self { vni: packet.vni() })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the identifier is
    /// above [`VNI_MAX`]: cutting it would name another network.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if buffer.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        if self.vni > VNI_MAX {
            return Err(Error::Malformed);
        }
        let mut packet = VxlanPacket::new_unchecked(buffer);
        packet.set_flags();
        packet.set_vni(self.vni);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // The header that a kernel's VXLAN interface with identifier 0x12345 sent.
    const HEADER: &str = "08000000 01234500";

    #[test]
    fn takes_a_header_apart() {
        let octets = hex("08000000 01234500 ffff");
        let packet = VxlanPacket::new_checked(&octets).unwrap();
        assert_eq!(packet.vni(), 0x12345);
        assert!(packet.has_vni() && packet.reserved_is_zero());
        assert_eq!(packet.payload(), [0xff, 0xff]);
        assert_eq!(VxlanRepr::parse(&packet), Ok(VxlanRepr { vni: 0x12345 }));
    }

    #[test]
    fn builds_a_header() {
        let mut buffer = [0xff; 8];
        VxlanRepr { vni: 0x12345 }.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(HEADER));
        assert_eq!(VxlanRepr { vni: 1 }.emit(&mut buffer[..7]), Err(Error::Truncated));
        assert_eq!(VxlanRepr { vni: VNI_MAX + 1 }.emit(&mut buffer), Err(Error::Malformed));
        assert_eq!(VxlanRepr { vni: VNI_MAX }.emit(&mut buffer), Ok(()));
        assert_eq!(buffer[..], hex("08000000 ffffff00"));
    }

    #[test]
    fn reserved_bits_are_ignored_but_seen() {
        for header in ["88000000 01234500", "08000001 01234500", "08000000 012345ff"] {
            let octets = hex(header);
            let packet = VxlanPacket::new_checked(&octets).unwrap();
            assert_eq!(packet.vni(), 0x12345);
            assert!(!packet.reserved_is_zero(), "{header}");
        }
    }

    #[test]
    fn refuses_truncations_and_a_header_without_identifier() {
        refuses_every_truncation(&hex(HEADER), |data| VxlanPacket::new_checked(data).is_ok());
        assert_eq!(
            VxlanPacket::new_checked(hex("f7000000 01234500")),
            Err(Error::Malformed)
        );
    }
}
