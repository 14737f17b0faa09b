//! IPv6 fixed header (RFC 8200 section 3). What follows it may be extension headers: see [`crate::ipv6ext`].

use crate::bytes::{
    Field, get_array, get_slice, get_slice_mut, get_u8, get_u16, get_u32, put_slice, put_u8, put_u16, put_u32,
};
use crate::ip::IpProtocol;
use crate::{Error, Result};
pub use core::net::Ipv6Addr as Ipv6Address;

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Every IPv6 link carries packets of this many octets (RFC 8200 section 5).
pub const MIN_MTU: usize = 1280;

mod field {
    use super::Field;
    pub(super) const VER_TC_FLOW: Field = 0..4;
    pub(super) const LENGTH: Field = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SRC_ADDR: Field = 8..24;
    pub(super) const DST_ADDR: Field = 24..40;
}

/// View of an IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Ipv6Packet<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a whole packet. Octets after its payload length are ignored (Ethernet padding).
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or payload end outside the buffer; [`Error::Malformed`] when the version is not 6.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_header(buffer)?;
        if packet.total_len() > packet.buffer.as_ref().len() {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// A view that needs the header only: for a packet quoted by ICMP, whose end is cut off.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 40 octets; [`Error::Malformed`] when the version is not 6.
    #[inline]
    pub fn new_header(buffer: T) -> Result<Self> {
        let packet = Self { buffer };
        if packet.buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        if packet.version() != 6 {
            return Err(Error::Malformed);
        }
        Ok(packet)
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    #[inline]
    fn first_word(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::VER_TC_FLOW)
    }

    /// IP version.
    #[inline]
    pub fn version(&self) -> u8 {
        (self.first_word() >> 28) as u8
    }

    /// Differentiated services code point: the upper 6 bits of the traffic class.
    #[inline]
    pub fn dscp(&self) -> u8 {
        ((self.first_word() >> 22) & 0x3f) as u8
    }

    /// Explicit congestion notification: the lower 2 bits of the traffic class (see [`crate::ip::ecn`]).
    #[inline]
    pub fn ecn(&self) -> u8 {
        ((self.first_word() >> 20) & 0x03) as u8
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.first_word() & 0x000f_ffff
    }

    /// Octets after the fixed header, extension headers included.
    #[inline]
    pub fn payload_len(&self) -> usize {
        usize::from(get_u16(self.buffer.as_ref(), field::LENGTH))
    }

    /// Octets of fixed header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + self.payload_len()
    }

    /// What follows the fixed header: an extension header or the upper layer.
    #[inline]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(get_u8(self.buffer.as_ref(), field::NEXT_HEADER))
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::HOP_LIMIT)
    }

    /// Source.
    #[inline]
    pub fn src_addr(&self) -> Ipv6Address {
        Ipv6Address::from(get_array::<16>(self.buffer.as_ref(), field::SRC_ADDR))
    }

    /// Destination.
    #[inline]
    pub fn dst_addr(&self) -> Ipv6Address {
        Ipv6Address::from(get_array::<16>(self.buffer.as_ref(), field::DST_ADDR))
    }

    /// All after the fixed header, up to the payload length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), HEADER_LEN..self.total_len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv6Packet<T> {
    /// Sets version 6, DSCP (6 bits), ECN (2 bits) and flow label (20 bits).
    #[inline]
    pub fn set_version_class_flow(&mut self, dscp: u8, ecn: u8, flow_label: u32) {
        let class = (u32::from(dscp & 0x3f) << 2) | u32::from(ecn & 0x03);
        put_u32(
            self.buffer.as_mut(),
            field::VER_TC_FLOW,
            (6 << 28) | (class << 20) | (flow_label & 0x000f_ffff),
        );
    }

    /// Sets the explicit congestion notification, 2 bits.
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        let word = (self.first_word() & !(0x03 << 20)) | (u32::from(ecn & 0x03) << 20);
        put_u32(self.buffer.as_mut(), field::VER_TC_FLOW, word);
    }

    /// Sets the octets after the fixed header.
    #[inline]
    pub fn set_payload_len(&mut self, length: u16) {
        put_u16(self.buffer.as_mut(), field::LENGTH, length);
    }

    /// Sets what follows the fixed header.
    #[inline]
    pub fn set_next_header(&mut self, next_header: IpProtocol) {
        put_u8(self.buffer.as_mut(), field::NEXT_HEADER, next_header.0);
    }

    /// Sets the hop limit.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        put_u8(self.buffer.as_mut(), field::HOP_LIMIT, hop_limit);
    }

    /// Sets the source.
    #[inline]
    pub fn set_src_addr(&mut self, address: Ipv6Address) {
        put_slice(self.buffer.as_mut(), field::SRC_ADDR, &address.octets());
    }

    /// Sets the destination.
    #[inline]
    pub fn set_dst_addr(&mut self, address: Ipv6Address) {
        put_slice(self.buffer.as_mut(), field::DST_ADDR, &address.octets());
    }

    /// All after the fixed header, up to the payload length.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.total_len();
        get_slice_mut(self.buffer.as_mut(), HEADER_LEN..end)
    }
}

