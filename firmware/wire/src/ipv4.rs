//! IPv4 header (RFC 791, DSCP of RFC 2474, ECN of RFC 3168), with options and fragments.

use crate::bytes::{Field, get_array, get_slice, get_slice_mut, get_u8, get_u16, put_slice, put_u8, put_u16};
use crate::ip::IpProtocol;
use crate::{Error, Result, checksum};
pub use core::net::Ipv4Addr as Ipv4Address;

/// Octets of a header without options.
pub const HEADER_LEN: usize = 20;

/// Octets of the longest options.
pub const MAX_OPTIONS_LEN: usize = 40;

/// Every IPv4 link carries packets of this many octets (RFC 791 section 3.2).
pub const MIN_MTU: usize = 68;

mod field {
    use super::Field;
    pub(super) const VER_IHL: usize = 0;
    pub(super) const DSCP_ECN: usize = 1;
    pub(super) const LENGTH: Field = 2..4;
    pub(super) const IDENT: Field = 4..6;
    pub(super) const FLAGS_OFFSET: Field = 6..8;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Field = 10..12;
    pub(super) const SRC_ADDR: Field = 12..16;
    pub(super) const DST_ADDR: Field = 16..20;
}

const FLAG_DF: u16 = 0x4000;
const FLAG_MF: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// View of an IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Ipv4Packet<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a whole packet. Octets after its total length are ignored (Ethernet padding). The checksum is not verified.
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or payload end outside the buffer; [`Error::Malformed`] when the version is not 4, the
    /// header shorter than 20 octets, or the total length shorter than the header.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_header(buffer)?;
        let total_len = packet.total_len();
        if total_len < packet.header_len() {
            return Err(Error::Malformed);
        }
        if total_len > packet.buffer.as_ref().len() {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// A view that needs the header only: for a packet quoted by ICMP, whose end is cut off.
    ///
    /// # Errors
    /// As [`Self::new_checked`], except that the total length is not looked at.
    #[inline]
    pub fn new_header(buffer: T) -> Result<Self> {
        let packet = Self { buffer };
        let data = packet.buffer.as_ref();
        if data.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        if packet.version() != 4 || packet.header_len() < HEADER_LEN {
            return Err(Error::Malformed);
        }
        if packet.header_len() > data.len() {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// IP version.
    #[inline]
    pub fn version(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::VER_IHL) >> 4
    }

    /// Octets of header and options.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(get_u8(self.buffer.as_ref(), field::VER_IHL) & 0x0f) * 4
    }

    /// Differentiated services code point, 6 bits.
    #[inline]
    pub fn dscp(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::DSCP_ECN) >> 2
    }

    /// Explicit congestion notification, 2 bits (see [`crate::ip::ecn`]).
    #[inline]
    pub fn ecn(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::DSCP_ECN) & 0x03
    }

    /// Octets of header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(get_u16(self.buffer.as_ref(), field::LENGTH))
    }

    /// Identification, which the fragments of a packet share.
    #[inline]
    pub fn identification(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::IDENT)
    }

    /// The packet must not be fragmented.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        get_u16(self.buffer.as_ref(), field::FLAGS_OFFSET) & FLAG_DF != 0
    }

    /// More fragments follow this one.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        get_u16(self.buffer.as_ref(), field::FLAGS_OFFSET) & FLAG_MF != 0
    }

    /// Where this fragment's payload belongs in the packet's, in octets.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (get_u16(self.buffer.as_ref(), field::FLAGS_OFFSET) & OFFSET_MASK) * 8
    }

    /// A fragment, not a whole packet.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        get_u16(self.buffer.as_ref(), field::FLAGS_OFFSET) & (FLAG_MF | OFFSET_MASK) != 0
    }

    /// The fragment that holds the transport header.
    #[inline]
    pub fn is_first_fragment(&self) -> bool {
        self.more_fragments() && self.fragment_offset() == 0
    }

    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::TTL)
    }

    /// What the payload is.
    #[inline]
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol(get_u8(self.buffer.as_ref(), field::PROTOCOL))
    }

    /// Header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Source.
    #[inline]
    pub fn src_addr(&self) -> Ipv4Address {
        Ipv4Address::from(get_array(self.buffer.as_ref(), field::SRC_ADDR))
    }

    /// Destination.
    #[inline]
    pub fn dst_addr(&self) -> Ipv4Address {
        Ipv4Address::from(get_array(self.buffer.as_ref(), field::DST_ADDR))
    }

    /// Options, padding included; empty for nearly every packet.
    #[inline]
    pub fn options(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), HEADER_LEN..self.header_len())
    }

    /// Whether the header checksum is right.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(0, get_slice(self.buffer.as_ref(), 0..self.header_len()))
    }

    /// Sum of the pseudo header of a transport packet that fills the payload.
    #[inline]
    pub fn pseudo_header(&self) -> u16 {
        let length = self.total_len().saturating_sub(self.header_len()) as u16;
        checksum::pseudo_header_v4(self.src_addr(), self.dst_addr(), self.protocol(), length)
    }

    /// All after the header, up to the total length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), self.header_len()..self.total_len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv4Packet<T> {
    /// Sets version 4 and the header length in octets, a multiple of 4.
    #[inline]
    pub fn set_version_and_header_len(&mut self, header_len: usize) {
        put_u8(
            self.buffer.as_mut(),
            field::VER_IHL,
            0x40 | ((header_len / 4) & 0x0f) as u8,
        );
    }

    /// Sets the differentiated services code point, 6 bits.
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        let value = (dscp << 2) | self.ecn();
        put_u8(self.buffer.as_mut(), field::DSCP_ECN, value);
    }

    /// Sets the explicit congestion notification, 2 bits.
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        let value = (self.dscp() << 2) | (ecn & 0x03);
        put_u8(self.buffer.as_mut(), field::DSCP_ECN, value);
    }

    /// Sets the octets of header and payload.
    #[inline]
    pub fn set_total_len(&mut self, length: u16) {
        put_u16(self.buffer.as_mut(), field::LENGTH, length);
    }

    /// Sets the identification.
    #[inline]
    pub fn set_identification(&mut self, identification: u16) {
        put_u16(self.buffer.as_mut(), field::IDENT, identification);
    }

    /// Sets both fragment flags and the offset in octets, a multiple of 8.
    #[inline]
    pub fn set_fragment(&mut self, dont_fragment: bool, more_fragments: bool, offset: u16) {
        let df = if dont_fragment { FLAG_DF } else { 0 };
        let mf = if more_fragments { FLAG_MF } else { 0 };
        put_u16(self.buffer.as_mut(), field::FLAGS_OFFSET, df | mf | (offset / 8));
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        put_u8(self.buffer.as_mut(), field::TTL, ttl);
    }

    /// Sets what the payload is.
    #[inline]
    pub fn set_protocol(&mut self, protocol: IpProtocol) {
        put_u8(self.buffer.as_mut(), field::PROTOCOL, protocol.0);
    }

    /// Sets the header checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the source.
    #[inline]
    pub fn set_src_addr(&mut self, address: Ipv4Address) {
        put_slice(self.buffer.as_mut(), field::SRC_ADDR, &address.octets());
    }

    /// Sets the destination.
    #[inline]
    pub fn set_dst_addr(&mut self, address: Ipv4Address) {
        put_slice(self.buffer.as_mut(), field::DST_ADDR, &address.octets());
    }

    /// Computes and sets the header checksum.
    #[inline]
    pub fn fill_checksum(&mut self) {
        let header = get_slice(self.buffer.as_ref(), 0..self.header_len());
        let checksum = checksum::compute(0, header, field::CHECKSUM);
        self.set_checksum(checksum);
    }

    /// Options, padding included.
    #[inline]
    pub fn options_mut(&mut self) -> &mut [u8] {
        let end = self.header_len();
        get_slice_mut(self.buffer.as_mut(), HEADER_LEN..end)
    }

    /// All after the header, up to the total length.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.header_len(), self.total_len());
        get_slice_mut(self.buffer.as_mut(), start..end)
    }
}

