//! UDP header (RFC 768).

use crate::bytes::{Field, get_slice, get_slice_mut, get_u16, put_u16};
use crate::{Error, Result, checksum};

/// Octets of the header.
pub const HEADER_LEN: usize = 8;

mod field {
    use super::Field;
    pub(super) const SRC_PORT: Field = 0..2;
    pub(super) const DST_PORT: Field = 2..4;
    pub(super) const LENGTH: Field = 4..6;
    pub(super) const CHECKSUM: Field = 6..8;
}

/// Where the checksum lies, in octets from the start of the header.
pub const CHECKSUM_OFFSET: usize = field::CHECKSUM.start;

/// View of a UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> UdpPacket<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a whole datagram. Octets after its length are ignored (Ethernet padding).
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or payload end outside the buffer; [`Error::Malformed`] when the length is below 8.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_header(buffer)?;
        if packet.length() > packet.buffer.as_ref().len() {
            return Err(Error::Truncated);
        }
        if packet.length() < HEADER_LEN {
            return Err(Error::Malformed);
        }
        Ok(packet)
    }

    /// A view that needs the header only: for the first fragment of a datagram, or a packet quoted by ICMP.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets.
    #[inline]
    pub fn new_header(buffer: T) -> Result<Self> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Source port.
    #[inline]
    pub fn src_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SRC_PORT)
    }

    /// Destination port.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::DST_PORT)
    }

    /// Header and payload in octets.
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(get_u16(self.buffer.as_ref(), field::LENGTH))
    }

    /// Checksum; zero means that there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Whether the checksum is right, given the pseudo header's sum; one that is absent is.
    #[inline]
    pub fn verify_checksum(&self, pseudo: u16) -> bool {
        self.checksum() == 0 || checksum::verify(pseudo, get_slice(self.buffer.as_ref(), 0..self.length()))
    }

    /// All after the header, up to the length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), HEADER_LEN..self.length())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> UdpPacket<T> {
    /// Sets the source port.
    #[inline]
    pub fn set_src_port(&mut self, port: u16) {
        put_u16(self.buffer.as_mut(), field::SRC_PORT, port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_dst_port(&mut self, port: u16) {
        put_u16(self.buffer.as_mut(), field::DST_PORT, port);
    }

    /// Sets the length of header and payload in octets.
    #[inline]
    pub fn set_length(&mut self, length: u16) {
        put_u16(self.buffer.as_mut(), field::LENGTH, length);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Computes and sets the checksum, given the pseudo header's sum. A result of zero becomes 0xffff (RFC 768).
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: u16) {
        let packet = get_slice(self.buffer.as_ref(), 0..self.length());
        let checksum = match checksum::compute(pseudo, packet, field::CHECKSUM) {
            0 => 0xffff,
            sum => sum,
        };
        self.set_checksum(checksum);
    }

    /// All after the header, up to the length.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.length();
        get_slice_mut(self.buffer.as_mut(), HEADER_LEN..end)
    }
}

/// A UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpRepr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Octets after the header.
    pub payload_len: u16,
}

