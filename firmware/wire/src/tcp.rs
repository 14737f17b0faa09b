//! TCP header (RFC 9293 section 3.1). Options stay a raw slice: the NIC copies them when it segments, and reads none.

use crate::bytes::{Field, get_slice, get_slice_mut, get_u8, get_u16, get_u32, put_u8, put_u16, put_u32};
use crate::{Error, Result, checksum};
use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

/// Octets of a header without options.
pub const HEADER_LEN: usize = 20;

/// Octets of the longest options.
pub const MAX_OPTIONS_LEN: usize = 40;

mod field {
    use super::Field;
    pub(super) const SRC_PORT: Field = 0..2;
    pub(super) const DST_PORT: Field = 2..4;
    pub(super) const SEQ: Field = 4..8;
    pub(super) const ACK: Field = 8..12;
    pub(super) const OFFSET: usize = 12;
    pub(super) const OFFSET_FLAGS: Field = 12..14;
    pub(super) const WINDOW: Field = 14..16;
    pub(super) const CHECKSUM: Field = 16..18;
    pub(super) const URGENT: Field = 18..20;
}

/// Where the checksum lies, in octets from the start of the header.
pub const CHECKSUM_OFFSET: usize = field::CHECKSUM.start;

/// Control bits: the eight of RFC 9293, and AE (RFC 9768), which was NS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(0x020);
    /// ECN echo.
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN.
    pub const AE: Self = Self(0x100);

    /// Whether every flag of `other` is set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for TcpFlags {
    type Output = Self;
    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for TcpFlags {
    type Output = Self;
    #[inline]
    fn not(self) -> Self {
        Self(!self.0 & 0x1ff)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpFlags({:#05x})", self.0)
    }
}

/// View of a TCP segment, which ends where the buffer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSegment<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> TcpSegment<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds header and options.
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or options end outside the buffer; [`Error::Malformed`] when the data offset is below 5.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let segment = Self { buffer };
        let data = segment.buffer.as_ref();
        if data.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        if segment.header_len() < HEADER_LEN {
            return Err(Error::Malformed);
        }
        if segment.header_len() > data.len() {
            return Err(Error::Truncated);
        }
        Ok(segment)
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

    /// Sequence number of the first octet of data.
    #[inline]
    pub fn seq_number(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::SEQ)
    }

    /// Acknowledgement number.
    #[inline]
    pub fn ack_number(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::ACK)
    }

    /// Octets of header and options (the data offset, which counts units of 4).
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(get_u8(self.buffer.as_ref(), field::OFFSET) >> 4) * 4
    }

    /// Control bits.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(get_u16(self.buffer.as_ref(), field::OFFSET_FLAGS) & 0x01ff)
    }

    /// Window, not scaled.
    #[inline]
    pub fn window(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::WINDOW)
    }

    /// Checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Urgent pointer.
    #[inline]
    pub fn urgent_pointer(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::URGENT)
    }

    /// Options, padding included.
    #[inline]
    pub fn options(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), HEADER_LEN..self.header_len())
    }

    /// Whether the checksum is right, given the pseudo header's sum.
    #[inline]
    pub fn verify_checksum(&self, pseudo: u16) -> bool {
        checksum::verify(pseudo, self.buffer.as_ref())
    }

    /// All after the options.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, self.header_len()..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> TcpSegment<T> {
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

    /// Sets the sequence number.
    #[inline]
    pub fn set_seq_number(&mut self, number: u32) {
        put_u32(self.buffer.as_mut(), field::SEQ, number);
    }

    /// Sets the acknowledgement number.
    #[inline]
    pub fn set_ack_number(&mut self, number: u32) {
        put_u32(self.buffer.as_mut(), field::ACK, number);
    }

    /// Sets the octets of header and options, a multiple of 4.
    #[inline]
    pub fn set_header_len(&mut self, header_len: usize) {
        let data = self.buffer.as_mut();
        let low = get_u8(data, field::OFFSET) & 0x0f;
        put_u8(data, field::OFFSET, (((header_len / 4) & 0x0f) << 4) as u8 | low);
    }

    /// Sets the control bits.
    #[inline]
    pub fn set_flags(&mut self, flags: TcpFlags) {
        let data = self.buffer.as_mut();
        let rest = get_u16(data, field::OFFSET_FLAGS) & 0xfe00;
        put_u16(data, field::OFFSET_FLAGS, rest | (flags.0 & 0x01ff));
    }

    /// Sets the window.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        put_u16(self.buffer.as_mut(), field::WINDOW, window);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the urgent pointer.
    #[inline]
    pub fn set_urgent_pointer(&mut self, pointer: u16) {
        put_u16(self.buffer.as_mut(), field::URGENT, pointer);
    }

    /// Computes and sets the checksum over the whole buffer, given the pseudo header's sum.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: u16) {
        let checksum = checksum::compute(pseudo, self.buffer.as_ref(), field::CHECKSUM);
        self.set_checksum(checksum);
    }

    /// Options, padding included.
    #[inline]
    pub fn options_mut(&mut self) -> &mut [u8] {
        let end = self.header_len();
        get_slice_mut(self.buffer.as_mut(), HEADER_LEN..end)
    }

    /// All after the options.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = self.header_len();
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, start..end)
    }
}

/// A TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpRepr<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq_number: u32,
    /// Acknowledgement number.
    pub ack_number: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent_pointer: u16,
    /// Options with their padding: at most 40 octets, a multiple of 4.
    pub options: &'a [u8],
}