/// An IPv6 fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Repr {
    /// Source.
    pub src_addr: Ipv6Address,
    /// Destination.
    pub dst_addr: Ipv6Address,
    /// What follows.
    pub next_header: IpProtocol,
    /// Differentiated services code point, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Octets after the fixed header.
    pub payload_len: u16,
}

impl Ipv6Repr {
    /// Reads the fixed header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the source is a multicast address (RFC 4291 section 2.7).
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &Ipv6Packet<T>) -> Result<Self> {
        let src_addr = packet.src_addr();
        if src_addr.is_multicast() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            src_addr,
            dst_addr: packet.dst_addr(),
            next_header: packet.next_header(),
            dscp: packet.dscp(),
            ecn: packet.ecn(),
            flow_label: packet.flow_label(),
            hop_limit: packet.hop_limit(),
            payload_len: packet.payload_len() as u16,
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the fixed header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if buffer.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let mut packet = Ipv6Packet::new_unchecked(buffer);
        packet.set_version_class_flow(self.dscp, self.ecn, self.flow_label);
        packet.set_payload_len(self.payload_len);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_src_addr(self.src_addr);
        packet.set_dst_addr(self.dst_addr);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // A datagram that a kernel sent with traffic class 0xb9.
    const PACKET: &str = "6b95cbc4 000e 11 40 fd00000100000000000000000000000a fd00000100000000000000000000000b
        1388 1389 000e 9ab5 68656c6c6f21";

    fn repr() -> Ipv6Repr {
        Ipv6Repr {
            src_addr: "fd00:1::a".parse().unwrap(),
            dst_addr: "fd00:1::b".parse().unwrap(),
            next_header: IpProtocol::UDP,
            dscp: 0x2e,
            ecn: 1,
            flow_label: 0x5cbc4,
            hop_limit: 64,
            payload_len: 14,
        }
    }

    #[test]
    fn takes_a_packet_apart() {
        let mut octets = hex(PACKET);
        octets.push(0);
        let packet = Ipv6Packet::new_checked(&octets).unwrap();
        assert_eq!(Ipv6Repr::parse(&packet), Ok(repr()));
        assert_eq!(packet.payload(), &hex(PACKET)[40..]);
        assert_eq!(packet.total_len(), 54);
    }

    #[test]
    fn builds_a_header() {
        let mut buffer = [0xff; 40];
        repr().emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(PACKET)[..40]);
        assert_eq!(repr().emit(&mut buffer[..39]), Err(Error::Truncated));
    }

    #[test]
    fn edits_in_place() {
        let mut octets = hex(PACKET);
        let mut packet = Ipv6Packet::new_checked(&mut octets[..]).unwrap();
        packet.set_ecn(crate::ip::ecn::CE);
        packet.payload_mut()[13] = b'?';
        assert_eq!((packet.dscp(), packet.ecn(), packet.flow_label()), (0x2e, 3, 0x5cbc4));
        assert_eq!(octets[..4], hex("6bb5cbc4"));
        assert_eq!(octets[53], b'?');
    }

    #[test]
    fn refuses_wrong_lengths_and_versions() {
        refuses_every_truncation(&hex(PACKET), |data| Ipv6Packet::new_checked(data).is_ok());
        refuses_every_truncation(&hex(PACKET)[..40], |data| Ipv6Packet::new_header(data).is_ok());
        let mut octets = hex(PACKET);
        octets[0] = 0x45;
        assert_eq!(Ipv6Packet::new_checked(&octets), Err(Error::Malformed));
    }

    #[test]
    fn a_multicast_source_is_malformed() {
        let mut octets = hex(PACKET);
        octets[8] = 0xff;
        assert_eq!(
            Ipv6Repr::parse(&Ipv6Packet::new_checked(&octets).unwrap()),
            Err(Error::Malformed)
        );
    }
}