impl UdpRepr {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the length is below 8, or the destination port is zero.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &UdpPacket<T>) -> Result<Self> {
        let payload_len = packet.length().checked_sub(HEADER_LEN).ok_or(Error::Malformed)? as u16;
        if packet.dst_port() == 0 {
            return Err(Error::Malformed);
        }
        Ok(Self {
            src_port: packet.src_port(),
            dst_port: packet.dst_port(),
            payload_len,
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `buffer`, with a checksum of zero (none); [`UdpPacket::fill_checksum`] sets one when
    /// the payload is in place.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when header and payload
    /// together are longer than 65,535 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let length = self
            .payload_len
            .checked_add(HEADER_LEN as u16)
            .ok_or(Error::Malformed)?;
        let mut packet = UdpPacket::new_header(buffer)?;
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_length(length);
        packet.set_checksum(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::IpProtocol;
    use crate::testing::{hex, refuses_every_truncation};
    use core::net::{Ipv4Addr, Ipv6Addr};

    // From a kernel, between 10.1.0.10 and 10.1.0.11, and between fd00:1::a and fd00:1::b.
    const V4: &str = "1388 1389 000d 80da 68656c6c6f";
    const V6: &str = "1388 1389 000e 9ab5 68656c6c6f21";

    fn pseudo_v4(length: u16) -> u16 {
        let (src, dst) = (Ipv4Addr::new(10, 1, 0, 10), Ipv4Addr::new(10, 1, 0, 11));
        checksum::pseudo_header_v4(src, dst, IpProtocol::UDP, length)
    }

    #[test]
    fn takes_a_datagram_apart() {
        let mut octets = hex(V4);
        octets.extend([0xaa; 5]);
        let packet = UdpPacket::new_checked(&octets).unwrap();
        let repr = UdpRepr {
            src_port: 5000,
            dst_port: 5001,
            payload_len: 5,
        };
        assert_eq!(UdpRepr::parse(&packet), Ok(repr));
        assert_eq!(packet.payload(), b"hello");
        assert!(packet.verify_checksum(pseudo_v4(13)), "padding is not summed");
        assert!(!packet.verify_checksum(pseudo_v4(14)));
    }

    #[test]
    fn verifies_over_ipv6() {
        let (src, dst): (Ipv6Addr, Ipv6Addr) = ("fd00:1::a".parse().unwrap(), "fd00:1::b".parse().unwrap());
        let packet = UdpPacket::new_checked(hex(V6)).unwrap();
        assert!(packet.verify_checksum(checksum::pseudo_header_v6(&src, &dst, IpProtocol::UDP, 14)));
        assert!(!packet.verify_checksum(checksum::pseudo_header_v6(&src, &dst, IpProtocol::TCP, 14)));
    }

    #[test]
    fn builds_a_datagram() {
        let mut buffer = [0xff; 13];
        let repr = UdpRepr {
            src_port: 5000,
            dst_port: 5001,
            payload_len: 5,
        };
        repr.emit(&mut buffer).unwrap();
        let mut packet = UdpPacket::new_checked(&mut buffer[..]).unwrap();
        assert_eq!(packet.checksum(), 0);
        packet.payload_mut().copy_from_slice(b"hello");
        packet.fill_checksum(pseudo_v4(13));
        assert_eq!(buffer[..], hex(V4));
        assert_eq!(repr.emit(&mut buffer[..7]), Err(Error::Truncated));
        assert_eq!(
            UdpRepr {
                payload_len: 65528,
                ..repr
            }
            .emit(&mut buffer),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn a_sum_of_zero_goes_out_as_all_ones_and_none_counts_as_right() {
        let mut octets = hex("0001 0002 0008 0000");
        let mut packet = UdpPacket::new_checked(&mut octets[..]).unwrap();
        let pseudo = 0xffff - 11;
        assert!(packet.verify_checksum(pseudo));
        packet.fill_checksum(pseudo);
        assert_eq!(packet.checksum(), 0xffff);
        assert!(packet.verify_checksum(pseudo) && !packet.verify_checksum(pseudo - 1));
    }

    #[test]
    fn refuses_wrong_lengths() {
        refuses_every_truncation(&hex(V4), |data| UdpPacket::new_checked(data).is_ok());
        refuses_every_truncation(&hex(V4)[..8], |data| UdpPacket::new_header(data).is_ok());
        let mut octets = hex(V4);
        octets[5] = 7;
        assert_eq!(UdpPacket::new_checked(&octets), Err(Error::Malformed));
        assert_eq!(
            UdpRepr::parse(&UdpPacket::new_header(&octets).unwrap()),
            Err(Error::Malformed)
        );
        assert_eq!(
            UdpPacket::new_checked(hex("1388 0000 0008 0000")).map(|p| UdpRepr::parse(&p)),
            Ok(Err(Error::Malformed))
        );
    }
}