impl<'a> TcpRepr<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a port is zero.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(segment: &'a TcpSegment<T>) -> Result<Self> {
        if segment.src_port() == 0 || segment.dst_port() == 0 {
            return Err(Error::Malformed);
        }
        Ok(Self {
            src_port: segment.src_port(),
            dst_port: segment.dst_port(),
            seq_number: segment.seq_number(),
            ack_number: segment.ack_number(),
            flags: segment.flags(),
            window: segment.window(),
            urgent_pointer: segment.urgent_pointer(),
            options: segment.options(),
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Writes header and options to the front of `buffer`, with a checksum of zero; [`TcpSegment::fill_checksum`] sets it when the data
    /// is in place.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the options have an
    /// impossible length.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if self.options.len() > MAX_OPTIONS_LEN || !self.options.len().is_multiple_of(4) {
            return Err(Error::Malformed);
        }
        let header_len = self.buffer_len();
        let header = buffer.get_mut(..header_len).ok_or(Error::Truncated)?;
        put_u16(header, field::OFFSET_FLAGS, 0);
        let mut segment = TcpSegment::new_unchecked(header);
        segment.set_src_port(self.src_port);
        segment.set_dst_port(self.dst_port);
        segment.set_seq_number(self.seq_number);
        segment.set_ack_number(self.ack_number);
        segment.set_header_len(header_len);
        segment.set_flags(self.flags);
        segment.set_window(self.window);
        segment.set_checksum(0);
        segment.set_urgent_pointer(self.urgent_pointer);
        segment.options_mut().copy_from_slice(self.options);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::IpProtocol;
    use crate::testing::{hex, refuses_every_truncation};
    use core::net::Ipv4Addr;

    // A kernel's SYN from 10.1.0.10 to 10.1.0.11.
    const SYN: &str = "1770 0050 6bbac8ab 00000000 a002 faf0 fb9f 0000 020405b40402080aab194616000000000103030a";

    fn pseudo(length: u16) -> u16 {
        let (src, dst) = (Ipv4Addr::new(10, 1, 0, 10), Ipv4Addr::new(10, 1, 0, 11));
        checksum::pseudo_header_v4(src, dst, IpProtocol::TCP, length)
    }

    #[test]
    fn takes_a_segment_apart() {
        let mut octets = hex(SYN);
        octets.push(b'!');
        let segment = TcpSegment::new_checked(&octets).unwrap();
        let repr = TcpRepr::parse(&segment).unwrap();
        assert_eq!((repr.src_port, repr.dst_port), (6000, 80));
        assert_eq!((repr.seq_number, repr.ack_number), (0x6bba_c8ab, 0));
        assert_eq!(repr.flags, TcpFlags::SYN);
        assert_eq!((repr.window, repr.urgent_pointer), (0xfaf0, 0));
        assert_eq!(segment.header_len(), 40);
        assert_eq!(repr.options, &hex(SYN)[20..]);
        assert_eq!(segment.payload(), b"!");
        assert!(TcpSegment::new_checked(hex(SYN)).unwrap().verify_checksum(pseudo(40)));
        assert!(!TcpSegment::new_checked(hex(SYN)).unwrap().verify_checksum(pseudo(41)));
    }

    #[test]
    fn builds_a_segment() {
        let octets = hex(SYN);
        let segment = TcpSegment::new_checked(&octets).unwrap();
        let repr = TcpRepr::parse(&segment).unwrap();
        let mut buffer = [0xff; 40];
        repr.emit(&mut buffer).unwrap();
        let mut built = TcpSegment::new_checked(&mut buffer[..]).unwrap();
        assert_eq!(built.checksum(), 0);
        built.fill_checksum(pseudo(40));
        assert_eq!(buffer[..], octets);
        assert_eq!(repr.emit(&mut buffer[..39]), Err(Error::Truncated));
        assert_eq!(
            TcpRepr {
                options: &[0; 2],
                ..repr
            }
            .emit(&mut buffer),
            Err(Error::Malformed)
        );
        assert_eq!(
            TcpRepr {
                options: &[0; 44],
                ..repr
            }
            .emit(&mut [0; 80]),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn edits_flags_and_length_without_touching_their_neighbours() {
        let mut octets = hex(SYN);
        octets[12] |= 0x0e;
        let mut segment = TcpSegment::new_checked(&mut octets[..]).unwrap();
        segment.set_flags(TcpFlags::ACK | TcpFlags::PSH | TcpFlags::AE);
        assert!(segment.flags().contains(TcpFlags::PSH | TcpFlags::AE) && !segment.flags().contains(TcpFlags::SYN));
        segment.set_flags(segment.flags() & !TcpFlags::AE);
        segment.set_header_len(20);
        assert_eq!(segment.payload().len(), 20);
        assert_eq!(octets[12..14], [0x5e, 0x18]);
    }

    #[test]
    fn refuses_wrong_lengths() {
        refuses_every_truncation(&hex(SYN), |data| TcpSegment::new_checked(data).is_ok());
        let mut octets = hex(SYN);
        octets[12] = 0x40;
        assert_eq!(TcpSegment::new_checked(&octets), Err(Error::Malformed));
        octets[12] = 0xb0;
        assert_eq!(TcpSegment::new_checked(&octets), Err(Error::Truncated));
    }

    #[test]
    fn ports_of_zero_are_malformed() {
        for at in [0, 2] {
            let mut octets = hex(SYN);
            octets[at..at + 2].fill(0);
            assert_eq!(
                TcpRepr::parse(&TcpSegment::new_checked(&octets).unwrap()),
                Err(Error::Malformed)
            );
        }
    }
}