/// An IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Repr<'a> {
    /// Source.
    pub src_addr: Ipv4Address,
    /// Destination.
    pub dst_addr: Ipv4Address,
    /// What the payload is.
    pub protocol: IpProtocol,
    /// Differentiated services code point, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// Identification.
    pub identification: u16,
    /// Must not be fragmented.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Where a fragment's payload belongs, in octets: a multiple of 8.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Octets after the header.
    pub payload_len: u16,
    /// Options with their padding: at most 40 octets, a multiple of 4.
    pub options: &'a [u8],
}

impl<'a> Ipv4Repr<'a> {
    /// Reads the header and verifies its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`] when the checksum is wrong; [`Error::Malformed`] when the lengths contradict each other.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Ipv4Packet<T>) -> Result<Self> {
        let payload_len = packet
            .total_len()
            .checked_sub(packet.header_len())
            .ok_or(Error::Malformed)? as u16;
        if !packet.verify_checksum() {
            return Err(Error::Checksum);
        }
        Ok(Self {
            src_addr: packet.src_addr(),
            dst_addr: packet.dst_addr(),
            protocol: packet.protocol(),
            dscp: packet.dscp(),
            ecn: packet.ecn(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            more_fragments: packet.more_fragments(),
            fragment_offset: packet.fragment_offset(),
            ttl: packet.ttl(),
            payload_len,
            options: packet.options(),
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Writes the header, its checksum included, to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the options or the
    /// fragment offset have an impossible length, or the packet would be longer than 65,535 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let header_len = self.buffer_len();
        if self.options.len() > MAX_OPTIONS_LEN || !self.options.len().is_multiple_of(4) {
            return Err(Error::Malformed);
        }
        if !self.fragment_offset.is_multiple_of(8) {
            return Err(Error::Malformed);
        }
        let total_len = self
            .payload_len
            .checked_add(header_len as u16)
            .ok_or(Error::Malformed)?;
        let header = buffer.get_mut(..header_len).ok_or(Error::Truncated)?;
        put_u8(header, field::DSCP_ECN, (self.dscp << 2) | (self.ecn & 0x03));
        let mut packet = Ipv4Packet::new_unchecked(header);
        packet.set_version_and_header_len(header_len);
        packet.set_total_len(total_len);
        packet.set_identification(self.identification);
        packet.set_fragment(self.dont_fragment, self.more_fragments, self.fragment_offset);
        packet.set_ttl(self.ttl);
        packet.set_protocol(self.protocol);
        packet.set_src_addr(self.src_addr);
        packet.set_dst_addr(self.dst_addr);
        packet.options_mut().copy_from_slice(self.options);
        packet.fill_checksum();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // From a kernel: an echo request, a datagram with router alert, and the two fragments of a datagram.
    const ECHO: &str = "4500 0023 2cec 4000 40 01 f9d7 0a01000a 0a01000b 0800549d 12340001 61626364656667";
    const WITH_OPTIONS: &str = "4600 0025 f31a 0000 40 11 de92 0a01000a 0a01000b 94040000 13881389000d80da68656c6c6f";
    const FIRST_FRAGMENT: &str = "4500 05dc f2ec 2000 40 11 4e0e 0a01000a 0a01000b";
    const LAST_FRAGMENT: &str = "4500 0154 f2ec 00b9 40 11 71dd 0a01000a 0a01000b";

    fn echo_repr() -> Ipv4Repr<'static> {
        Ipv4Repr {
            src_addr: Ipv4Address::new(10, 1, 0, 10),
            dst_addr: Ipv4Address::new(10, 1, 0, 11),
            protocol: IpProtocol::ICMP,
            dscp: 0,
            ecn: 0,
            identification: 0x2cec,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            payload_len: 15,
            options: &[],
        }
    }

    #[test]
    fn takes_a_packet_apart() {
        let mut octets = hex(ECHO);
        octets.extend([0; 11]);
        let packet = Ipv4Packet::new_checked(&octets).unwrap();
        assert_eq!(Ipv4Repr::parse(&packet), Ok(echo_repr()));
        assert_eq!((packet.version(), packet.header_len(), packet.total_len()), (4, 20, 35));
        assert!(!packet.is_fragment() && !packet.is_first_fragment());
        assert_eq!(packet.payload(), &hex(ECHO)[20..], "padding is not payload");
        assert!(packet.options().is_empty());
    }

    #[test]
    fn builds_a_header() {
        let mut buffer = [0xff; 20];
        echo_repr().emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(ECHO)[..20]);
        assert_eq!(echo_repr().emit(&mut buffer[..19]), Err(Error::Truncated));
    }

    #[test]
    fn keeps_options() {
        let octets = hex(WITH_OPTIONS);
        let packet = Ipv4Packet::new_checked(&octets).unwrap();
        assert_eq!(packet.options(), [0x94, 0x04, 0, 0]);
        assert_eq!(packet.payload(), &octets[24..]);
        let repr = Ipv4Repr::parse(&packet).unwrap();
        let mut buffer = [0; 24];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], octets[..24]);
    }

    #[test]
    fn tells_fragments_apart() {
        let first = hex(FIRST_FRAGMENT);
        let first = Ipv4Packet::new_header(&first).unwrap();
        assert!(first.is_fragment() && first.is_first_fragment() && first.more_fragments());
        assert!(!first.dont_fragment() && first.verify_checksum());
        let last = hex(LAST_FRAGMENT);
        let last = Ipv4Packet::new_header(&last).unwrap();
        assert!(last.is_fragment() && !last.is_first_fragment() && !last.more_fragments());
        assert_eq!(last.fragment_offset(), 1480);
        let mut buffer = [0; 20];
        Ipv4Repr::parse(&last).unwrap().emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(LAST_FRAGMENT));
    }

    #[test]
    fn a_header_alone_is_enough_for_a_quoted_packet_only() {
        let header = hex(FIRST_FRAGMENT);
        assert_eq!(Ipv4Packet::new_checked(&header), Err(Error::Truncated));
        assert!(Ipv4Packet::new_header(&header).is_ok());
    }

    #[test]
    fn edits_in_place_and_completes_the_checksum() {
        let mut octets = hex(ECHO);
        let mut packet = Ipv4Packet::new_checked(&mut octets[..]).unwrap();
        packet.set_dscp(0x2e);
        packet.set_ecn(crate::ip::ecn::CE);
        assert_eq!((packet.dscp(), packet.ecn()), (0x2e, 3));
        assert!(!packet.verify_checksum());
        packet.fill_checksum();
        assert!(packet.verify_checksum());
        assert_eq!(packet.checksum(), checksum::update(0xf9d7, 0x4500, 0x45bb));
        packet.payload_mut()[0] = 0;
        assert_eq!(octets[1], 0xbb);
        assert_eq!(octets[20], 0);
    }

    #[test]
    fn refuses_wrong_lengths_and_versions() {
        refuses_every_truncation(&hex(ECHO), |data| Ipv4Packet::new_checked(data).is_ok());
        refuses_every_truncation(&hex(WITH_OPTIONS), |data| Ipv4Packet::new_checked(data).is_ok());
        refuses_every_truncation(&hex(WITH_OPTIONS)[..24], |data| Ipv4Packet::new_header(data).is_ok());
        for (at, value, error) in [
            (0, 0x65, Error::Malformed),
            (0, 0x44, Error::Malformed),
            (0, 0x4f, Error::Truncated),
            (3, 19, Error::Malformed),
            (3, 36, Error::Truncated),
        ] {
            let mut octets = hex(ECHO);
            octets[at] = value;
            assert_eq!(Ipv4Packet::new_checked(&octets), Err(error), "octet {at} = {value:#x}");
        }
    }

    #[test]
    fn parse_refuses_a_wrong_checksum() {
        let mut octets = hex(ECHO);
        octets[8] -= 1;
        assert_eq!(
            Ipv4Repr::parse(&Ipv4Packet::new_checked(&octets).unwrap()),
            Err(Error::Checksum)
        );
    }

    #[test]
    fn emit_refuses_what_has_no_place_on_the_wire() {
        let mut buffer = [0; 80];
        let repr = echo_repr();
        for wrong in [
            Ipv4Repr {
                options: &[0; 3],
                ..repr
            },
            Ipv4Repr {
                options: &[0; 44],
                ..repr
            },
            Ipv4Repr {
                fragment_offset: 4,
                ..repr
            },
            Ipv4Repr {
                payload_len: 65516,
                ..repr
            },
        ] {
            assert_eq!(wrong.emit(&mut buffer), Err(Error::Malformed), "{wrong:?}");
        }
        Ipv4Repr {
            payload_len: 65515,
            options: &[],
            ..repr
        }
        .emit(&mut buffer)
        .unwrap();
    }
}
